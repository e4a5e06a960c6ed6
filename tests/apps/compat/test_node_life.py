"""Level 3 from the outside: what comes when, in which order things end, and what a failure leaves behind."""

import gc
import os
import struct
import subprocess
import sys
import threading
import weakref

import pytest
from compat_support import IN, INOUT, OUT, RUNTIMES, code_of, floats, of, packed, program, shared, task

from simpler.task_interface import ArgDirection, CallConfig, DataType, TaskArgs, TensorArgType, scalar_to_uint64
from simpler.worker import Worker


def doubles(args):
    x, y = (memoryview(arg.buffer).cast("f") for arg in args)
    for i, value in enumerate(x):
        y[i] = 2 * value


def test_tasks_wait_for_what_they_read_and_overwrite(worker, platform, runtime):
    n, steps = 64, 12
    x, y = shared([1] * n), shared([0] * n)
    w = worker(3, init=False, platform=platform, runtime=runtime, device_ids=[0, 1, 2], num_sub_workers=2)
    add, sub = w.register(packed("add", runtime)), w.register(doubles)
    w.init()

    def orch_fn(orch, args, cfg):
        with orch.scope():
            half = orch.alloc((n,), DataType.FLOAT32)
            for i in range(steps):
                if i % 3 == 2:
                    orch.submit_sub(sub, task(w, (x, IN), (half.tensor((n,), 0), OUT)))
                    orch.submit_next_level(add, task(w, (half.tensor((n,), 0), IN), (y, IN), (x, OUT)), worker=i % 3)
                else:
                    orch.submit_next_level(add, task(w, (x, IN), (y, IN), (x, OUT)), cfg, worker=i % 3)
            # Who reads x before it is overwritten sees what was there.
            orch.submit_next_level(add, task(w, (x, IN), (x, IN), (y, OUT)), worker=0)
            orch.submit_next_level(add, task(w, (half.tensor((n,), 0), IN), (half.tensor((n,), 0), IN), (x, OUT)), worker=1)

    w.run(orch_fn)
    value, half = 1.0, 0.0
    for i in range(steps):
        if i % 3 == 2:
            half = 2 * value
            value = half
    assert of(y) == [2 * value] * n and of(x) == [2 * half] * n


def test_views_of_one_buffer_on_several_chips_and_sub_workers(worker):
    n = 128
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=2)
    add, sub = w.register(packed("add")), w.register(doubles)
    w.init()
    buffer = w.create_buffer(4 * n)
    view = memoryview(buffer.shm.buf)[:4 * n].cast("f")
    for i in range(n):
        view[i] = i

    def part(i, count=32):
        return buffer.tensor((count,), DataType.FLOAT32, byte_offset=4 * 32 * i)

    def orch_fn(orch, args, cfg):
        orch.submit_next_level(add, task(w, (part(0), IN), (part(1), IN), (part(2), OUT)), worker=0)
        orch.submit_next_level(add, task(w, (part(1), IN), (part(1), IN), (part(3), OUT)), worker=1)
        orch.submit_sub(sub, task(w, (part(2), IN), (part(0), OUT)))
        orch.submit_sub_group(sub, [task(w, (part(3), IN), (part(1), OUT)), task(w, (part(3), IN), (part(2), OUT))])

    w.run(orch_fn)
    expected = list(range(n))
    expected[64:96] = [i + 32 + i for i in range(32)]
    expected[96:] = [2 * (32 + i) for i in range(32)]
    expected[:32] = [2 * value for value in expected[64:96]]
    expected[32:64] = expected[64:96] = [2 * value for value in expected[96:]]
    assert view.tolist() == expected
    del view
    w.release_buffer(buffer)


def test_a_failed_run_leaves_a_worker_that_works(worker, runtime):
    out, ones = shared([0] * 8), shared([1] * 8)
    w = worker(3, init=False, runtime=runtime, device_ids=[0, 1], num_sub_workers=1)

    def fails(args):
        raise KeyError("nobody")

    fatal, add, sub = w.register(packed("fatal", runtime)), w.register(packed("add", runtime)), w.register(fails)
    w.init()

    def tasks(*kinds):
        def orch_fn(orch, args, cfg):
            for i, kind in enumerate(kinds):
                if kind == "fatal":
                    orch.submit_next_level(fatal, task(w, scalars=[40 + i]), worker=i % 2)
                elif kind == "sub":
                    orch.submit_sub(sub)
                elif kind == "add":
                    orch.submit_next_level(add, task(w, (ones, IN), (ones, IN), (out, OUT)), worker=i % 2)
                elif kind == "raise":
                    raise OSError("stop")
        return orch_fn

    for _ in range(3):
        assert code_of(lambda: w.run(tasks("add", "fatal", "add"))) == -41
        assert code_of(lambda: w.submit(tasks("fatal", "add", "add", "add")).wait()) == -40
        with pytest.raises(RuntimeError, match="KeyError: 'nobody'"):
            w.run(tasks("add", "sub", "add"))
        with pytest.raises(OSError, match="stop"):
            w.run(tasks("add", "add", "raise"))
        w.run(tasks("add"))
        assert of(out) == [2] * 8


