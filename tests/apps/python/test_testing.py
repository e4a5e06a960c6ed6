"""The test kit from Python: seeds, faults, the virtual clock, the fixtures."""

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar, testing


def test_a_program_survives_a_chip_that_dies(simulation):
    sim = simulation(chips=2)

    def copy(x, y):
        y[:] = x

    sim.kernel("copy", copy)
    sim.fault(testing.kill_chip(1).at(1))
    x, y = sim.node.tensor(1, fill=3.0), sim.node.tensor(1)
    sim.node.run(lambda node: node.submit("copy", in_(x), out(y), on_chip=1, retry=1))
    assert y.numpy()[0] == 3 and sim.ran("copy") == 1


def test_faults_happen_where_they_are_told_to(simulation):
    sim = simulation(chips=1)
    sim.kernel("step", lambda x: None)
    sim.fault(testing.fail("step").at(2).times(1).with_text("on purpose"))

    async def program(node):
        x = node.tensor(1)
        await node.submit("step", inout(x))
        with pytest.raises(troupe.Error) as raised:
            await node.submit("step", inout(x))
        assert "on purpose" in str(raised.value.root)
        node.fill(x, 0.0)
        await node.submit("step", inout(x))

    sim.node.run(program)
    assert sim.order() == "step step" or sim.tried("step") >= 2
    with pytest.raises(troupe.Error):
        sim.fault(testing.fail("nobody"))


def test_time_is_virtual(simulation):
    sim = simulation(chips=1)
    sim.kernel("long", lambda x: 3600)
    before = sim.now
    sim.node.run(lambda node: node.submit("long", inout(node.tensor(1))))
    assert sim.now - before >= 3600


def test_the_same_seed_gives_the_same_history(troupe_seed):
    histories = []
    for _ in range(2):
        with testing.Simulation(seed=troupe_seed, chips=3) as sim:
            for name in "abc":
                sim.kernel(name, lambda x: None)
            sim.node.run(lambda node: [node.submit(name, inout(node.tensor(1))) for name in "abcabcabc"])
            histories.append(sim.order())
    assert histories[0] == histories[1]


def test_what_a_kernel_raises_is_its_tasks_error(simulation):
    sim = simulation(chips=1)
    sim.kernel("broken", lambda x: 1 / 0)
    with pytest.raises(troupe.Error) as raised:
        sim.node.run(lambda node: node.submit("broken", inout(node.tensor(1))))
    assert "ZeroDivisionError" in str(raised.value.root)


def test_a_wait_for_what_cannot_come_is_a_deadlock_not_a_hang(simulation):
    sim = simulation(chips=1)
    sim.kernel("lost", lambda x: None)
    sim.fault(testing.drop("lost"))
    with pytest.raises(troupe.Error) as raised:
        sim.node.run(lambda node: node.submit("lost", inout(node.tensor(1))))
    assert raised.value.code == "deadlock"


def test_a_pod_in_a_simulation(simulation):
    sim = simulation(nodes=2, chips=1)
    sim.kernel("double", lambda x: np.multiply(x, 2, out=x))

    async def double(node, x, by):
        await node.submit("double", inout(x))

    x = sim.node.tensor(2, fill=1.0)
    sim.node.run(lambda pod: [pod.submit(double, inout(x), scalar(2.0)) for _ in range(3)])
    assert (x.numpy() == 8).all()


def test_a_closed_simulation_says_so():
    sim = testing.Simulation()
    sim.close()
    with pytest.raises(troupe.Error):
        sim.node
