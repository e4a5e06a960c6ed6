"""Level 3: chips and sub-workers of one machine, an orchestration function that submits."""

import array
import math
import mmap
import os
import struct
import threading
from multiprocessing.shared_memory import SharedMemory

import pytest
from compat_support import IN, INOUT, OUT, of, packed, shared, task

from simpler import _host_memory
from simpler._troupe import raw
from simpler.task_interface import (
    CallConfig,
    CommBufferSpec,
    ContinuousTensor,
    DataType,
    TaskArgs,
    TensorArgType,
    scalar_to_uint64,
)

COUNTER = {"calls": 0}


def add_up(args):
    """A sub callable: the last tensor becomes the sum of the others."""
    values = [memoryview(arg.buffer).cast("f") for arg in args]
    for i in range(len(values[-1])):
        values[-1][i] = sum(one[i] for one in values[:-1])


def test_two_chips_and_a_sub_worker_that_needs_both(worker, platform, runtime):
    ins = [shared([1, 2, 3, 4]), shared([5, 6, 7, 8])]
    outs, total = [shared([0] * 4) for _ in range(2)], shared([0] * 4)
    w = worker(3, init=False, platform=platform, runtime=runtime, device_ids=[0, 1], num_sub_workers=1)
    sub, chip = w.register(add_up), w.register(packed("add", runtime))
    w.init()
    given = []

    def orch_fn(orch, args, cfg):
        given.append((args, cfg, threading.get_ident()))
        for i in range(2):
            orch.submit_next_level(chip, task(w, (ins[i], IN), (ins[i], IN), (outs[i], OUT)), cfg, worker=i)
        orch.submit_sub(sub, task(w, (outs[0], IN), (outs[1], IN), (total, OUT)))

    config = CallConfig()
    w.run(orch_fn, args="mine", config=config)
    assert given == [("mine", config, threading.get_ident())]
    assert of(outs[0]) == [2, 4, 6, 8] and of(total) == [12, 16, 20, 24]


def test_results_go_from_sub_worker_to_chip_and_on(worker):
    a, out = shared([1, 2]), shared([0, 0])
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=2)
    sub, chip = w.register(add_up), w.register(packed("add"))
    w.init()

    def orch_fn(orch, args, cfg):
        between = [orch.alloc((2,), DataType.FLOAT32) for _ in range(6)]
        view = [buffer.tensor((2,), DataType.FLOAT32) for buffer in between]
        orch.submit_sub(sub, task(w, (a, IN), (a, IN), (view[0], TensorArgType.OUTPUT)))
        for i in range(5):
            with orch.scope():
                if i % 2:
                    orch.submit_sub(sub, task(w, (view[i], IN), (view[i], IN), (view[i + 1], OUT)))
                else:
                    orch.submit_next_level(chip, task(w, (view[i], IN), (view[i], IN), (view[i + 1], OUT)), worker=i % 2)
        orch.submit_next_level(chip, task(w, (view[5], IN), (a, IN), (out, OUT)), worker=1)

    for _ in range(3):
        w.run(orch_fn)
        assert of(out) == [65, 130]


def test_sub_workers_are_processes_that_see_what_modules_hold(worker):
    COUNTER["calls"] = 40
    said = shared([0, 0])

    def count(args):
        COUNTER["calls"] += 1
        memoryview(args[0].buffer).cast("f")[:] = memoryview(struct.pack("2f", COUNTER["calls"], os.getpid() % 65536)).cast("f")

    w = worker(3, init=False, num_sub_workers=1)
    sub = w.register(count)
    w.init()
    for calls in (41, 42):
        w.run(lambda orch, args, cfg: orch.submit_sub(sub, task(w, (said, OUT))))
        assert of(said)[0] == calls
    assert of(said)[1] != os.getpid() % 65536
    assert COUNTER["calls"] == 40


