"""What the tests share: callables that are packed here, and memory with numbers in it."""

import array
import mmap
import os
import re
import sys

import pytest

from simpler.task_interface import ArgDirection, ChipCallable, CoreCallable, DataType, TaskArgs, TensorArgType
from simpler.worker import Worker

OBJECTS = os.environ["TROUPE_COMPAT_OBJECTS"]
RUNTIMES = {"tmr": "tensormap_and_ringbuffer", "hbg": "host_build_graph"}
_d = ArgDirection
_KERNELS = {"add": [_d.IN, _d.IN, _d.OUT], "scale": [_d.IN, _d.OUT, _d.SCALAR],
            "all_sum": [_d.IN, _d.INOUT, _d.OUT], "bytes": [_d.IN, _d.OUT]}
_ENTRIES = {"add": [_d.IN, _d.IN, _d.OUT], "chain": [_d.IN, _d.IN, _d.OUT], "add_to": [_d.INOUT, _d.IN],
            "all_sum": [_d.IN, _d.INOUT, _d.OUT], "bytes": [_d.IN, _d.OUT], "fatal": [],
            "tasks": [_d.IN, _d.IN, _d.OUT], "nested": [], "fan": [], "logs": [],
            "elements": [_d.IN, _d.INOUT, _d.OUT]}


def read(name):
    with open(os.path.join(OBJECTS, name + ".so"), "rb") as file:
        return file.read()


def packed(entry, runtime="tmr", signature=None):
    """A ChipCallable of one of the entries in objects/entries.cpp."""
    kernels = [(i, CoreCallable.build(signature, read(name))) for i, (name, signature) in enumerate(_KERNELS.items())]
    return ChipCallable.build(_ENTRIES[entry] if signature is None else signature, entry + "_entry",
                              read("entries_" + runtime), kernels)


_PROGRAM_KERNELS = {"affine": [_d.IN, _d.OUT], "matmul": [_d.IN, _d.IN, _d.INOUT], "echo": [_d.OUT],
                    "defers": [_d.OUT, _d.INOUT]}


def program(entry, signature, runtime="tmr", config_name=""):
    """A ChipCallable of one of the entries in objects/programs.cpp."""
    kernels = [(i, CoreCallable.build(of, read(name))) for i, (name, of) in enumerate(_PROGRAM_KERNELS.items())]
    return ChipCallable.build(signature, entry + "_entry", read("programs_" + runtime), kernels, config_name)


def code_of(go):
    """The status of a run that fails as tools read it out of the text; 0: it did not fail."""
    try:
        go()
    except RuntimeError as error:
        print(error)
        return int(re.search(r"run failed with code (-\d+)", str(error))[1])
    return 0


def floats(*values):
    return array.array("f", values)


def shared(values):
    """Memory that children of fork share, with these floats in it."""
    data = array.array("f", values).tobytes()
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def of(memory):
    """The floats in it."""
    return memoryview(memory).cast("B").cast("f").tolist()


def task(worker, *tensors, scalars=()):
    """TaskArgs of (memory or tensor, tag)."""
    args = TaskArgs()
    for what, tag in tensors:
        if not hasattr(what, "byte_offset"):
            view = memoryview(what).cast("B")
            what = worker.make_tensor_arg(what, (len(view) // 4,), DataType.FLOAT32.value)
        args.add_tensor(what, tag)
    for scalar in scalars:
        args.add_scalar(scalar)
    return args


IN, OUT, INOUT = TensorArgType.INPUT, TensorArgType.OUTPUT_EXISTING, TensorArgType.INOUT


@pytest.fixture(params=["a2a3sim", "a5sim"])
def platform(request):
    return request.param


@pytest.fixture(params=["tmr", "hbg"])
def runtime(request):
    return request.param


@pytest.fixture
def worker(request):
    """Makes workers that are closed when the test is over."""
    made = []

    def make(level, init=True, platform="a2a3sim", runtime="tmr", **config):
        if level < 4:
            config = {"platform": platform, "runtime": RUNTIMES[runtime], **config}
        one = Worker(level=level, **config)
        made.append(one)
        if init:
            one.init()
        return one

    yield make
    for one in made:
        one.close()


sys.modules.setdefault("compat_support", sys.modules[__name__])
