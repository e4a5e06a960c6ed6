"""Level 2: the call sequences of scripts that use one chip."""

import array
import logging
import struct

import pytest
from compat_support import IN, INOUT, OUT, floats, packed, task

import simpler
from simpler.task_interface import (
    CallConfig,
    ChipStorageTaskArgs,
    ContinuousTensor,
    DataType,
    TaskArgs,
    scalar_to_uint64,
)
from simpler.worker import Worker


def test_memory_of_the_chip_is_filled_computed_with_and_read_back(worker, platform, runtime):
    w = worker(2, init=False, platform=platform, runtime=runtime, device_id=0)
    h = w.register(packed("chain", runtime))
    w.init()
    a, b, c = (w.malloc(16) for _ in range(3))
    w.copy_to(a, floats(1, 2, 3, 4))
    w.copy_to(b, floats(10, 10, 10, 10))
    args = TaskArgs()
    args.add_tensor(a.tensor((4,), DataType.FLOAT32), IN)
    args.add_tensor(b.tensor((4,), DataType.FLOAT32), IN)
    args.add_tensor(c.tensor((4,), DataType.FLOAT32), OUT)
    args.add_scalar(scalar_to_uint64(2.0))
    assert w.run(h, args, CallConfig()) is None
    out = floats(0, 0, 0, 0)
    w.copy_from(out, c)
    assert out.tolist() == [23, 26, 29, 32]
    for buffer in (a, b, c):
        w.free(buffer)
    assert w.committed_device_memory() == 0


