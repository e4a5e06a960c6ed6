"""A program that has to wait for room has let go of Python: what ends its tasks may be Python, too."""

import pytest
from conftest import KERNELS

# Each in an interpreter of its own: one that waits with Python in its hands waits for good.
START = f"""
import troupe
from troupe import args, in_, inout, out
system = troupe.System(chips=2, sub_workers=1)
node = system.node(soft_limit=700)
node.load({KERNELS!r})
def more(x):
    x += 1
"""

PLAN = """
acc = node.tensor(1)
def step(node, x):
    for _ in range(1000):
        node.submit_sub(more, inout(x))
plan = node.record(step, acc)
"""


def test_a_plan_of_more_steps_than_there_is_room_for(run_python):
    code, out, err = run_python(
        START
        + PLAN
        + """
assert plan.steps == 1000 and acc.numpy()[0] == 1000
def prog(node):
    node.submit(plan, inout(acc))
node.run(prog)
node.run(plan, acc)
print(acc.numpy()[0])
"""
    )
    assert (code, out) == (0, "3000.0\n"), err


def test_a_program_that_is_recorded_with_more_tasks_than_there_is_room_for(run_python):
    code, out, err = run_python(
        START
        + """
acc = node.tensor(1)
def step(node, x):
    for _ in range(1000):
        node.submit_sub(more, inout(x))
async def waits(node, x):
    step(node, x)
def program(node):
    for one in (step, waits):
        node.submit_sub(more, inout(acc))
        node.record(one, acc)
        node.submit_sub(more, inout(acc))
node.run(program)
print(node.record(waits, acc).tasks, acc.numpy()[0])
"""
    )
    assert (code, out) == (0, "1000 3004.0\n"), err


@pytest.mark.parametrize("call", ["submit_group", "raw"])
def test_a_group_that_copies_more_between_chips_than_there_is_room_for(run_python, call):
    code, out, err = run_python(
        START.replace("chips=2", "chips=24")
        + f"call = {call!r}"
        + """
from troupe._core import _raw
acc, there = node.tensor(1), node.chip(0).malloc(1)
sums = [node.tensor(1) for _ in range(24)]
# What lies on chip 0 is copied to each of the others, once for each argument.
members = [[in_(there), in_(there), out(total), *[in_(there)] * 29] for total in sums]
def prog(node):
    for _ in range(90):
        node.submit_sub(more, inout(acc))
    node.copy(there, acc)
    if call == "raw":
        _raw.submit_group(node, "add", [tuple(member) for member in members], list(range(24)))
    else:
        node.submit_group("add", [args(*member) for member in members], chips=list(range(24)))
node.run(prog)
print({float(total.numpy()[0]) for total in sums})
"""
    )
    assert (code, out) == (0, "{180.0}\n"), err


def test_a_program_on_a_node_of_a_pod_that_has_less_room_than_the_others(run_python):
    code, out, err = run_python(
        START
        + """
pod = system.pod(1)
number = pod.add_node(soft_limit=50, sub_workers=1)
acc = node.tensor(1)
def inner(node, x):
    for _ in range(1000):
        node.submit_sub(more, inout(x))
def prog(pod):
    pod.submit(inner, inout(acc), on_chip=number)
pod.run(prog)
print(acc.numpy()[0])
"""
    )
    assert (code, out) == (0, "1000.0\n"), err


def test_a_program_of_a_pod_that_has_less_room_than_its_nodes(run_python):
    code, out, err = run_python(
        START
        + """
system = troupe.System(chips=1, soft_limit=100_000, hard_limit=200_000)
pod = system.pod(1, sub_workers=1)
done = []
def prog(pod):
    for _ in range(9000):
        pod.submit_sub(lambda: done.append(1))
pod.run(prog)
print(len(done))
"""
    )
    assert (code, out) == (0, "9000\n"), err
