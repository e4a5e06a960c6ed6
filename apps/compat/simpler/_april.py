"""Of April 2026: arguments by address, where a worker now takes tensors of buffers."""

from ._task_args import TaskArgs
from ._types import ArgDirection, TensorArgType

_TAGS = {ArgDirection.OUT: TensorArgType.OUTPUT_EXISTING, ArgDirection.INOUT: TensorArgType.INOUT}


def task_args_of(storage, target):
    """Arguments without tags as arguments with those that the signature means."""
    directions = target.directions()
    args = TaskArgs()
    for i, tensor in enumerate(storage.tensors):
        direction = directions[i] if i < len(directions) else None
        args.add_tensor(tensor, _TAGS.get(direction, TensorArgType.INPUT))
    for word in storage.scalars:
        args.add_scalar(word)
    return args