def test_sub_workers_are_threads_when_asked(worker):
    COUNTER["calls"] = 0
    w = worker(3, init=False, num_sub_workers=2, sub_workers="threads")

    def count(args):
        COUNTER["calls"] += 1
        values = memoryview(args[0].buffer).cast("f")
        values[0] = values[0] + os.getpid() % 1000

    def bad(args):
        raise ValueError("no good")

    sub, fails = w.register(count), w.register(bad)
    w.init()
    memory, buffer = shared([1]), w.create_buffer(4)  # of after init()
    for what in (memory, buffer.tensor((1,), DataType.FLOAT32)):
        w.run(lambda orch, args, cfg, what=what: orch.submit_sub(sub, task(w, (what, INOUT))))
    assert COUNTER["calls"] == 2 and of(memory) == [1 + os.getpid() % 1000]
    assert struct.unpack("f", buffer.shm.buf[:4])[0] == os.getpid() % 1000
    with pytest.raises(RuntimeError, match="sub_worker: .*no good"):
        w.run(lambda orch, args, cfg: orch.submit_sub(fails))
    w.release_buffer(buffer)
    with pytest.raises(ValueError):
        worker(3, num_sub_workers=1, sub_workers="fibres")


def test_sub_callables_get_mapped_arguments(worker):
    memory, answer = shared(range(12)), shared([0] * 8)

    def look(args):
        arg = args[0]
        found = [args.tensor_count(), args.scalar_count(), args.scalar(0), len(args), arg.byte_offset, arg.dtype,
                 arg.shapes[0] * 10 + arg.strides[0], arg.buffer.readonly * 100 + memoryview(arg.buffer).cast("f")[0]]
        memoryview(args[1].buffer).cast("f")[:] = memoryview(struct.pack("8f", *found)).cast("f")
        try:
            args.scalar(1)
        except IndexError:
            return
        raise AssertionError("a scalar that is not there")

    w = worker(3, init=False, num_sub_workers=1)
    sub = w.register(look)
    w.init()
    view = w.make_tensor_arg(memory, (12,), 0).buffer.tensor((3,), DataType.FLOAT32, strides=(4,), byte_offset=4)
    w.run(lambda orch, args, cfg: orch.submit_sub(sub, task(w, (view, IN), (answer, OUT), scalars=[9])))
    assert of(answer) == [2, 1, 9, 2, 4, 0, 34, 101]


def test_a_function_that_comes_after_the_children(worker):
    said = shared([0])
    w = worker(3, num_sub_workers=2)

    def late(args):
        memoryview(args[0].buffer).cast("f")[0] = 7

    sub = w.register(late)
    w.run(lambda orch, args, cfg: orch.submit_sub(sub, task(w, (said, OUT))))
    assert of(said) == [7]
    with pytest.raises(ValueError):
        w.register(packed("add"))  # no chip could run it
    with pytest.raises(ValueError):
        worker(3, device_ids=[0]).register(late)


def test_buffers_that_come_after_the_children(worker):
    w = worker(3, init=False, device_ids=[0], num_sub_workers=1)
    sub, chip = w.register(add_up), w.register(packed("add"))
    w.init()
    a, b, c = (w.create_buffer(16) for _ in range(3))
    a.shm.buf[:16] = struct.pack("4f", 1, 2, 3, 4)
    views = [buffer.tensor((4,), DataType.FLOAT32) for buffer in (a, b, c)]

    def orch_fn(orch, args, cfg):
        orch.submit_next_level(chip, task(w, (views[0], IN), (views[0], IN), (views[1], OUT)), cfg, worker=0)
        orch.submit_sub(sub, task(w, (views[1], IN), (views[2], OUT)))

    w.run(orch_fn)
    assert struct.unpack("4f", c.shm.buf[:16]) == (2, 4, 6, 8)
    name = a.shm.name
    w.release_buffer(a)
    assert a.closed and not os.path.exists("/dev/shm/" + name)
    with pytest.raises(ValueError):
        w.release_buffer(a)
    with pytest.raises(ValueError):
        w.run(orch_fn)


