"""Memory of the host: where objects keep their elements, who shares it, and memory that children share."""

import ctypes
import mmap
import re
import threading
import weakref

from ._troupe import raw
from .buffer import AccessMode, AddressSpace, BackendKind, Buffer

_NORESERVE = 0x4000
_ALIGNMENT = 1024


def span_of(thing):
    """Where the elements of a tensor, an array or other bytes lie: (address, bytes, read-only)."""
    pointer = getattr(thing, "data_ptr", None)
    if callable(pointer):
        device = getattr(thing, "device", None)
        if device is not None and getattr(device, "type", "cpu") != "cpu":
            raise ValueError(f"a tensor of the host is expected, not one on {device}")
        if not thing.is_contiguous():
            raise ValueError("a contiguous tensor is expected: x.contiguous() is one")
        return pointer(), thing.numel() * thing.element_size(), False
    return _span(thing)


def _span(thing):
    try:
        return raw.span(thing)
    except BufferError as error:
        raise ValueError(f"contiguous memory is expected: {error}") from error


def storage_of(thing):
    """The whole memory that a tensor is a view of: (address, bytes, read-only)."""
    storage = getattr(thing, "untyped_storage", None)
    if callable(storage):
        storage = storage()
        return storage.data_ptr(), storage.nbytes(), False
    if callable(getattr(thing, "data_ptr", None)):
        return thing.data_ptr(), thing.numel() * thing.element_size(), False
    owner = thing
    while True:
        below = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
        if below is None:
            break
        try:
            raw.span(below)
        except (BufferError, TypeError):
            break
        owner = below
    found, whole = _span(thing), _span(owner)
    inside = whole[0] <= found[0] and found[0] + found[1] <= whole[0] + whole[1]
    return (whole[0], whole[1], found[2]) if inside else found


def first_element(thing):
    pointer = getattr(thing, "data_ptr", None)
    return pointer() if callable(pointer) else _span(thing)[0]


_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) ...(.)")
_PAGE = mmap.PAGESIZE
_ASYNCHRONOUSLY = 1  # MS_ASYNC: writes nothing, and looks whether there is something to write


class Sharing:
    """Whether children of fork see what is written into some memory. Kept for as long as what was asked about lives:
    the list of what is mapped where takes the kernel milliseconds."""

    _MOST = 4096

    def __init__(self):
        self._known = {}

    def __call__(self, thing, address, nbytes):
        of, answer = self._known.get((address, nbytes), (None, False))
        if of is not None and of() is not None:
            return answer
        answer = _says_shared(thing) or is_shared(address, nbytes)
        try:
            of = weakref.ref(thing)
        except TypeError:
            return answer
        if len(self._known) >= self._MOST:
            self._known = {at: known for at, known in self._known.items() if known[0]() is not None}
        self._known[address, nbytes] = of, answer
        return answer


def _says_shared(thing):
    """What a tensor of torch knows of itself; not that it looks at memory that others share."""
    says = getattr(thing, "is_shared", None)
    return callable(says) and says() is True


def is_shared(address, nbytes):
    """Whether children of fork see what is written there."""
    end = address + max(nbytes, 1)
    with open("/proc/self/maps", "rb") as file:
        maps = file.read()
    # The first line that does not end before it; they are in order.
    low, high = 0, len(maps)
    while low < high:
        begin = maps.rfind(b"\n", 0, (low + high) // 2) + 1
        line = _MAPPING.match(maps, begin)
        if int(line[2], 16) <= address:
            low = maps.find(b"\n", begin) + 1
        else:
            high = begin
    while (line := _MAPPING.match(maps, low)) is not None:
        if int(line[1], 16) > address or line[3] != b"s":
            return False
        address = int(line[2], 16)
        if end <= address:
            return True
        low = maps.find(b"\n", low) + 1
    return False


def is_mapped(address, nbytes):
    """Whether there is memory at all."""
    begin = address - address % _PAGE
    return ctypes.CDLL(None).msync(ctypes.c_void_p(begin), ctypes.c_size_t(address + max(nbytes, 1) - begin),
                                   _ASYNCHRONOUSLY) == 0


class Heap:
    """Memory that children of fork share, for what orchestrations allocate. Pieces live until their run ends.

    What does not fit comes from segments of its own, which children open by name.
    """

    def __init__(self, nbytes):
        while True:
            try:
                self._map = mmap.mmap(-1, nbytes, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NORESERVE)
                break
            except (OSError, ValueError):
                nbytes //= 2
                if nbytes < 1 << 20:
                    raise
        self._base, self.nbytes, _ = raw.span(self._map)
        self._free = [(0, nbytes)]
        self._lock = threading.Lock()

    def alloc(self, nbytes):
        """(offset, bytes) of a piece; None: it does not fit."""
        wanted = -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        with self._lock:
            for i, (begin, end) in enumerate(self._free):
                if end - begin >= wanted:
                    self._free[i:i + 1] = [(begin + wanted, end)] if end - begin > wanted else []
                    return begin, wanted
        return None

    def free(self, pieces):
        with self._lock:
            merged = []
            for begin, end in sorted(self._free + [(begin, begin + size) for begin, size in pieces]):
                if merged and merged[-1][1] == begin:
                    merged[-1] = (merged[-1][0], end)
                else:
                    merged.append((begin, end))
            self._free = merged

    def buffer(self, piece, nbytes, on_close=None):
        return Buffer(address_space=AddressSpace.HOST, access=AccessMode.READWRITE, backend_kind=BackendKind.FORK_SHM,
                      nbytes=nbytes, base=self._base + piece[0], keep=self._map, on_close=on_close)


def shared_buffer(nbytes, on_close=None):
    """A POSIX shared segment."""
    from multiprocessing.shared_memory import SharedMemory

    nbytes = int(nbytes)
    if nbytes <= 0:
        raise ValueError(f"a buffer of {nbytes} bytes")
    shm = SharedMemory(create=True, size=nbytes)
    return Buffer(address_space=AddressSpace.HOST, access=AccessMode.READWRITE, backend_kind=BackendKind.POSIX_SHM,
                  nbytes=nbytes, base=raw.span(shm.buf)[0], shm=shm, on_close=on_close)