def test_mistakes_have_their_classes(worker):
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=1)
    with pytest.raises(RuntimeError):
        w.run(lambda orch, args, cfg: None)
    with pytest.raises(RuntimeError):
        w.create_buffer(4)
    add, sub = w.register(packed("add")), w.register(doubles)
    w.init()
    with pytest.raises(RuntimeError):
        w.init()
    x = shared([0])
    mistakes = [
        (TypeError, lambda orch: orch.submit_next_level(add, task(w))),
        (ValueError, lambda orch: orch.submit_next_level(add, task(w), worker=2)),
        (TypeError, lambda orch: orch.submit_next_level(sub, task(w), worker=0)),
        (TypeError, lambda orch: orch.submit_sub(add)),
        (KeyError, lambda orch: orch.submit_sub(99)),
        (ValueError, lambda orch: orch.submit_next_level_group(add, [task(w)], workers=[0, 1])),
        (ValueError, lambda orch: orch.submit_next_level_group(add, [task(w)] * 2, workers=[1, 1])),
        (ValueError, lambda orch: orch.submit_next_level(add, task(w, (x, OUT), (x, OUT)), worker=0)),
        (ValueError, lambda orch: orch.submit_sub(
            sub, task(w, (orch.alloc_child_tensor(0, (1,), DataType.FLOAT32).tensor((1,), 0), IN)))),
        (ValueError, lambda orch: orch.submit_next_level(
            add, task(w, (orch.alloc_child_tensor(0, (1,), DataType.FLOAT32).tensor((1,), 0), IN)), worker=1)),
        (RuntimeError, lambda orch: orch.scope_end()),
        (TypeError, lambda orch: orch.copy_to(w.create_buffer(4))),
    ]
    for error, call in mistakes:
        with pytest.raises(error):
            w.run(lambda orch, args, cfg: call(orch))
    with pytest.raises(TypeError):
        w.malloc(8)
    with pytest.raises(TypeError):
        w.run(add)
    with pytest.raises(RuntimeError):
        w.alloc_shared_tensor((1,), DataType.FLOAT32)
    w.unregister(add)
    with pytest.raises(KeyError):
        w.unregister(add)
    with pytest.raises(KeyError):
        w.run(lambda orch, args, cfg: orch.submit_next_level(add, task(w), worker=0))


def test_two_workers_take_turns_and_work_at_once(worker):
    outs = [shared([0] * 4) for _ in range(2)]
    ins = [shared([i + 1] * 4) for i in range(2)]
    workers = [worker(3, init=False, device_ids=[0], num_sub_workers=1) for _ in range(2)]
    adds, subs = [w.register(packed("add")) for w in workers], [w.register(doubles) for w in workers]
    for w in workers:
        w.init()

    def orch_fn(i):
        def fn(orch, args, cfg):
            w = workers[i]
            orch.submit_next_level(adds[i], task(w, (ins[i], IN), (ins[i], IN), (outs[i], OUT)), worker=0)
            orch.submit_sub(subs[i], task(w, (outs[i], IN), (ins[i], OUT)))
        return fn

    for _ in range(3):
        handles = [w.submit(orch_fn(i)) for i, w in enumerate(workers)]
        for handle in handles:
            handle.wait(timeout=60)
    assert of(ins[0]) == [64] * 4 and of(ins[1]) == [128] * 4
    workers[0].close()
    workers[0].close()
    workers[1].run(orch_fn(1))
    assert of(ins[1]) == [512] * 4


def test_runs_of_several_threads(worker):
    outs = [shared([0] * 4) for _ in range(6)]
    ones = shared([1] * 4)
    w = worker(3, init=False, device_ids=[0, 1])
    add = w.register(packed("add"))
    w.init()
    failed = []

    def go(i):
        try:
            for _ in range(5):
                w.run(lambda orch, args, cfg: [
                    orch.submit_next_level(add, task(w, (ones, IN), (outs[i], IN), (outs[i], OUT)), worker=j % 2) for j in range(4)])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and [of(out) for out in outs] == [[20] * 4] * 6