def test_copies_and_what_is_given_back_may_be_named(worker):
    w = worker(3, device_ids=[0])
    host = w.create_buffer(8)
    host.shm.buf[:8] = struct.pack("2f", 3, 4)

    def orch_fn(orch, args, cfg):
        there = orch.alloc_child_tensor(worker_id=0, shapes=(2,), dtype=DataType.FLOAT32)
        orch.copy_to(dst=there, src=host)
        host.shm.buf[:8] = bytes(8)
        orch.copy_from(host, src=there)
        orch.free(buffer=there)
        address = int(orch.malloc(0, 8))
        orch.copy_to(worker_id=0, dst=address, src=host.base, size=8)
        host.shm.buf[:8] = bytes(8)
        orch.copy_from(0, dst=host.base, src=address, size=8)
        orch.free(worker_id=0, ptr=address)
        for wrong in (lambda: orch.copy_to(there), lambda: orch.copy_to(there, host, size=8), lambda: orch.free()):
            with pytest.raises(TypeError):
                wrong()

    w.run(orch_fn)
    assert struct.unpack("2f", host.shm.buf[:8]) == (3, 4)


def test_whoever_kept_a_view_of_a_released_buffer_still_has_its_memory(worker):
    w = worker(2)
    buffer = w.create_buffer(64)
    kept, name = buffer.shm.buf, buffer.shm.name  # as torch.frombuffer() does: without saying that it looks
    kept[0] = 7
    w.release_buffer(buffer)
    assert kept[0] == 7 and buffer.closed
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_memory_of_one_chip(worker):
    out = shared([0] * 4)
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=1)
    sub, chip = w.register(add_up), w.register(packed("add"))
    w.init()
    host = w.create_buffer(16)
    host.shm.buf[:16] = struct.pack("4f", 1, 2, 3, 4)
    device = w.alloc_child_tensor(1, (4,), DataType.FLOAT32)
    w.copy_to(device, host)

    def orch_fn(orch, args, cfg):
        mine = orch.alloc_child_tensor(1, (4,), DataType.FLOAT32)
        view, there = device.tensor((4,), DataType.FLOAT32), mine.tensor((4,), DataType.FLOAT32)
        orch.submit_next_level(chip, task(w, (view, IN), (view, IN), (there, OUT)), worker=1)
        orch.copy_from(host, mine)
        assert struct.unpack("4f", host.shm.buf[:16]) == (2, 4, 6, 8)
        orch.submit_next_level(chip, task(w, (there, IN), (there, IN), (out, OUT)), worker=1)
        with pytest.raises(ValueError):
            orch.submit_next_level(chip, task(w, (there, IN), (there, IN), (out, OUT)), worker=0)
        with pytest.raises(ValueError):
            orch.submit_sub(sub, task(w, (there, IN)))

    w.run(orch_fn)
    assert of(out) == [4, 8, 12, 16]
    with pytest.raises(TypeError):
        w.malloc(4)
    assert w.committed_device_memory(1) == 32 and w.committed_device_memory(0) == 0
    w.free(device)
    assert w.committed_device_memory(1) == 16


def test_groups(worker):
    ins, outs = [shared([1, 1]), shared([2, 2])], [shared([0, 0]), shared([0, 0])]
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=2)
    sub, chip = w.register(add_up), w.register(packed("add"))
    w.init()
    members = [task(w, (ins[i], IN), (ins[1 - i], IN), (outs[i], OUT)) for i in range(2)]

    def orch_fn(orch, args, cfg):
        orch.submit_next_level_group(chip, members, cfg, workers=[1, 0])
        orch.submit_sub_group(sub, [task(w, (outs[i], IN), (outs[i], IN), (ins[i], OUT)) for i in range(2)])
        for workers in ([0], [0, 0], [0, 2]):
            with pytest.raises(ValueError):
                orch.submit_next_level_group(chip, members, cfg, workers=workers)

    w.run(orch_fn)
    assert of(outs[0]) == of(outs[1]) == [3, 3] and of(ins[0]) == of(ins[1]) == [6, 6]


