"""Handles that asyncio awaits: a loop hears of the ends of runs through one descriptor."""

import itertools
import weakref

from ._core import Handle, _Ends
from ._errors import Error

_numbers = itertools.count(1)
_loops = weakref.WeakKeyDictionary()


class _Waits:
    """What a loop waits for."""

    def __init__(self):
        self.ends, self.futures = _Ends(), {}

    def add(self, loop, handle):
        future, number = loop.create_future(), next(_numbers)
        self.ends.listen(handle, number)
        if not self.futures:
            loop.add_reader(self.ends.fileno(), self.look, weakref.ref(loop))
        self.futures[number] = future
        return future

    def look(self, loop):
        for number in self.ends.take():
            future = self.futures.pop(number)
            if not future.done():
                future.set_result(None)
        if not self.futures:
            loop().remove_reader(self.ends.fileno())


def _running_loop():
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        hint = "elsewhere handle.result() waits; what a program waits for is a task: await node.submit(…)"
        raise Error("bad_argument", "a handle is awaited where asyncio runs, and it does not run here", hint) from None


def _await_handle(self):
    loop = _running_loop()
    if not self.done:
        waits = _loops.get(loop) or _loops.setdefault(loop, _Waits())
        future = waits.add(loop, self)
        try:
            yield from future
        except BaseException:  # whoever waited was cancelled
            self.cancel()
            raise
    return self.result()


def install():
    Handle.__await__ = _await_handle
