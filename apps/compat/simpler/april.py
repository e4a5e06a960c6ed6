"""The surface as it was in April 2026, where that contradicts the later one; the rest is in simpler.task_interface and
simpler.worker, for both.

    from simpler.april import CallConfig, Worker
"""

from . import task_interface as _interface
from . import worker as _worker
from ._call_config import CallConfig as _CallConfig
from ._callables import ChipCallable
from .orchestrator import Orchestrator as _Orchestrator
from .task_interface import *  # noqa: F403


class CallConfig(_CallConfig):
    """With the fields of then. A run uses the whole device, whatever block_dim says."""

    __slots__ = ("block_dim", "enable_l2_swimlane", "enable_dump_tensor")

    def __init__(self):
        super().__init__()
        self.block_dim = 24
        self.aicpu_thread_num = 3
        self.enable_l2_swimlane = self.enable_dump_tensor = False


ChipCallConfig = CallConfig


class Orchestrator(_Orchestrator):
    """Callables themselves or their numbers, any idle chip, and memory by address."""

    def submit_next_level(self, callable_, args, config=None, *, worker=-1):
        super().submit_next_level(callable_, args, config, worker=worker)

    def alloc(self, shape, dtype):
        buffer = super().alloc(shape, dtype)
        return _interface.ContinuousTensor.make(buffer.base, shape, dtype)

    def malloc(self, worker_id, size):
        return int(super().malloc(worker_id, size))


class Worker(_worker.Worker):
    """Numbers for functions and for memory."""

    _orchestrator = Orchestrator

    def register(self, target, *, workers=None):
        handle = super().register(target, workers=workers)
        return handle if isinstance(target, ChipCallable) else handle.index

    def run(self, callable, args=None, config=None):
        super().run(callable, args, config if config is not None else CallConfig())

    def malloc(self, size, worker_id=0):
        return int(super().malloc(size, worker_id))

    def free(self, ptr, worker_id=0):
        super().free(ptr, worker_id)


__all__ = [name for name in dir() if not name.startswith("_")]
