"""Messages between the host and a running chip task, both ways, in a region of the chip's memory."""

import collections
import enum
import struct
import time

from .worker_chip_orch_comm import WorkerChipRegion

_MAGIC = 0x4C335132 << 32 | 1 << 16 | 1
_SLOT = struct.Struct("<QQQQ")  # number, opcode, offset, bytes
_IN_TAIL, _IN_HEAD, _OUT_TAIL, _OUT_HEAD, _HOST_ABORT, _CHIP_ABORT = 0, 64, 128, 192, 256, 320
_COUNTER_BYTES = 384


class WorkerChipQueueOpcode(enum.IntEnum):
    INVALID = 0
    DATA = 1
    STOP = 2
    ERROR = 3


class WorkerChipQueue:
    """Two rings of `depth` slots of 32 bytes, one each way, with an arena each for what the messages carry. A message is
    its reader's, slot and bytes, until the reader's head has passed it: so long neither is written again."""

    def __init__(self, worker, worker_id, depth, input_arena_bytes, output_arena_bytes, flush=lambda: None):
        if depth <= 0 or depth & (depth - 1):
            raise ValueError(f"depth is a power of two, not {depth}")
        if input_arena_bytes <= 0 or output_arena_bytes <= 0:
            raise ValueError("both arenas have room for a message")
        self.depth = depth
        self.input_arena_bytes, self.output_arena_bytes = input_arena_bytes, output_arena_bytes
        slots = depth * _SLOT.size
        self._in_slots, self._out_slots, self._in_arena = 0, slots, 2 * slots
        self._out_arena = self._in_arena + input_arena_bytes
        self.region = WorkerChipRegion(worker, worker_id, self._out_arena + output_arena_bytes, _COUNTER_BYTES, flush)
        self._sent = self._received = self._used = 0
        self._unread = collections.deque()  # number, begin and end of the messages with bytes

    def chip_task_arg_scalars(self):
        """The twelve words that tell a chip task of it."""
        region = self.region
        return region.chip_task_arg_scalars() + [_MAGIC, self.depth, self.input_arena_bytes, self.output_arena_bytes,
                                                 region.payload_bytes, region.counter_bytes]

    def send(self, data=b"", opcode=WorkerChipQueueOpcode.DATA, timeout=None):
        """A message to the chip; TimeoutError: no slot was free in time, or messages lay where its bytes go that the
        chip had not read."""
        nbytes = len(data)
        if nbytes > self.input_arena_bytes:
            raise ValueError(f"a message of {nbytes} bytes, an arena of {self.input_arena_bytes}")
        at = self._used if self._used + nbytes <= self.input_arena_bytes else 0
        # They lie in the order in which they are read: the last one that is in the way is the one to wait for.
        in_the_way = [number for number, begin, end in self._unread if begin < at + nbytes and at < end]
        until = max(self._sent - self.depth, *in_the_way, -1) + 1
        self._until(lambda: self.region.counter(_IN_HEAD) >= until, timeout)
        while self._unread and self._unread[0][0] < self.region.counter(_IN_HEAD):
            self._unread.popleft()
        self.region.write(self._in_arena + at, data)
        slot = self._in_slots + self._sent % self.depth * _SLOT.size
        self.region.write(slot, _SLOT.pack(self._sent, opcode, at, nbytes))
        if nbytes:
            self._used = at + nbytes
            self._unread.append((self._sent, at, self._used))
        self._sent += 1
        self.region.notify(_IN_TAIL, self._sent)

    def receive(self, timeout=None):
        """(opcode, bytes) of the chip's next message."""
        self._until(lambda: self.region.counter(_OUT_TAIL) > self._received, timeout)
        slot = self._out_slots + self._received % self.depth * _SLOT.size
        _, opcode, at, nbytes = _SLOT.unpack(self.region.read(slot, _SLOT.size))
        if at + nbytes > self.output_arena_bytes:
            raise RuntimeError(f"the chip names {nbytes} bytes from {at} on in an arena of {self.output_arena_bytes}")
        data = self.region.read(self._out_arena + at, nbytes)
        self._received += 1
        self.region.notify(_OUT_HEAD, self._received)
        return WorkerChipQueueOpcode(opcode), data

    def stop(self):
        self.send(opcode=WorkerChipQueueOpcode.STOP)

    def abort(self):
        self.region.notify(_HOST_ABORT, 1)

    def _until(self, holds, timeout):
        # The other side is code in a kernel, which tells nobody.
        ends = None if timeout is None else time.monotonic() + timeout
        while not holds():
            if self.region.counter(_CHIP_ABORT):
                raise RuntimeError("the chip task has given the queue up")
            if ends is not None and time.monotonic() > ends:
                raise TimeoutError("no answer of the chip task in time")
            time.sleep(0)