def test_chips_that_communicate_through_a_domain(worker, platform):
    n = 64
    ins = [shared([i + 1] * n) for i in range(3)]
    outs = [shared([0] * n) for _ in range(3)]
    w = worker(3, init=False, platform=platform, device_ids=[0, 1, 2])
    chip = w.register(packed("all_sum"))
    w.init()
    kept = []

    def orch_fn(orch, args, cfg):
        with orch.allocate_domain(name="sum", workers=[2, 0, 1], window_size=4096,
                                  buffers=[CommBufferSpec("x", "float32", n, 4 * n + 4), CommBufferSpec("y", "int32", 1, 4)]) as d:
            kept.append(d)
            assert list(w.live_domains) == ["sum"]
            assert [d[i].domain_rank for i in (2, 0, 1)] == [0, 1, 2] and d[0].domain_size == 3
            assert d[0].buffers["x"].base == d[0].local_window_base
            assert d[0].buffers["y"].base == d[0].local_window_base + 4 * n + 4
            members = []
            for i in range(3):
                members.append(task(w, (ins[i], IN), (d[i].buffers["x"].tensor((n,), DataType.FLOAT32), INOUT),
                                    (outs[i], OUT), scalars=[d[i].domain_size, d[i].device_ctx]))
            orch.submit_next_level_group(chip, members, cfg, workers=[0, 1, 2])
            for wrong in ({"workers": []}, {"workers": [0, 0]}, {"workers": [3]}, {"window_size": 0}, {"name": "sum"},
                          {"buffers": [CommBufferSpec("x", "f", 1, 5000)]},
                          {"buffers": [CommBufferSpec("x", "f", 1, 4), CommBufferSpec("x", "f", 1, 4)]}):
                with pytest.raises(ValueError):
                    orch.allocate_domain(**{"name": "other", "workers": [0], "window_size": 64, **wrong})
        with pytest.raises(RuntimeError):
            d[0]
        assert d.released and not d.freed and not w.live_domains

    for _ in range(2):
        w.run(orch_fn)
        for out in outs:
            assert of(out) == [6] * n
    assert kept[0].freed and kept[0].allocation_id != kept[1].allocation_id


def test_a_chip_is_in_two_domains_at_once(worker):
    n = 16
    ins = [shared([i + 1] * n) for i in range(3)]
    outs = {(name, i): shared([0] * n) for name, chips in (("ab", (0, 1)), ("bc", (2, 1))) for i in chips}
    w = worker(3, init=False, device_ids=[0, 1, 2])
    chip = w.register(packed("all_sum"))
    w.init()

    def orch_fn(orch, args, cfg):
        spec = [CommBufferSpec("x", "float32", n, 4 * n + 4)]
        with orch.allocate_domain(name="ab", workers=[0, 1], window_size=1024, buffers=spec) as ab, \
                orch.allocate_domain(name="bc", workers=[2, 1], window_size=2048, buffers=spec) as bc:
            for name, domain in (("ab", ab), ("bc", bc)):
                for i in domain.workers:  # not a group: each waits for the other
                    orch.submit_next_level(chip, task(w, (ins[i], IN), (domain[i].buffers["x"].tensor((n,), 0), INOUT),
                                                      (outs[name, i], OUT),
                                                      scalars=[domain[i].domain_size, domain[i].device_ctx]), cfg, worker=i)

    for _ in range(3):
        w.run(orch_fn)
        assert [of(outs[key])[0] for key in (("ab", 0), ("ab", 1), ("bc", 2), ("bc", 1))] == [3, 3, 5, 5]


def test_failures_of_functions_and_chips(worker):
    w = worker(3, init=False, device_ids=[0], num_sub_workers=1)

    def bad(args):
        raise ValueError("no good")

    sub, fatal, chip = w.register(bad), w.register(packed("fatal")), w.register(packed("add"))
    w.init()

    def orch_raises(orch, args, cfg):
        raise LookupError("mine")

    for go in (w.run, lambda fn: w.submit(fn).wait()):
        with pytest.raises(RuntimeError, match="sub_worker: .*bad: ValueError: no good"):
            go(lambda orch, args, cfg: orch.submit_sub(sub))
        with pytest.raises(RuntimeError, match="run failed with code -7"):
            go(lambda orch, args, cfg: orch.submit_next_level(fatal, task(w, scalars=[7]), worker=0))
        with pytest.raises(LookupError, match="mine"):
            go(orch_raises)
    with pytest.raises(LookupError):
        w.submit(orch_raises)  # at once
    out, one = shared([0]), shared([1])
    w.run(lambda orch, args, cfg: orch.submit_next_level(chip, task(w, (one, IN), (one, IN), (out, OUT)), worker=0))
    assert of(out) == [2]


