"""What a System, a node and a pod can be asked for: records, chips that come and go, chips from configuration."""

import json
import os
import threading
from multiprocessing import shared_memory

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import args, in_, inout, out, scalar, testing

BLOCKS = """
TROUPE_KERNEL(which_block)(KernelArgs& k) { k.tensor<std::int32_t>(0)[k.block_idx()] = k.block_idx() + 1; }
TROUPE_KERNEL(falls)(KernelArgs& k) { *reinterpret_cast<volatile int*>(8) = k.scalar<std::int32_t>(0); }
"""


def scale(node, x, by=2.0, **options):
    return node.submit("scale", inout(x), scalar(by), **options)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_log_lines_go_to_a_function():
    lines, threads = [], set()

    def log(level, path, text):
        lines.append((level, path, text))
        threads.add(threading.current_thread() is threading.main_thread())
        raise ValueError("nobody minds")

    with troupe.System(chips=1, log=log, log_level="debug") as system:
        node = system.node()
        node.load(KERNELS)
        testing.kill(node, 0)
        node.run(lambda node: scale(node, node.tensor(1), retry=3, idempotent=True))
    assert lines and threads == {False}
    assert all(isinstance(level, int) and isinstance(path, str) and text for level, path, text in lines)
    assert any("chip0" in path + text for _, path, text in lines)
    count = len(lines)
    assert system.closed and len(lines) == count
    with pytest.raises(troupe.Error, match="a function of"):
        troupe.System(log="standard error")


def test_a_trace_is_looked_at_without_a_file(tmp_path):
    trace = troupe.Trace()
    trace.describe("what", "a test of traces")
    with troupe.System(trace=trace) as system:
        node = system.node()
        node.load(KERNELS)
        node.run(lambda node: scale(node, node.tensor(1), name="seen"))
    told = json.loads(trace.json())
    assert any("seen" in json.dumps(event) for event in told["traceEvents"])
    assert "a test of traces" in trace.json() and "spans" in repr(trace)
    trace.write(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text()) == told
    with pytest.raises(troupe.Error):
        trace.write(tmp_path / "nowhere" / "trace.json")


def test_tensors_are_dumped_to_a_folder(tmp_path):
    for folder, options, names in [("all", {}, {"scale", "add"}), ("some", {"dump_only": "sc*"}, {"scale"})]:
        with troupe.System(dump=tmp_path / folder, **options) as system:
            node = system.node()
            node.load(KERNELS)

            def program(node):
                x = node.tensor(4, fill=1.0)
                scale(node, x)
                node.submit("add", in_(x), in_(x), out(node.alloc(4)))

            node.run(program)
        lines = [json.loads(line) for line in (tmp_path / folder / "tensors.jsonl").read_text().splitlines()]
        assert {line["name"] for line in lines[1:]} == names
        assert (tmp_path / folder / "tensors.bin").stat().st_size > 0
    with pytest.raises(troupe.Error, match="dump_only without dump"):
        troupe.System(dump_only="x")
    with pytest.raises(troupe.Error):
        troupe.System(dump=tmp_path / "all")  # which holds one already


def test_a_crash_says_what_it_was_inside_of(run_python):
    code, out, err = run_python(
        f"""
        import troupe
        with troupe.System(report_crashes=True) as system:
            node = system.node()
            node.load(troupe.kernel({BLOCKS!r}))
            node.run(lambda node: node.submit("falls", troupe.scalar(3), name="the one that falls"))
        """
    )
    assert code != 0 and "falls" in err, err


def test_a_submit_says_how_wide_and_on_how_much_of_the_chip(node):
    node.load(troupe.kernel(BLOCKS))
    config = troupe.CallConfig(block_dim=8, aicpu_thread_num=2)
    assert (config.block_dim, config.aicpu_thread_num) == (8, 2)
    assert (config.enable_profiling, config.enable_dump_tensor) == (False, False)
    assert troupe.CallConfig(enable_profiling=True, enable_dump_tensor=True).enable_dump_tensor
    x = node.tensor(4, "int32")
    node.run(lambda node: node.submit("which_block", inout(x), blocks=4, config=config))
    assert x.numpy().tolist() == [1, 2, 3, 4]
    for wrong in [{"block_dim": 0}, {"block_dim": 100000}, {"aicpu_thread_num": -1}]:
        with pytest.raises(troupe.Error) as raised:
            troupe.CallConfig(**wrong)
        assert raised.value.code == "invalid_call_config"
    with pytest.raises(troupe.Error) as raised:
        node.run(lambda node: node.submit("which_block", inout(x), config=troupe.CallConfig(block_dim=4096)))
    assert raised.value.root.code == "capacity_exceeded"
    with pytest.raises(troupe.Error, match="CallConfig"):
        node.run(lambda node: node.submit("which_block", inout(x), config=8))


