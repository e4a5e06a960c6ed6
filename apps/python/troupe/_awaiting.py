"""Handles that asyncio awaits: a loop hears of the ends of runs through one descriptor."""

import itertools
import weakref

from ._core import Handle, _Ends
from ._errors import Error

_numbers = itertools.count(1)
_loops = weakref.WeakKeyDictionary()  # of each loop that waits, a weak reference to its _Waits


class _Waits:
    """What a loop waits for. While there is something, the loop holds it, which looks at its descriptor, and nobody else does:
    its futures hold the loop."""

    def __init__(self):
        self.ends, self.futures = _Ends(), {}

    def add(self, loop, handle):
        number = next(_numbers)
        self.ends.listen(handle, number)
        if not self.futures:
            loop.add_reader(self.ends.fileno(), self.look)
            _loops[loop] = weakref.ref(self)
        future = self.futures[number] = loop.create_future()
        return future, number

    def look(self):
        for number in self.ends.take():
            future = self.futures.get(number)
            if future is not None and not future.done():
                future.set_result(None)

    def remove(self, loop, number):
        self.ends.forget(number)
        del self.futures[number]
        if not self.futures:
            _loops.pop(loop, None)  # which has forgotten it if the loop is being collected
            if not loop.is_closed():
                loop.remove_reader(self.ends.fileno())


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
        waits = _loops[loop]() if loop in _loops else _Waits()
        future, number = waits.add(loop, self)
        try:
            yield from future
        except BaseException:  # whoever waited was cancelled
            self.cancel()
            raise
        finally:
            waits.remove(loop, number)
    return self.result()


def install():
    Handle.__await__ = _await_handle
