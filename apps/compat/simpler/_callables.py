"""Callables as bytes: kernels, and orchestrations with the kernels that they name."""

import ctypes
import struct

from ._types import ArgDirection

_CORE_HEADER = 192
_CHIP_STORAGE = 9376
_NAME_BYTES = 63


def _directions(signature, most, of):
    directions = [ArgDirection(int(direction)) for direction in signature]
    if len(directions) > most:
        raise ValueError(f"the signature of {of} has up to {most} entries, not {len(directions)}")
    return directions


class _Packed:
    """Bytes that stay where they are, so that their address can be told."""

    __slots__ = ("_raw", "_at")

    def __init__(self, raw):
        self._raw = bytes(raw)
        self._at = None

    def buffer_ptr(self):
        if self._at is None:
            self._at = ctypes.create_string_buffer(self._raw, len(self._raw))
        return ctypes.addressof(self._at)

    def buffer_size(self):
        return len(self._raw)

    def to_bytes(self):
        return self._raw

    __bytes__ = to_bytes

    def __reduce__(self):
        return type(self).from_bytes, (self._raw,)

    @classmethod
    def from_bytes(cls, raw):
        raise NotImplementedError

    def _i32(self, at):
        return struct.unpack_from("<i", self._raw, at)[0]

    def _entry(self, index, at, count):
        if not 0 <= index < count:
            raise IndexError(f"there is no number {index} among {count}")
        return self._i32(at + 4 * index)


class CoreCallable(_Packed):
    """One kernel object with its signature."""

    __slots__ = ()

    @classmethod
    def build(cls, signature, binary):
        directions = _directions(signature, 32, "a kernel")
        binary = bytes(binary)
        raw = bytearray(_CORE_HEADER)
        struct.pack_into(f"<{len(directions)}i", raw, 0, *directions)
        struct.pack_into("<iI", raw, 128, len(directions), len(binary))
        return cls(raw + binary)

    @classmethod
    def from_bytes(cls, raw):
        raw = bytes(raw)
        if len(raw) < _CORE_HEADER:
            raise ValueError(f"a packed kernel has at least {_CORE_HEADER} bytes, not {len(raw)}")
        made = cls(raw)
        if not 0 <= made.sig_count <= 32 or made.binary_size > len(raw) - _CORE_HEADER:
            raise ValueError("these bytes are no packed kernel")
        return made

    @property
    def sig_count(self):
        return self._i32(128)

    @property
    def binary_size(self):
        return struct.unpack_from("<I", self._raw, 132)[0]

    @property
    def binary(self):
        return self._raw[_CORE_HEADER:_CORE_HEADER + self.binary_size]

    def sig(self, index):
        return ArgDirection(self._entry(index, 0, self.sig_count))

    def __repr__(self):
        return f"<CoreCallable of {self.binary_size} bytes>"


class ChipCallable(_Packed):
    """An orchestration object, its signature, and its kernels by their numbers."""

    __slots__ = ("_directions",)

    @classmethod
    def build(cls, signature, func_name, binary, children, config_name=""):
        directions = _directions(signature, 256, "a chip callable")
        children = list(children)
        if len(children) > 1024:
            raise ValueError(f"a chip callable has up to 1024 kernels, not {len(children)}")
        raw = bytearray(_CHIP_STORAGE)
        struct.pack_into(f"<{len(directions)}i", raw, 0, *directions)
        binary = bytes(binary)
        struct.pack_into("<iI", raw, 1024, len(directions), len(binary))
        cls._put_name(raw, 1032, 1096, func_name)
        cls._put_name(raw, 9296, 9360, config_name)
        struct.pack_into("<i", raw, 9292, len(children))
        raw += binary
        seen = set()
        for i, (number, kernel) in enumerate(children):
            number = int(number)
            if not 0 <= number < 1024:
                raise ValueError(f"func_id {number} is out of range: 0 to 1023")
            if number in seen:
                raise ValueError(f"func_id {number} is given twice")
            seen.add(number)
            if not isinstance(kernel, CoreCallable):
                raise TypeError(f"the kernel with func_id {number} is a CoreCallable, not {type(kernel).__name__}")
            raw += bytes(-(len(raw) - _CHIP_STORAGE) % 64)
            struct.pack_into("<i", raw, 1100 + 4 * i, number)
            struct.pack_into("<I", raw, 5196 + 4 * i, len(raw) - _CHIP_STORAGE)
            raw += kernel.to_bytes()
        return cls(raw)

    @staticmethod
    def _put_name(raw, at, length_at, name):
        name = name.encode()[:_NAME_BYTES]
        raw[at:at + len(name)] = name
        struct.pack_into("<I", raw, length_at, len(name))

    @classmethod
    def from_bytes(cls, raw):
        raw = bytes(raw)
        if len(raw) < _CHIP_STORAGE:
            raise ValueError(f"a packed chip callable has at least {_CHIP_STORAGE} bytes, not {len(raw)}")
        made = cls(raw)
        if not (0 <= made.sig_count <= 256 and 0 <= made.child_count <= 1024
                and made.binary_size <= len(raw) - _CHIP_STORAGE):
            raise ValueError("these bytes are no packed chip callable")
        return made

    @property
    def sig_count(self):
        return self._i32(1024)

    @property
    def binary_size(self):
        return struct.unpack_from("<I", self._raw, 1028)[0]

    @property
    def binary(self):
        """Of the orchestration; some count the kernels in."""
        ends = [self.binary_size] + [self.child_offset(i) for i in range(self.child_count)]
        return self._raw[_CHIP_STORAGE:_CHIP_STORAGE + min(ends)]

    def _name(self, at, length_at):
        length = min(struct.unpack_from("<I", self._raw, length_at)[0], _NAME_BYTES)
        return self._raw[at:at + length].decode(errors="replace")

    @property
    def func_name(self):
        return self._name(1032, 1096)

    @property
    def config_name(self):
        return self._name(9296, 9360)

    @property
    def child_count(self):
        return self._i32(9292)

    def sig(self, index):
        return ArgDirection(self._entry(index, 0, self.sig_count))

    def child_func_id(self, index):
        return self._entry(index, 1100, self.child_count)

    def child_offset(self, index):
        return self._entry(index, 5196, self.child_count) & 0xFFFFFFFF

    def child(self, index):
        begin = _CHIP_STORAGE + self.child_offset(index)
        size = struct.unpack_from("<I", self._raw, begin + 132)[0]
        return CoreCallable.from_bytes(self._raw[begin:begin + _CORE_HEADER + size])

    def directions(self):
        """The signature, as a tuple of numbers."""
        try:
            return self._directions
        except AttributeError:
            count = max(0, min(self.sig_count, 256))
            self._directions = struct.unpack_from(f"<{count}i", self._raw, 0)
            return self._directions

    def __repr__(self):
        return f"<ChipCallable {self.func_name}, {self.child_count} kernels>"