def test_memory_that_came_after_the_children_is_refused_there(worker):
    w = worker(3, init=False, num_sub_workers=1)
    sub = w.register(add_up)
    w.init()
    late = [shared([0] * 4096) for _ in range(2)]
    with pytest.raises(RuntimeError, match="before"):
        w.run(lambda orch, args, cfg: orch.submit_sub(sub, task(w, (late[0], IN), (late[1], OUT))))


def test_a_sub_worker_that_dies_is_told_and_replaced(worker):
    said = shared([0])
    w = worker(3, init=False, num_sub_workers=1)

    def dies(args):
        os._exit(3)

    def lives(args):
        memoryview(args[0].buffer).cast("f")[0] += 1

    first, second = w.register(dies), w.register(lives)
    w.init()
    with pytest.raises(RuntimeError, match="exit code 3"):
        w.run(lambda orch, args, cfg: orch.submit_sub(first))
    w.run(lambda orch, args, cfg: orch.submit_sub(second, task(w, (said, INOUT))))
    assert of(said) == [1]


def test_submitted_runs_go_on_when_their_function_has_returned(worker):
    import mmap

    gate = mmap.mmap(-1, 1)

    def waits(args):
        while gate[0] == 0:
            os.sched_yield()

    w = worker(3, init=False, num_sub_workers=1)
    sub = w.register(waits)
    w.init()
    called = []

    def orch_fn(orch, args, cfg):
        called.append(args)
        orch.submit_sub(sub)
        return orch

    handle = w.submit(orch_fn, 5)
    assert called == [5] and not handle.done
    for passed in (0.01, 0, -1, -math.inf):
        with pytest.raises(TimeoutError):
            handle.wait(timeout=passed)
    buffer = w.create_buffer(4)
    with pytest.raises(RuntimeError):
        w.release_buffer(buffer)
    gate[0] = 1
    assert handle.wait(timeout=float("inf")) is None
    assert handle.result(timeout=60) is None and handle.done
    w.release_buffer(buffer)


def test_a_submitted_function_makes_all_its_calls_on_the_callers_thread(worker):
    n = 16
    ins, outs = [shared([i + 1] * n) for i in range(2)], [shared([0] * n) for _ in range(2)]
    w = worker(3, init=False, device_ids=[0, 1], num_sub_workers=1)
    chip, add, sub = w.register(packed("all_sum")), w.register(packed("add")), w.register(add_up)
    w.init()
    threads, host = [], w.create_buffer(4 * n)

    def orch_fn(orch, args, cfg):
        threads.append(threading.get_ident())
        with orch.scope():
            between = orch.alloc((n,), DataType.FLOAT32).tensor((n,), DataType.FLOAT32)
            orch.submit_sub(sub, task(w, (ins[0], IN), (ins[1], IN), (between, OUT)))
            device = orch.alloc_child_tensor(1, (n,), DataType.FLOAT32)
            orch.submit_next_level(add, task(w, (between, IN), (between, IN), (device.tensor((n,), 0), OUT)), worker=1)
        orch.copy_from(host, device)
        with orch.allocate_domain(name="d", workers=[0, 1], window_size=1024,
                                  buffers=[CommBufferSpec("x", "float32", n, 4 * n + 4)]) as d:
            orch.submit_next_level_group(chip, [task(w, (ins[i], IN), (d[i].buffers["x"].tensor((n,), 0), INOUT), (outs[i], OUT),
                                                     scalars=[2, d[i].device_ctx]) for i in range(2)], cfg, workers=[0, 1])
        assert w.alloc_shared_tensor((1,), DataType.INT8).nbytes == 1
        with pytest.raises(ValueError):
            orch.submit_next_level(add, task(w), worker=9)

    handles = [w.submit(orch_fn) for _ in range(2)]
    for handle in handles:
        handle.wait(timeout=60)
    assert threads == [threading.get_ident()] * 2
    assert memoryview(host.shm.buf)[:4 * n].cast("f").tolist() == [6] * n and of(outs[0]) == of(outs[1]) == [3] * n