def test_chips_sub_workers_and_nodes_come_and_go(system):
    node = system.node(name="growing", chips=1, sub_workers=1)
    node.load(KERNELS)
    chip = node.add_chip("a2a3sim", 7, credit=2, abort_grace=1.0, device_options={"checked": "1"})
    sub = node.add_sub_worker(abort_grace=1.0)
    names = [child.name for child in node.status().children]
    assert node.chips == 2 and len(names) == 4 and sub != chip
    meet = threading.Barrier(2)  # passes only when two functions are inside at once
    node.run(lambda node: [node.submit_sub(lambda x: meet.wait(60), in_(node.tensor(1))) for _ in range(2)])
    x = node.tensor(1, fill=1.0)
    node.run(lambda node: scale(node, x, on_chip=chip))
    assert x.numpy()[0] == 2
    own = node.add_chip(own_process=True)
    node.run(lambda node: scale(node, x, on_chip=own))
    assert x.numpy()[0] == 4 and node.chips == 3
    for number in [chip, sub, own]:
        node.remove_executor(number)
    assert node.chips == 1
    for wrong in [{"platform": "nosuch"}, {"device_options": {"nonsense": "1"}}, {"credit": 0}]:
        with pytest.raises(troupe.Error):
            node.add_chip(**wrong)

    pod = system.pod(1)
    number = pod.add_node(name="late", chips=1)
    assert pod.chips == 2
    y = pod.tensor(1, fill=1.0)

    async def on_a_node(node, y):
        path = node.path
        node.submit_sub(lambda a: np.add(a, len(path), out=a), inout(y))

    pod.run(lambda pod: pod.submit(on_a_node, inout(y), on_chip=number))
    assert y.numpy()[0] == 1 + len("pod0/late")
    with pytest.raises(troupe.Error, match="no option"):
        pod.add_node(colour="red")


def test_a_pod_may_have_pods_in_it():
    with troupe.System(chips=1) as system:
        pod = system.pod([{"name": "front"}], name="hall", workers=[{"name": "rack", "nodes": 2, "sub_workers": 1}])
        assert pod.chips == 2 and pod.name == "hall"
        children = {child.name: child for child in pod.status().children}
        assert len([c for c in children["rack"].children if c.name.startswith("node")]) == 2
        x = pod.tensor(1)

        async def on_node(node, x):
            node.submit_sub(lambda a: np.add(a, 1, out=a), inout(x))

        def on_rack(rack, x):
            assert rack.path == "hall/rack" and rack.chips == 2
            rack.submit(on_node, inout(x), on_chip=0)
            rack.submit(on_node, inout(x), on_chip=1)

        handle = pod.submit(lambda pod: pod.submit(on_rack, inout(x), on_chip=1))
        handle.result()
        assert x.numpy()[0] == 2
        report = handle.report()
        assert (report.tasks, report.completed) == (1, 1) and report.inside >= 2
        with pytest.raises(troupe.Error):
            system.pod(0, workers=[{"nodes": 1, "name": "twice"}, {"nodes": 1, "name": "twice"}])


@pytest.fixture
def staging():
    made = [shared_memory.SharedMemory(create=True, size=32) for _ in range(4)]
    yield made
    for one in made:
        one.close()
        one.unlink()


