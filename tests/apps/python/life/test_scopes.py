"""Scopes that their program has not left: they end with it, and whoever drops them then, or elsewhere, does no harm."""

import contextlib

import pytest

import troupe

# In an interpreter of its own: what goes wrong here ends it.
START = """
import contextlib, troupe
from troupe import inout, testing
system = troupe.System(chips=1, sub_workers=1)
node = system.node()
kept = []
def use(node):
    x = node.alloc(4)
    node.fill(x, 3.0)
    assert node.read(x).get() == 3
"""

AFTER = """
node.run(use)
def drops(node):
    with node.scope():
        x = node.alloc(4)
        node.fill(x, 3.0)
        kept.clear()
        assert node.read(x).get() == 3
node.run(drops)
print("works")
"""

KEPT = {
    "a stack": """
def program(node):
    stack = contextlib.ExitStack()
    stack.enter_context(node.scope())
    kept.append(stack)
    use(node)
node.run(program)
""",
    "a generator of a program that raises": """
def scoped(node):
    with node.scope():
        yield node.alloc(4)
def program(node):
    all = scoped(node)
    next(all)
    raise ValueError
try:
    node.run(program)
except troupe.Error as error:
    kept.append(error)
""",
    "one that waits": """
async def program(node):
    scope = node.scope()
    scope.__enter__()
    kept.append(scope)
    await node.drained()
    raise ValueError
try:
    node.run(program)
except troupe.Error as error:
    pass
""",
    "one that is given up while it waits": """
async def program(node):
    scope = node.scope()
    scope.__enter__()
    kept.append(scope)
    node.submit_sub(lambda: handle.cancel())
    await node.drained()
import threading
go = threading.Event()
async def begins(node):
    node.submit_sub(lambda: go.wait(60))
    await node.drained()
    await program(node)
handle = node.submit(begins)
go.set()
handle.wait()
""",
    "a program that is recorded": """
def program(node, x):
    stack = contextlib.ExitStack()
    stack.enter_context(node.scope())
    kept.append(stack)
    node.fill(x, 3.0)
def records(node):
    x = node.tensor(4)
    plan = node.record(program, x)
    kept.clear()
    node.submit(plan, inout(x))
    plan = node.record(program, x)
node.run(records)
""",
}


@pytest.mark.parametrize("what", KEPT)
def test_a_scope_that_is_kept_longer_than_its_program(run_python, what):
    code, out, err = run_python(START + KEPT[what] + AFTER)
    assert (code, out, err) == (0, "works\n", "")


def test_leaving_a_scope_after_its_program_does_nothing(run_python):
    code, out, err = run_python(START + KEPT["a stack"] + "kept[0].close()\n" + AFTER)
    assert (code, out, err) == (0, "works\n", "")


def test_a_scope_that_another_thread_drops_ends_with_its_program(node):
    kept = []

    def program(node):
        kept.append(node.scope())
        kept[0].__enter__()
        x = node.alloc(4)
        node.fill(x, 3.0)
        node.submit_sub(kept.clear).wait()
        node.submit_sub(lambda x: None, troupe.inout(x))
        assert node.read(x).get() == 3

    node.run(program)
    assert not kept


def test_a_scope_that_is_left_on_another_thread_is_refused_and_stays(node):
    def program(node):
        with node.scope() as scope:
            x = node.alloc(4)
            node.fill(x, 3.0)
            with pytest.raises(troupe.Error, match="thread that is not its own"):
                node.submit_sub(lambda: scope.__exit__()).wait()
            assert node.read(x).get() == 3

    node.run(program)


def test_a_scope_that_another_program_of_the_thread_drops_ends_with_its_own(simulation):
    sim, kept = simulation(chips=1, sub_workers=2), []

    async def keeps(node):
        kept.append(node.scope())
        kept[0].__enter__()
        x = node.alloc(4)
        node.fill(x, 3.0)
        await node.read(x)
        while kept:
            await node.submit_sub(lambda: None)
        return await node.read(x)

    handle = sim.node.submit(keeps)
    while not kept:
        assert sim.step()

    async def drops(node):
        kept.clear()

    sim.node.run(drops)
    assert handle.result() == 3


def test_an_outer_scope_that_is_left_first_ends_with_the_inner_one(node):
    def scoped(node, value):
        with node.scope():
            x = node.alloc(4)
            node.fill(x, value)
            yield x

    def program(node):
        outer, inner = scoped(node, 1.0), scoped(node, 2.0)
        next(outer)
        x = next(inner)
        outer.close()
        assert node.read(x).get() == 2
        inner.close()
        # All have ended: as many as may be open at once are there again.
        with contextlib.ExitStack() as stack:
            for _ in range(64):
                stack.enter_context(node.scope())

    for _ in range(2):
        node.run(program)
