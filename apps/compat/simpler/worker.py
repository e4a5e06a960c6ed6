"""A worker of level 2 (one chip), 3 (the chips and sub-workers of a machine) or 4 (workers of workers)."""

import os
import threading
import weakref

from . import _objects, _runs
from ._bootstrap_types import ChipContext
from ._call_config import CallConfig
from ._callables import ChipCallable
from ._chip_tensors import ChipStorageTaskArgs
from ._host_memory import Heap, Sharing
from ._machine import Machine, rings_of
from ._registry import Registry
from ._remote import MpiL3GroupSpec, RemoteCallable, RemoteWorkerSpec, refuse_remote
from ._runs import RunHandle
from ._sub_workers import SubThreads, SubWorkers
from ._task_args import TaskArgs
from ._troupe import troupe
from ._worker_memory import Memory
from .orchestrator import Orchestrator

_SIMULATED = ("a2a3sim", "a5sim")
_HARDWARE = ("a2a3", "a5")
_RUNTIMES = ("tensormap_and_ringbuffer", "host_build_graph")
_DEFAULT_HEAP = 4 << 30


class InitCancelled(RuntimeError):
    """The start of a worker was given up."""


class Worker(Registry, Memory):
    """NEW, after init() READY, after close() CLOSED; FAILED when init() raised: close it and make another."""

    _orchestrator = Orchestrator

    def __init__(self, level, chip_bootstrap_configs=None, **config):
        self.level = int(level)
        if self.level < 2:
            raise ValueError(f"a worker is of level 2 or higher, not {level}")
        self._config = config
        self._state = "NEW"
        self._machine = self._subs = self._heap = self._runs = None
        self._children, self._is_child = [], False
        self._live_domains = {}
        self._bootstrap, self._contexts = self._checked_bootstrap(chip_bootstrap_configs), None
        self._buffers = {}  # those of create_buffer, by identity
        self._borrowed = weakref.WeakValueDictionary()  # host memory that is in use, by its storage
        self._sharing = Sharing()
        self._lock = threading.RLock()
        super().__init__()

    # --- life ------------------------------------------------------------------------------------------------

    def _checked_bootstrap(self, configs):
        if configs is None:
            return None
        configs = list(configs)
        if self.level < 3:
            raise ValueError(f"chip_bootstrap_configs requires level >= 3 (got level={self.level})")
        devices = self._config.get("device_ids") or []
        if len(configs) != len(devices):
            raise ValueError(
                f"chip_bootstrap_configs length ({len(configs)}) must equal device_ids length ({len(devices)})")
        for config in configs:
            config.check()
            config.offsets(config.comm.window_size if config.comm else 0)
        return configs

    @property
    def config(self):
        return dict(self._config)

    @property
    def state(self):
        return self._state

    @property
    def initialized(self):
        return self._state == "READY"

    def _device_count(self):
        if self.level == 2:
            return 1
        return len(self._config.get("device_ids") or [])

    def _sub_count(self):
        return int(self._config.get("num_sub_workers", 0)) if self.level > 2 else 0

    def add_worker(self, child):
        """A worker of the level below; its number."""
        if self.level < 4:
            raise RuntimeError(f"a worker of level {self.level} has chips, no workers: level 4 has")
        if self._state != "NEW":
            raise RuntimeError("workers are added before init()")
        if not isinstance(child, Worker):
            raise TypeError(f"a Worker is expected, not a {type(child).__name__}")
        if child._state != "NEW" or child._is_child:
            raise RuntimeError("the worker to be added has been initialized, or belongs to another one")
        child._is_child = True
        self._children.append(child)
        return len(self._children) - 1

    def add_remote_worker(self, *_, **__):
        refuse_remote("add_remote_worker")

    def add_mpirun_worker_group(self, *_, **__):
        refuse_remote("add_mpirun_worker_group")

    def __getattr__(self, name):
        if name.startswith("remote_"):
            return lambda *_, **__: refuse_remote(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _platform(self):
        """The platform that the chips are of; KeyError when there are chips and none is said."""
        if self._device_count() == 0:
            return None
        platform, runtime = self._config["platform"], self._config["runtime"]
        if runtime not in _RUNTIMES:
            raise ValueError(f"unknown runtime {runtime!r}: {' or '.join(_RUNTIMES)}")
        if platform in _HARDWARE:
            raise RuntimeError(f"platform {platform!r} is hardware, which nothing here drives: {platform}sim runs")
        if platform not in _SIMULATED:
            raise ValueError(f"unknown platform {platform!r}: {' or '.join(_SIMULATED)}")
        if self._config.get("enable_sdma"):
            raise RuntimeError(f"enable_sdma: {platform} has no DMA engines")
        return platform

    def init(self, prewarm_config=None):
        """Children of fork first, then chips and threads."""
        with self._lock:
            if self._state != "NEW":
                raise RuntimeError(f"init() of a worker that is {self._state}: it is called once")
            try:
                if prewarm_config is not None:
                    prewarm_config.validate()
                self._fork()
                self._start()
            except BaseException:
                self._state = "FAILED"
                self._end()
                raise
            self._state = "READY"

    def _wants_threads(self):
        """Of troupe's own: sub_workers="threads", or the environment says so."""
        kind = self._config.get("sub_workers") or os.environ.get("TROUPE_COMPAT_SUB_WORKERS") or "processes"
        if kind not in ("processes", "threads"):
            raise ValueError(f"sub_workers is \"processes\" or \"threads\", not {kind!r}")
        return kind == "threads"

    def _fork(self):
        """All that wants a process without threads, here and below."""
        self._platform_name = self._platform()
        if self.level >= 4 and self._config.get("device_ids"):
            raise ValueError("a worker of level 4 has no chips of its own: device_ids is for its workers")
        if self.level > 2:
            size = self._config.get("heap_ring_size")
            self._heap = Heap(int(size) * 4 if size else _DEFAULT_HEAP)
            if self._sub_count():
                kind = SubThreads if self._wants_threads() else SubWorkers
                self._subs = kind(self._sub_count(), self._functions)
        for child in self._children:
            child._fork()

    def _start(self):
        for child in self._children:
            child._start()
            child._state = "READY"
        threads = max(1, self._sub_count() + 2 * len(self._children))
        try:
            self._machine = Machine(self._platform_name, self._device_count(), threads, self._bootstrap)
        except troupe.Error as error:
            raise RuntimeError(f"the worker does not come up: {error.root}\n  in {error}") from error
        for handle in self._chip_callables():
            _objects.check(handle.target, self._config.get("runtime"))
            self._machine.add_kernel(handle.name, handle.target.to_bytes())
        one_at_a_time = self._platform_name == "a5sim" and self._config["runtime"] == "host_build_graph"
        self._runs = _runs.Runs(1 if one_at_a_time else _runs.MOST_RUNS, in_order=self.level == 2)
        if self._bootstrap is not None:
            self._contexts = [
                ChipContext(device, *facts)
                for device, facts in zip(self._config["device_ids"], self._machine.contexts())]

    def close(self):
        with self._lock:
            if self._state == "CLOSED":
                return
            self._state = "CLOSED"
            self._end()

    def _end(self):
        try:
            if self._runs is not None:
                self._runs.close()
        finally:
            self._end_all()

    def _end_all(self):
        if self._machine is not None:
            self._machine.close()
        for child in self._children:
            child._state = "CLOSED"
            child._end()
        if self._subs is not None:
            self._subs.close()
        for buffer in list(self._buffers.values()):
            buffer.close()
        self._buffers.clear()
        self._borrowed.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ready(self):
        if self._state != "READY":
            raise RuntimeError(f"the worker is {self._state}: init() comes first, close() last")

    # --- runs ------------------------------------------------------------------------------------------------

    def run(self, callable, args=None, config=None):
        """Runs it to its end."""
        self._ready()
        run = self._prepared(callable, args, config)
        self._runs.run_here(run)

    def submit(self, callable, args=None, config=None):
        """Starts it; an orchestration function has returned then, its tasks go on."""
        self._ready()
        return self._runs.start(self._prepared(callable, args, config))

    def _prepared(self, target, args, config):
        if config is None:
            config = CallConfig()
        config.validate()
        self._check_threads(config)
        if self.level == 2:
            return self._chip_run(target, args, config)
        if isinstance(target, ChipCallable) or not callable(target):
            raise TypeError("an orchestration function is expected: f(orch, args, config)")
        return _runs.GraphRun(self, target, args, config)

    def _check_threads(self, config):
        """What every run of that configuration would end with."""
        most = 4 if self._platform_name == "a2a3sim" else 5
        threads = config.aicpu_thread_num
        if self._platform_name is not None and (threads == 1 or not 0 <= threads <= most):
            raise RuntimeError(f"run failed with code -1: aicpu_thread_num is 0 or 2 to {most}, not {threads}")

    def _chip_run(self, target, args, config):
        if isinstance(target, ChipCallable):
            target = self._known_or_new(target)
        handle = self._live(target)
        if args is None:
            args = TaskArgs()
        if isinstance(args, ChipStorageTaskArgs):
            from ._april import task_args_of

            args = task_args_of(args, handle.target)
        if not isinstance(args, TaskArgs):
            raise TypeError(f"the arguments of a run are TaskArgs, not a {type(args).__name__}")
        name = self._machine.kernel(handle, rings_of(config))
        return _runs.ChipRun(self, name, self._machine.arguments(args, handle.target, 0), args)

    def _run_as_child(self, function, args, config):
        """For the level above, which sends one task at a time."""
        with self._lock:
            try:
                self._runs.run_here(_runs.GraphRun(self, function, args, config or CallConfig()))
            except RuntimeError:
                raise
            except Exception as error:
                raise RuntimeError(f"{type(error).__name__}: {error}") from error

    @property
    def live_domains(self):
        return dict(self._live_domains)

    @property
    def chip_contexts(self):
        """Of April 2026: what came of chip_bootstrap_configs."""
        if self._contexts is None:
            raise RuntimeError("Worker.chip_contexts available only after init()")
        return list(self._contexts)

    # --- diagnostics -----------------------------------------------------------------------------------------

    def committed_device_memory(self, worker_id=0):
        self._ready()
        return self._machine.device_bytes(int(worker_id))

    @property
    def run_stream_set_create_count(self):
        return 1 if self._machine is not None else 0

    def __repr__(self):
        return f"<Worker of level {self.level}, {self._state}>"


__all__ = ["InitCancelled", "MpiL3GroupSpec", "RemoteCallable", "RemoteWorkerSpec", "RunHandle", "Worker"]
