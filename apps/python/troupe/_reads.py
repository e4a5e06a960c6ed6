"""Reads of arrays. An array's own memory is brought up to date when its run ends; a read within the run wants the newest
bytes, wherever they are: a copy of them, made by a task that is ordered like any other."""

import functools

from ._core import Orchestrator, Tensor
from ._core import borrow as _borrow
from ._errors import Error


def _of_arrays(native):
    @functools.wraps(native)
    def read(self, tensor):
        if isinstance(tensor, Tensor):
            return native(self, tensor)
        try:
            borrowed = _borrow(tensor)
        except Error as error:
            if "read-only" not in error.message:
                raise
            return native(self, tensor)  # no task has written it
        if borrowed.size == 0:
            return native(self, tensor)
        copied = self.tensor(borrowed.shape, borrowed.dtype)
        self.copy(copied, tensor)
        return native(self, copied)

    return read


def _fetch(native):
    @functools.wraps(native)
    def fetch(self, tensor):
        return native(self, tensor) if isinstance(tensor, Tensor) else self.evict(tensor)

    return fetch


Orchestrator.read = _of_arrays(Orchestrator.read)
Orchestrator.read_all = _of_arrays(Orchestrator.read_all)
Orchestrator.fetch = _fetch(Orchestrator.fetch)
