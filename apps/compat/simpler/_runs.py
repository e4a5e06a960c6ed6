"""Runs of a worker: two at a time, in the caller's thread or in one that a handle waits for."""

import concurrent.futures
import queue
import threading

from ._machine import failure_of
from ._troupe import raw, troupe

MOST_RUNS = 2

_here = threading.local()


def current(worker):
    """The orchestrator of the run of that worker whose function is running on this thread."""
    found = getattr(_here, "orchestrators", None)
    for orchestrator in reversed(found or []):
        if orchestrator._worker is worker:
            return orchestrator
    return None


def at_once(function, *args):
    """Makes a call where it is."""
    return function(*args)


class RunHandle:
    """A run that was submitted."""

    def __init__(self, future):
        self._future = future

    @property
    def done(self):
        return self._future.done()

    def wait(self, timeout=None):
        """Waits for its end and raises its error; TimeoutError: not in time."""
        # Locks take no longer times.
        for_ever = timeout is None or timeout > threading.TIMEOUT_MAX
        try:
            return self._future.result(None if for_ever else timeout)
        except concurrent.futures.TimeoutError:
            if self._future.done():
                raise
            raise TimeoutError(f"the run has not ended within {timeout} s") from None

    def result(self, timeout=None):
        return self.wait(timeout)

    def __repr__(self):
        return f"<RunHandle, {'done' if self.done else 'running'}>"


class Runs:
    """The runs of one worker. `in_order`: one after the other, as they came, however many are admitted: what a run
    writes into memory of the host is there when the next one reads it."""

    def __init__(self, most=MOST_RUNS, in_order=False):
        self._room = threading.BoundedSemaphore(most)
        self._threads = concurrent.futures.ThreadPoolExecutor(1 if in_order else most, "simpler-run")
        self._in_order = in_order
        self._count = 0
        self._lock = threading.Lock()

    @property
    def busy(self):
        return self._count > 0

    def _enter(self):
        self._room.acquire()
        with self._lock:
            self._count += 1

    def _leave(self):
        with self._lock:
            self._count -= 1
        self._room.release()

    def run_here(self, run):
        if self._in_order and self._count:
            return self.start(run).wait()
        self._enter()
        try:
            run.go()
        finally:
            self._leave()

    def start(self, run):
        self._enter()
        run.prepare()
        try:
            future = self._threads.submit(self._go, run)
        except BaseException:
            self._leave()
            raise
        try:
            run.call_function()
        except BaseException:
            concurrent.futures.wait([future])
            raise
        return RunHandle(future)

    def _go(self, run):
        try:
            run.go()
        except BaseException as error:
            run.not_begun(error)
            raise
        finally:
            self._leave()

    def close(self):
        self._threads.shutdown()


class ChipRun:
    """One callable on the one chip of a worker."""

    def __init__(self, worker, name, items, args):
        self._node, self._name, self._items = worker._machine.node, name, items
        self._kept = list(args.tensors)  # what the items view

    def prepare(self):
        pass

    def call_function(self):
        pass

    def not_begun(self, error):
        pass

    def _program(self, seat):
        raw.submit(seat, self._name, self._items, 0)

    def go(self):
        try:
            self._node.run(self._program)
        except troupe.Error as error:
            raise failure_of(error) from error
        finally:
            self._items = self._kept = None


class GraphRun:
    """An orchestration function and the tasks that it submits. The function is called on the caller's thread; in a run
    that was submitted, another thread makes its calls of the node, and waits for the end."""

    def __init__(self, worker, function, args, config):
        self._worker, self._function, self._args, self._config = worker, function, args, config
        self.raised = None
        self._failures = []
        self._orchestrator = None
        self._calls = None  # of a function on another thread; none at the end

    def _called(self, seat, do):
        """The function, to its end; `do` makes a call where the seat is."""
        orchestrator = self._orchestrator = self._worker._orchestrator(self._worker, seat, self._config, self._failures, do)
        stack = _here.__dict__.setdefault("orchestrators", [])
        stack.append(orchestrator)
        try:
            self._function(orchestrator, self._args, self._config)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            stack.pop()
            orchestrator._end()

    def _program(self, seat):
        if self._calls is None:
            return self._called(seat, at_once)
        self._seat.set_result(seat)
        while True:
            call = self._calls.get()
            if call is None:
                break
            call.go()
        if self.raised is not None:
            raise self.raised

    def go(self):
        try:
            self._worker._machine.node.run(self._program)
        except troupe.Error as error:
            if self.raised is not None:
                raise self.raised
            if self._failures and error.root.code == "function_failed":
                raise self._failures[0]
            raise failure_of(error) from error
        finally:
            if self._orchestrator is not None:
                self._orchestrator._give_back()

    # --- a run that is submitted -----------------------------------------------------------------------------

    def prepare(self):
        self._calls, self._seat = queue.SimpleQueue(), concurrent.futures.Future()

    def not_begun(self, error):
        """The run has ended before its function could be called."""
        if not self._seat.done():
            self._seat.set_exception(error)

    def call_function(self):
        try:
            self._called(self._seat.result(), self._there)
        finally:
            self._calls.put(None)

    def _there(self, function, *args):
        call = _Call(function, args)
        self._calls.put(call)
        return call.answer.result()


class _Call:
    """A call that another thread makes."""

    def __init__(self, function, args):
        self._function, self._args = function, args
        self.answer = concurrent.futures.Future()

    def go(self):
        try:
            self.answer.set_result(self._function(*self._args))
        except BaseException as error:
            self.answer.set_exception(error)
