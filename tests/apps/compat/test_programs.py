"""Programs as users of the other system write them, on one chip: both platforms, both runtimes."""

import array
import ctypes
import struct

import pytest
from compat_support import IN, INOUT, OUT, RUNTIMES, code_of, floats, program, task

from simpler.task_interface import ArgDirection, CallConfig, DataType, TaskArgs, TensorArgType, scalar_to_uint64
from simpler.worker import Worker

_IN, _OUT, _INOUT, _SCALAR = ArgDirection.IN, ArgDirection.OUT, ArgDirection.INOUT, ArgDirection.SCALAR


def given(w, *tensors, scalars=()):
    """TaskArgs of (memory, shape, dtype, tag)."""
    args = TaskArgs()
    for memory, shape, dtype, tag in tensors:
        args.add_tensor(w.make_tensor_arg(memory, shape, dtype.value), tag)
    for scalar in scalars:
        args.add_scalar(scalar)
    return args


F, I64 = DataType.FLOAT32, DataType.INT64
TYPES = {DataType.FLOAT32: "f", DataType.INT32: "i", DataType.INT16: "h", DataType.INT8: "b", DataType.UINT8: "B",
         DataType.INT64: "q", DataType.UINT64: "Q", DataType.UINT16: "H", DataType.UINT32: "I"}


@pytest.mark.parametrize("m, k, n, tile", [(5, 7, 3, 2), (1, 1, 1, 4), (16, 9, 13, 5), (33, 2, 17, 16)])
def test_tiles_that_divide_nothing(worker, platform, runtime, m, k, n, tile):
    w = worker(2, platform=platform, runtime=runtime)
    a, b, c = floats(*range(m * k)), floats(*range(k * n)), floats(*[1] * (m * n))
    h = w.register(program("tiles", [_IN, _IN, _INOUT], runtime))
    w.run(h, given(w, (a, (m, k), F, IN), (b, (k, n), F, IN), (c, (m, n), F, INOUT), scalars=[tile]))
    assert list(c) == [1 + sum(a[i * k + x] * b[x * n + j] for x in range(k)) for i in range(m) for j in range(n)]