def test_chips_come_up_from_configuration(staging, tmp_path):
    inputs, outputs = staging[:2], staging[2:]
    for rank, one in enumerate(inputs):
        np.frombuffer(one.buf, "f4")[:] = 1 + rank

    def config(rank):
        return {
            "comm": {"rank": rank, "nranks": 2, "rootinfo_path": str(tmp_path / "root"), "window_size": 4096},
            "buffers": [{"name": "x", "count": 8, "nbytes": 32, "load_from_host": True, "store_to_host": True}],
            "host_inputs": [{"name": "x", "shm_name": inputs[rank].name, "size": 32}],
            "host_outputs": [{"name": "x", "shm_name": outputs[rank].name, "size": 32}],
        }

    with troupe.System(chips=2) as system:
        node = system.node(chip_bootstrap_configs=[config(0), config(1)])
        node.load(KERNELS)
        contexts = node.chip_contexts()
        assert [(one["device_id"], one["rank"], one["nranks"]) for one in contexts] == [(0, 0, 2), (1, 1, 2)]
        assert all(one["buffer_ptrs"]["x"] != 0 and one["actual_window_size"] >= 4096 for one in contexts)

        def program(node):
            domain = node.configured_domain()
            assert len(domain) == 2 and len(node.configured_domain(1)) == 2
            for rank in range(2):
                scale(node, domain.rank(rank).buffer("x"), 10.0)
            return [node.read(domain.rank(rank).buffer("x")).get() for rank in range(2)]

        assert node.run(program) == [10, 20]
        node.store_to_host("x")
        assert [np.frombuffer(one.buf, "f4").tolist() for one in outputs] == [[10] * 8, [20] * 8]
        with pytest.raises(troupe.Error):
            node.store_to_host("y")
        plain = system.node(name="plain")
        with pytest.raises(troupe.Error) as raised:
            plain.chip_contexts()
        assert raised.value.code == "wrong_state"
        with pytest.raises(troupe.Error):
            plain.run(lambda node: node.configured_domain())
        for wrong in [{"colour": "red"}, {"comm": {"rank": 0}}, {"buffers": [{"name": "x", "size": 3}]}]:
            with pytest.raises(troupe.Error):
                system.node(name="wrong", chip_bootstrap_configs=[wrong, wrong])


def test_a_tensor_has_its_place_on_a_chip(node):
    def program(node):
        x = node.device_tensor((4, 4), "float32", on_chip=1)
        assert isinstance(x, troupe.Tensor) and x.shape == (4, 4)
        node.submit("mark", out(x.reshape(16)), scalar(3.0))
        with pytest.raises(troupe.Error):
            node.device_tensor(1, on_chip=7)
        return node.read_all(x).get()

    assert (node.run(program) == 3).all()


def test_members_of_a_group_say_where_they_run(node):
    def program(node):
        a, b = node.tensor(1, fill=1.0), node.tensor(1, fill=1.0)
        members = [args(inout(a), scalar(2.0)), args(inout(b), scalar(3.0))]
        assert members[0].chip == -1
        members[0].chip, members[1].chip = 1, 0
        node.submit_group("scale", members)
        return node.read(a).get(), node.read(b).get()

    assert node.run(program) == (2, 3)


def test_programs_that_share_a_domain_meet_at_its_barrier(node):
    order = []

    async def program(node):
        domain = await node.allocate_domain([0, 1], {"x": 64})

        async def speaks_for(rank):
            order.append(rank)
            return node.barrier(domain, rank)

        first, second = await speaks_for(0), await speaks_for(1)
        with pytest.raises(troupe.Error):
            await node.barrier(domain, 7)
        return repr(first), repr(second)

    assert node.run(program) == ("<troupe.Wait at a barrier>",) * 2 and order == [0, 1]

    async def alone(node):
        domain = await node.allocate_domain([1], {"x": 64})
        await node.barrier(domain, 0)  # the only rank is there
        return "went on"

    assert node.run(alone) == "went on"


def test_no_dep_is_no_order_and_out_like_is_a_new_tensor(node):
    seen = []

    async def program(node):
        x = node.tensor(4, fill=2.0)
        y = node.submit("add", in_(x), in_(x), node.out_like(x))
        await y
        blocked = threading.Event()
        waits = node.submit_sub(lambda a: blocked.wait(60), inout(x), name="holds it")
        free = node.submit_sub(lambda a: (seen.append(a.tolist()), blocked.set()), troupe.no_dep(x))
        await free  # would wait for the other for ever, if there were an order
        await waits

    node.run(program)
    assert seen == [[2, 2, 2, 2]]

    async def context(node):
        domain = await node.allocate_domain([0, 1], {"x": 64})
        return repr(troupe.no_dep(domain.rank(0).context()))

    assert "domain" in node.run(context)


def test_views_have_the_strides_of_their_elements(node):
    x = node.tensor((4, 6))
    x.numpy()[:] = np.arange(24).reshape(4, 6)
    assert x.strides == (6, 1) and x.transpose().strides == (1, 6) and x.T.strides == (1, 6)
    assert x[:, 2:4].strides == (6, 1) and x.rows(1, 3).shape == (2, 6)
    assert x.rows(1, 3).numpy().tolist() == x.numpy()[1:3].tolist()
    node.run(lambda node: scale(node, x.transpose()[2:3], 10.0))
    assert x.numpy()[:, 2].tolist() == [20, 80, 140, 200]
    with pytest.raises(troupe.Error):
        x.rows(3, 9)


