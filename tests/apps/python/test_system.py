"""Systems, nodes, chips, pods: options, ends of life, errors as exceptions."""

import gc
import pickle
import re
import threading

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import in_, inout, out, scalar


def test_unknown_options_are_refused_with_the_known_ones():
    with pytest.raises(troupe.Error, match="platform"):
        troupe.System(plattform="a2a3sim")
    with troupe.System() as system:
        with pytest.raises(troupe.Error, match="chips"):
            system.node(chip=1)
        for wrong in [{"chips": -1}, {"chips": 2**40}, {"platform": "nosuch"}, {"sub_workers": -1}]:
            with pytest.raises(troupe.Error):
                system.node(**wrong)
    with pytest.raises(troupe.Error):
        troupe.System(log_level="loud")
    for wrong, sentence in [
        ({"threads": "many"}, "threads is a whole number, and 'many' is none"),
        ({"chips": "two"}, "chips is a whole number, and 'two' is none \\(bad_argument\\)\n  hint: write chips=4"),
        ({"chips": 2.5}, "chips is a whole number, and 2.5 is none"),
        ({"abort_grace": "soon"}, "abort_grace is a number of seconds, and 'soon' is none"),
        ({"device_options": 3}, "device_options is a dict of names and values, and 3 is none"),
        ({"remote": 3}, "remote is a list of addresses"),
        ({"own_process": "no"}, "own_process is True or False, and 'no' is neither"),
    ]:
        with pytest.raises(troupe.Error) as raised:
            troupe.System(**wrong)
        assert re.search(sentence, str(raised.value)), raised.value
    with troupe.System() as system:
        for wrong in ["two", 2.5, [3]]:
            with pytest.raises(troupe.Error, match="nodes says how many, or is a list"):
                system.pod(wrong)


def test_a_closed_system_says_so():
    system = troupe.System()
    node = system.node()
    assert not system.closed and repr(system) == "<troupe.System>"
    system.close()
    system.close()
    assert system.closed
    for call in [system.node, system.actors, lambda: node.run(lambda node: 1), lambda: node.submit(lambda node: 1),
                 lambda: node.load(KERNELS), node.status, lambda: node.chip(0), lambda: system.pod(2)]:
        with pytest.raises(troupe.Error) as raised:
            call()
        assert raised.value.code == "shut_down"
    assert node.name == "node0"


def test_a_node_keeps_its_system():
    node = troupe.System().node()
    gc.collect()
    assert node.run(lambda node: node.chips) == 1


def test_a_program_cannot_close_its_system(system, node):
    def program(node):
        with pytest.raises(troupe.Error) as raised:
            system.close()
        assert raised.value.code == "wrong_state"

    node.run(program)


def test_a_system_that_goes_inside_a_program_ends_later(node):
    def program(node):
        other = troupe.System()
        other.node().run(lambda node: None)
        del other
        gc.collect()

    node.run(program)


def test_del_in_any_order():
    for order in ["snhv", "vhns", "nsvh", "hvsn", "svnh"]:
        things = {"s": troupe.System(chips=1)}
        things["n"] = things["s"].node()
        things["n"].load(KERNELS)
        things["v"] = things["n"].tensor(4, fill=1.0).numpy()
        things["h"] = things["n"].submit(lambda node, x: node.submit("scale", inout(x), scalar(2.0)), things["v"])
        for name in order:
            del things[name]
            gc.collect()


def test_two_systems_do_not_notice_each_other(node):
    with troupe.System(chips=1) as other:
        second = other.node()
        assert second.run(lambda node: 2) == 2
    assert node.run(lambda node: 1) == 1


def test_an_error_has_code_message_hint_path_and_causes(node):
    with pytest.raises(troupe.Error) as raised:
        node.run(lambda node: node.submit("refuse", name="mine"))
    error = raised.value
    assert error.code == "task_failed" and error.number == 3001
    assert "mine" in error.message and "node0" in error.path
    assert isinstance(error.__cause__, troupe.Error) and "this kernel refuses" in str(error.root)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message, again.hint, again.path) == (error.code, error.message, error.hint, error.path)
    with pytest.raises(troupe.Error) as raised:
        node.run(lambda node: node.submit("nobody"))
    assert raised.value.code == "unknown_callable"


def test_options_of_a_submit_are_checked(node):
    def program(node):
        x = node.tensor(1)
        for options, code in [
            ({"on_chip": 7}, "no_such_chip"),
            ({"on_chip": -1}, "no_such_chip"),
            ({"retry": 1}, "retry_refused"),
            ({"priority": 1000}, "bad_argument"),
            ({"deadline": -1}, "bad_argument"),
            ({"deadline": float("nan")}, "bad_argument"),
            ({"deadline": "soon"}, "bad_argument"),
            ({"on_chip": "two"}, "bad_argument"),
            ({"priority": 1.5}, "bad_argument"),
            ({"colour": "red"}, "bad_argument"),
            ({"after": 3}, None),
            ({"after": [None]}, "bad_argument"),
            ({"on_chip": 2**70}, "bad_argument"),
        ]:
            with pytest.raises((troupe.Error, TypeError)) as raised:
                node.submit("scale", inout(x), scalar(1.0), **options)
            if code is not None:
                assert raised.value.code == code, options
        with pytest.raises(troupe.Error, match="deadline is a number of seconds, and nan is none"):
            node.submit("scale", inout(x), scalar(1.0), deadline=float("nan"))
        first = node.submit("scale", inout(x), scalar(1.0), name="first", priority=3, deadline=60, on_chip=1)
        node.submit("scale", inout(x), scalar(1.0), after=first, retry=2, idempotent=True)
        node.submit("scale", inout(x), scalar(1.0), after=[first, first], blocks=1)
        assert first.number == 1 and "Task 1" in repr(first)

    node.run(program)


