"""Which chip a task goes to: policies by name and in Python, what is learned, and its file."""

import collections
import random

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import inout, out, scalar, testing

NAMES = ["earliest_finish", "least_loaded", "where_the_data_is"]
MIXED = [("short", 0.001), ("long", 0.004)] * 6


def spent(placement, **options):
    """Seconds of the virtual clock that tasks of two lengths take on three chips, and where they ran."""
    with testing.Simulation(seed=2, chips=3, placement=placement, **options) as sim:
        for name, takes in set(MIXED):
            sim.kernel(name, lambda x, takes=takes: takes)
        tensors = [sim.node.tensor(16) for _ in MIXED]

        def program(node):
            for (name, _), x in zip(MIXED, tensors):
                node.submit(name, inout(x))

        for _ in range(2):
            begin = sim.now
            sim.node.run(program)
        learned = {cost.callable: (round(cost.takes, 6), cost.count) for cost in sim.node.status().learned}
        return sim.now - begin, [ran.chip for ran in sim.ran()], learned


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_may_be_called_by_its_name_or_by_itself_or_in_python(name):
    shipped = getattr(troupe, name)
    by_name, by_itself = spent(name), spent(shipped)
    in_python = spent(lambda task, chips: shipped(task, chips))
    assert by_name == by_itself == in_python
    assert by_name[2] == {"short": (0.001, 12), "long": (0.004, 12)}


def test_no_placement_learns_nothing():
    assert spent(None)[2] == {}


def test_a_policy_in_python_sees_the_task_and_the_chips():
    seen = []

    def policy(task, chips):
        seen.append((task, chips))
        return chips[-1] if task.priority > 0 else 0

    with testing.Simulation(chips=3, placement=policy) as sim:
        sim.kernel("step", lambda x: 0.5)
        x = sim.node.tensor(1000)
        sim.node.run(lambda node: node.submit("step", inout(x), name="first"))
        sim.node.run(lambda node: node.submit("step", inout(x), priority=1))
        assert [ran.chip for ran in sim.ran()] == [0, 2]
    (task, chips), (later, chips_later) = seen
    assert (task.callable, task.name, task.bytes, task.priority) == ("step", "first", 4000, 0)
    assert (later.name, later.priority) == ("step", 1)
    assert [(c.chip, c.tasks, c.busy, c.missing, c.takes) for c in chips] == [(i, 0, 0.0, 4000, None) for i in range(3)]
    assert [c.takes for c in chips_later] == [0.5] * 3
    assert [c.missing for c in chips_later] == [0, 4000, 4000] and all(c.brings >= 0 for c in chips_later)
    assert repr(task) == '<troupe.TaskToPlace "first">' and repr(chips[1]) == "<troupe.ChipForTask 1 with 0 tasks>"
    assert troupe.least_loaded(task, chips[1:]).chip == 1
    with pytest.raises(troupe.Error, match="there is none"):
        troupe.least_loaded(task, [])


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (lambda chips: None, "answered with None"),
        (lambda chips: len(chips), "answered with 2"),
        (lambda chips: -1, "answered with -1"),
        (lambda chips: 1 / 0, "ZeroDivisionError"),
        (lambda chips: 10**30, "answered with 1000"),
    ],
)
def test_a_policy_that_answers_wrongly_fails_the_task(answer, sentence):
    with testing.Simulation(placement=lambda task, chips: answer(chips)) as sim:
        sim.kernel("step", lambda x: None)
        with pytest.raises(troupe.Error) as raised:
            sim.node.run(lambda node: node.submit("step", inout(node.tensor(1))))
        text = str(raised.value)
        error = raised.value
        while error is not None:
            text += str(error)
            error = error.__cause__
        assert sentence in text and raised.value.root.code == "bad_argument", text


def test_a_policy_that_asks_its_node_is_told_that_it_must_not():
    told = []

    def policy(task, chips):
        try:
            node.status()
        except troupe.Error as error:
            told.append(str(error))
        return 0

    with troupe.System(chips=2, placement=policy) as system:
        node = system.node()
        node.load(KERNELS)
        node.run(lambda node: node.submit("scale", inout(node.tensor(4)), scalar(2.0)))
    assert told and "policy" in told[0]


def test_a_policy_runs_while_programs_and_functions_compute_and_when_its_system_ends():
    chosen = collections.Counter()

    def policy(task, chips):
        chosen[chips[-1].chip] += 1
        return chips[-1]

    with troupe.System(chips=2, sub_workers=1, placement=policy) as system:
        node = system.node()
        node.load(KERNELS)
        x = [np.ones(8, "f4") for _ in range(40)]

        def program(node):
            for each in x:
                node.submit("scale", inout(each), scalar(2.0))
                sum(range(1000))
                node.submit_sub(lambda a: a.__iadd__(1), inout(each))

        node.run(program)
        assert all((each == 3).all() for each in x) and sum(chosen.values()) >= 40
        left = node.submit(program)
    assert left.done


def test_what_was_learned_is_kept_in_a_file(tmp_path):
    file = tmp_path / "costs"
    for _ in range(2):
        with troupe.System(chips=2) as system:
            node = system.node(placement="earliest_finish", models=file)
            before = node.status().learned
            node.load(KERNELS)
            node.run(lambda node: node.submit("scale", inout(node.tensor(64)), scalar(2.0)))
            learned = node.status().learned
    assert [(cost.callable, cost.count) for cost in before] == [("scale", 1)] and before[0].bytes <= 256
    assert isinstance(learned[0], troupe.LearnedCost) and learned[0].count == 2 and learned[0].takes > 0 and "scale" in repr(learned[0])
    assert "scale" in file.read_text()
    with troupe.System() as system:
        with pytest.raises(troupe.Error, match="it learns nothing"):
            system.node(models=file)
        with pytest.raises(troupe.Error, match="two nodes"):
            system.pod([{"placement": "least_loaded", "models": file}] * 2)


@pytest.mark.parametrize("wrong", ["fastest", 3])
def test_what_is_no_policy_is_refused(wrong):
    with pytest.raises(troupe.Error, match="no placement") as raised:
        troupe.System(placement=wrong)
    assert "earliest_finish" in raised.value.hint

    async def waits(task, chips):
        return 0

    with pytest.raises(troupe.Error, match="must not wait"):
        troupe.System(placement=waits)


def test_a_policy_that_has_gone_is_let_go_of():
    import gc
    import weakref

    class Policy:
        def __call__(self, task, chips):
            return random.choice(chips)

    policy = Policy()
    gone = weakref.ref(policy)
    with troupe.System(chips=2, placement=policy) as system:
        node = system.node()
        node.load(KERNELS)
        node.run(lambda node: node.submit("scale", out(node.tensor(1)), scalar(1.0)))
        del node, policy
    del system
    gc.collect()
    with troupe.System():
        pass
    assert gone() is None
