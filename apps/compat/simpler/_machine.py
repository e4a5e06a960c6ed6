"""The chips under a worker: a node of troupe's, and how arguments and failures cross to it and back."""

import hashlib
import struct
import threading

from ._chip_tensors import ChipTensor
from ._log import troupe_level
from ._troupe import raw, troupe
from ._types import DataType
from .buffer import AccessMode, AddressSpace, BackendKind, Buffer, Tensor, closings

IN, OUT, INOUT, OUT_EXISTING, NO_DEP = range(5)
_BYTES = int(DataType.UINT8)
_MOST_BYTES = 1 << 31  # of one view: extents have 32 bits

#: By direction in the signature (scalar, in, out, inout; missing) and tag (input, output, inout, existing, no_dep):
#: what the task does with the bytes. The signature says what is copied in and back, the tag what waits for what.
_MODES = {
    0: (INOUT, INOUT, INOUT, INOUT, INOUT),
    1: (IN, INOUT, INOUT, INOUT, NO_DEP),
    2: (INOUT, OUT, INOUT, OUT, INOUT),
    3: (INOUT, INOUT, INOUT, INOUT, INOUT),
    None: (INOUT, INOUT, INOUT, INOUT, INOUT),
}


def failure_of(error):
    """What a run that ended like this raises; tools read the number out of the text."""
    code = -1
    cause, last = error, error
    while cause is not None:
        last = cause
        if isinstance(cause, troupe.Error):
            code = status_of(cause) or code
        cause = cause.__cause__
    made = RuntimeError(f"run failed with code {code}: {_sentence(error, last)}")
    made.code = code
    return made


#: Run statuses of the other system; the codes of troupe's own floors begin above them.
_MOST_CODE = 999
#: What numbers are called that no floor has: a program has reported its own.
_NAMELESS = ("unknown", "unknown_platform_code")


def status_of(error):
    """The status of a run that ended with this error; None: it has none."""
    if 0 < error.number <= _MOST_CODE or (error.code in _NAMELESS and error.number > 0):
        return -error.number
    return None


def _sentence(error, last):
    """What went wrong first, and where that was met."""
    if last is error:
        return str(error)
    where = f"{error.path}: " if getattr(error, "path", "") else ""
    return f"{last}\n  in {where}{error.message}"