def test_memory_of_the_host_is_copied_in_and_out(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(packed("add", runtime))
    a, b, c = floats(1, 2, 3), floats(4, 5, 6), floats(0, 0, 0)
    w.run(h, task(w, (a, IN), (b, IN), (c, OUT)))
    assert c.tolist() == [5, 7, 9]
    assert a.tolist() == [1, 2, 3]


def test_what_is_both_read_and_written_comes_back(worker):
    w = worker(2)
    h = w.register(packed("add_to"))
    x = floats(1, 2, 3)
    args = task(w, (x, INOUT), (floats(1, 1, 1), IN))
    for round in range(1, 4):
        w.run(h, args)
        assert x.tolist() == [1 + round, 2 + round, 3 + round]


def test_an_orchestration_reads_and_writes_elements_that_came_from_the_host(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(packed("elements", runtime))
    kept = w.create_buffer(12)
    memoryview(kept.shm.buf)[:12] = struct.pack("3f", 1, 2, 30)
    kept_view = kept.tensor((3,), DataType.FLOAT32)
    for a in (floats(1, 2, 3), floats(7, 8, 9), kept_view):
        b, c = floats(0, 1, 1), floats(0, 0, 0)
        w.run(h, task(w, (a, IN), (b, INOUT), (c, OUT), scalars=[2]))
        first, element = (1, 30) if a is kept_view else (a[0], a[2])
        assert b.tolist() == [element, 1, 1] and c[0] == first + element


def test_memory_of_the_chip_has_no_elements_before_launch(worker):
    w = worker(2, runtime="hbg")
    h = w.register(packed("elements", "hbg"))
    args = TaskArgs()
    for tag in (IN, INOUT, OUT):
        args.add_tensor(w.malloc(12).tensor((3,), DataType.FLOAT32), tag)
    args.add_scalar(2)
    with pytest.raises(RuntimeError, match="run failed with code -5"):
        w.run(h, args)


def test_host_memory_that_changes_between_runs_is_seen(worker):
    w = worker(2)
    h = w.register(packed("add"))
    a, b, c = floats(1, 1), floats(2, 2), floats(0, 0)
    args = task(w, (a, IN), (b, IN), (c, OUT))
    w.run(h, args)
    a[0] = 40
    w.run(h, args)
    assert c.tolist() == [42, 3]


def test_the_signature_says_what_is_copied_whatever_the_tag(worker):
    w = worker(2)
    h = w.register(packed("add"))
    a, b, c = floats(1, 1), floats(2, 2), floats(0, 0)
    w.run(h, task(w, (a, IN), (b, OUT), (c, IN)))
    assert c.tolist() == [3, 3]


def test_views_with_strides_and_offsets(worker):
    w = worker(2)
    h = w.register(packed("add"))
    memory = floats(*range(12))
    view = w.make_tensor_arg(memory, (3, 4), 0).buffer
    column = [view.tensor((3,), DataType.FLOAT32, strides=(4,), byte_offset=4 * i) for i in range(3)]
    args = TaskArgs()
    for tensor, tag in zip(column, (IN, IN, OUT)):
        args.add_tensor(tensor, tag)
    w.run(h, args)
    assert memory.tolist() == [0, 1, 1, 3, 4, 5, 9, 7, 8, 9, 17, 11]


def test_views_that_are_named_again_are_the_right_ones(worker):
    w = worker(2)
    h = w.register(packed("add"))
    a = w.malloc(4096)
    w.copy_to(a, floats(*range(1024)))
    c = w.create_buffer(4)
    for _ in range(2):
        for i in range(200):  # more than are kept
            args = TaskArgs()
            args.add_tensor(a.tensor((1,), DataType.FLOAT32, byte_offset=4 * i), IN)
            args.add_tensor(a.tensor([1], 0, [1], 4 * i), IN)
            args.add_tensor(c.tensor((1,), DataType.FLOAT32), OUT)
            if i % 50 == 0:
                w.run(h, args)
                assert struct.unpack("f", c.shm.buf[:4]) == (2.0 * i,)
    same = a.tensor((4,), DataType.FLOAT32)
    assert same is a.tensor((4,), DataType.FLOAT32) and same is not a.tensor((4,), DataType.INT32)
    for wrong in (lambda: a.tensor((4,), 77), lambda: a.tensor((1025,), 0), lambda: a.tensor((0,), 0)):
        for _ in range(2):
            with pytest.raises(ValueError):
                wrong()
    w.free(a)
    assert w.committed_device_memory() == 0
    args = TaskArgs()
    for tag in (IN, IN, OUT):
        args.add_tensor(a.tensor((1,), DataType.FLOAT32), tag)
    with pytest.raises(ValueError):
        w.run(h, args)


def test_many_tensors(worker):
    w = worker(2)
    h = w.register(packed("sum", signature=[1] * 60 + [3]))
    total = floats(0, 0)
    parts = [floats(i, 1) for i in range(60)]
    w.run(h, task(w, *[(part, IN) for part in parts], (total, INOUT)))
    assert total.tolist() == [sum(range(60)), 60]


@pytest.mark.parametrize("dtype", [DataType.FP8E4M3FN, DataType.FP8E8M0, DataType.FP4E2M1, DataType.INT8, DataType.UINT8])
def test_elements_of_one_byte_of_any_type(worker, dtype):
    w = worker(2, platform="a5sim")
    h = w.register(packed("bytes"))
    x, y = bytearray(range(8)), bytearray(8)
    args = TaskArgs()
    args.add_tensor(w.make_tensor_arg(x, (8,), dtype.value), IN)
    args.add_tensor(w.make_tensor_arg(y, (8,), dtype.value), OUT)
    w.run(h, args)
    assert list(y) == [i + dtype.value for i in range(8)]


def test_a_failed_run_carries_its_code_and_the_next_one_works(worker, runtime):
    w = worker(2, runtime=runtime)
    fatal, add = w.register(packed("fatal", runtime)), w.register(packed("add", runtime))
    for code in (9, 42, 1234, 70001):
        args = TaskArgs()
        args.add_scalar(code)
        for go in (lambda: w.run(fatal, args), lambda: w.submit(fatal, args).wait()):
            with pytest.raises(RuntimeError, match=f"run failed with code -{code}:"):
                go()
    c = floats(0)
    w.run(add, task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
    assert c.tolist() == [3]


@pytest.mark.parametrize("level, said", [
    (logging.DEBUG, ["error", "warning", "information", "detail"]), (logging.INFO, ["error", "warning", "information"]),
    (simpler.DEFAULT_THRESHOLD, ["error", "warning"]), (logging.ERROR, ["error"]), (simpler.NUL, [])])
def test_what_an_orchestration_logs_comes_at_the_level_of_the_logger(worker, capfd, level, said):
    simpler.get_logger().setLevel(level)
    try:
        w = worker(2)
        w.run(w.register(packed("logs")))
        w.close()
    finally:
        simpler.get_logger().setLevel(simpler.DEFAULT_THRESHOLD)
    text = capfd.readouterr().err
    assert [word for word in ("error", "warning", "information", "detail")
            if f"said as a {word}" in text or f"said as an {word}" in text or f"said as {word}" in text] == said


def test_ring_sizes_of_a_run(worker, runtime, monkeypatch):
    w = worker(2, runtime=runtime)
    h = w.register(packed("tasks", runtime))
    c = floats(0)
    args = task(w, (floats(1), IN), (floats(2), IN), (c, OUT), scalars=[40])
    config = CallConfig()
    config.runtime_env.ring_task_window = [64, 16, 64, 64] if runtime == "tmr" else 16
    with pytest.raises(RuntimeError, match="run failed with code -" + ("1" if runtime == "tmr" else "3")):
        w.run(h, args, config)
    w.run(h, args)
    assert c.tolist() == [3]
    monkeypatch.setenv("PTO2_RING_TASK_WINDOW", "16")
    with pytest.raises(RuntimeError, match="run failed with code"):
        w.run(h, args)
    config.runtime_env.ring_task_window = 64
    w.run(h, args, config)


def test_what_fills_a_window_and_a_pool_has_their_numbers(worker):
    w = worker(2)
    config = CallConfig()

    def code(entry, count):
        try:
            w.run(w.register(packed(entry)), task(w, scalars=[count]), config)
            return 0
        except RuntimeError as error:
            return error.code

    config.runtime_env.ring_task_window = 16
    assert code("nested", 2) == 0
    assert code("nested", 4) == -3  # no scope alone, all of them together
    assert code("nested", 15) == -1
    config.runtime_env.ring_task_window = 0
    assert code("fan", 80) == 0
    config.runtime_env.ring_dep_pool = 8
    assert code("fan", 72) == 0
    assert code("fan", 73) == -4


def test_threads_that_no_chip_has(worker):
    w = worker(2)
    config = CallConfig()
    for threads in (1, 5, -1):
        config.aicpu_thread_num = threads
        with pytest.raises(RuntimeError, match="run failed with code -1"):
            w.run(w.register(packed("add")), TaskArgs(), config)


def test_submit_returns_a_handle(worker):
    w = worker(2)
    h = w.register(packed("add"))
    c = floats(0)
    handle = w.submit(h, task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
    assert handle.wait(timeout=30) is None and handle.result() is None
    assert handle.done and c.tolist() == [3]


def test_a_worker_has_states(worker):
    w = Worker(level=2, runtime="host_build_graph")
    with pytest.raises(RuntimeError):
        w.malloc(4)
    with pytest.raises(KeyError, match="platform"):
        w.init()
    with pytest.raises(RuntimeError):
        w.init()
    w.close()
    w.close()
    with Worker(level=2, platform="a2a3sim", runtime="host_build_graph") as w:
        w.init()
        with pytest.raises(RuntimeError):
            w.init()
    with pytest.raises(RuntimeError):
        w.malloc(4)
    with pytest.raises(RuntimeError, match="hardware"):
        worker(2, platform="a5")
    with pytest.raises(RuntimeError, match="DMA"):
        worker(2, enable_sdma=True)
    with pytest.raises(ValueError, match="runtime"):
        Worker(level=2, platform="a5sim", runtime="?").init()


def test_callables_are_registered_by_their_content(worker):
    w = worker(2)
    h = w.register(packed("add"))
    assert w.register(packed("add")) == h
    with pytest.raises(TypeError):
        w.register(lambda: None)
    w.unregister(h)
    with pytest.raises(KeyError):
        w.unregister(h)
    with pytest.raises(KeyError):
        w.run(h, TaskArgs())
    again, c = w.register(packed("add")), floats(0)
    w.run(again, task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
    assert c.tolist() == [3]


def test_several_workers_at_once_and_one_after_the_other(worker):
    both = [worker(2, platform=platform) for platform in ("a2a3sim", "a5sim")]
    for w in both + [worker(2)]:
        c = floats(0)
        w.run(w.register(packed("add")), task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
        assert c.tolist() == [3]


def test_copies_are_checked(worker):
    w = worker(2)
    a = w.malloc(8)
    with pytest.raises(ValueError):
        w.copy_to(a, floats(1, 2, 3))
    with pytest.raises(ValueError):
        w.copy_from(b"\0" * 8, a)
    w.free(a)
    with pytest.raises(ValueError):
        w.free(a)
    with pytest.raises(ValueError):
        w.copy_to(a, floats(1))


def test_the_generation_of_april_works_with_addresses(worker):
    w = worker(2)
    chip = packed("add")
    a = w.malloc(64)
    pointer = int(a)
    host = array.array("f", [1, 2, 3, 4])
    w.copy_to(pointer, host.buffer_info()[0], 16)
    args = ChipStorageTaskArgs()
    args.add_tensor(ContinuousTensor.make(pointer, (4,), DataType.FLOAT32, child_memory=True))
    args.add_tensor(ContinuousTensor.make(pointer, (4,), DataType.FLOAT32, child_memory=True))
    args.add_tensor(ContinuousTensor.make(pointer + 16, (4,), DataType.FLOAT32, child_memory=True))
    assert args.sizeof() == 33856
    w.run(chip, args, CallConfig())
    w.copy_from(host.buffer_info()[0], pointer + 16, size=16, worker_id=0)
    assert host.tolist() == [2, 4, 6, 8]
    w.free(pointer)


def test_arguments_by_address_have_the_layout_of_the_chip():
    args = ChipStorageTaskArgs()
    args.add_tensor(ContinuousTensor.make(0x1000, (2, 3), DataType.INT16))
    args.add_scalar(7)
    import ctypes

    raw = ctypes.string_at(args.__ptr__(), args.sizeof())
    assert struct.unpack_from("<QQ", raw) == (0x1000, 12)
    assert struct.unpack_from("<Q", raw, 32768) == (7,) and struct.unpack_from("<ii", raw, 33792) == (1, 1)
