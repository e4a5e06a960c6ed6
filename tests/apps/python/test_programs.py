"""Programs: functions and async def functions, what they return, raise and wait for."""

import math
import threading

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar


def test_a_plain_function_builds_a_graph_and_returns(node):
    a, b = np.full(128, 2, "f4"), np.full(128, 3, "f4")
    c = np.zeros(128, "f4")

    def program(node):
        node.submit("add", in_(a), in_(b), out(c))

    node.run(program)
    assert (c == 5).all()


def test_arguments_and_the_returned_value_pass_through(node):
    def program(node, left, *, right=0):
        raise AssertionError("not called with right")

    def sums(node, left, right):
        return left + right, node.path

    assert node.run(sums, 1, 2) == (3, "node0")
    with pytest.raises(troupe.Error, match="no option"):
        node.run(program, 1, right=2)


@troupe.program
async def root_of(node, number, tolerance):
    x = node.tensor(1, fill=number)
    while True:
        change = node.alloc(1)
        node.submit("newton", inout(x), out(change), scalar(number))
        if await node.read(change) < tolerance:
            return await node.read(x)


def test_an_async_program_reads_while_it_goes(node):
    assert node.run(root_of, 9.0, 1e-5) == pytest.approx(3)


def test_a_program_awaits_its_own_coroutines(node):
    async def part(node, number):
        return await root_of(node, number, 1e-5)

    async def whole(node):
        return [await part(node, 4.0), await part(node, 16.0)]

    assert node.run(whole) == pytest.approx([2, 4])


def test_a_thousand_programs_at_once(node):
    handles = [node.submit(root_of, float(i + 1), 1e-4) for i in range(1000)]
    for i, handle in enumerate(handles):
        assert handle.result() == pytest.approx((i + 1) ** 0.5, rel=1e-3)


def test_plain_programs_wait_where_they_stand(node):
    def program(node):
        x = node.tensor(4, "int32")
        task = node.submit("count_up", inout(x), scalar(2))
        task.wait()
        node.submit("count_up", inout(x), scalar(3))
        node.drain()
        assert node.unfinished == 0
        return node.read(x).get(), list(node.read_all(x).get())

    assert node.run(program) == (5, [5, 5, 5, 5])


def test_a_blocking_call_in_an_async_program_is_an_error(node):
    async def program(node):
        node.drain()

    with pytest.raises(troupe.Error) as raised:
        node.run(program)
    assert raised.value.code == "blocking_in_coroutine"
    assert "co_await" in raised.value.hint or "await" in raised.value.hint


def test_what_a_program_raises_is_behind_the_error_of_its_run(node):
    def program(node):
        return {}["missing"]

    with pytest.raises(troupe.Error) as raised:
        node.run(program)
    error = raised.value
    assert error.code == "function_failed"
    assert "KeyError: 'missing'" in error.message and "test_programs.py" in error.message
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("how", ["run", "submit"])
def test_an_async_program_that_raises_after_a_wait_fails_its_run(node, how):
    async def program(node):
        await node.drained()
        raise ValueError("too late")

    with pytest.raises(troupe.Error, match="too late") as raised:
        node.run(program) if how == "run" else node.submit(program).result()
    assert isinstance(raised.value.__cause__, ValueError)
    assert "too late" in raised.value.message


def test_a_failed_task_raises_where_it_is_awaited_and_the_program_goes_on(node):
    async def program(node):
        x = node.tensor(1, fill=1.0)
        try:
            await node.submit("refuse", inout(x), name="the culprit")
        except troupe.Error as error:
            assert error.code == "task_failed" and "the culprit" in str(error)
            assert "this kernel refuses" in str(error.root)
        node.fill(x, 7.0)
        return await node.read(x)

    assert node.run(program) == 7


def test_a_failure_nobody_awaits_fails_the_run_and_names_what_it_poisoned(node):
    def program(node):
        x = node.tensor(1)
        node.submit("refuse", inout(x))
        node.submit("scale", inout(x), scalar(2.0), name="poisoned one")

    handle = node.submit(program)
    with pytest.raises(troupe.Error) as raised:
        handle.result()
    assert raised.value.code == "task_failed"
    report = handle.report()
    assert report.tasks == 2 and report.poisoned == ["poisoned one"]
    assert report.error.code == "task_failed"
    assert node.run(lambda node: 1) == 1


def test_awaiting_something_foreign_raises_in_the_program(node):
    import asyncio

    async def program(node):
        try:
            await asyncio.sleep(1)
        except RuntimeError:
            pass  # asyncio itself finds no loop

        class Foreign:
            def __await__(self):
                yield 42

        with pytest.raises(troupe.Error, match="awaits 42"):
            await Foreign()
        return "went on"

    assert node.run(program) == "went on"