def test_scalars_of_each_width_arrive_as_words(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(program("scalars", [_OUT] + [_SCALAR] * 10, runtime))
    said = [ctypes.c_bool(True), ctypes.c_int8(-5), ctypes.c_uint8(250), ctypes.c_int16(-2), ctypes.c_uint32(2**32 - 1),
            ctypes.c_int64(-7), ctypes.c_uint64(2**64 - 1), ctypes.c_float(1.5), ctypes.c_double(-2.5), 0.5]
    words = [scalar_to_uint64(one) for one in said]
    out = array.array("q", [0] * 32)
    w.run(h, given(w, (out, (32,), I64, OUT), scalars=words))
    own = [1, 255, 65535, 0xFFFFFFFE, struct.unpack("<I", struct.pack("<f", 1.5))[0],
           struct.unpack("<Q", struct.pack("<d", -0.25))[0]]
    assert [word & 2**64 - 1 for word in out[:16]] == words + own
    assert words[1] == 2**64 - 5 and words[8] == struct.unpack("<Q", struct.pack("<d", -2.5))[0]
    assert out[16:18].tolist() == [0, 1]


def test_views_of_views(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    x, y, z = (floats(*values) for values in (range(24), [0] * 24, [0] * 24))
    h = w.register(program("views", [_IN, _OUT, _OUT], runtime))
    w.run(h, given(w, (x, (6, 4), F, IN), (y, (4, 6), F, OUT), (z, (24,), F, OUT)))
    expected = [[x[row * 4 + column] for row in range(6)] for column in range(4)]
    for row in (0, 2):
        expected[row] = [2 * value + 1 for value in expected[row]]
    assert list(y) == list(z) == [value for row in expected for value in row]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_goes_through_scopes(worker, runtime, dtype):
    w = worker(2, runtime=runtime)
    x, y, z = (array.array(TYPES[dtype], values) for values in ([1, 2, 3], [0] * 3, [0] * 3))
    h = w.register(program("nested_scopes", [_INOUT, _INOUT, _INOUT], runtime))
    args = given(w, *((memory, (3,), dtype, INOUT) for memory in (x, y, z)))
    w.run(h, args)

    def wrapped(value):
        bits = 8 * x.itemsize
        return value if dtype is F else (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) if TYPES[dtype].islower() \
            else value % (1 << bits)

    assert x.tolist() == [wrapped(10 * (i + 1)) for i in (1, 2, 3)]
    assert y.tolist() == [wrapped(i + 1 + 298) for i in (1, 2, 3)]
    assert z.tolist() == [wrapped(i + 1 + 299) for i in (1, 2, 3)]


def test_dependencies_by_hand(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    x, y = floats(*range(100)), floats(*[0] * 100)
    w.run(w.register(program("by_hand", [_IN, _OUT], runtime)), given(w, (x, (10, 10), F, IN), (y, (10, 10), F, OUT)))
    assert list(y) == [2 * (i + 1) + 3 for i in range(100)]


@pytest.mark.parametrize("dtype", [one for one in TYPES if one is not F])
def test_predicates_of_each_width(worker, runtime, dtype):
    w = worker(2, runtime=runtime)
    h = w.register(program("predicates", [_IN, _INOUT, _IN], runtime))
    bits = 8 * array.array(TYPES[dtype]).itemsize
    for number, target in ((5, 5), (5, -5), (0, 3), (127, 126)) + (() if TYPES[dtype].isupper() else ((-7, -7), (-1, 1))):
        x, y = floats(1, 1, 1, 1, 1, 1), floats(0, 0, 0, 0, 0, 0)
        flags = array.array(TYPES[dtype], [0, number, 0])
        w.run(h, given(w, (x, (6,), F, IN), (y, (6,), F, INOUT), (flags, (3,), dtype, IN), scalars=[target & 2**64 - 1]))
        holds = [number == target, number != target, number > target, number < target, number >= target, number <= target]
        assert [value == 1 for value in y] == holds, (number, target)
    if TYPES[dtype].isupper():  # compared as if it had a sign
        y, flags = floats(0, 0, 0, 0, 0, 0), array.array(TYPES[dtype], [0, 2**bits - 1, 0])
        w.run(h, given(w, (floats(1, 1, 1, 1, 1, 1), (6,), F, IN), (y, (6,), F, INOUT), (flags, (3,), dtype, IN),
                       scalars=[2**64 - 1]))
        assert y[0] == 1 and y[1] == 0


@pytest.mark.parametrize("blocks, cores, together", [
    (1, 1, 0), (1, 2, 1), (1, 4, 0), (1, 7, 1), (100, 2, 0), (100, 1, 0), (37, 7, 0), (20, 5, 0), (16, 2, 1), (8, 7, 1),
    (8, 1, 1), (16, 4, 1), (8, 6, 1)])
def test_blocks_on_every_set_of_cores(worker, platform, runtime, blocks, cores, together):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(program("blocks", [_INOUT], runtime))
    out = array.array("q", [0] * 32 * blocks)
    args = TaskArgs()
    args.add_tensor(w.make_tensor_arg(out, (blocks, 32), I64.value), INOUT)
    for word in (blocks, cores, together):
        args.add_scalar(word)
    w.run(h, args)
    lanes = bin(cores).count("1")
    for block in range(blocks):
        row = out[32 * block:32 * block + 32]
        assert row[16:18].tolist() == [block, blocks] and row[19] == lanes
        if cores & 6 == 6:
            assert row[18] & 3 == 3


@pytest.mark.parametrize("blocks, cores, together, code", [
    (17, 2, 1, -7), (9, 1, 1, -7), (9, 7, 1, -7), (9, 6, 1, -7), (0, 2, 0, -5), (-3, 2, 0, -5), (1, 0, 0, -5)])
def test_blocks_that_cannot_be(worker, runtime, blocks, cores, together, code):
    w = worker(2, runtime=runtime)
    h = w.register(program("blocks", [_INOUT], runtime))
    out = array.array("q", [0] * 32 * 20)
    words = [word & 2**64 - 1 for word in (blocks, cores, together)]
    assert code_of(lambda: w.run(h, given(w, (out, (20, 32), I64, INOUT), scalars=words))) == code
    w.run(h, given(w, (out, (20, 32), I64, INOUT), scalars=[3, 2, 0]))
    assert out[17] == 3


def test_more_kernel_calls_than_a_graph_before_launch_takes(worker):
    w = worker(2, runtime="hbg")
    h = w.register(program("blocks", [_INOUT], "hbg"))
    out = array.array("q", [0] * 32)
    assert code_of(lambda: w.run(h, given(w, (out, (32,), I64, OUT), scalars=[16384, 7, 0]))) == -5


def test_as_many_arguments_as_a_task_can_have(worker, runtime):
    w = worker(2, runtime=runtime)
    h = w.register(program("limits", [_IN, _OUT], runtime))
    x, y = floats(1, 2), floats(0, 0)

    def go(tensors, scalars):
        return code_of(lambda: w.run(h, given(w, (x, (2,), F, IN), (y, (2,), F, OUT), scalars=[tensors, scalars])))

    assert go(2, 16) == 0 and list(y) == [3, 6]
    assert [go(32, 16), go(33, 2), go(2, 17), go(32, 17)] == [0, -5, -5, -5]


@pytest.mark.parametrize("dtype", TYPES)
def test_elements_of_each_type(worker, platform, runtime, dtype):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(program("elements", [_IN, _INOUT, _INOUT], runtime))
    x, y, word = array.array(TYPES[dtype], range(15)), array.array(TYPES[dtype], [1] * 15), array.array("Q", [0])
    if TYPES[dtype].islower():
        x[7] = -3
    w.run(h, given(w, (x, (5, 3), dtype, IN), (y, (5, 3), dtype, INOUT), (word, (1,), DataType.UINT64, INOUT), scalars=[7]))
    assert y[7] == x[7] and y.tolist().count(1) == 14
    # With zeros in front, whatever its sign.
    assert word[0] == int.from_bytes(x.tobytes()[7 * x.itemsize:8 * x.itemsize], "little")


def test_what_comes_after_a_fatal_is_nothing_and_the_next_run_works(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(program("after_fatal", [_INOUT, _INOUT], runtime))
    ok = w.register(program("by_hand", [_IN, _OUT], runtime))
    for code in (1, 9, 11, 100, 2**31 - 1):
        x, y = floats(1, 2), floats(0, 0)
        args = given(w, (x, (2,), F, INOUT), (y, (2,), F, INOUT), scalars=[code])
        with pytest.raises(RuntimeError, match="a text that is long enough"):
            w.run(h, args)
        assert code_of(lambda: w.run(h, args)) == -code
        assert list(y) == [0, 0], "nothing comes back from a run that failed"
        w.run(ok, given(w, (x, (2,), F, IN), (y, (2,), F, OUT)))
        assert list(y) == [7, 9]


def test_statics_of_an_object_live_as_long_as_its_registration(worker, runtime):
    w = worker(2, runtime=runtime)
    made = program("counts_calls", [_OUT], runtime)
    h, out = w.register(made), array.array("q", [0])
    seen = []
    for _ in range(3):
        w.run(h, given(w, (out, (1,), I64, OUT)))
        seen.append(out[0])
    assert seen == [1, 2, 3]
    other = Worker(level=2, platform="a2a3sim", runtime=RUNTIMES[runtime])
    try:
        other.init()
        other.run(other.register(made), given(other, (out, (1,), I64, OUT)))
        assert out[0] == 1, "each worker has its own"
    finally:
        other.close()


def test_an_orchestration_that_throws_fails_its_run_alone(worker, runtime):
    w = worker(2, runtime=runtime)
    h = w.register(program("throws", [], runtime))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="run failed with code -1.*an assertion failed"):
            w.run(h)
    out = array.array("q", [0])
    w.run(w.register(program("counts_calls", [_OUT], runtime)), given(w, (out, (1,), I64, OUT)))
    assert out[0] == 1


def test_a_configuration_asks_for_arguments_where_the_graph_is_built_on_the_chip(worker, runtime):
    w = worker(2, runtime=runtime)
    made = program("by_hand", [_IN, _OUT], runtime, "wants_three")
    h = w.register(made)
    x, y = floats(1), floats(0)
    few = code_of(lambda: w.run(h, given(w, (x, (1,), F, IN), (y, (1,), F, OUT))))
    assert few == (-1 if runtime == "tmr" else 0)
    w.run(h, given(w, (x, (1,), F, IN), (y, (1,), F, OUT), scalars=[0]))
    w.run(h, given(w, (x, (1,), F, IN), (y, (1,), F, OUT), scalars=[0, 1]))
    assert list(y) == [7]


def test_hints_change_nothing(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    x, y = floats(*range(9)), floats(*[0] * 9)
    w.run(w.register(program("hints", [_IN, _OUT], runtime)), given(w, (x, (3, 3), F, IN), (y, (3, 3), F, OUT)))
    assert list(y) == [15 + i for i in range(9)]


def test_graphs_are_the_same_however_often_they_are_submitted(worker, platform):
    w = worker(2, platform=platform, runtime="hbg")
    x, y, z = floats(*range(20)), floats(*[0] * 20), floats(*[0] * 20)
    w.run(w.register(program("graph", [_IN, _OUT, _OUT], "hbg")),
          given(w, (x, (5, 4), F, IN), (y, (5, 4), F, OUT), (z, (5, 4), F, OUT)))
    assert list(y) == [2 * i + i // 4 for i in range(20)]
    assert list(z) == [10 * value for value in y]
