"""Memory of a chip that the host and a running chip task both look at: a payload and counters."""

import ctypes
import enum
import itertools

from ._troupe import raw
from .buffer import memory_at

_MAGIC = 0x4C334C32 << 32 | 3 << 16
_regions = itertools.count(1)


class NotifyOp(enum.IntEnum):
    SET = 0
    ADD = 1


class WaitCmp(enum.IntEnum):
    EQ = 0
    NE = 1
    GT = 2
    GE = 3
    LT = 4
    LE = 5


_COMPARE = {
    WaitCmp.EQ: lambda a, b: a == b,
    WaitCmp.NE: lambda a, b: a != b,
    WaitCmp.GT: lambda a, b: a > b,
    WaitCmp.GE: lambda a, b: a >= b,
    WaitCmp.LT: lambda a, b: a < b,
    WaitCmp.LE: lambda a, b: a <= b,
}


class WorkerChipRegion:
    """A payload and i32 counters, 64-aligned, in the memory of one chip. It goes with the run."""

    def __init__(self, worker, worker_id, payload_bytes, counter_bytes, flush=lambda: None):
        self._flush = flush
        if payload_bytes <= 0 or counter_bytes <= 0 or counter_bytes % 4:
            raise ValueError(f"a region has a payload and counters of 4 bytes, not {payload_bytes} and {counter_bytes}")
        at = -(-payload_bytes // 64) * 64
        self._buffer = worker._machine.malloc(worker_id, at + counter_bytes)
        self._machine = worker._machine
        self.region_id, self.worker_id = next(_regions), worker_id
        self.payload_base, self.payload_bytes = self._buffer.base, payload_bytes
        self.counter_base, self.counter_bytes = self._buffer.base + at, counter_bytes
        zeros = bytearray(at + counter_bytes)
        self._machine.copy(self._buffer, 0, raw.span(zeros)[0], len(zeros), True)
        # A simulated chip's memory is memory of this process.
        self._payload = memory_at(self.payload_base, payload_bytes)

    def chip_task_arg_scalars(self):
        """The six words that tell a chip task of it."""
        return [_MAGIC, self.region_id, self.payload_base, self.payload_bytes, self.counter_base, self.counter_bytes]

    def _open(self):
        if self._payload is None:
            raise RuntimeError(f"region {self.region_id} is closed: it goes with its run")

    def _piece(self, offset, nbytes):
        self._open()
        if offset < 0 or nbytes < 0 or offset + nbytes > self.payload_bytes:
            raise ValueError(f"{nbytes} bytes from {offset} on do not lie in a payload of {self.payload_bytes}")
        return slice(offset, offset + nbytes)

    def write(self, offset, data):
        self._payload[self._piece(offset, len(data))] = data

    def read(self, offset, nbytes):
        piece = self._piece(offset, nbytes)
        return bytes(self._payload[piece])

    def _counter(self, offset):
        self._open()
        if offset % 4 or not 0 <= offset <= self.counter_bytes - 4:
            raise ValueError(f"no counter lies at {offset} of {self.counter_bytes} bytes")
        return ctypes.c_int32.from_address(self.counter_base + offset)

    def counter(self, offset):
        self._flush()
        return self._counter(offset).value

    def notify(self, offset, value, op=NotifyOp.SET):
        counter = self._counter(offset)
        counter.value = value if op == NotifyOp.SET else counter.value + value

    def test(self, offset, value, cmp=WaitCmp.GE):
        return _COMPARE[WaitCmp(cmp)](self.counter(offset), value)

    def close(self):
        """Gives the memory back; again: nothing."""
        self._payload = None
        self._buffer.close()