def test_memory_that_children_do_not_share_can_only_be_read(worker):
    import array

    mine, out = array.array("f", [1, 2]), shared([0, 0])
    w = worker(3, init=False, device_ids=[0])
    chip = w.register(packed("add"))
    w.init()
    w.run(lambda orch, args, cfg: orch.submit_next_level(chip, task(w, (mine, IN), (mine, IN), (out, OUT)), worker=0))
    assert of(out) == [2, 4]
    with pytest.raises(ValueError):
        task(w, (mine, OUT))


def test_memory_stays_while_a_run_uses_it(worker):
    import gc
    import weakref

    class Memory(bytearray):
        pass

    out = shared([0] * 4096)
    w = worker(3, init=False, device_ids=[0])
    chip = w.register(packed("add"))
    w.init()
    alive = []

    def orch_fn(orch, args, cfg):
        for i in range(8):
            mine = Memory(struct.pack("4096f", *[i] * 4096))
            alive.append(weakref.ref(mine))
            args = task(w, (mine, IN), (mine, IN), (out, OUT))
            orch.submit_next_level(chip, args, worker=0)
            args.clear()
            del mine, args
        gc.collect()
        assert all(one() is not None for one in alive)

    w.run(orch_fn)
    assert of(out)[:2] == [14, 14]
    gc.collect()
    assert not any(one() for one in alive)


def test_arguments_of_one_storage_are_views_of_one_buffer(worker):
    w = worker(2, init=False)
    memory = memoryview(bytearray(64)).cast("f")
    one, other = w.make_tensor_arg(memory[:4], (4,), 0), w.make_tensor_arg(memory[2:6], (4,), 0)
    assert one.buffer is other.buffer and other.byte_offset == 8
    args = TaskArgs()
    args.add_tensor(one, OUT)
    args.add_tensor(other, OUT)
    with pytest.raises(ValueError, match="same bytes"):
        args.check()


def test_an_orchestrator_ends_with_its_function(worker):
    w = worker(3, num_sub_workers=1)
    kept = []
    w.run(lambda orch, args, cfg: kept.append(orch))
    with pytest.raises(RuntimeError):
        kept[0].submit_sub(0)
    with pytest.raises(RuntimeError):
        w.alloc_shared_tensor((1,), DataType.FLOAT32)
    got = []
    w.run(lambda orch, args, cfg: got.append(w.alloc_shared_tensor((3,), DataType.INT16).nbytes))
    assert got == [6]


def test_the_generation_of_april(worker):
    n = 32
    from simpler.task_interface import ChipBootstrapConfig, ChipBufferSpec, ChipCommBootstrapConfig

    ins, outs = [shared([i + 1] * n) for i in range(2)], [shared([0] * n) for _ in range(2)]
    configs = [ChipBootstrapConfig(comm=ChipCommBootstrapConfig(rank, 2, f"/tmp/compat-{os.getpid()}", 4096),
                                   buffers=[ChipBufferSpec("x", "float32", n, 4 * n + 4)]) for rank in range(2)]
    w = worker(3, init=False, device_ids=[0, 1], chip_bootstrap_configs=configs)
    with pytest.raises(RuntimeError):
        w.chip_contexts
    chip = packed("all_sum")
    w.init()
    contexts = w.chip_contexts
    assert [(one.device_id, one.rank, one.nranks) for one in contexts] == [(0, 0, 2), (1, 1, 2)]

    def orch_fn(orch, args, cfg):
        for i, context in enumerate(contexts):
            args = task(w, (ins[i], IN))
            args.add_tensor(ContinuousTensor.make(context.buffer_ptrs["x"], (n,), DataType.FLOAT32, child_memory=True), INOUT)
            args.add_tensor(w.make_tensor_arg(outs[i], (n,), 0), OUT)
            args.add_scalar(context.nranks)
            args.add_scalar(context.device_ctx)
            orch.submit_next_level(chip, args, cfg, worker=i)

    w.run(orch_fn)
    assert of(outs[0]) == of(outs[1]) == [3] * n


