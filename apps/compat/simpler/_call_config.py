"""How a callable is to be run."""

import os

_RINGS = 4


class RuntimeEnv:
    """Sizes of the rings of a run: a number for all four, or four of them. 0 is the default."""

    __slots__ = ("_task_window", "_heap", "_dep_pool")

    def __init__(self):
        self._task_window = self._heap = self._dep_pool = None

    @staticmethod
    def _four(name, value):
        if value is None:
            return None
        if hasattr(value, "__index__"):
            numbers = [value.__index__()] * _RINGS
        else:
            numbers = [number.__index__() for number in value]
        if len(numbers) != _RINGS:
            raise ValueError(f"{name} is a number, or {_RINGS} of them, not {len(numbers)}")
        if any(not 0 <= number < 1 << 64 for number in numbers):
            raise ValueError(f"{name} is out of range: {numbers}")
        return numbers

    @staticmethod
    def _list(numbers):
        return list(numbers) if numbers else [0] * _RINGS

    @property
    def ring_task_window(self):
        return self._list(self._task_window)

    @ring_task_window.setter
    def ring_task_window(self, value):
        self._task_window = self._four("ring_task_window", value)

    @property
    def ring_heap(self):
        return self._list(self._heap)

    @ring_heap.setter
    def ring_heap(self, value):
        self._heap = self._four("ring_heap", value)

    @property
    def ring_dep_pool(self):
        return self._list(self._dep_pool)

    @ring_dep_pool.setter
    def ring_dep_pool(self, value):
        self._dep_pool = self._four("ring_dep_pool", value)

    def validate(self):
        for number in self.ring_task_window:
            if number and (number < 4 or number & (number - 1)):
                raise ValueError(f"ring_task_window is a power of two, at least 4, not {number}")
        for number in self.ring_heap:
            if number and number < 1024:
                raise ValueError(f"ring_heap is at least 1024, not {number}")
        for number in self.ring_dep_pool:
            if number and number < 4:
                raise ValueError(f"ring_dep_pool is at least 4, not {number}")

    def rings(self):
        """Windows, heaps and pools, where the configuration or the environment says some; None: neither does."""
        found = tuple(self._ring(name, given) for name, given in (
            ("PTO2_RING_TASK_WINDOW", self._task_window), ("PTO2_RING_HEAP", self._heap),
            ("PTO2_RING_DEP_POOL", self._dep_pool)))
        return found if any(found) else None

    @staticmethod
    def _ring(name, given):
        if given and any(given):
            return tuple(given)
        text = os.environ.get(name)
        if not text:
            return ()
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            return ()
        return tuple(numbers * _RINGS) if len(numbers) == 1 else tuple(numbers) if len(numbers) == _RINGS else ()

    def __repr__(self):
        return (f"RuntimeEnv(ring_task_window={self.ring_task_window}, ring_heap={self.ring_heap}, "
                f"ring_dep_pool={self.ring_dep_pool})")


def _level(name, most, bare):
    def get(self):
        return getattr(self, "_" + name)

    def put(self, value):
        level = bare if value is True else int(value)
        if not 0 <= level <= most:
            raise ValueError(f"{name} is 0 to {most}, not {level}")
        setattr(self, "_" + name, level)

    return property(get, put)


def _flag(name):
    return property(lambda self: getattr(self, "_" + name), lambda self, value: setattr(self, "_" + name, bool(value)))


class CallConfig:
    """Threads, diagnostics and ring sizes of a run."""

    __slots__ = ("_aicpu_thread_num", "_enable_chip_swimlane", "_enable_dump_args", "_enable_pmu",
                 "_enable_dep_gen", "_enable_scope_stats", "_output_prefix", "_runtime_env")

    def __init__(self):
        self._aicpu_thread_num = self._enable_chip_swimlane = self._enable_dump_args = self._enable_pmu = 0
        self._enable_dep_gen = self._enable_scope_stats = False
        self._output_prefix = ""
        self._runtime_env = RuntimeEnv()

    enable_chip_swimlane = _level("enable_chip_swimlane", 4, 4)
    enable_dump_args = _level("enable_dump_args", 3, 1)
    enable_pmu = _level("enable_pmu", 2**31 - 1, 1)
    enable_dep_gen = _flag("enable_dep_gen")
    enable_scope_stats = _flag("enable_scope_stats")

    @property
    def aicpu_thread_num(self):
        return self._aicpu_thread_num

    @aicpu_thread_num.setter
    def aicpu_thread_num(self, value):
        self._aicpu_thread_num = int(value)

    @property
    def output_prefix(self):
        return self._output_prefix

    @output_prefix.setter
    def output_prefix(self, value):
        value = os.fspath(value)
        if len(value.encode()) > 1023:
            raise ValueError("output_prefix has up to 1023 bytes")
        self._output_prefix = value

    @property
    def runtime_env(self):
        return self._runtime_env

    @runtime_env.setter
    def runtime_env(self, value):
        if not isinstance(value, RuntimeEnv):
            raise TypeError("runtime_env is a RuntimeEnv")
        self._runtime_env = value

    def _diagnostics(self):
        return (self._enable_chip_swimlane, self._enable_dump_args, self._enable_pmu, self._enable_dep_gen,
                self._enable_scope_stats)

    def validate(self):
        """ValueError for what no run can be given."""
        if any(self._diagnostics()) and not self._output_prefix:
            raise ValueError("a diagnostic writes files: set output_prefix")
        self._runtime_env.validate()

    def __repr__(self):
        return f"CallConfig(aicpu_thread_num={self._aicpu_thread_num}, runtime_env={self._runtime_env!r})"
