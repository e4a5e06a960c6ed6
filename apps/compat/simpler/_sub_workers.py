"""Processes that call functions: children of fork, made before anything has threads, so that they see what the
program's modules hold, and the memory that it shares."""

import gc
import os
import pickle
import queue
import select
import signal
import sys
import threading
import traceback
import weakref
from multiprocessing import Pipe

from ._host_memory import is_mapped
from .buffer import AccessMode, ImportRegistry, MappedArg, MappedArgs, memory_at

#: The parent's ends of all pipes of this process: a child that kept one would keep its brother from hearing the end.
_parents_ends = weakref.WeakSet()


#: How long a child that was told to end may go on with a function.
_GRACE_MS = 2000


class _Unpicklable(Exception):
    pass


def pickled(function):
    """A function as bytes; also one that is defined in a function, where cloudpickle is installed."""
    try:
        import cloudpickle
    except ImportError:
        cloudpickle = None
    try:
        return (cloudpickle or pickle).dumps(function)
    except Exception as error:
        raise _Unpicklable(str(error)) from error


# --- in the child ------------------------------------------------------------------------------------------------


class _Child:
    def __init__(self, pipe, functions):
        self.pipe, self.functions, self.imports = pipe, functions, ImportRegistry()
        self.known = set()  # memory of before the fork, which stays

    def serve(self):
        while True:
            try:
                order = self.pipe.recv()
            except EOFError:
                return  # the parent has gone
            if order[0] == "call":
                answer = self.call(*order[1:])
            elif order[0] == "register":
                answer = self.register(*order[1:])
            elif order[0] == "drop":
                answer = self.imports.drop(order[1])
            else:
                return
            self.pipe.send(answer)

    def register(self, number, data):
        try:
            self.functions[number] = pickle.loads(data)
        except BaseException as error:
            return self.failed(error)
        return None

    def call(self, number, tensors, scalars):
        try:
            self.functions[number](MappedArgs([self.mapped(*tensor) for tensor in tensors], scalars))
        except BaseException as error:
            return self.failed(error)
        finally:
            sys.stdout.flush()
        return None

    @staticmethod
    def failed(error):
        return (f"{type(error).__name__}: {error}", traceback.format_exc())

    def mapped(self, name, at, nbytes, readonly, shapes, strides, dtype, byte_offset):
        """`name` none: memory that lies where it lies in the parent."""
        if name is None:
            if (at, nbytes) not in self.known:
                if not is_mapped(at, nbytes):
                    raise ValueError("memory that came after init() is not in sub-workers: allocate it before, or with "
                                     "create_buffer")
                self.known.add((at, nbytes))
            view = memory_at(at, nbytes, readonly)
        else:
            view = memoryview(self.imports.map(name, at + nbytes))[at:at + nbytes]
            from ._troupe import raw

            if readonly:
                view = view.toreadonly()
            at = raw.span(view)[0]
        return MappedArg(view, shapes, strides, dtype, byte_offset, AccessMode.READ if readonly else AccessMode.READWRITE,
                         at)


def _be_a_child(pipe, functions):
    try:
        # What the parent made is never collected here: machines among it would end with the wrong threads.
        gc.freeze()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, whose end is ours
        for end in list(_parents_ends):
            try:
                os.close(end.fileno())
            except OSError:
                pass
        _Child(pipe, functions).serve()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


# --- in the parent -----------------------------------------------------------------------------------------------


class _Process:
    """One child. One user at a time."""

    def __init__(self, functions):
        self.pipe, childs_end = Pipe()
        _parents_ends.add(self.pipe)
        sys.stdout.flush()
        sys.stderr.flush()
        self.known = set(functions)
        self.pid = os.fork()
        if self.pid == 0:
            _be_a_child(childs_end, functions)
        childs_end.close()

    def ask(self, order):
        try:
            self.pipe.send(order)
            return self.pipe.recv()
        except (EOFError, OSError):
            self.dead = True
            raise RuntimeError(f"the sub-worker with process id {self.pid} has died: {self.how_it_ended()}") from None

    dead = False

    def how_it_ended(self):
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return "somebody else has waited for it"
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self):
        if self.dead:
            return
        try:
            self.pipe.send(("end",))
        except OSError:
            pass

    def wait(self):
        """Until it has ended; a function that does not return is ended with its process."""
        if not self.dead:
            if not self._ends_within(_GRACE_MS):
                os.kill(self.pid, signal.SIGKILL)
            self.how_it_ended()
        self.pipe.close()

    def _ends_within(self, milliseconds):
        try:
            end = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            poll = select.poll()
            poll.register(end, select.POLLIN)
            return bool(poll.poll(milliseconds))
        finally:
            os.close(end)


def _check(failed, name):
    if failed is not None:
        what, where = failed
        raise RuntimeError(f"sub_worker: {name}: {what}\n{where.rstrip()}")


class SubThreads:
    """The same in this process, on the threads of troupe's sub-workers: functions see and change what the program does."""

    pids = ()

    def __init__(self, count, functions):
        self.count, self._here = count, _Child(None, functions)

    def call(self, number, name, tensors, scalars):
        _check(self._here.call(number, tensors, scalars), name)

    def drop(self, name):
        self._here.imports.drop(name)

    def close(self):
        self._here.imports.clear()


class SubWorkers:
    """So many processes; whoever calls a function takes one that is free."""

    def __init__(self, count, functions):
        self.functions = functions  # by number; those that are there now need not travel
        self.count = count
        self._free = queue.LifoQueue()
        self._processes = []
        self._lock = threading.Lock()
        for _ in range(count):
            self._start()

    def _start(self):
        process = _Process(dict(self.functions))
        self._processes.append(process)
        self._free.put(process)

    @property
    def pids(self):
        return [process.pid for process in self._processes]

    def call(self, number, name, tensors, scalars):
        """Calls it and waits; a RuntimeError says what it raised."""
        process = self._free.get()
        try:
            if number not in process.known:
                process = self._teach(process, number)
            failed = process.ask(("call", number, tensors, scalars))
        finally:
            if process.dead:
                process = self._replaced(process)
            self._free.put(process)
        _check(failed, name)

    def _teach(self, process, number):
        """A function that came after the children: it travels, or a new child has it from the beginning."""
        try:
            data = pickled(self.functions[number])
        except _Unpicklable:
            process.end()
            return self._replaced(process)
        failed = process.ask(("register", number, data))
        if failed is not None:
            process.end()
            return self._replaced(process)
        process.known.add(number)
        return process

    def _replaced(self, process):
        with self._lock:
            process.wait()
            new = _Process(dict(self.functions))
            self._processes[self._processes.index(process)] = new
        return new

    def drop(self, name):
        """No child keeps the shared segment open. Those that are at work do so until they end."""
        idle = []
        try:
            while True:
                idle.append(self._free.get_nowait())
        except queue.Empty:
            pass
        for process in idle:
            try:
                process.ask(("drop", name))
            except RuntimeError:
                process = self._replaced(process)
            self._free.put(process)

    def close(self):
        for process in self._processes:
            process.end()
        for process in self._processes:
            process.wait()
        self._processes.clear()


def described(tensor, readonly):
    """A tensor for a child: (segment or none, place, bytes, read-only, shapes, strides, dtype, byte_offset)."""
    buffer = tensor.buffer
    if buffer.shm is not None:
        name, at = buffer.shm.name, tensor.byte_offset
    else:
        name, at = None, buffer.base + tensor.byte_offset
    return name, at, tensor._extent, readonly, tensor.shapes, tensor.strides, tensor.dtype, tensor.byte_offset
