"""Plans of a pod: its program is recorded, and each of its submits is a step, which runs a program on a node."""

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import Slot, in_, inout, out, scalar


def add_on_node(node, x, by):
    node.submit_sub(lambda x, by: np.add(x, by, out=x), inout(x), scalar(by))


async def add_and_wait(node, x, by):
    await node.submit_sub(lambda x, by: np.add(x, by, out=x), inout(x), scalar(by))


def fill_on_node(node, y):
    node.fill(y, 1.0)


def copy_on_node(node, x, y):
    node.copy(y, x)


@pytest.fixture
def pod():
    with troupe.System(chips=1) as system:
        made = system.pod(2)
        made.load(KERNELS)
        yield made


@pytest.mark.parametrize("part", [add_on_node, add_and_wait])
def test_a_pods_program_is_replayed_with_other_arrays_and_numbers(pod, part):
    def program(pod, x, y, by):
        pod.submit(part, inout(x), scalar(by), on_chip=0)
        pod.submit(part, inout(x), scalar(1.0), on_chip=1)
        pod.submit(copy_on_node, in_(x), out(y), on_chip=0)

    x, y = np.zeros(8, "f4"), np.zeros(8, "f4")
    plan = pod.record(program, x, y, Slot(2.0))
    assert (plan.tasks, plan.steps) == (3, 3) and (x == 3).all() and (y == 3).all()
    for i in range(20):
        x, y = np.full(8, i, "f4"), np.zeros(8, "f4")
        if i % 2:
            pod.run(plan, x, y, float(i))
        else:
            pod.submit(plan, x, y, float(i)).result()
        assert (x == 2 * i + 1).all() and (y == x).all()

    def outer(pod, x, y):
        pod.submit(plan, inout(x), out(y), 1.0)
        pod.submit(plan, inout(y), out(x), 2.0)

    pod.run(outer, x, y)
    assert (y == 2 * 19 + 1 + 2 + 3).all() and (x == y).all()


def test_what_such_a_plan_cannot_is_said(pod, tmp_path):
    def program(pod, x):
        pod.submit(add_on_node, inout(x), scalar(1.0))

    plan = pod.record(program, np.zeros(4, "f4"))
    with pytest.raises(troupe.Error, match="add_on_node"):
        plan.save(tmp_path / "pod.tplan")
    with pytest.raises(troupe.Error):
        pod.run(plan, np.zeros(5, "f4"))

    def fails(node, x):
        raise ValueError("on purpose")

    def failing(pod, x):
        pod.submit(fails, inout(x))

    with pytest.raises(troupe.Error, match="on purpose"):
        pod.record(failing, np.zeros(4, "f4"))


def test_a_plan_says_what_a_replay_is_given(pod):
    def program(pod, x, y, by, times):
        for _ in range(times):
            pod.submit(add_on_node, inout(x), scalar(by))
        pod.submit(fill_on_node, out(y))

    plan = pod.record(program, np.zeros(4, "f4"), np.zeros((2, 2), "f4"), Slot(2.0), 3)
    x, y, by, times = plan.parameters
    assert (x.kind, x.dtype, x.shape, x.reads, x.writes, x.value) == ("tensor", "float32", (4,), True, True, None)
    assert (y.shape, y.reads, y.writes) == ((2, 2), False, True)
    assert (by.kind, by.dtype, by.value, by.shape) == ("slot", "float32", 2.0, None)
    assert (times.kind, times.dtype, times.value) == ("number", "int64", 3)
    assert repr(x) == "<troupe.PlanParameter tensor, float32(4,)>" and repr(by) == "<troupe.PlanParameter slot, float32 2.0>"
    with pytest.raises(troupe.Error, match="not made by calling"):
        troupe.PlanParameter()