class Machine:
    """A system with one node. Made after the children of fork that are to know nothing of its threads."""

    def __init__(self, platform, chips, sub_workers, bootstrap=None):
        options = {"platform": platform} if platform else {}
        if bootstrap is not None:
            options["chip_bootstrap_configs"] = bootstrap
        self.system = troupe.System(chips=chips, sub_workers=sub_workers, max_runs=8, log_level=troupe_level(),
                                    name="worker", **options)
        try:
            self.node = self.system.node()
            self._chips = [self.node.chip(i) for i in range(chips)]
        except BaseException:
            self.system.close()
            raise
        self._kernels = set()
        self._device = [[] for _ in range(chips)]  # live memory; it stays until it is given back
        self._windows = []
        self._lock = threading.Lock()

    def close(self):
        self.system.close()

    @property
    def chips(self):
        return len(self._chips)

    def add_kernel(self, name, data):
        with self._lock:
            if name in self._kernels:
                return
            self.node.add_kernel(name, data)
            self._kernels.add(name)

    def kernel(self, handle, rings):
        """The name of a callable of the node; one for each ring sizes that it is run with."""
        if not rings:
            return handle.name
        name = f"{handle.name}-{hashlib.sha256(rings).hexdigest()[:16]}"
        self.add_kernel(name, handle.target.to_bytes() + rings)
        return name

    # --- memory of chips -------------------------------------------------------------------------------------

    def malloc(self, chip, nbytes, kind=BackendKind.DEVICE_MALLOC):
        nbytes = int(nbytes)
        if nbytes <= 0:
            raise ValueError(f"memory of {nbytes} bytes")
        if not 0 <= chip < len(self._chips):
            raise ValueError(f"there is no worker {chip} among {len(self._chips)}")
        try:
            if nbytes < _MOST_BYTES:
                memory = self._chips[chip].malloc((nbytes,), "uint8")
            else:
                memory = self._chips[chip].malloc((-(-nbytes // 4096), 4096), "uint8")
        except troupe.Error as error:
            raise RuntimeError(f"malloc of {nbytes} bytes failed: {error}") from error
        return self.device_buffer(chip, memory, nbytes, kind)

    def device_buffer(self, chip, memory, nbytes, kind):
        buffer = Buffer(address_space=AddressSpace.DEVICE, access=AccessMode.READWRITE, backend_kind=kind,
                        nbytes=nbytes, base=raw.address(memory), owner_worker_id=chip, memory=memory,
                        on_close=self._given_back)
        self._device[chip].append(buffer)
        return buffer

    def _given_back(self, buffer):
        self._device[buffer.owner_worker_id].remove(buffer)

    def device_buffer_at(self, address, chip=None):
        """The memory of a chip that an address lies in."""
        for index in range(len(self._device)) if chip is None or chip < 0 else (chip,):
            for buffer in self._device[index]:
                if buffer.base <= address < buffer.base + buffer.nbytes:
                    return buffer
        raise ValueError(f"{address:#x} is no memory of {'a chip' if chip is None else f'worker {chip}'}")

    def contexts(self):
        """Of chips that came up with a communicator; their windows are memory that addresses may lie in."""
        found = raw.contexts(self.node)
        for chip, (_, _, _, base, nbytes, _) in enumerate(found):
            if nbytes:
                place = self._chips[chip].malloc((64,), "uint8")
                window = self.device_buffer(chip, raw.beside(place, base, nbytes), nbytes, BackendKind.VMM_WINDOW)
                self._windows.append(window)
        return found

    def device_bytes(self, chip):
        return sum(buffer.nbytes for buffer in list(self._device[chip])
                   if buffer.backend_kind == BackendKind.DEVICE_MALLOC)

    def copy(self, buffer, offset, address, nbytes, to_device, seat=None):
        """Between memory of a chip and of the host; inside a run behind what was submitted before."""
        if offset < 0 or offset + nbytes > buffer.nbytes:
            raise ValueError(f"{nbytes} bytes from {offset} on do not lie in a buffer of {buffer.nbytes} bytes")
        chip = self._chips[buffer.owner_worker_id]
        done = 0
        while done < nbytes:
            part = min(nbytes - done, _MOST_BYTES)
            there = raw.inside(buffer._memory, offset + done, [part], [1], _BYTES)
            here = raw.host(address + done, part, 0, [part], [1], _BYTES)
            if seat is not None:
                (seat.copy(there, here) if to_device else seat.copy(here, there)).wait()
            elif to_device:
                chip.copy_to(there, here)
            else:
                chip.copy_from(here, there)
            done += part

    # --- arguments -------------------------------------------------------------------------------------------

    def use(self, tensor, mode, chip=None):
        """A tensor as an argument of troupe's."""
        if type(tensor) is not Tensor:
            tensor = self.named(tensor, chip)
        buffer = tensor.buffer
        if buffer.closed:
            raise ValueError(f"an argument is a view of {buffer!r}")
        if buffer.is_device:
            if chip is None:
                raise ValueError("memory of a chip is for the tasks of that chip")
            if buffer.owner_worker_id != chip:
                raise ValueError(f"memory of worker {buffer.owner_worker_id} is given to a task on worker {chip}")
        elif not buffer.is_plain and buffer.access == AccessMode.READ and mode != NO_DEP:
            mode = IN
        uses = tensor._uses
        if uses is None:
            uses = tensor._uses = {}
        use = uses.get(mode)
        if use is None:
            if buffer.is_device:
                view = raw.inside(buffer._memory, tensor.byte_offset, tensor.shapes, tensor.strides, tensor.dtype)
            else:
                use = uses[mode] = raw.host_use(buffer.base, buffer.nbytes, tensor.byte_offset, tensor.shapes,
                                                tensor.strides, tensor.dtype, mode)
                return use
            use = uses[mode] = raw.use(view, mode)
        return use

    def bytes_of(self, tensor, writes):
        """The bytes from the first to the last element, for a task of the host."""
        if type(tensor) is not Tensor:
            tensor = self.named(tensor, None)
        buffer = tensor.buffer
        key = "bytes written" if writes else "bytes"
        if tensor._uses is None:
            tensor._uses = {}
        use = tensor._uses.get(key)
        if use is None:
            view = raw.host(buffer.base, buffer.nbytes, tensor.byte_offset, [tensor._extent], [1], _BYTES)
            use = tensor._uses[key] = raw.use(view, INOUT if writes else IN)
        return use

    def named(self, tensor, chip):
        """A tensor by its address, as one of a buffer."""
        if not isinstance(tensor, ChipTensor):
            raise TypeError(f"a tensor argument is a Tensor, not a {type(tensor).__name__}")
        if tensor.child_memory:
            buffer = self.device_buffer_at(tensor.data, chip)
            return Tensor(buffer, tensor.shapes, tensor.dtype, byte_offset=tensor.data - buffer.base)
        return Tensor(host_buffer(tensor.data, tensor.nbytes()), tensor.shapes, tensor.dtype)

    def arguments(self, args, target, chip):
        """All of a task's, for its chip; scalars last. Checks them, too."""
        known = args._prepared
        if known is not None and known[0] is target and known[1] == chip and known[2] == closings[0] and known[3] is self:
            return known[4]
        directions = target.directions()
        given, items, written, checked = args.tensors, [], 0, False
        if len(directions) < len(given):
            directions += (None,) * (len(given) - len(directions))
        for tensor, tag, direction in zip(given, args.tags, directions):
            mode = _MODES[direction][tag]
            if tag != 0 and tag != 4:
                written += 1
            # Most are views of open memory, of this chip or of the host, that were named before.
            if type(tensor) is Tensor and tensor._uses is not None:
                buffer = tensor.buffer
                if buffer.is_plain and not buffer.closed and (not buffer.is_device or buffer.owner_worker_id == chip):
                    use = tensor._uses.get(mode)
                    if use is not None:
                        items.append(use)
                        continue
            if not checked:
                args.check()
                checked = True
            items.append(self.use(tensor, mode, chip))
        if written > 1 and not checked:
            args.check()
        for word in args.scalars:
            items.append(raw.word(word))
        items = tuple(items)
        args._prepared = target, chip, closings[0], self, items
        return items


def rings_of(config):
    """The ring sizes that a configuration or the environment says, as they stand behind a callable; b"": neither does."""
    said = config.runtime_env.rings()
    if not said:
        return b""
    return struct.pack("<12Q", *(number for ring in said for number in (ring or (0,) * 4))) + b"TRRINGS1"


def host_buffer(address, nbytes, access=AccessMode.READWRITE, kind=BackendKind.FORK_SHM, keep=None):
    return Buffer(address_space=AddressSpace.HOST, access=access, backend_kind=kind, nbytes=nbytes, base=address,
                  keep=keep)


__all__ = ["Machine", "failure_of", "host_buffer", "rings_of", "status_of"]
