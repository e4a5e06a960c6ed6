"""The small types: codes, directions, and the bits of scalars."""

import ctypes
import enum
import struct


class UsageError(ValueError, RuntimeError):
    """Raised where programs may expect either: the calls of containers in the wrong order, and the like."""


class DataType(enum.IntEnum):
    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    INT16 = 3
    INT8 = 4
    UINT8 = 5
    BFLOAT16 = 6
    INT64 = 7
    UINT64 = 8
    UINT16 = 9
    UINT32 = 10
    FP8E4M3FN = 12
    FP8E8M0 = 13
    FP4E2M1 = 14


class TensorArgType(enum.IntEnum):
    INPUT = 0
    OUTPUT = 1
    INOUT = 2
    OUTPUT_EXISTING = 3
    NO_DEP = 4


class ArgDirection(enum.IntEnum):
    SCALAR = 0
    IN = 1
    OUT = 2
    INOUT = 3


class WorkerType(enum.IntEnum):
    NEXT_LEVEL = 0
    SUB = 1


class TaskState(enum.IntEnum):
    FREE = 0
    PENDING = 1
    READY = 2
    RUNNING = 3
    COMPLETED = 4
    CONSUMED = 5


for _enum in (DataType, TensorArgType, ArgDirection, WorkerType, TaskState):
    # As in a native enumeration: the name with its class, not the number.
    _enum.__str__ = lambda self: f"{type(self).__name__}.{self.name}"
    _enum.__format__ = lambda self, spec: format(str(self), spec)

MAX_TENSOR_DIMS = 5
#: By code; 11 (a byte that is true or false) crosses the binary interface and has no name here.
ELEMENT_BYTES = {0: 4, 1: 2, 2: 4, 3: 2, 4: 1, 5: 1, 6: 2, 7: 8, 8: 8, 9: 2, 10: 4, 11: 1, 12: 1, 13: 1, 14: 1}


def element_size(code):
    """Bytes of an element, by its code."""
    try:
        return ELEMENT_BYTES[int(code)]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{code!r} is no element type") from None


def get_element_size(dtype):
    """Bytes of an element."""
    return element_size(dtype)


def get_dtype_name(dtype):
    """"FLOAT32", …"""
    element_size(dtype)
    return DataType(int(dtype)).name if int(dtype) != 11 else "BOOL"


def arg_direction_name(direction):
    """"IN", …"""
    return ArgDirection(int(direction)).name


def scalar_to_uint64(value):
    """The 64-bit word that stands for a number: a float as the bits of a single, ctypes as what they are."""
    if isinstance(value, ctypes.c_float):
        return struct.unpack("<I", struct.pack("<f", value.value))[0]
    if isinstance(value, ctypes.c_double):
        return struct.unpack("<Q", struct.pack("<d", value.value))[0]
    if isinstance(value, ctypes._SimpleCData):
        word = value.value
        return int.from_bytes(word, "little") if isinstance(word, bytes) else int(word or 0) & 0xFFFFFFFFFFFFFFFF
    if isinstance(value, float):
        return struct.unpack("<I", struct.pack("<f", value))[0]
    return int(value) & 0xFFFFFFFFFFFFFFFF


def word_of(value):
    """What add_scalar takes: a whole number of up to 64 bits."""
    if isinstance(value, float) or not hasattr(value, "__index__"):
        raise TypeError(f"a scalar is a whole number of 64 bits, not {value!r}: scalar_to_uint64() makes one of it")
    word = value.__index__()
    if not 0 <= word < 1 << 64:
        raise TypeError(f"a scalar is a whole number of 64 bits, not {word}: scalar_to_uint64() makes one of it")
    return word


def shape_of(shape):
    """The extents as a tuple; a number is one dimension."""
    extents = (shape,) if hasattr(shape, "__index__") else tuple(shape)
    if not 1 <= len(extents) <= MAX_TENSOR_DIMS:
        raise ValueError(f"a tensor has 1 to {MAX_TENSOR_DIMS} dimensions, not {len(extents)}")
    for extent in extents:
        if type(extent) is not int:
            return shape_of([int(one) for one in extents])
        if not 0 < extent < 1 << 32:
            raise ValueError(f"an extent is at least 1 and has 32 bits: {extents}")
    return extents


def row_major(shape):
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))
