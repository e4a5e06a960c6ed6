"""Tensors by their address, as a chip worker takes them."""

import ctypes
import struct

from ._types import DataType, UsageError, element_size, row_major, shape_of, word_of

MOST_TENSORS, MOST_SCALARS = 256, 128
STORAGE_BYTES = 33856


class ChipTensor:
    """Contiguous elements at an address: of the host, or with child_memory of a chip."""

    __slots__ = ("_data", "_shapes", "_dtype", "_child_memory")

    def __init__(self, data=0, shapes=(1,), dtype=DataType.FLOAT32, child_memory=False):
        self.data, self.shapes, self.dtype, self.child_memory = data, shapes, dtype, child_memory

    @classmethod
    def make(cls, data, shapes, dtype, child_memory=False):
        return cls(data, shapes, dtype, child_memory)

    @property
    def data(self):
        return self._data

    @data.setter
    def data(self, value):
        self._data = value.__index__()

    @property
    def shapes(self):
        return self._shapes

    @shapes.setter
    def shapes(self, value):
        self._shapes = shape_of(value)

    @property
    def dtype(self):
        return self._dtype

    @dtype.setter
    def dtype(self, value):
        element_size(value)
        self._dtype = DataType(int(value)) if int(value) != 11 else int(value)

    @property
    def child_memory(self):
        return self._child_memory

    @child_memory.setter
    def child_memory(self, value):
        self._child_memory = bool(value)

    @property
    def ndims(self):
        return len(self._shapes)

    @property
    def strides(self):
        return row_major(self._shapes)

    @property
    def start_offset(self):
        return 0

    @property
    def is_contiguous(self):
        return True

    def numel(self):
        count = 1
        for extent in self._shapes:
            count *= extent
        return count

    def nbytes(self):
        return self.numel() * element_size(self._dtype)

    def pack(self):
        """128 bytes, as chips have it."""
        pad = [0] * (5 - self.ndims)
        elements = self.numel()
        return struct.pack("<QQQQiIBBBB5IQ5I36x", self._data, self.nbytes(), 2**64 - 1, 0, 0, self.ndims,
                           int(self._dtype), 0, 1, int(self._child_memory), *self._shapes, *pad, elements,
                           *self.strides, *pad)

    def __repr__(self):
        return f"{type(self).__name__}({self._data:#x}, {self._shapes}, {self._dtype!r}, {self._child_memory})"


class ContinuousTensor(ChipTensor):
    """The name of April 2026."""

    __slots__ = ()


class ChipStorageTaskArgs:
    """The arguments of a run of a chip worker: tensors, then scalars."""

    __slots__ = ("tensors", "scalars", "_storage")

    def __init__(self):
        self.tensors, self.scalars, self._storage = [], [], None

    def add_tensor(self, t):
        if self.scalars:
            raise UsageError("tensors come before scalars")
        if not isinstance(t, ChipTensor):
            raise TypeError(f"a tensor here is a ChipTensor, not a {type(t).__name__}")
        if len(self.tensors) == MOST_TENSORS:
            raise IndexError(f"a run has up to {MOST_TENSORS} tensors")
        self.tensors.append(t)

    def add_scalar(self, value):
        if len(self.scalars) == MOST_SCALARS:
            raise IndexError(f"a run has up to {MOST_SCALARS} scalars")
        self.scalars.append(word_of(value))

    def tensor(self, i):
        if not 0 <= i < len(self.tensors):
            raise IndexError(f"there is no tensor {i} among {len(self.tensors)}")
        return self.tensors[i]

    def scalar(self, i):
        if not 0 <= i < len(self.scalars):
            raise IndexError(f"there is no scalar {i} among {len(self.scalars)}")
        return self.scalars[i]

    def tensor_count(self):
        return len(self.tensors)

    def scalar_count(self):
        return len(self.scalars)

    def clear(self):
        self.tensors.clear()
        self.scalars.clear()

    def __len__(self):
        return len(self.tensors) + len(self.scalars)

    @staticmethod
    def sizeof():
        return STORAGE_BYTES

    def __ptr__(self):
        """The address of these arguments as a chip has them; valid until the next call of this."""
        raw = bytearray(STORAGE_BYTES + 64)
        self._storage = (ctypes.c_ubyte * len(raw)).from_buffer(raw)
        at = ctypes.addressof(self._storage)
        begin = -at % 64
        for i, tensor in enumerate(self.tensors):
            raw[begin + 128 * i:begin + 128 * (i + 1)] = tensor.pack()
        struct.pack_into(f"<{len(self.scalars)}Q", raw, begin + 32768, *self.scalars)
        struct.pack_into("<ii", raw, begin + 33792, len(self.tensors), len(self.scalars))
        return at + begin
