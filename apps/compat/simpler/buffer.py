"""Memory that programs name: owned buffers, views of them, and what sub-workers get to see of those."""

import ctypes
import enum
import itertools
import os
import struct
import threading

from ._types import ELEMENT_BYTES, MAX_TENSOR_DIMS, DataType, element_size, row_major, shape_of

DESCRIPTOR_MAGIC = 0x5342
DESCRIPTOR_BYTES = 88
TENSOR_BYTES = 144
OWNER_INSTANCE_ID_BYTES = 8


class AddressSpace(enum.IntEnum):
    HOST = 0
    DEVICE = 1


class AccessMode(enum.IntEnum):
    READ = 0
    WRITE = 1
    READWRITE = 2


class BackendKind(enum.IntEnum):
    FORK_SHM = 0
    POSIX_SHM = 1
    VMM_WINDOW = 2
    REMOTE_SIDECAR = 3
    DEVICE_MALLOC = 4
    FORK_COW = 5


_DEVICE_BACKENDS = (BackendKind.VMM_WINDOW, BackendKind.DEVICE_MALLOC)
#: Memory that stays until close().
_UNTIL_CLOSED = (BackendKind.POSIX_SHM, BackendKind.DEVICE_MALLOC)
_MOST_VIEWS = 64
#: How many buffers have been closed: while it is the same, what was open still is.
closings = [0]


class CanonicalIdentity:
    """Which buffer: its owner, its number there, and which life of that number."""

    __slots__ = ("nonce", "buffer_id", "generation")

    def __init__(self, nonce, buffer_id, generation=1):
        if len(nonce) != OWNER_INSTANCE_ID_BYTES:
            raise ValueError(f"an owner has an id of {OWNER_INSTANCE_ID_BYTES} bytes")
        if generation < 1:
            raise ValueError("a generation is at least 1")
        self.nonce, self.buffer_id, self.generation = bytes(nonce), int(buffer_id), int(generation)

    def _key(self):
        return self.nonce, self.buffer_id, self.generation

    def __eq__(self, other):
        return isinstance(other, CanonicalIdentity) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        return f"CanonicalIdentity({self.nonce.hex()}, {self.buffer_id}, {self.generation})"

    _next = itertools.count(1)
    _owner = (0, b"")

    @classmethod
    def new(cls):
        """The next one of this process."""
        if cls._owner[0] != os.getpid():
            cls._owner = (os.getpid(), os.urandom(OWNER_INSTANCE_ID_BYTES))
        return cls(cls._owner[1], next(cls._next))


class BufferDescriptor:
    """A buffer as it is written down: 88 bytes."""

    __slots__ = ("address_space", "access", "backend_kind", "identity", "nbytes", "path_id", "body")

    def __init__(self, address_space, access, backend_kind, identity, nbytes, path_id=0, body=b""):
        if len(body) > 32:
            raise ValueError("the body of a descriptor has up to 32 bytes")
        if (backend_kind in _DEVICE_BACKENDS) != (address_space == AddressSpace.DEVICE):
            raise ValueError(f"{backend_kind!r} is not in {address_space!r}")
        if backend_kind == BackendKind.FORK_COW and access != AccessMode.READ:
            raise ValueError("what a child of fork has a copy of can only be read")
        self.address_space, self.access = AddressSpace(address_space), AccessMode(access)
        self.backend_kind, self.identity = BackendKind(backend_kind), identity
        self.nbytes, self.path_id, self.body = int(nbytes), int(path_id), bytes(body)

    def pack(self):
        one = self.identity
        return struct.pack("<HBBB3x8sQI", DESCRIPTOR_MAGIC, self.address_space, self.access, self.backend_kind,
                           one.nonce, one.buffer_id, one.generation).ljust(40, b"\0") + struct.pack(
            "<QIH2x32s", self.nbytes, self.path_id, len(self.body), self.body)

    to_bytes = pack

    @classmethod
    def unpack(cls, data):
        data = bytes(data)
        if len(data) < DESCRIPTOR_BYTES:
            raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
        magic, space, access, backend, nonce, number, generation = struct.unpack_from("<HBBB3x8sQI", data)
        if magic != DESCRIPTOR_MAGIC:
            raise ValueError("that is no descriptor of a buffer")
        nbytes, path_id, length, body = struct.unpack_from("<QIH2x32s", data, 40)
        if length > 32:
            raise ValueError("the body of a descriptor has up to 32 bytes")
        return cls(AddressSpace(space), AccessMode(access), BackendKind(backend),
                   CanonicalIdentity(nonce, number, generation), nbytes, path_id, body[:length])

    from_bytes = unpack