def test_a_plain_function_that_makes_a_coroutine_is_told_so(node):
    with pytest.raises(troupe.Error, match="async def"):
        node.run(lambda node: root_of(node, 2.0, 1e-3))


def test_what_is_no_program_is_refused(node):
    with pytest.raises(troupe.Error, match="is no program"):
        node.run(42)
    with pytest.raises(troupe.Error) as raised:
        node.run("nobody_knows_it")
    assert raised.value.code == "unknown_callable"


def test_the_node_of_a_program_ends_with_it(node):
    kept = []
    node.run(kept.append)
    with pytest.raises(troupe.Error) as raised:
        kept[0].tensor(1)
    assert raised.value.code == "wrong_program"
    assert "not running" in repr(kept[0])


def test_a_program_cannot_be_used_from_another_thread(node):
    errors = []

    def program(node):
        def other():
            try:
                node.alloc(1)
            except troupe.Error as error:
                errors.append(error.code)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    node.run(program)
    assert errors == ["wrong_program"]


def test_programs_of_modules_run_by_name(node):
    x = np.ones((4, 4), "f4")
    node.run("scale_twice", inout(x), scalar(3.0))
    assert (x == 9).all()
    node.submit("scale_twice", inout(x), scalar(2.0)).result()
    assert (x == 36).all()


def test_many_submits_wait_for_room_without_holding_python(system):
    node = system.node(name="small", soft_limit=16)
    calls = []

    def count(x):
        calls.append(1)

    def program(node):
        x = node.tensor(1)
        for _ in range(300):
            node.submit_sub(count, inout(x))

    node.run(program)
    assert len(calls) == 300


def test_a_coroutine_that_submits_without_end_is_told_to_wait(system):
    node = system.node(name="tiny", soft_limit=8, hard_limit=200)
    node.load(__import__("conftest").KERNELS)

    async def careless(node):
        x = node.tensor(1)
        while True:
            node.submit("scale", inout(x), scalar(1.0))

    async def careful(node):
        x = node.tensor(1)
        for _ in range(1000):
            node.submit("scale", inout(x), scalar(1.0))
            await node.room()

    with pytest.raises(troupe.Error) as raised:
        node.run(careless)
    assert raised.value.code == "submit_overrun"
    node.run(careful)


def test_cancel_closes_the_coroutine_where_it_waits(node):
    ended = threading.Event()
    waiting = threading.Event()

    async def program(node):
        x = node.tensor(1)
        task = node.submit("hang", inout(x))
        try:
            waiting.set()
            await task
        finally:
            ended.set()

    handle = node.submit(program)
    waiting.wait()
    assert not handle.done and handle.wait(0) is False
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    for passed in [-1, -9.3e9, -math.inf]:
        assert handle.wait(passed) is False
        with pytest.raises(TimeoutError):
            handle.result(timeout=passed)
    assert isinstance(handle.why(), str)
    handle.cancel()
    with pytest.raises(troupe.Error) as raised:
        handle.result()
    assert raised.value.code == "cancelled"
    assert ended.wait(60)


def test_a_deadline_ends_a_run(node):
    async def program(node):
        await node.submit("hang", inout(node.tensor(1)))

    with pytest.raises(troupe.Error) as raised:
        node.run(program, deadline=0.05)
    assert raised.value.code == "deadline_exceeded"


def test_scopes_end_intermediates(node):
    def program(node):
        x = node.tensor(2, fill=1.0)
        with node.scope():
            y = node.alloc(2)
            node.submit("add", in_(x), in_(x), out(y))
            assert node.read(y).get() == 2
        with pytest.raises(troupe.Error, match="entered once"):
            with node.scope() as scope:
                with scope:
                    pass

    node.run(program)


