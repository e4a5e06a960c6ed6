"""Level 4: workers of workers, in one process."""

import pytest
from compat_support import IN, OUT, of, packed, shared, task

from simpler.task_interface import DataType
from simpler.worker import RemoteCallable, RemoteWorkerSpec, Worker


def double(args):
    a, b = (memoryview(arg.buffer).cast("f") for arg in args)
    for i in range(len(b)):
        b[i] = 2 * a[i]


def test_functions_run_in_the_workers_below(worker, platform):
    ins, outs, total = [shared([1, 2]), shared([3, 4])], [shared([0, 0]) for _ in range(2)], shared([0, 0])
    children = [worker(3, init=False, platform=platform, device_ids=[0], num_sub_workers=1) for _ in range(2)]
    chips, subs = [child.register(packed("add")) for child in children], [child.register(double) for child in children]
    top = worker(4, init=False, num_sub_workers=1)
    assert [top.add_worker(child) for child in children] == [0, 1]

    def on_node(index):
        def orch_fn(orch, args, cfg):
            a, b = args.tensor(0), args.tensor(1)
            between = orch.alloc((2,), DataType.FLOAT32).tensor((2,), DataType.FLOAT32)
            orch.submit_next_level(chips[index], task(children[index], (a, IN), (a, IN), (between, OUT)), cfg, worker=0)
            orch.submit_sub(subs[index], task(children[index], (between, IN), (b, OUT)))

        return orch_fn

    nodes = [top.register(on_node(index)) for index in range(2)]
    last = top.register(lambda args: memoryview(args[2].buffer).cast("f").__setitem__(
        0, memoryview(args[0].buffer).cast("f")[0] + memoryview(args[1].buffer).cast("f")[0]))
    top.init()

    def orch_fn(orch, args, cfg):
        for i in range(2):
            orch.submit_next_level(nodes[i], task(top, (ins[i], IN), (outs[i], OUT)), cfg, worker=i)
        orch.submit_sub(last, task(top, (outs[0], IN), (outs[1], IN), (total, OUT)))

    for _ in range(2):
        top.run(orch_fn)
    assert of(outs[0]) == [4, 8] and of(outs[1]) == [12, 16] and of(total)[0] == 16


def test_a_group_over_workers_and_what_fails_below(worker):
    outs = [shared([0]), shared([0])]
    children = [worker(3, init=False, device_ids=[0], num_sub_workers=1) for _ in range(2)]
    fatal, double_there = children[1].register(packed("fatal")), [child.register(double) for child in children]
    top = worker(4, init=False)
    for child in children:
        top.add_worker(child)
    one = shared([4])

    def each(orch, args, cfg):
        orch.submit_sub(double_there[args.scalar(0)], task(children[args.scalar(0)], (args.tensor(0), IN), (args.tensor(1), OUT)))

    def bad(orch, args, cfg):
        orch.submit_next_level(fatal, task(children[1], scalars=[8]), cfg, worker=0)

    group, fails = top.register(each), top.register(bad)
    top.init()
    top.run(lambda orch, args, cfg: orch.submit_next_level_group(
        group, [task(top, (one, IN), (outs[i], OUT), scalars=[i]) for i in range(2)], cfg, workers=[0, 1]))
    assert of(outs[0]) == of(outs[1]) == [8]
    with pytest.raises(RuntimeError, match="run failed with code -8"):
        top.run(lambda orch, args, cfg: orch.submit_next_level(fails, task(top), cfg, worker=1))
    with pytest.raises(ValueError):
        top.run(lambda orch, args, cfg: orch.submit_next_level(fails, task(top), cfg, worker=2))


def test_workers_are_added_in_time_and_once(worker):
    child = worker(3, init=False)
    with pytest.raises(RuntimeError):
        child.add_worker(worker(3, init=False))
    top = worker(4, init=False)
    top.add_worker(child)
    with pytest.raises(RuntimeError):
        top.add_worker(child)
    with pytest.raises(RuntimeError):
        top.add_worker(worker(3))
    top.init()
    with pytest.raises(RuntimeError):
        top.add_worker(worker(3, init=False))
    with pytest.raises(ValueError):
        Worker(level=4, device_ids=[0], platform="a2a3sim", runtime="host_build_graph").init()


def test_other_machines_are_refused_with_a_sentence(worker):
    top = worker(4, init=False)
    for call in (lambda: top.add_remote_worker(RemoteWorkerSpec()), lambda: top.add_mpirun_worker_group(),
                 lambda: top.remote_malloc(0, 4), lambda: top.register(RemoteCallable("a.b"))):
        with pytest.raises(NotImplementedError, match="machines"):
            call()