class Buffer:
    """Memory with an owner. `.tensor(shapes, dtype)` names a part of it; close() gives it back.

    Where a number is expected, a buffer stands for its address.
    """

    def __init__(self, *, address_space, access, backend_kind, nbytes, base, shm=None, owner_worker_id=None,
                 keep=None, memory=None, on_close=None):
        self.identity = CanonicalIdentity.new()
        self.address_space, self.access, self.backend_kind = address_space, access, backend_kind
        self.nbytes, self.base, self.shm, self.owner_worker_id = int(nbytes), int(base), shm, owner_worker_id
        self.closed = False
        # As they are asked for with every task.
        self.is_device = address_space == AddressSpace.DEVICE
        self.is_plain = access == AccessMode.READWRITE
        self._keep = keep  # what owns the memory, where that is somebody else's
        self._memory = memory  # of a chip: the tensor of troupe's that holds it
        self._on_close = on_close
        self._lock = threading.Lock()
        # The latest views, with what a machine has made of them: scripts name the same ones for every task. Not of
        # memory that goes when nobody knows of it any more, for each view knows of it.
        self._views = {} if backend_kind in _UNTIL_CLOSED else None

    def tensor(self, shapes, dtype, strides=None, byte_offset=0):
        views = self._views
        if views is None:
            return Tensor(self, shapes, dtype, strides, byte_offset)
        what = (shapes, dtype._value_ if type(dtype) is DataType else dtype, strides, byte_offset)
        try:
            found = views.get(what)
        except TypeError:  # lists, which may be others the next time
            return Tensor(self, shapes, dtype, strides, byte_offset)
        if found is None:
            found = Tensor(self, shapes, dtype, strides, byte_offset)
            if len(views) >= _MOST_VIEWS:
                views.clear()
            views[what] = found
        return found

    def to_descriptor(self):
        if self.backend_kind == BackendKind.POSIX_SHM and self.shm is not None:
            body = self.shm.name.encode()
        else:
            body = struct.pack("<Q", self.base)
        return BufferDescriptor(self.address_space, self.access, self.backend_kind, self.identity, self.nbytes,
                                body=body)

    def close(self):
        """Gives the memory back; again: nothing."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            closings[0] += 1
        ending, self._on_close = self._on_close, None
        if ending is not None:
            ending(self)
        self._memory = self._keep = self._views = None
        if self.shm is not None:
            close_shared(self.shm)

    def __index__(self):
        return self.base

    __int__ = __index__

    def __add__(self, bytes_on):
        return self.base + int(bytes_on)

    __radd__ = __add__

    def __sub__(self, other):
        return self.base - int(other)

    def __repr__(self):
        return f"<Buffer {self.backend_kind.name} {self.nbytes} bytes at {self.base:#x}{', closed' * self.closed}>"


def close_shared(shm):
    """Ends a shared segment, also while somebody still looks at it through a view."""
    try:
        shm.unlink()
    except FileNotFoundError:
        pass
    # The mapping goes with the last who knows of it. A tensor of torch.frombuffer() keeps the view and does not say
    # that it looks at it: shm.close() would take the memory from under it.
    shm._mmap = shm._buf = None
    if shm._fd >= 0:
        os.close(shm._fd)
        shm._fd = -1


class Tensor:
    """A view of a buffer: extents and strides in elements, from `byte_offset` on."""

    __slots__ = ("buffer", "byte_offset", "ndims", "shapes", "strides", "dtype", "_uses", "_extent")

    def __init__(self, buffer, shapes, dtype, strides=None, byte_offset=0):
        # Scripts make some for every task: the usual forms take no calls.
        if type(dtype) is DataType:
            dtype = dtype._value_
        elif type(dtype) is not int:
            dtype = int(dtype)
        size = ELEMENT_BYTES.get(dtype) or element_size(dtype)
        if type(shapes) is not tuple or not 0 < len(shapes) <= MAX_TENSOR_DIMS:
            shapes = shape_of(shapes)
        else:
            for extent in shapes:
                if type(extent) is not int or not 0 < extent < 1 << 32:
                    shapes = shape_of(shapes)
                    break
        if strides is None:
            # Row-major, and what it takes, in one go: most tensors are.
            if len(shapes) == 1:
                strides, count = (1,), shapes[0]
            else:
                steps, count = [], 1
                for extent in reversed(shapes):
                    steps.append(count)
                    count *= extent
                strides = tuple(reversed(steps))
            extent = count * size
        else:
            strides = tuple(int(stride) for stride in strides)
            if len(strides) != len(shapes):
                raise ValueError(f"{len(shapes)} extents and {len(strides)} strides")
            if any(not 0 < stride < 1 << 32 for stride in strides):
                raise ValueError(f"a stride is at least 1 and has 32 bits: {strides}")
            extent = (1 + sum((n - 1) * step for n, step in zip(shapes, strides))) * size
        if type(byte_offset) is not int:
            byte_offset = int(byte_offset)
        if byte_offset < 0 or byte_offset % size != 0:
            raise ValueError(f"byte_offset {byte_offset} is no multiple of the element's {size} bytes")
        if byte_offset + extent > buffer.nbytes:
            raise ValueError(
                f"a view of {extent} bytes from {byte_offset} on does not lie in a buffer of {buffer.nbytes} bytes")
        self.buffer, self.byte_offset, self.ndims = buffer, byte_offset, len(shapes)
        self.shapes, self.strides, self.dtype = shapes, strides, dtype
        self._extent = extent
        self._uses = None

    @property
    def address(self):
        """Of its first element."""
        return self.buffer.base + self.byte_offset

    def numel(self):
        count = 1
        for extent in self.shapes:
            count *= extent
        return count

    def nbytes(self):
        return self.numel() * element_size(self.dtype)

    @property
    def is_contiguous(self):
        return self.strides == row_major(self.shapes)

    def pack(self):
        """144 bytes, as it is written down."""
        pad = [0] * (MAX_TENSOR_DIMS - self.ndims)
        return self.buffer.to_descriptor().pack() + struct.pack(
            "<QI5I5IB3x", self.byte_offset, self.ndims, *self.shapes, *pad, *self.strides, *pad, self.dtype)

    to_bytes = pack

    def __repr__(self):
        return f"<Tensor {self.shapes} of type {self.dtype} at {self.byte_offset} of {self.buffer!r}>"


class MappedArg:
    """One tensor as a sub-worker sees it: `buffer` is a memoryview from its first element on."""

    __slots__ = ("buffer", "shapes", "strides", "dtype", "byte_offset", "access", "_address")

    def __init__(self, buffer, shapes, strides, dtype, byte_offset, access=AccessMode.READWRITE, address=0):
        self.buffer, self.shapes, self.strides = buffer, tuple(shapes), tuple(strides)
        self.dtype, self.byte_offset, self.access = int(dtype), int(byte_offset), access
        self._address = address

    @property
    def ndims(self):
        return len(self.shapes)

    @property
    def data(self):
        """The address of the first element."""
        return self._address

    def nbytes(self):
        count = element_size(self.dtype)
        for extent in self.shapes:
            count *= extent
        return count

    def __repr__(self):
        return f"<MappedArg {self.shapes} of type {self.dtype}>"


class MappedArgs:
    """What a sub callable gets: a sequence of its tensors, and its scalars."""

    __slots__ = ("_tensors", "_scalars")

    def __init__(self, tensors, scalars=()):
        self._tensors, self._scalars = list(tensors), list(scalars)

    def tensor_count(self):
        return len(self._tensors)

    def scalar_count(self):
        return len(self._scalars)

    def tensor(self, index):
        return self._tensors[index]

    def scalar(self, index):
        if not 0 <= index < len(self._scalars):
            raise IndexError(f"there are {len(self._scalars)} scalars, no number {index}")
        return self._scalars[index]

    def __len__(self):
        return len(self._tensors)

    def __getitem__(self, index):
        return self._tensors[index]

    def __iter__(self):
        return iter(self._tensors)


def memory_at(address, nbytes, readonly=False):
    """A memoryview of bytes of this process."""
    view = memoryview((ctypes.c_ubyte * nbytes).from_address(address)).cast("B")
    return view.toreadonly() if readonly else view


class ImportRegistry:
    """The shared segments that a process has opened, by name. Not safe on several threads at once."""

    def __init__(self):
        self._mapped = {}

    def map(self, name, nbytes):
        """The segment's bytes; opened once."""
        import mmap

        known = self._mapped.get(name)
        if known is not None and len(known) >= nbytes:
            return known
        descriptor = os.open("/dev/shm/" + name.lstrip("/"), os.O_RDWR | os.O_CLOEXEC)
        try:
            known = self._mapped[name] = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        return known

    def drop(self, name):
        mapped = self._mapped.pop(name, None)
        if mapped is not None:
            try:
                mapped.close()
            except BufferError:
                pass  # goes with the last view

    def clear(self):
        for name in list(self._mapped):
            self.drop(name)


__all__ = ["AccessMode", "AddressSpace", "BackendKind", "Buffer", "BufferDescriptor", "CanonicalIdentity",
           "ImportRegistry", "MappedArg", "MappedArgs", "Tensor"]
