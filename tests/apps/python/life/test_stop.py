"""Runs that are ended from outside."""

import threading

import numpy as np
import pytest

import troupe
import troupe.testing
from troupe import inout


@pytest.mark.parametrize("way", ["run", "submit", "plan", "simulated"])
def test_a_stop_ends_the_runs_that_were_given_it(node, way):
    if way == "simulated":
        sim = troupe.testing.Simulation()
        node = sim.node
    stop = troupe.Stop()
    assert not stop.requested and repr(stop) == "<troupe.Stop>"

    async def endless(node):
        task = node.submit_sub(lambda: stop.request())
        while True:
            await task
            task = node.submit_sub(lambda: None)

    def call():
        if way == "submit":
            return node.submit(endless, stop=stop).result()
        if way == "plan":
            plan = node.record(lambda node, x: node.fill(x, 1.0), np.zeros(2, "f4"))
            stop.request()
            return node.run(plan, np.zeros(2, "f4"), stop=stop)
        return node.run(endless, stop=stop)

    with pytest.raises(troupe.Error) as raised:
        call()
    assert raised.value.code == "cancelled"
    assert stop.requested and repr(stop) == "<troupe.Stop, requested>"
    with pytest.raises(troupe.Error) as raised:
        node.run(endless, stop=stop)  # it was asked to before
    assert raised.value.code == "cancelled"
    assert node.run(lambda node: 3, stop=troupe.Stop()) == 3
    if way != "run":
        return
    # One that a thread waits for, from another thread; two runs, one stop.
    other, ends = troupe.Stop(), []

    async def waits(node):
        await node.submit("hang", inout(node.tensor(1)))

    def one():
        with pytest.raises(troupe.Error) as ended:
            node.run(waits, stop=other)
        ends.append((ended.value.code, str(ended.value)))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    other.request()
    for thread in threads:
        thread.join()
    assert [code for code, _ in ends] == ["cancelled"] * 2, ends
    for wrong in [1, "now", threading.Event()]:
        with pytest.raises(troupe.Error, match="troupe.Stop"):
            node.run(waits, stop=wrong)
    node.run(lambda node: None, stop=None)


def test_a_program_that_keeps_its_node_does_not_have_the_next_programs(node):
    kept = []

    def keeps(node):
        kept.append(node)

    async def keeps_and_waits(node):
        await node.drained()
        kept.append(node)

    for program in (keeps, keeps_and_waits, lambda node: None) * 3:
        node.run(program)
    assert len({id(one) for one in kept}) == 6
    inside = []

    def looks(node):
        for one in kept:
            with pytest.raises(troupe.Error) as raised:
                one.tensor(1)
            inside.append(raised.value.code)

    node.run(looks)
    assert inside == ["wrong_program"] * 6
