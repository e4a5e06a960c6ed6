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


def stepped(simulation, **options):
    sim = simulation(chips=1, **options)
    sim.kernel("step", lambda x: x.__iadd__(1))
    return sim


def test_a_simulation_is_stepped_by_hand(simulation):
    sim = stepped(simulation)
    x = sim.node.tensor(1)

    async def program(node):
        await node.submit("step", inout(x))

    handle = sim.node.submit(program)
    assert not handle.done
    assert sim.steps(1) <= 1
    count = 0
    while not handle.done:
        assert sim.step()
        count += 1
    assert count > 0 and sim.steps(100000) < 100000 and sim.ran("step") == 1
    assert "SEED" in sim.replay() and sim.actors() > 0


def test_a_delay_is_waited_for_in_virtual_time(simulation):
    sim = stepped(simulation)
    sim.fault(testing.delay(1.0).by(3600.0).of("step").at(1))

    async def program(node):
        await node.submit("step", inout(node.tensor(1)))

    handle = sim.node.submit(program)
    sim.advance(3000)
    assert not handle.done and sim.now >= 3000
    sim.advance(700)
    handle.result()
    assert sim.now >= 3600
    with pytest.raises(troupe.Error):
        testing.delay(-1)


def test_the_history_says_what_ran_where(simulation):
    sim = stepped(simulation)
    sim.fault(testing.fail().on_chip(0).at(2).times(1))
    assert sim.ran() == []

    async def program(node):
        x = node.tensor(1)
        await node.submit("step", inout(x))
        with pytest.raises(troupe.Error):
            await node.submit("step", inout(x))

    sim.node.run(program)
    first, second = sim.ran()
    assert (first.chip, first.kernel, first.code) == (0, "step", 0) and second.code != 0
    assert "step" in repr(first) and "failed" in repr(second)
    assert (sim.ran("step"), sim.tried("step"), sim.ran_on(0)) == (1, 2, 1)
    with pytest.raises(troupe.Error):
        sim.ran_on(7)


def test_a_killed_chip_is_restarted(simulation):
    sim = stepped(simulation)
    sim.node.run(lambda node: node.submit("step", inout(node.tensor(1))))
    sim.kill(0)
    sim.node.run(lambda node: node.submit("step", inout(node.tensor(1)), retry=2, idempotent=True))
    assert sim.node.status().children[0].restarts == 1
    testing.kill(sim.node, 0)
    sim.node.run(lambda node: node.submit("step", inout(node.tensor(1)), retry=2, idempotent=True))
    assert sim.node.status().children[0].restarts == 2
    with pytest.raises(troupe.Error):
        sim.kill(5)


def test_a_kernel_that_does_not_return_is_given_up(simulation):
    sim = stepped(simulation)
    sim.fault(testing.hang("step"))
    with pytest.raises(troupe.Error) as raised:
        sim.node.run(lambda node: node.submit("step", inout(node.tensor(1)), deadline=10))
    assert raised.value.root.code == "deadline_exceeded"
    assert isinstance(sim.sweep_quarantine(), int)


def test_a_call_of_the_device_fails(simulation):
    sim = simulation(chips=2, restarts=0)
    sim.kernel("step", lambda x: None)
    with pytest.raises(troupe.Error):
        sim.fault(testing.fail_call("no_such_call"))
    sim.fault(testing.fail_call("launch_runs", 1).call("run_runtime").call("launch_runs"))
    with pytest.raises(troupe.Error):
        sim.node.run(lambda node: node.submit("step", inout(node.tensor(1)), on_chip=1))


@pytest.mark.parametrize("recover", [True, False])
def test_bytes_of_a_dead_chip_are_made_again_or_not(simulation, recover):
    sim = simulation(chips=2, recover=recover)
    sim.kernel("make", lambda x: x.fill(7)).kernel("look", lambda x: None)

    async def program(node):
        x = node.alloc(4)
        await node.submit("make", out(x), on_chip=1)
        sim.kill(1)
        await node.submit("look", in_(x), on_chip=0)
        return await node.read(x)

    handle = sim.node.submit(program)
    if recover:
        assert handle.result() == 7 and handle.report().made_again == 1
    else:
        with pytest.raises(troupe.Error) as raised:
            handle.result()
        codes, error = [], raised.value
        while error is not None:
            codes.append(error.code)
            error = error.__cause__
        assert "data_lost" in codes


def test_an_arena_is_as_large_as_it_was_told(simulation):
    sim = stepped(simulation, arena_bytes=64 << 10)
    with pytest.raises(troupe.Error):
        sim.node.run(lambda node: node.submit("step", out(node.alloc(1 << 20))))
    roomy = stepped(simulation, arena_bytes=16 << 20)
    roomy.kernel("make", lambda x: x.fill(1))
    roomy.node.run(lambda node: node.submit("make", out(node.alloc(1 << 20))))


def test_a_simulation_records_and_logs(simulation):
    lines, trace = [], troupe.Trace()
    sim = stepped(simulation, trace=trace, log=lambda level, path, text: lines.append(text))
    sim.fault(testing.kill_chip(0).at(1))
    sim.node.run(lambda node: node.submit("step", inout(node.tensor(1)), retry=1, idempotent=True, name="told"))
    assert "told" in trace.json() and lines
