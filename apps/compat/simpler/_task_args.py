"""The arguments of a task."""

import bisect

from ._chip_tensors import ChipTensor
from ._types import TensorArgType, UsageError, element_size, word_of
from .buffer import AccessMode, Tensor

_NEEDS = {
    TensorArgType.INPUT: (AccessMode.READ, AccessMode.READWRITE),
    TensorArgType.OUTPUT_EXISTING: (AccessMode.WRITE, AccessMode.READWRITE),
    TensorArgType.INOUT: (AccessMode.READWRITE,),
}
#: By tag.
_WRITES = (False, True, True, True, False)


def check_access(tensor, tag):
    needed = _NEEDS.get(tag)
    if needed is None or not isinstance(tensor, Tensor):
        return
    if tensor.buffer.access not in needed:
        raise ValueError(f"a tensor that can only be {'read' if tensor.buffer.access == 0 else 'written'} "
                         f"is given as {tag.name}")


def _rows(tensor):
    """The pieces of memory that a view covers, as (begin, end) in bytes; None: too many to look at."""
    size = element_size(tensor.dtype)
    runs, dims = 1, list(zip(tensor.shapes, tensor.strides))
    while dims and dims[-1][1] == runs:
        runs *= dims.pop()[0]
    pieces = 1
    for extent, _ in dims:
        pieces *= extent
    if pieces > 65536:
        return None
    starts = [0]
    for extent, step in dims:
        starts = [start + i * step for start in starts for i in range(extent)]
    first = tensor.byte_offset
    return sorted((first + start * size, first + (start + runs) * size) for start in starts)


def overlaps(one, other):
    """Whether two views of one buffer share a byte."""
    if one.byte_offset + one._extent <= other.byte_offset or other.byte_offset + other._extent <= one.byte_offset:
        return False
    here, there = _rows(one), _rows(other)
    if here is None or there is None:
        return False  # nobody knows: not refused
    begins = [begin for begin, _ in there]
    for begin, end in here:
        at = bisect.bisect_left(begins, end)
        if at and there[at - 1][1] > begin:
            return True
    return False


class TaskArgs:
    """Tensors with their tags, then scalars."""

    __slots__ = ("tensors", "tags", "scalars", "_prepared", "_quick")

    def __init__(self):
        self.tensors, self.tags, self.scalars = [], [], []
        # What a machine has made of them, and a task that was submitted with them; not good any more when they change.
        self._prepared = self._quick = None

    def add_tensor(self, t, tag=TensorArgType.INPUT):
        if self.scalars:
            raise UsageError("tensors come before scalars")
        if type(tag) is not TensorArgType:
            tag = TensorArgType(tag)
        if type(t) is Tensor:
            if not t.buffer.is_plain:
                check_access(t, tag)
        elif not isinstance(t, (Tensor, ChipTensor)) and not getattr(t, "is_remote", False):
            raise TypeError(f"a tensor argument is a Tensor, as buffer.tensor(…) makes one, not a {type(t).__name__}")
        self.tensors.append(t)
        self.tags.append(tag)
        self._prepared = self._quick = None

    def add_scalar(self, value):
        self.scalars.append(word_of(value))
        self._prepared = self._quick = None

    @staticmethod
    def _at(values, index):
        if not 0 <= index < len(values):
            raise IndexError(f"there is no number {index} among {len(values)}")
        return values[index]

    def tensor(self, i):
        return self._at(self.tensors, i)

    def scalar(self, i):
        return self._at(self.scalars, i)

    def tag(self, i):
        return self._at(self.tags, i)

    def set_tag(self, i, tag):
        self._at(self.tags, i)
        self.tags[i] = TensorArgType(tag)
        self._prepared = self._quick = None

    def tensor_count(self):
        return len(self.tensors)

    def scalar_count(self):
        return len(self.scalars)

    def clear(self):
        self._prepared = self._quick = None
        self.tensors.clear()
        self.tags.clear()
        self.scalars.clear()

    def __len__(self):
        return len(self.tensors) + len(self.scalars)

    def copy(self):
        """Another one with the same arguments."""
        made = TaskArgs()
        made.tensors, made.tags, made.scalars = list(self.tensors), list(self.tags), list(self.scalars)
        return made

    def check(self):
        """What is looked at once more when a task is submitted."""
        written = []
        for tensor, tag in zip(self.tensors, self.tags):
            if type(tensor) is not Tensor:
                continue
            buffer = tensor.buffer
            if not buffer.is_plain:
                check_access(tensor, tag)
            if buffer.closed:
                raise ValueError(f"an argument is a view of {buffer!r}")
            if _WRITES[tag]:
                written.append(tensor)
        if len(written) < 2:
            return
        for i, one in enumerate(written):
            for other in written[:i]:
                if one.buffer is other.buffer and overlaps(one, other):
                    raise ValueError("two arguments of a task write the same bytes of one buffer")

    def __repr__(self):
        return f"<TaskArgs of {len(self.tensors)} tensors and {len(self.scalars)} scalars>"