def test_scalars_and_arguments_of_a_run_reach_the_function_unchanged(worker):
    seen = []
    w = worker(3, num_sub_workers=1)
    config, thing = CallConfig(), object()
    w.run(lambda orch, args, cfg: seen.append((args, cfg)), thing, config)
    w.run(lambda orch, args, cfg: seen.append((args, type(cfg))))
    w.submit(lambda orch, args, cfg: seen.append(args), args=[1, 2]).wait()
    assert seen[0] == (thing, config) and seen[1] == (None, CallConfig) and seen[2] == [1, 2]


def test_sub_callables_get_scalars_of_each_kind(worker):
    out = shared([0] * 4)
    w = worker(3, init=False, num_sub_workers=1)

    def writes(args):
        memoryview(args[0].buffer).cast("f")[:] = memoryview(struct.pack("4f", args.scalar_count(), args.scalar(0), args.scalar(1) % 7,
                                                                         args.tensor_count())).cast("f")

    sub = w.register(writes)
    w.init()
    w.run(lambda orch, args, cfg: orch.submit_sub(sub, task(w, (out, OUT), scalars=[3, 2**64 - 1])))
    assert of(out) == [2, 3, (2**64 - 1) % 7, 1]


def test_memory_of_a_worker_goes_with_it():
    w = Worker(level=3, platform="a2a3sim", runtime=RUNTIMES["tmr"], device_ids=[0])
    w.init()
    buffer = w.create_buffer(64)
    name = buffer.shm.name
    device = w.alloc_child_tensor(0, (4,), DataType.INT32)
    assert os.path.exists("/dev/shm/" + name.lstrip("/"))
    w.close()
    assert not os.path.exists("/dev/shm/" + name.lstrip("/"))
    assert buffer.closed
    buffer.close()
    device.close()
    gone = weakref.ref(w)
    del w, buffer, device
    gc.collect()
    assert gone() is None


def test_workers_that_are_forgotten_in_any_order_end_with_their_program():
    script = """
import gc, os
from simpler.task_interface import *
from simpler.worker import Worker
made = [Worker(level=3, platform="a2a3sim", runtime="tensormap_and_ringbuffer", device_ids=[0], num_sub_workers=1) for _ in range(2)]
for one in made: one.init()
one = Worker(2, platform="a5sim", runtime="host_build_graph", device_id=3)
one.init()
memory = one.malloc(64)
buffers = [w.create_buffer(16) for w in made]
one.close()
del one, made[0]
gc.collect()
memory.close()
print("done", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout == "done\n" and done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype, letter, values", [
    (DataType.INT8, "b", [-128, 127]), (DataType.UINT64, "Q", [2**63, 5]), (DataType.INT16, "h", [-5, 7])])
def test_odd_shapes_and_strides_at_level_3(worker, runtime, dtype, letter, values):
    w = worker(3, init=False, runtime=runtime, device_ids=[0, 1])
    h = w.register(program("by_hand", [ArgDirection.IN, ArgDirection.OUT], runtime))
    w.init()
    size = struct.calcsize(letter)
    x, y = w.create_buffer(size * 105), w.create_buffer(size * 105)
    for buffer in (x, y):
        memoryview(buffer.shm.buf)[:size * 105].cast(letter)[:] = memoryview(struct.pack(f"105{letter}", *(values * 53)[:105])).cast(letter)
    # Every third column of a 7 by 15 matrix, from the second on.
    args = TaskArgs()
    args.add_tensor(x.tensor((7, 5), dtype, strides=(15, 3), byte_offset=size), TensorArgType.INPUT)
    args.add_tensor(y.tensor((7, 5), dtype, strides=(15, 3), byte_offset=size), TensorArgType.OUTPUT_EXISTING)
    w.run(lambda orch, a, cfg: orch.submit_next_level(h, args, cfg, worker=1))
    bits = 8 * size
    expected = (values * 53)[:105]
    for row in range(7):
        for column in range(5):
            at = 1 + 15 * row + 3 * column
            value = (2 * (expected[at] + 1) + 3) % (1 << bits)
            expected[at] = value - (1 << bits) if letter.islower() and value >> bits - 1 else value
    assert memoryview(y.shm.buf)[:size * 105].cast(letter).tolist() == expected
