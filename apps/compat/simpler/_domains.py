"""Communication domains: windows on several chips, named pieces of them, and what a chip is told of both."""

import dataclasses

from ._troupe import raw
from .buffer import BackendKind


@dataclasses.dataclass(frozen=True)
class CommBufferSpec:
    """A named piece of each rank's window."""

    name: str
    dtype: str
    count: int
    nbytes: int
    load_from_host: bool = False
    store_to_host: bool = False


@dataclasses.dataclass
class ChipDomainContext:
    """What one chip of a domain has: its rank, its window, its buffers."""

    name: str
    domain_rank: int
    domain_size: int
    device_ctx: int
    local_window_base: int
    actual_window_size: int
    buffers: dict


def check_domain(worker, name, workers, window_size, buffers):
    """Everything that can be said before anything is done."""
    if not workers:
        raise ValueError(f"domain {name!r} needs workers")
    if len(set(workers)) != len(workers):
        raise ValueError(f"domain {name!r} names a worker twice: {workers}")
    for number in workers:
        if not 0 <= number < worker._machine.chips:
            raise ValueError(f"domain {name!r}: there is no worker {number} among {worker._machine.chips}")
    if int(window_size) <= 0:
        raise ValueError(f"domain {name!r} has a window of {window_size} bytes")
    names = [buffer.name for buffer in buffers]
    if len(set(names)) != len(names):
        raise ValueError(f"domain {name!r} has two buffers of one name: {names}")
    if any(buffer.nbytes < 0 for buffer in buffers):
        raise ValueError(f"domain {name!r} has a buffer of fewer than no bytes")
    wanted = sum(buffer.nbytes for buffer in buffers)
    if wanted > window_size:
        raise ValueError(f"domain {name!r}: {wanted} bytes of buffers do not fit a window of {window_size}")
    if name in worker._live_domains:
        raise ValueError(f"domain {name!r} is there already")


class CommDomainHandle:
    """A domain of a run. handle[worker] is what that chip has of it; release() is for the end of `with`."""

    _allocations = 0

    def __init__(self, worker, name, workers, window_size, buffers, domain):
        self.name, self.workers = name, tuple(workers)
        CommDomainHandle._allocations += 1
        self.allocation_id = CommDomainHandle._allocations
        self.released = self.freed = False
        self._worker, self._domain = worker, domain
        self.contexts = {}
        for rank, number in enumerate(workers):
            context, base, nbytes = raw.window(domain, rank)
            window = worker._machine.device_buffer(number, domain.rank(rank).buffer("window", "uint8"), nbytes,
                                                   BackendKind.VMM_WINDOW)
            pieces, at = {}, 0
            for spec in buffers:
                if spec.nbytes:
                    pieces[spec.name] = self._piece(number, window, at, spec.nbytes)
                at += spec.nbytes
            self.contexts[number] = ChipDomainContext(name, rank, len(workers), context, base, nbytes, pieces)
            self.contexts[number]._window = window
        worker._live_domains[name] = self

    def _piece(self, number, window, at, nbytes):
        memory = raw.inside(window._memory, at, [nbytes], [1], 5)
        return self._worker._machine.device_buffer(number, memory, nbytes, BackendKind.VMM_WINDOW)

    def __getitem__(self, worker):
        if self.released:
            raise RuntimeError(f"domain {self.name!r} has been released")
        return self.contexts[worker]

    def __len__(self):
        return len(self.workers)

    def release(self):
        """No new task gets it. The memory stays until the run has ended."""
        if not self.released:
            self.released = True
            self._worker._live_domains.pop(self.name, None)

    def _run_ended(self):
        self.release()
        self.freed = True
        for context in self.contexts.values():
            for buffer in (*context.buffers.values(), context._window):
                buffer.close()
        self._domain = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def __repr__(self):
        return f"<CommDomainHandle {self.name!r} over {list(self.workers)}{', released' * self.released}>"


class _Global:
    def __init__(self, *_, **__):
        raise NotImplementedError("global domains span machines, which this surface does not: troupe's pods do")


class GlobalCommDomainHandle(_Global):
    pass


class GlobalCommDomainView(_Global):
    pass