def test_what_contradicts_in_april_has_a_module_of_its_own(worker):
    from simpler import april

    out, counts = shared([0, 0]), shared([0])
    w = april.Worker(level=3, platform="a2a3sim", runtime="tensormap_and_ringbuffer", device_ids=[0, 1], num_sub_workers=1)

    def count(args):
        import ctypes

        tensor = args.tensor(0)
        ctypes.c_float.from_address(tensor.data).value += sum(memoryview(args[1].buffer).cast("f"))

    number = w.register(count)
    assert type(number) is int
    w.init()
    chip, config = packed("add"), april.CallConfig()
    config.block_dim = 3
    try:
        pointer = w.malloc(8, worker_id=1)
        assert type(pointer) is int

        def orch_fn(orch, args, cfg):
            between = orch.alloc((2,), DataType.FLOAT32)
            first, second = TaskArgs(), TaskArgs()
            for tensor, tag in ((w.make_tensor_arg(out, (2,), 0), IN), (w.make_tensor_arg(out, (2,), 0), IN), (between, OUT)):
                first.add_tensor(tensor, tag)
            orch.submit_next_level(chip, first, cfg)
            for tensor, tag in ((w.make_tensor_arg(counts, (1,), 0), INOUT), (between, IN)):
                second.add_tensor(tensor, tag)
            orch.submit_sub(number, second)

        memoryview(out).cast("B").cast("f")[:] = memoryview(struct.pack("2f", 2, 3)).cast("f")
        w.run(orch_fn, None, config)
        assert of(counts) == [10]
        w.free(pointer, worker_id=1)
    finally:
        w.close()


def test_april_memory_by_worker_and_address(worker):
    out = shared([0, 0])
    w = worker(3, init=False, device_ids=[0, 1])
    w.init()
    chip = packed("add")

    def orch_fn(orch, args, cfg):
        pointer = int(orch.malloc(1, 64))
        host = struct.pack("2f", 3, 4)
        import ctypes

        source = ctypes.create_string_buffer(host, 8)
        orch.copy_to(1, pointer + 8, ctypes.addressof(source), 8)
        args = TaskArgs()
        for _ in range(2):
            args.add_tensor(ContinuousTensor.make(pointer + 8, (2,), DataType.FLOAT32, child_memory=True))
        args.add_tensor(w.make_tensor_arg(out, (2,), 0), OUT)
        orch.submit_next_level(chip, args, cfg, worker=1)
        orch.free(1, pointer)

    w.run(orch_fn)
    assert of(out) == [6, 8]
    assert scalar_to_uint64(1.0) == 0x3F800000


def test_shared_memory_is_told_from_what_a_child_would_have_a_copy_of():
    both = mmap.mmap(-1, 1 << 16)
    own = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for memory, shared_with_children in ((both, True), (own, False), (array.array("f", [0]), False)):
        address, nbytes, _ = raw.span(memory)
        for at, size in ((address, nbytes), (address, 0), (address + nbytes - 1, 1)):
            assert _host_memory.is_shared(at, size) is shared_with_children
            assert _host_memory.is_mapped(at, size)
    address, nbytes, _ = raw.span(both)
    assert not _host_memory.is_shared(address, 1 << 46) and not _host_memory.is_mapped(address, 1 << 46)
    for nowhere in (0, 1 << 46):
        assert not _host_memory.is_shared(nowhere, 8) and not _host_memory.is_mapped(nowhere, 8)


def test_whether_memory_is_shared_is_asked_once_while_it_lives(monkeypatch):
    asked = []
    monkeypatch.setattr(_host_memory, "is_shared", lambda *memory: asked.append(memory) or len(asked) > 1)
    sharing, one = _host_memory.Sharing(), array.array("f", [0])
    assert not sharing(one, 4096, 4) and not sharing(one, 4096, 4) and len(asked) == 1
    del one
    other = array.array("f", [0])  # whatever lies there now
    assert sharing(other, 4096, 4) and sharing(other, 4096, 4) and len(asked) == 2

    class Tensor(array.array):
        def is_shared(self):
            return True

    assert sharing(Tensor("f"), 8192, 4) and len(asked) == 2
