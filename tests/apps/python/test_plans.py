"""Plans: a program recorded once does again what it would do with the new arguments; what does not fit is an error."""

import threading

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import Slot, in_, inout, out, scalar, testing

SIZE = 8


def layer(node, x, y, r):
    """y = (x + x) * r, the first half of it twice that."""
    total = node.alloc(SIZE)
    node.submit("add", in_(x), in_(x), out(total))
    node.submit("scale", inout(total), scalar(r))
    zero = node.alloc(SIZE)
    node.fill(zero, 0.0)
    node.submit("add", in_(total), in_(zero), out(y))
    node.submit("scale", inout(y[: SIZE // 2]), scalar(2.0))


def expected(x, r):
    return np.array([2 * x * r * (2 if i < SIZE // 2 else 1) for i in range(SIZE)], "f4")


def full(value):
    return np.full(SIZE, value, "f4")


@pytest.fixture
def one_chip():
    with troupe.System(chips=1) as system:
        node = system.node()
        node.load(KERNELS)
        yield node


@pytest.mark.parametrize("arrays", [True, False], ids=["arrays", "tensors"])
def test_a_plan_is_replayed_with_other_tensors_and_numbers(node, arrays):
    make = full if arrays else lambda value: node.tensor(SIZE, fill=value)
    look = (lambda x: x) if arrays else (lambda x: x.numpy())
    x, y = make(3), make(0)
    plan = node.record(layer, x, y, Slot(0.5))
    np.testing.assert_array_equal(look(y), expected(3, 0.5))
    x2, y2 = make(7), make(0)
    assert node.run(plan, x2, y2, 2.0) is None
    np.testing.assert_array_equal(look(y2), expected(7, 2))
    np.testing.assert_array_equal(look(y), expected(3, 0.5))
    handle = node.submit(plan, x, y2, 1)
    assert handle.result() is None
    np.testing.assert_array_equal(look(y2), expected(3, 1))
    for tag, number in [(in_, scalar(4.0)), (inout, np.float32(4)), (in_, 4.0)]:
        node.run(plan, tag(x), out(y), number)
        np.testing.assert_array_equal(look(y), expected(3, 4))


def test_a_program_runs_with_a_slot_and_with_a_number(node):
    for r in [Slot(0.5), 0.5]:
        y = full(0)
        node.run(layer, full(1), y, r)
        np.testing.assert_array_equal(y, expected(1, 0.5))


@pytest.mark.parametrize("form", ["plain", "async"])
def test_a_plan_is_a_task_of_a_program_in_its_order(one_chip, form):
    x, y = full(3), full(0)
    plan = one_chip.record(layer, x, y, Slot(1.0), name="the layer")

    def steps(node):
        node.fill(x, 4.0)
        first = node.submit(plan, in_(x), out(y), 1.0)
        node.submit("add", in_(y), in_(y), out(x))
        last = node.submit(plan, x, y, Slot(1.0), after=first, priority=1, retry=1, idempotent=True, deadline=60)
        assert last.number > first.number and '"the layer"' in repr(last)
        return last

    def plain(node):
        steps(node).wait()
        return node.read(y[SIZE - 1 :]).get()

    async def waiting(node):
        await steps(node)
        return await node.read(y[SIZE - 1 :])

    assert one_chip.run(plain if form == "plain" else waiting) == 4 * 2 * 2 * 2


@pytest.mark.parametrize("form", ["plain", "async"])
def test_a_program_records_a_part_of_itself(one_chip, form):
    def steps(node):
        x, y = node.tensor(SIZE, fill=1.0), node.tensor(SIZE)
        plan = node.record(layer, x, y, Slot(1.0), name="inner")
        node.submit(plan, y, x, 2.0)
        return plan, x

    def plain(node):
        plan, x = steps(node)
        return plan, node.read_all(x).get()

    async def waiting(node):
        await node.drained()
        plan, x = steps(node)
        return plan, await node.read_all(x)

    plan, values = one_chip.run(plain if form == "plain" else waiting)
    assert plan.name == "inner" and plan.tasks == 5
    assert values.tolist() == [4 * 2 * 2 * 2] * 4 + [2 * 2 * 2] * 4


def test_a_plan_says_what_it_is(one_chip):
    plan = one_chip.record(layer, full(1), full(0), Slot(1.0))
    assert (plan.name, plan.tasks) == ("layer", 5) and 1 <= plan.steps <= 5 and plan.bytes > 0
    assert repr(plan) == f'<troupe.Plan "layer": 5 tasks in {plan.steps} step{"s" if plan.steps > 1 else ""}>'
    words = plan.describe()
    assert words.startswith('plan "layer"') and "parameter 2" in words and '"fill"' in words
    assert Slot(1).type == "i64" and Slot(0.5, "float64").type == "f64" and repr(Slot(0.5)) == "<troupe.Slot f32>"


def test_an_async_program_that_awaits_nothing_but_room_can_be_recorded(one_chip):
    async def doubled(node, x):
        for _ in range(6):
            await node.room()
            node.submit("scale", inout(x), scalar(2.0))

    x = full(1)
    plan = one_chip.record(doubled, x)
    assert x[0] == 64
    one_chip.run(plan, x)
    assert x[0] == 64 * 64


@pytest.mark.parametrize("form", ["plain", "async"])
def test_a_program_that_forms_a_domain_is_recorded_where_the_recorder_may_stand_still(node, form):
    def count(node, domain, x):
        buffer = domain.rank(0).buffer("count")
        node.fill(buffer, 3.0)
        node.submit("add", in_(buffer), in_(buffer), out(x))

    def plain(node, x):
        count(node, node.allocate_domain([0, 1], {"count": 4}).get(), x)

    async def waiting(node, x):
        count(node, await node.allocate_domain([0, 1], {"count": 4}), x)

    program = plain if form == "plain" else waiting
    x, y = np.zeros(1, "f4"), np.zeros(1, "f4")
    plan = node.record(program, x)
    node.run(plan, y)
    assert x[0] == y[0] == 6 and "keeps 1 communication domain" in plan.describe()
    z = np.zeros(1, "f4")
    node.run(lambda inner: inner.record(program, z) and None)
    assert z[0] == 6

    # A coroutine shares its thread with all others, so it stands still for nothing.
    async def records(inner):
        inner.record(program, z)

    with pytest.raises(troupe.Error) as raised:
        node.run(records)
    assert raised.value.code == "blocking_in_coroutine"


def test_plans_may_contain_plans(one_chip):
    x, y = full(3), full(0)
    inner = one_chip.record(layer, x, y, Slot(0.5))

    def twice(node, a, b, r):
        between = node.alloc(SIZE)
        node.submit(inner, a, between, r)
        node.submit(inner, in_(between), out(b), scalar(r))

    outer = one_chip.record(twice, x, y, Slot(1.0))
    assert y[0] == 3 * 4 * 4
    one_chip.run(outer, x, y, 0.5)
    assert y[0] == 3 * 2 * 2


def test_what_a_plan_keeps_lives_as_long_as_the_plan(one_chip):
    weights = one_chip.tensor(SIZE, fill=10.0)
    x = full(1)
    plan = one_chip.record(lambda node, a: node.submit("add", in_(a), in_(weights), out(a)), x)
    del weights
    one_chip.run(plan, x)
    assert x[0] == 21
    on_chip = one_chip.chip(0).malloc(SIZE)
    one_chip.chip(0).copy_to(on_chip, full(5))
    kept = one_chip.record(lambda node, a: node.submit("add", in_(a), in_(on_chip), out(a)), x)
    del on_chip
    one_chip.run(kept, x)
    assert x[0] == 31


def test_arguments_that_do_not_fit_are_refused(one_chip):
    x, y = full(3), full(0)
    plan = one_chip.record(layer, x, y, Slot(0.5))
    locked = full(1)
    locked.flags.writeable = False
    other = one_chip.tensor(SIZE)
    for sentence, *given in [
        ("takes 3 arguments, not 2", x, y),
        ("is a tensor, and got a number", x, 1.0, 1.0),
        ("is a number, and got a tensor", x, y, y),
        ("was recorded with", np.ones(SIZE + 1, "f4"), y, 1.0),
        ("was recorded with", np.ones(SIZE, "i4"), y, 1.0),
        ("was recorded with", np.ones((SIZE, 2), "f4")[:, 0], y, 1.0),
        ("share bytes in another way", other, other, 1.0),
        ("share bytes in another way", x, x, 1.0),
        (r"given as in\(…\)", in_(x), in_(y), 1.0),
        (r"given as out\(…\)", out(x), out(y), 1.0),
        ("read-only", x, locked, 1.0),
        ("does not fit float32", x, y, 1e300),
        ("", x, y, scalar(0.1, "float64")),
        ("", x, y, "fast"),
        ("", x, y, None),
    ]:
        with pytest.raises((troupe.Error, TypeError), match=sentence):
            one_chip.run(plan, *given)

        def program(node):
            with pytest.raises((troupe.Error, TypeError), match=sentence):
                node.submit(plan, *given)

        one_chip.run(program)
    one_chip.run(plan, in_(locked), out(y), 1.0)
    assert y[0] == 4


def test_options_of_a_replay_are_checked(one_chip):
    x = full(1)
    plan = one_chip.record(lambda node, a: node.submit("scale", inout(a), scalar(2.0)), x)
    one_chip.run(plan, x, name="again", priority=1, deadline=60, retry=1, idempotent=True)
    assert x[0] == 4
    with pytest.raises(troupe.Error, match="colour"):
        one_chip.run(plan, x, colour="red")

    def program(node):
        for option, value in [("on_chip", 0), ("name", "other"), ("blocks", 2), ("colour", "red")]:
            with pytest.raises(troupe.Error, match="was recorded with them"):
                node.submit(plan, x, **{option: value})

    one_chip.run(program)


def test_a_number_that_is_no_slot_stays_what_it_was(one_chip):
    def program(node, x, r):
        node.submit("scale", inout(x), scalar(r))

    x = full(1)
    plan = one_chip.record(program, x, 3.0)
    one_chip.run(plan, x, 3.0)
    assert x[0] == 9
    for other in [2.0, 3.0000001]:
        with pytest.raises(troupe.Error) as raised:
            one_chip.run(plan, x, other)
        assert "Slot" in raised.value.hint
    assert x[0] == 9


def test_a_number_of_a_replay_is_taken_as_the_slots_type(one_chip):
    seen = []

    def program(node, x, wide, whole):
        node.submit_sub(lambda a, number, count: seen.append((number, count)), in_(x), scalar(wide), scalar(whole))

    x = full(1)
    plan = one_chip.record(program, x, Slot(0.5, "float64"), Slot(1))
    one_chip.run(plan, x, 0.1, 7)
    assert seen == [(0.5, 1), (0.1, 7)]  # not the float32 that is near to it
    with pytest.raises((troupe.Error, TypeError)):
        one_chip.run(plan, x, 0.1, 7.5)


@pytest.mark.parametrize(
    "sentence, program",
    [
        ("reads a tensor", lambda node, x: (node.submit("scale", inout(x), scalar(1.0)), node.read(x).get())),
        ("waits for tasks", lambda node, x: node.submit("scale", inout(x), scalar(1.0)).wait()),
        ("waits for tasks", lambda node, x: (node.submit("scale", inout(x), scalar(1.0)), node.drain())),
        ("has no task", lambda node, x: None),
    ],
)
def test_what_looks_at_its_results_cannot_be_recorded(one_chip, sentence, program):
    x = full(1)
    with pytest.raises(troupe.Error, match=sentence) as raised:
        one_chip.record(program, x)
    assert ".cpp" not in str(raised.value)  # the line is in the traceback
    one_chip.run(lambda node: node.fill(x, 9.0))  # the node goes on
    assert x[0] == 9


def test_a_program_cannot_decide_by_a_slot(one_chip):
    def program(node, x, r):
        if r:
            node.submit("scale", inout(x), scalar(r))

    with pytest.raises(troupe.Error, match="asks what a Slot is"):
        one_chip.record(program, full(1), Slot(1.0))
    with pytest.raises(troupe.Error, match="TypeError"):
        one_chip.record(lambda node, x, r: r + 1, full(1), Slot(1.0))


def test_what_cannot_be_a_parameter_is_refused(one_chip):
    mine = full(1)
    with pytest.raises(troupe.Error, match="memory of the user's own"):
        one_chip.record(lambda node, x: node.submit("add", in_(x), in_(mine), out(x)), full(1))
    for wrong in ["fast", None, [1.0], {"x": 1}]:
        with pytest.raises(troupe.Error, match="no parameter of a plan"):
            one_chip.record(lambda node, x: None, wrong)
    with pytest.raises(troupe.Error, match="no program"):
        one_chip.record(42, full(1))


def test_what_a_recorded_program_raises_is_behind_the_error(one_chip):
    def broken(node, x):
        node.submit("scale", inout(x), scalar(1.0))
        raise ValueError("on purpose")

    for record in [lambda: one_chip.record(broken, full(1)), lambda: one_chip.run(lambda node: node.record(broken, full(1)))]:
        with pytest.raises(troupe.Error, match="on purpose") as raised:
            record()
        assert isinstance(raised.value.__cause__, ValueError)


def test_stale_tensors_are_refused(one_chip):
    def program(node, x):
        node.submit("scale", inout(x), scalar(2.0))

    x = full(1)
    plan = one_chip.record(program, x)
    with troupe.System(chips=1) as other:
        stranger = other.node()
        stranger.load(KERNELS)
        with pytest.raises(troupe.Error) as raised:
            stranger.run(plan, x)
        assert raised.value.code == "wrong_program"
        theirs = stranger.chip(0).malloc(SIZE)
        with pytest.raises(troupe.Error):
            one_chip.run(plan, theirs)
    with pytest.raises(troupe.Error):
        one_chip.run(plan, theirs)
    # Memory of a chip that was brought up again, captured and given.
    there = one_chip.chip(0).malloc(SIZE)
    one_chip.chip(0).copy_to(there, full(1))
    given = one_chip.record(program, there)
    kept = one_chip.record(lambda node, x: node.submit("add", in_(x), in_(there), out(x)), x)
    one_chip.run(given, there)
    one_chip.chip(0).reset()
    for stale in [lambda: one_chip.run(given, there), lambda: one_chip.run(kept, x)]:
        with pytest.raises(troupe.Error) as raised:
            stale()
        assert raised.value.root.code == "data_lost"


def test_a_plan_ends_with_its_system_and_can_still_be_looked_at():
    with troupe.System(chips=1) as system:
        node = system.node()
        node.load(KERNELS)
        x = node.tensor(SIZE)
        plan = node.record(lambda node, x: node.submit("scale", inout(x), scalar(2.0)), x)
    assert plan.tasks == 1
    with pytest.raises(troupe.Error):
        node.run(plan, x)


def test_a_failure_in_a_replay_names_the_task_and_the_next_replay_works(simulation):
    sim = simulation(chips=1)
    sim.kernel("step", lambda x, by: np.multiply(x, by, out=x))
    x = sim.node.tensor(SIZE, fill=1.0)
    plan = sim.node.record(lambda node, x, r: node.submit("step", inout(x), scalar(r)), x, Slot(2.0), name="steps")
    sim.fault(testing.fail("step").at(1).with_text("no power"))
    with pytest.raises(troupe.Error) as raised:
        sim.node.run(plan, x, 3.0)
    assert raised.value.code == "task_failed" and "no power" in str(raised.value) + str(raised.value.root)
    x.numpy(overwrite=True)[:] = 1
    sim.node.run(plan, x, 3.0)
    assert x.numpy()[0] == 3


def test_replays_leave_nothing_behind(one_chip):
    class Payload:
        alive = 0

        def __init__(self):
            Payload.alive += 1

        def __del__(self):
            Payload.alive -= 1

    def record(payload):
        return one_chip.record(lambda node, x: (payload, node.submit("scale", inout(x), scalar(1.0))), full(1))

    for _ in range(20):
        plan = record(Payload())
        one_chip.run(plan, full(1))
    del plan
    while Payload.alive != 0:  # the last one goes with a thread of the node
        one_chip.run(lambda node: None)


def test_a_saved_plan_is_loaded_by_another_system(one_chip, tmp_path):
    path = tmp_path / "layer.tplan"
    kernels_only = lambda node, x, y, r: (
        node.submit("add", in_(x), in_(x), out(y)),
        node.submit("scale", inout(y), scalar(r)),
    )
    one_chip.record(kernels_only, full(1), full(0), Slot(0.5), name="layer").save(path)
    with troupe.System(chips=2) as other:
        node = other.node()
        node.load(KERNELS)
        plan = node.load_plan(path)
        assert (plan.name, plan.tasks) == ("layer", 2)
        y = full(0)
        node.run(plan, full(3), y, 4.0)
        np.testing.assert_array_equal(y, full(3 * 2 * 4))
        with pytest.raises(troupe.Error, match="does not hold exactly|f32"):
            node.run(plan, full(3), y, scalar(0.1, "float64"))
        bare = troupe.System(chips=1)
        with bare, pytest.raises(troupe.Error, match="does not know: \"add\"") as missing:
            bare.node().load_plan(str(path))
        assert missing.value.code == "unknown_callable"


def test_what_a_file_cannot_have_of_a_plan_is_refused(one_chip, tmp_path):
    kept = one_chip.tensor(SIZE, fill=1.0)
    keeps = one_chip.record(lambda node, x: node.submit("add", in_(kept), in_(x), out(x)), full(1))
    with pytest.raises(troupe.Error, match='task "add" uses a tensor that the plan keeps'):
        keeps.save(tmp_path / "keeps.tplan")
    (tmp_path / "broken.tplan").write_bytes(b"troupe plan\x1a\x01 and more")
    with pytest.raises(troupe.Error, match="the beginning of a plan alone"):
        one_chip.load_plan(tmp_path / "broken.tplan")


@pytest.mark.parametrize("how", ["submitted", "recorded"])
def test_an_array_is_kept_until_the_tasks_of_a_plan_that_use_it_have_ended(one_chip, how):
    acc, go = one_chip.tensor(4096), threading.Event()

    def add(x, acc):
        acc += x

    def step(node, x, acc):
        node.submit_sub(add, in_(x), inout(acc))

    def program(node):
        node.submit_sub(lambda acc: go.wait(60), inout(acc))
        try:
            for i in range(8):
                # Nobody else has the array; the next one could get its memory.
                if how == "submitted":
                    node.submit(plan, in_(np.full(4096, 1 << i, "float32")), inout(acc))
                else:
                    node.record(step, np.full(4096, 1 << i, "float32"), acc)
        finally:
            go.set()

    plan = one_chip.record(step, np.ones(4096, "float32"), acc)
    acc.numpy()[:] = 0
    one_chip.run(program)
    assert acc.numpy().tolist() == [255] * 4096