def test_a_status_tells_what_happens_now(node):
    before = node.status()
    started, go_on = threading.Event(), threading.Event()

    def program(node):
        x = node.tensor(1024)
        scale(node, x, on_chip=0).wait()
        with pytest.raises(troupe.Error):
            node.submit("refuse", inout(node.tensor(1)), on_chip=0).wait()
        node.submit_sub(lambda x: (started.set(), go_on.wait(60)), in_(x), name="holds it")

    handle = node.submit(program)
    started.wait(60)
    now = node.status()
    chip, sub = now.children[0], next(child for child in now.children if child.running)
    assert before.runs == 0 and now.runs == 1
    assert (chip.completed, chip.failed, chip.queued, chip.running, chip.restarts) == (1, 1, 0, 0, 0)
    assert chip.state == "up" and chip.windows == 0 and chip.memory_peak >= chip.memory_used
    assert chip.memory_cached >= 0 and sub.name.startswith("sub") and any("holds it" in line for line in sub.busy)
    assert "holds it" in repr(now) and repr(now).startswith("node0: ")
    go_on.set()
    handle.result()


def test_a_report_tells_how_it_was(node):
    def program(node):
        x = node.tensor(1)
        bad = node.submit("refuse", inout(x))
        for i in range(3):
            scale(node, x, name=f"in vain {i}")
        scale(node, node.tensor(1))
        return bad

    handle = node.submit(program)
    handle.wait()
    report = handle.report()
    assert (report.tasks, report.all_poisoned, report.inside) == (5, 3, 0)
    assert sorted(report.poisoned) == ["in vain 0", "in vain 1", "in vain 2"]
    assert report.completed == 1 and report.retried == 0 and report.error.code == "task_failed"
    assert report.waiting == [] and report.unfinished == 0

    hangs = node.submit(lambda node: [node.submit("hang", inout(node.tensor(1))), node.drain()])
    while "hang" not in hangs.why():
        pass
    hangs.cancel()
    report = hangs.report()
    assert report.error.code == "cancelled" and report.unfinished == 1 and "hang" in report.waiting[0]


def test_handles_wait_with_a_timeout_and_know_why(node):
    def program(node):
        task = node.submit("hang", inout(node.tensor(1)), name="the one")
        node.flush()
        task.wait()

    handle = node.submit(program)
    while "the one" not in handle.why(1):
        pass
    assert not handle.done
    handle.cancel()
    assert handle.wait() is True and handle.done


def test_arguments_have_values_and_types():
    assert scalar(3).value == 3 and scalar(3).type == "i64"
    module = troupe.kernel(BLOCKS, name="blocks")
    assert isinstance(module, troupe.Module) and module.path.endswith(".so") and os.fspath(module) == module.path
    assert module.path in repr(module)

    @troupe.host_function
    @troupe.program
    def one(node, steps=3):
        pass

    assert troupe.parameters_of(one) == [("steps", 3, True)]


def test_what_takes_long_lets_others_run_python(node):
    """With an interval that never ends, another thread runs Python only while this one has let go of it."""
    import itertools
    import sys

    number = itertools.count()
    before = sys.getswitchinterval()
    array = np.zeros(1 << 20, "f4")
    sys.setswitchinterval(1e6)
    try:
        for what in [
            lambda: node.tensor(1 << 22, fill=1.0),
            lambda: node.tensor(1 << 22),
            lambda: node.run(lambda node: node.tensor(1 << 22, fill=1.0)),
            lambda: node.add_function(f"function {next(number)}", lambda: None),
            lambda: node.add_kernel(f"kernel {next(number)}", b"no object"),
            lambda: node.run(lambda node: scale(node, array)),
        ]:
            ran = []
            for attempt in range(10000):
                start = threading.Lock()
                start.acquire()
                thread = threading.Thread(target=lambda: (start.acquire(), ran.append(attempt)))
                thread.start()
                start.release()  # it is ready to run, and may not yet
                what()
                happened = bool(ran)
                thread.join()
                if happened:
                    break
            assert happened
    finally:
        sys.setswitchinterval(before)
