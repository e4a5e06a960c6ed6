"""What an orchestration function is given: it submits tasks, and they run when what they need is there."""

import contextlib
import threading

from ._callables import ChipCallable
from ._domains import CommDomainHandle, check_domain
from ._host_memory import shared_buffer
from ._machine import rings_of
from ._runs import at_once
from ._sub_workers import described
from ._task_args import TaskArgs
from ._troupe import raw, troupe
from ._types import TensorArgType, element_size, shape_of
from .buffer import Buffer, Tensor, closings
from .callable_identity import CallableHandle

_ANY = object()
_READS = TensorArgType.INPUT
_submit = raw.submit


class Orchestrator:
    """The graph of one run. For the thread of the orchestration function, until that returns."""

    def __init__(self, worker, seat, config, failures, do):
        self._worker, self._seat, self._config = worker, seat, config
        self._do = do  # makes a call on the thread of the seat
        self._failures = failures  # of functions, in the order in which they failed
        self._pieces, self._segments = [], []
        self._kept = []  # tensors of tasks, whose memory stays until the run has ended
        self._domains = []
        self._regions = []
        self._own_rings = rings_of(config)
        self._scopes = []
        # The chips, while a task is submitted by nothing but a call.
        self._direct = worker._machine if worker.level == 3 and not self._own_rings and do is at_once else None

    # --- tasks -----------------------------------------------------------------------------------------------

    def submit_next_level(self, handle, args, config=None, *, worker=_ANY):
        """One task on one worker of the level below."""
        # As the task before with these arguments, which scripts submit by the hundred.
        known = args._quick if type(args) is TaskArgs else None
        if (known is not None and known[0] is handle and known[1] == worker and known[2] == closings[0]
                and known[3] is self._direct and (config is None or config is self._config) and known[4].live):
            self._kept.append(known)
            try:
                return _submit(self._seat, known[4].name, known[5], worker)
            except troupe.Error as error:
                _raise(error)
        seat = self._open()
        given = handle
        if worker is _ANY:
            if isinstance(handle, CallableHandle):
                raise TypeError("submit_next_level() missing 1 required keyword-only argument: 'worker'")
            worker = -1
        if config is not None and config is not self._config:
            config.validate()
            self._worker._check_threads(config)
        if self._worker.level > 3:
            return self._submit_children(handle, [args], [worker], config)
        handle = self._chip_handle(handle)
        worker = self._chip(worker)
        items = self._worker._machine.arguments(args, handle.target, 0 if worker is None else worker)
        self._kept += args.tensors
        self._submit(_submit, seat, self._kernel(handle, config), items, -1 if worker is None else worker)
        if worker is not None and self._direct is not None:
            args._quick = given, worker, closings[0], self._direct, handle, items, tuple(args.tensors)

    def submit_next_level_group(self, handle, args_list, config=None, *, workers=None):
        """One task with a member on each of several workers; they start together."""
        seat = self._open()
        args_list = list(args_list)
        workers = list(range(len(args_list))) if workers is None else [int(worker) for worker in workers]
        if len(workers) != len(args_list):
            raise ValueError(f"{len(args_list)} members and {len(workers)} workers")
        if len(set(workers)) != len(workers):
            raise ValueError(f"a group names each worker once: {workers}")
        if not workers:
            raise ValueError("a group has at least one member")
        if config is not None:
            config.validate()
        if self._worker.level > 3:
            return self._submit_children(handle, args_list, workers, config)
        handle = self._chip_handle(handle)
        members = []
        for args, worker in zip(args_list, workers):
            members.append(self._worker._machine.arguments(args, handle.target, self._chip(worker)))
            self._kept += args.tensors
        self._submit(raw.submit_group, seat, self._kernel(handle, config), members, workers)

    def submit_sub(self, handle, args=None):
        """A Python function in a sub-worker: called with one MappedArgs."""
        self._submit_functions(handle, [args])

    def submit_sub_group(self, handle, args_list):
        """One task that calls the function once for each member."""
        self._submit_functions(handle, list(args_list))

    def _open(self):
        if self._seat is None:
            raise RuntimeError("the orchestration function has returned: its orchestrator ended with it")
        return self._seat

    def _end(self):
        self._seat = self._direct = None

    def _kernel(self, handle, config):
        """With the sizes that a task's own configuration says, or that of the run."""
        rings = self._own_rings if config is None or config is self._config else rings_of(config)
        return self._worker._machine.kernel(handle, rings) if rings else handle.name

    def _submit(self, call, *args):
        try:
            self._do(call, *args)
        except troupe.Error as error:
            _raise(error)

    def _chip_handle(self, handle):
        if isinstance(handle, ChipCallable):
            handle = self._worker._known_or_new(handle)
        handle = self._worker._live(handle)
        if handle.kind != "chip":
            raise TypeError(f"{handle!r} is a Python callable: submit_sub is for it")
        return handle

    def _chip(self, worker):
        """Its number; none: any."""
        worker = int(worker)
        if worker == -1:
            return None
        if not 0 <= worker < self._worker._machine.chips:
            raise ValueError(f"there is no worker {worker} among {self._worker._machine.chips}")
        return worker

    def _submit_functions(self, handle, args_list):
        seat = self._open()
        handle = self._worker._live(handle)
        if handle.kind != "python":
            raise TypeError(f"{handle!r} runs on a chip: submit_next_level is for it")
        pool = self._worker._subs
        if pool is None or pool.count == 0:
            raise RuntimeError("this worker has no sub-workers: num_sub_workers is 0")
        machine = self._worker._machine
        items, calls = [], []
        for args in args_list:
            tensors, scalars = [], []
            if args is not None:
                args.check()
                for tensor, tag in zip(args.tensors, args.tags):
                    if type(tensor) is not Tensor:
                        tensor = machine.named(tensor, None)
                    if tensor.buffer.is_device:
                        raise ValueError("a sub-worker cannot look into the memory of a chip")
                    readonly = tag == _READS or tensor.buffer.access == 0
                    items.append(machine.bytes_of(tensor, not readonly))
                    tensors.append(described(tensor, readonly))
                scalars = list(args.scalars)
                self._kept += args.tensors
            calls.append((handle.index, handle.name, tensors, scalars))
        self._submit(lambda: seat.submit_sub(_calls(self._failures, pool.call, calls), *items))
        self._flush()  # a sub-worker is waited for by memory that is shared, too

    def _submit_children(self, handle, args_list, workers, config):
        """A function of the level below, in the workers there."""
        handle = self._worker._live(handle)
        if handle.kind != "python":
            raise TypeError("a worker of workers runs Python functions on them")
        children = self._worker._children
        for worker in workers:
            if not 0 <= worker < len(children):
                raise ValueError(f"there is no worker {worker} among {len(children)}")
        machine = self._worker._machine
        items = []
        for args in args_list:
            if args is None:
                continue
            args.check()
            for tensor, tag in zip(args.tensors, args.tags):
                if type(tensor) is Tensor and tensor.buffer.is_device:
                    raise ValueError("memory of a chip stays with the worker of that chip")
                items.append(machine.bytes_of(tensor, tag != _READS))
            self._kept += args.tensors
        # The function comes later, when the caller may have filled its arguments anew.
        calls = [(handle.target, None if args is None else args.copy(), config, children[worker])
                 for args, worker in zip(args_list, workers)]
        self._submit(lambda: self._seat.submit_sub(_calls(self._failures, _run_in_child, calls), *items))

    # --- scopes and memory -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scope(self):
        self.scope_begin()
        try:
            yield self
        finally:
            self.scope_end()

    def scope_begin(self):
        seat = self._open()
        opened = seat.scope()
        try:
            self._do(opened.__enter__)
        except troupe.Error as error:
            raise RuntimeError(str(error)) from error
        self._scopes.append(opened)

    def scope_end(self):
        if not self._scopes:
            raise RuntimeError("no scope is open")
        self._do(self._scopes.pop().__exit__, None, None, None)

    def alloc(self, shape, dtype):
        """Memory that all of the run's tasks can see; it goes with the run."""
        self._open()
        nbytes = element_size(dtype)
        for extent in shape_of(shape):
            nbytes *= extent
        heap = self._worker._heap
        piece = heap.alloc(nbytes) if heap is not None else None
        if piece is None:
            segment = shared_buffer(nbytes)
            self._segments.append(segment)
            return segment
        self._pieces.append(piece)
        return heap.buffer(piece, nbytes)

    def _give_back(self):
        """When the run has ended."""
        if self._pieces:
            self._worker._heap.free(self._pieces)
            self._pieces = []
        for segment in self._segments:
            if self._worker._subs is not None:
                self._worker._subs.drop(segment.shm.name)
            segment.close()
        for domain in self._domains:
            domain._run_ended()
        for region in self._regions:
            region.close()
        self._kept.clear()

    def alloc_child_tensor(self, worker_id, shapes, dtype):
        return self._worker.alloc_child_tensor(worker_id, shapes, dtype)

    def malloc(self, worker_id, size):
        """Of April 2026: memory of a chip, by bytes."""
        return self._worker._machine.malloc(int(worker_id), size)

    def free(self, *what, **named):
        """free(buffer); of April 2026: free(worker_id, ptr)."""
        self._open()
        what = _in_order("free", what, named, ("buffer",), ("worker_id", "ptr"))
        if len(what) == 2:
            return self._worker._machine.device_buffer_at(int(what[1]), int(what[0])).close()
        return self._worker.free(*what)

    def copy_to(self, *what, **named):
        """copy_to(dst, src), behind what was submitted before. Of April 2026: copy_to(worker_id, dst, src, size)."""
        self._copy("copy_to", what, named, True)

    def copy_from(self, *what, **named):
        """copy_from(dst, src), the other way."""
        self._copy("copy_from", what, named, False)

    def _copy(self, call, what, named, to_device):
        seat = self._open()
        what = _in_order(call, what, named, ("dst", "src"), ("worker_id", "dst", "src", "size"))
        worker_id, dst, src, size = what if len(what) == 4 else (None, *what, None)
        there, here = (dst, src) if to_device else (src, dst)
        self._do(self._worker._copy, there, here, size, worker_id, to_device, seat)

    # --- domains ---------------------------------------------------------------------------------------------

    def allocate_domain(self, *, name, workers, window_size, buffers=()):
        """Windows on several chips that each of them sees."""
        seat = self._open()
        workers, buffers = [int(worker) for worker in workers], tuple(buffers)
        check_domain(self._worker, name, workers, window_size, buffers)
        try:
            domain = self._do(lambda: seat.allocate_domain(workers, {"window": int(window_size)}, int(window_size)).get())
        except troupe.Error as error:
            raise RuntimeError(f"domain {name!r}: {error}") from error
        handle = CommDomainHandle(self._worker, name, workers, int(window_size), buffers, domain)
        self._domains.append(handle)
        return handle

    def release_domain(self, handle):
        handle.release()

    def _global(self, *_, **__):
        raise NotImplementedError("global domains span machines, which this surface does not: troupe's pods do")

    allocate_global_domain = release_global_domain = get_global_domain = _global
    copy_to_global_domain = copy_from_global_domain = _global

    # --- channels to a running chip task ---------------------------------------------------------------------

    def _flush(self):
        """Tasks leave in batches: all of them do now, for the function is about to look at what they do."""
        if self._seat is not None:
            self._do(self._seat.flush)

    def create_worker_chip_region(self, *, worker_id, payload_bytes, counter_bytes):
        from .worker_chip_orch_comm import WorkerChipRegion

        self._open()
        region = WorkerChipRegion(self._worker, int(worker_id), int(payload_bytes), int(counter_bytes), self._flush)
        self._regions.append(region)
        return region

    def create_worker_chip_queue(self, *, worker_id, depth, input_arena_bytes, output_arena_bytes):
        from .worker_chip_message_queue import WorkerChipQueue

        self._open()
        queue = WorkerChipQueue(self._worker, int(worker_id), int(depth), int(input_arena_bytes),
                                int(output_arena_bytes), self._flush)
        self._regions.append(queue.region)
        return queue


def _raise(error):
    if error.code == "bad_argument":
        raise ValueError(str(error)) from error
    raise RuntimeError(str(error)) from error


def _in_order(call, what, named, *signatures):
    """The arguments of a call in the order of the first of its signatures that has them all."""
    for names in signatures:
        rest = names[len(what):]
        if len(what) <= len(names) and set(rest) == set(named):
            return what + tuple(named[name] for name in rest)
    raise TypeError(f"{call}() is called as " + " or ".join(f"{call}({', '.join(names)})" for names in signatures))


def _run_in_child(function, args, config, child):
    child._run_as_child(function, args, config)


def _calls(failures, call, each):
    """A host function of troupe's that makes all of these calls, several at once."""

    def guarded(arguments, failed):
        try:
            call(*arguments)
        except BaseException as error:
            failed.append(error)

    def all_of_them(*_):
        failed = []
        threads = [threading.Thread(target=guarded, args=(arguments, failed)) for arguments in each[1:]]
        for thread in threads:
            thread.start()
        guarded(each[0], failed)
        for thread in threads:
            thread.join()
        if failed:
            failures.extend(failed)
            raise failed[0]

    return all_of_them


__all__ = ["Buffer", "Orchestrator"]