def test_a_chip_by_itself(node):
    chip = node.chip(1)
    d = chip.malloc((2, 2))
    chip.copy_to(d, np.ones((2, 2), "f4"))
    chip.run("scale", inout(d), scalar(4.0))
    back = np.zeros((2, 2), "f4")
    chip.copy_from(back, d)
    assert (back == 4).all() and chip.index == 1
    node.run(lambda node: node.submit("scale", inout(d), scalar(2.0)))
    assert node.run(lambda node: node.read(d).get()) == 8
    with pytest.raises(troupe.Error):
        d.numpy()
    with pytest.raises(troupe.Error):
        node.chip(9)
    chip.reset()


def test_data_tasks_say_more(node):
    async def program(node):
        x, y = node.tensor(8), node.tensor(8)
        node.fill(x, 3.0, name="filled")
        node.prefetch(x, 1)
        node.pin(x, on_chip=1)
        node.submit("scale", inout(x), scalar(2.0), on_chip=1)
        node.copy(y, x)
        node.evict(x)
        await node.fetch(y)
        assert (y.numpy() == 6).all()
        with pytest.raises(troupe.Error):
            node.copy(node.tensor(3), x)
        with pytest.raises((troupe.Error, TypeError)):
            node.fill(node.tensor(1, "int32"), 1.5)

    node.run(program)


def test_a_group_runs_together(node):
    def program(node):
        a, b = node.tensor(2), node.tensor(2)
        node.submit_group("mark", [troupe.args(out(a), scalar(1.0)), troupe.args(out(b), scalar(2.0))], name="both")
        node.submit_group("scale", [troupe.args(inout(a), scalar(10.0)), troupe.args(inout(b), scalar(10.0))], [1, 0])
        with pytest.raises(troupe.Error) as raised:
            node.submit_group("scale", [troupe.args(inout(node.tensor(1)), scalar(1.0)) for _ in range(3)])
        assert raised.value.code == "group_too_large"
        with pytest.raises(troupe.Error, match="args"):
            node.submit_group("scale", [inout(a)])
        return node.read(a).get(), node.read(b).get()

    assert node.run(program) == (10, 20)


def test_a_pod_runs_programs_on_its_nodes():
    with troupe.System(chips=1) as system:
        pod = system.pod(2)

        async def double(node, x, by, name):
            y = node.alloc(x.shape)
            node.submit_sub(lambda a, b: np.multiply(a, by, out=b), in_(x), out(y))
            node.copy(x, y)
            await node.drained()

        def both(pod, left, right):
            pod.submit(double, inout(left), scalar(2.0), scalar(1))
            pod.submit(double, inout(right), scalar(3.0), scalar(1), on_chip=1)

        left, right = pod.tensor(4, fill=1.0), pod.tensor(4, fill=1.0)
        pod.run(both, left, right)
        assert (left.numpy() == 2).all() and (right.numpy() == 3).all()
        assert pod.chips == 2


def test_status_and_chips_that_come_and_go(node):
    status = node.status()
    assert status.name == "node0" and [child.name for child in status.children][:2] == ["chip0", "chip1"]
    assert "chip0" in repr(status)
    number = node.add_chip("a2a3sim", 5)
    assert node.chips == 3
    node.remove_executor(number)
    assert node.chips == 2


def test_no_actor_is_left_behind(system):
    node = system.node(name="passing")
    before = system.actors()
    for _ in range(50):
        node.run(lambda node: None)
    assert system.actors() <= before + 2


def test_a_trace_is_written(tmp_path):
    file = tmp_path / "trace.json"
    with troupe.System(trace=file) as system:
        node = system.node()
        node.load(KERNELS)
        node.run(lambda node: node.submit("scale", inout(node.tensor(1)), scalar(1.0), name="seen in the trace"))
    assert "seen in the trace" in file.read_text()


def test_close_from_another_thread_ends_what_waits():
    system = troupe.System(chips=1)
    node = system.node()
    node.load(KERNELS)
    waiting = threading.Event()
    errors = []

    def work():
        async def program(node):
            task = node.submit("hang", inout(node.tensor(1)))
            waiting.set()
            await task

        try:
            node.run(program)
        except troupe.Error as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    waiting.wait()
    system.close()
    thread.join(60)
    assert len(errors) == 1