def test_threads_call_run_at_once(node):
    results = [None] * 8

    def work(i):
        results[i] = [node.run(root_of, float(i + 1), 1e-4) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, values in enumerate(results):
        assert values == pytest.approx([(i + 1) ** 0.5] * 10, rel=1e-3)


def test_an_orchestrator_that_no_program_was_called_with_is_refused():
    class Mine(troupe.Orchestrator):
        pass

    for kind in [troupe.Orchestrator, Mine]:
        with pytest.raises((TypeError, RuntimeError, troupe.Error)):
            troupe.submit(kind.__new__(kind), "scale")
    for wrong in [lambda: troupe.submit("scale"), lambda: troupe.submit()]:
        with pytest.raises((TypeError, RuntimeError, troupe.Error)):
            wrong()

    class Own(troupe.Tensor):
        pass

    for kind in [troupe.Tensor, Own]:
        with pytest.raises(troupe.Error, match="describes nothing"):
            in_(kind.__new__(kind))
    with pytest.raises(troupe.Error, match="in_"):
        troupe.TensorArgument()


def test_a_submit_needs_to_know_what(node):
    def program(node):
        with pytest.raises(troupe.Error, match="submit needs to know what"):
            node.submit()
        with pytest.raises(troupe.Error, match="submit_sub needs a function"):
            node.submit_sub()
        with pytest.raises(troupe.Error, match="no option"):
            node.submit("scale", callable="scale")

    node.run(program)


def test_a_function_that_takes_other_arguments_is_told_so(node):
    for program in [lambda: 5, lambda node: node.submit_sub(lambda x: None)]:
        with pytest.raises(troupe.Error) as caught:
            node.run(program)
        assert "positional argument" in str(caught.value), caught.value


def test_what_is_not_waited_for_is_no_value(node):
    x = np.zeros(2, "f4")

    def plain(node):
        task = node.submit("scale", inout(x), scalar(1.0))
        for wrong in [bool, float, lambda read: read == 0, lambda read: read != 0, lambda read: read == x]:
            with pytest.raises(troupe.Error, match="is no value") as raised:
                wrong(node.read(x))
            assert "node.read(x).get()" in raised.value.hint
        with pytest.raises(troupe.Error, match="a task is no value"):
            assert task
        assert task == task and task != node.drained() and task is not None and task != None and task in [task]  # noqa: E711
        assert len({task, task, node.drained()}) == 2
        for wrong in [lambda read: read < 1, lambda read: 1 + read]:
            with pytest.raises(TypeError):
                wrong(node.read(x))
        return node.read(x).get() < 1

    assert node.run(plain)


def test_a_wait_in_an_async_program_is_refused_at_once_with_what_to_write(node):
    x = node.tensor(2)

    async def program(node):
        task = node.submit("scale", inout(x), scalar(1.0))
        for wrong in [task.wait, node.drain, node.read(x).get, node.room().wait, node.allocate_domain([0], {}).get]:
            with pytest.raises(troupe.Error, match="inside an async def program") as raised:
                wrong()
            assert "await node.read(x)" in raised.value.hint and "co_await" not in str(raised.value)
        node.submit("scale", inout(x), scalar(1.0), on_chip=1)
        with pytest.raises(troupe.Error) as raised:
            while True:  # as long as it is not there
                x.numpy()
                node.submit("scale", inout(x), scalar(1.0), on_chip=1)
        assert "co_await" not in str(raised.value) and "await node.fetch(x)" in str(raised.value), raised.value
        await node.drained()

    node.run(program)


def test_futures_of_asyncio_are_refused_and_asyncio_waits_for_runs(node):
    import asyncio

    async def sleeps(node):
        await asyncio.sleep(0.01)

    with pytest.raises(troupe.Error, match="no running event loop") as raised:
        node.run(sleeps)
    assert "await node.submit(" in raised.value.hint

    async def outside():
        return await asyncio.gather(*(asyncio.to_thread(node.run, lambda node, i=i: i) for i in range(20)))

    assert asyncio.run(outside()) == list(range(20))


def test_code_in_the_background_has_the_context_of_who_submits_it(node):
    import contextvars

    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    def function(x):
        seen.append(("function", who.get()))
        who.set("the function")

    async def program(node):
        seen.append(("program", who.get()))
        who.set("the program")
        await node.submit_sub(function, inout(node.tensor(1)))
        await node.submit_sub(function, inout(node.tensor(1)))
        return who.get()

    who.set("the caller")
    assert node.submit(program).result() == "the program"
    assert seen == [("program", "the caller"), ("function", "the program"), ("function", "the program")]
    assert who.get() == "the caller"
    handles = []
    for name in ["a", "b", "c"]:
        who.set(name)
        handles.append(node.submit(lambda node: who.get()))
    assert [handle.result() for handle in handles] == ["a", "b", "c"]


def test_a_generator_is_no_program(node):
    def yields(node):
        yield node.submit("scale")

    async def yields_too(node):
        yield 1

    def returns_one(node):
        return (n for n in [1])

    for wrong in [yields, yields_too, returns_one, lambda node: yields(node)]:
        with pytest.raises(troupe.Error, match="is a generator, of which nothing would run") as raised:
            node.run(wrong)
        assert "await instead of yield" in str(raised.value)
