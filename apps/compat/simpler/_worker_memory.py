"""The memory of a worker: of its chips, of its own that sub-workers see, and of the program that lends it."""

import numbers

from . import _runs
from ._host_memory import first_element, shared_buffer, span_of, storage_of
from ._machine import host_buffer
from ._troupe import troupe
from ._types import element_size, shape_of
from .buffer import AccessMode, BackendKind, Buffer, Tensor


def _is_address(thing):
    """Whether it is a number and nothing else: arrays and tensors of one element have an __index__, too."""
    return isinstance(thing, numbers.Integral) or (hasattr(thing, "__index__") and not hasattr(thing, "shape"))


class Memory:
    """The part of a worker that has to do with memory."""

    def malloc(self, size, worker_id=None):
        """Memory of the chip. With a worker_id, as in April 2026: at level 3, of that chip."""
        if self.level > 2 and worker_id is None:
            raise TypeError("malloc is for a worker of level 2; alloc_child_tensor names a chip")
        self._ready()
        return self._machine.malloc(int(worker_id or 0), size)

    def alloc_child_tensor(self, worker_id, shapes, dtype):
        """Memory of one chip, for the tasks there. It stays until free() or close()."""
        if self.level != 3:
            raise TypeError("alloc_child_tensor is for a worker of level 3; malloc is for level 2")
        self._ready()
        nbytes = element_size(dtype)
        for extent in shape_of(shapes):
            nbytes *= extent
        return self._machine.malloc(int(worker_id), nbytes)

    def free(self, buffer, worker_id=None):
        """Gives memory of a chip back: a buffer as malloc returned it, or its address."""
        self._ready()
        if not isinstance(buffer, Buffer):
            address = buffer.__index__()
            if address == 0:
                return
            buffer = self._machine.device_buffer_at(address, worker_id)
            if buffer.base != address:
                raise ValueError(f"{address:#x} is inside an allocation, not the beginning of it")
        if buffer.backend_kind != BackendKind.DEVICE_MALLOC or buffer.closed:
            raise ValueError(f"{buffer!r} is no allocation of a chip")
        buffer.close()

    def copy_to(self, dst, src, size=None, worker_id=None):
        """From the host into memory of a chip: as many bytes as the host's side has. `size` and `worker_id` are of
        April 2026, with addresses; of what knows its own size, `size` is no more than that."""
        self._copy(dst, src, size, worker_id, True)

    def copy_from(self, dst, src, size=None, worker_id=None):
        """From memory of a chip to the host."""
        self._copy(src, dst, size, worker_id, False)

    def _copy(self, there, here, size, worker_id, to_device, seat=None):
        self._ready()
        offset, room, size = 0, None, None if size is None else int(size)
        if isinstance(there, Tensor):
            there, offset, room = there.buffer, there.byte_offset, there._extent
        if not isinstance(there, Buffer):
            at = there.__index__()
            there = self._machine.device_buffer_at(at, worker_id)
            offset = at - there.base
        if there.closed or not there.is_device:
            raise ValueError(f"{there!r} is no memory of a chip")
        address, nbytes, readonly = self._host_side(here, size)
        if not to_device and readonly:
            raise ValueError("the host's side is read-only")
        if size is None:
            size = nbytes
        if not 0 <= size <= nbytes:
            raise ValueError(f"{size} bytes are copied, and the host's side has {nbytes}")
        if room is not None and size > room:
            raise ValueError(f"{size} bytes are copied, and the tensor of the chip has {room}")
        try:
            self._machine.copy(there, offset, address, size, to_device, seat)
        except troupe.Error as error:
            raise RuntimeError(str(error)) from error

    def _host_side(self, here, size):
        """(address, bytes, read-only)."""
        if isinstance(here, Buffer):
            if here.closed or here.is_device:
                raise ValueError(f"{here!r} is no memory of the host")
            return here.base, here.nbytes, here.access == AccessMode.READ
        if isinstance(here, Tensor):
            if here.buffer.closed or here.buffer.is_device:
                raise ValueError(f"{here!r} is no memory of the host")
            return here.address, here._extent, here.buffer.access == AccessMode.READ
        if size is not None and _is_address(here):
            return here.__index__(), size, False
        if self.level > 2:
            raise TypeError("the host's side is a Buffer of create_buffer at this level")
        return span_of(here)

    def create_buffer(self, nbytes):
        """Memory of the host that sub-workers see, too, also those that are there already."""
        self._ready()
        buffer = shared_buffer(nbytes, on_close=self._buffer_closed)
        self._buffers[buffer.identity] = buffer
        return buffer

    def _buffer_closed(self, buffer):
        self._buffers.pop(buffer.identity, None)
        if self._subs is not None and self._state == "READY":
            self._subs.drop(buffer.shm.name)

    def release_buffer(self, buffer):
        if buffer.identity not in self._buffers:
            raise ValueError(f"{buffer!r} is no live buffer of this worker's create_buffer")
        if self._runs is not None and self._runs.busy:
            raise RuntimeError("a run is under way, which may use the buffer")
        buffer.close()

    def make_tensor_arg(self, tensor, shapes, dtype, *, strides=None):
        """Memory of the host that the program has: its own tensors and arrays."""
        base, nbytes, readonly = storage_of(tensor)
        with self._lock:
            buffer = self._borrowed.get((base, nbytes, readonly))
            if buffer is None:
                buffer = self._borrowed_buffer(tensor, base, nbytes, readonly)
                self._borrowed[base, nbytes, readonly] = buffer
            buffer._keep = tensor
        return Tensor(buffer, shapes, dtype, strides, first_element(tensor) - base)

    def _borrowed_buffer(self, tensor, base, nbytes, readonly):
        access, kind = AccessMode.READWRITE, BackendKind.FORK_SHM
        if readonly or (self.level > 2 and not self._sharing(tensor, base, nbytes)):
            # A child of fork would write into a copy of its own.
            access, kind = AccessMode.READ, BackendKind.FORK_COW
        return host_buffer(base, nbytes, access, kind, tensor)

    def alloc_shared_tensor(self, shapes, dtype):
        """Inside an orchestration function: memory of its run."""
        orchestrator = _runs.current(self)
        if orchestrator is None:
            raise RuntimeError("alloc_shared_tensor is for orchestration functions, while they run")
        return orchestrator.alloc(shapes, dtype)
