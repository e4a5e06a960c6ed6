"""What a run may use at most, and the codes of runs that want more."""

import pytest
from compat_support import IN, INOUT, OUT, code_of, program

from simpler.task_interface import ArgDirection, CallConfig, DataType, TaskArgs

_IN, _OUT, _INOUT = ArgDirection.IN, ArgDirection.OUT, ArgDirection.INOUT


def fan(w, h, rows, config=None):
    x, y = bytearray(4 * rows), bytearray(4)
    args = TaskArgs()
    args.add_tensor(w.make_tensor_arg(x, (rows, 1), DataType.FLOAT32.value), INOUT)
    args.add_tensor(w.make_tensor_arg(y, (1, 1), DataType.FLOAT32.value), OUT)
    return code_of(lambda: w.run(h, args, config))


def test_a_task_of_a_graph_before_launch_has_up_to_128_producers_however_they_are_found(worker, platform):
    w = worker(2, platform=platform, runtime="hbg")
    h = w.register(program("inferred_fan", [_INOUT, _OUT], "hbg"))
    assert [fan(w, h, rows) for rows in (128, 129, 128)] == [0, -4, 0]


def test_producers_beyond_64_need_the_pool_however_they_are_found(worker, platform):
    w = worker(2, platform=platform)
    h = w.register(program("inferred_fan", [_INOUT, _OUT]))
    assert fan(w, h, 500) == 0
    config = CallConfig()
    config.runtime_env.ring_dep_pool = 8
    assert [fan(w, h, rows, config) for rows in (72, 73, 72)] == [0, -4, 0]


def entries(w, h, *scalars):
    x = bytearray(4 * 32)
    args = TaskArgs()
    args.add_tensor(w.make_tensor_arg(x, (32, 1), DataType.FLOAT32.value), INOUT)
    for word in scalars:
        args.add_scalar(word)
    return code_of(lambda: w.run(h, args))


@pytest.mark.parametrize("runtime, of_scopes", [("tmr", 0), ("hbg", -11)])
def test_65536_writes_are_remembered_until_their_scope_ends(worker, runtime, of_scopes):
    w = worker(2, runtime=runtime)
    h = w.register(program("entries", [_INOUT], runtime))
    assert entries(w, h, 2048, 32, 0) == 0
    assert entries(w, h, 2049, 32, 0) == -11
    assert entries(w, h, 4096, 32, 1) == of_scopes
    assert entries(w, h, 4096, 32, 2) == 0, "who writes over all of one takes its place"
