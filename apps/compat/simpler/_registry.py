"""What a worker knows by handles: callables, by their content."""

import hashlib
import itertools
import struct

from . import _objects
from ._callables import ChipCallable
from ._remote import RemoteCallable, refuse_remote
from .callable_identity import CallableHandle

MAX_REGISTERED_CALLABLE_IDS = 64


class Registry:
    """The part of a worker that registers."""

    def __init__(self):
        self._handles = {}  # by digest
        self._numbers = itertools.count()
        self._functions = {}  # Python's, by number, as children of fork know them
        self._loads = [0, 0]  # of orchestrations: of those that build on the chip, and before launch

    def register(self, target, *, workers=None):
        """The handle of a callable. The same content has the same handle."""
        if isinstance(target, RemoteCallable) or workers is not None:
            if not isinstance(target, RemoteCallable):
                raise TypeError("workers= is for a RemoteCallable")
            refuse_remote("a RemoteCallable")
        chip = isinstance(target, ChipCallable)
        if self.level == 2 and not chip:
            raise TypeError(f"a worker of level 2 runs ChipCallables, not a {type(target).__name__}")
        if not chip and not callable(target):
            raise TypeError(f"a ChipCallable or a Python callable is expected, not a {type(target).__name__}")
        if self._state == "CLOSED" or self._state == "FAILED":
            raise RuntimeError(f"the worker is {self._state}")
        if self._state == "READY":
            self._check_target(chip)
        digest = _digest(target, chip)
        with self._lock:
            known = self._handles.get(digest)
            if known is not None:
                return known
            if len(self._handles) >= MAX_REGISTERED_CALLABLE_IDS:
                raise RuntimeError(f"{MAX_REGISTERED_CALLABLE_IDS} callables are registered: unregister some")
            return self._added(target, digest, chip)

    def _check_target(self, chip):
        if chip and self._device_count() == 0:
            raise ValueError("this worker has no chip that could run a ChipCallable")
        if not chip and self._sub_count() == 0 and not self._children:
            raise ValueError("this worker has no sub-worker that could call a function")

    def _added(self, target, digest, chip):
        if chip and self._machine is not None:
            _objects.check(target, self._config.get("runtime"))
        number = next(self._numbers)
        if chip:
            name = f"callable-{digest.hex()[:16]}"
            self._loads[_builds_before_launch(target)] += 1
            if self._machine is not None:
                self._machine.add_kernel(name, target.to_bytes())
        else:
            name = getattr(target, "__qualname__", type(target).__name__)
            self._functions[number] = target
        handle = CallableHandle(digest, "chip" if chip else "python", name, number, target)
        self._handles[digest] = handle
        return handle

    def unregister(self, handle):
        with self._lock:
            known = self._handles.pop(handle.digest, None) if isinstance(handle, CallableHandle) else None
            if known is None:
                raise KeyError(f"{handle!r} is not registered")
            known.live = False
            if known.kind == "python":
                self._functions.pop(known.index, None)

    def _live(self, handle):
        """The registered callable that is meant, by its handle or (as in April 2026) its number."""
        if isinstance(handle, CallableHandle):
            known = self._handles.get(handle.digest)
            if known is not None:
                return known
        elif hasattr(handle, "__index__"):
            number = handle.__index__()
            for known in self._handles.values():
                if known.index == number:
                    return known
        else:
            raise TypeError(f"a handle, as register() returns it, is expected, not a {type(handle).__name__}")
        raise KeyError(f"{handle!r} is not registered")

    def _known_or_new(self, target):
        return self._handles.get(_digest(target, True)) or self.register(target)

    def _chip_callables(self):
        return [handle for handle in self._handles.values() if handle.kind == "chip"]

    @property
    def aicpu_dlopen_count(self):
        """Orchestrations that were loaded to build their graph on the chip."""
        return self._loads[0]

    @property
    def host_dlopen_count(self):
        """Orchestrations that were loaded to build it before launch."""
        return self._loads[1]


def _builds_before_launch(target):
    return 1 if b"framework_prewarm_graph_recorders" in target.to_bytes() else 0


def _digest(target, chip):
    """By content; of a function also by which function it is, for one may close over what others do not."""
    if chip:
        return hashlib.sha256(b"chip" + target.to_bytes()).digest()
    code = getattr(target, "__code__", None)
    name = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    return hashlib.sha256(b"python" + name.encode() + (code.co_code if code else b"")
                          + struct.pack("<Q", id(target))).digest()
