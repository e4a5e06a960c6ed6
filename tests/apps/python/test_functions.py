"""Host functions in Python."""

import threading

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar


def test_a_function_gets_arrays_then_scalars(node):
    seen = []

    @troupe.host_function
    def look(a, b, factor, count, flag):
        seen.append((a.tolist(), b.shape, factor, count, flag, threading.current_thread() is threading.main_thread()))
        b[:] = a * factor

    def program(node):
        a, b = node.tensor(2, fill=3.0), node.tensor(2)
        node.submit(look, in_(a), scalar(2.0), out(b), scalar(7), scalar(True))
        return node.read_all(b).get().tolist()

    assert node.run(program) == [6, 6]
    assert seen == [([3, 3], (2,), 2.0, 7, True, False)]


def test_functions_are_added_under_a_name(node):
    node.add_function("double", lambda x: np.multiply(x, 2, out=x))
    x = np.ones(4, "f4")
    node.run(lambda node: node.submit_sub("double", inout(x)))
    assert (x == 2).all()

    def program(node):
        with pytest.raises(troupe.Error, match="no host function"):
            node.submit_sub("scale", inout(x))
        with pytest.raises(troupe.Error, match="unknown|nothing"):
            node.submit_sub("nobody", inout(x))

    node.run(program)


def test_an_exception_is_the_tasks_error_with_its_traceback(node):
    def broken(x):
        return 1 / 0

    with pytest.raises(troupe.Error) as raised:
        node.run(lambda node: node.submit_sub(broken, in_(node.tensor(1)), name="the divider"))
    text = str(raised.value) + str(raised.value.root)
    assert "ZeroDivisionError" in text and "broken" in text and "test_functions.py" in text
    assert "the divider" in text


def test_an_array_is_the_users_again_when_the_run_in_which_its_writer_failed_has_ended(node):
    def breaks(x):
        x[0] = 99
        raise ValueError("no")

    def twice(node, x):
        with pytest.raises(troupe.Error, match="ValueError"):
            node.submit_sub(breaks, inout(x)).wait()
        with pytest.raises(troupe.Error, match="poisoned|data_lost"):
            node.read(x).get()

    for i in range(100):  # the thread of the function lets go of the array when it likes
        x = np.ones(16, "f4")
        node.run(twice, x)
        assert x[0] == 99
        x[1] = i
        seen = []
        node.run(lambda node: node.submit_sub(lambda x: seen.append(x[1]), in_(x)))
        assert seen == [i]


def test_sys_exit_in_a_function_is_its_tasks_error(node):
    def leaves(x):
        raise SystemExit(3)

    with pytest.raises(troupe.Error, match="SystemExit"):
        node.run(lambda node: node.submit_sub(leaves, in_(node.tensor(1))))


def test_an_array_that_is_kept_is_an_error(node):
    kept = []
    with pytest.raises(troupe.Error) as raised:
        node.run(lambda node: node.submit_sub(kept.append, in_(node.tensor(1))))
    assert "copy" in str(raised.value) + str(raised.value.root) + raised.value.root.hint
    node.run(lambda node: node.submit_sub(lambda x: kept.append(x.copy()), in_(node.tensor(1))))


def test_what_a_function_only_reads_it_cannot_write(node):
    x, y = np.ones(4, "f4"), np.ones(4, "f4")
    seen = []

    def look(a, b, c):
        seen.append([each.flags.writeable for each in (a, b, c)])
        with pytest.raises(ValueError):
            a.setflags(write=True)
        a[0] = 7

    with pytest.raises(troupe.Error, match="read-only"):
        node.run(lambda node: node.submit_sub(look, in_(x), inout(y), out(node.alloc(4))))
    assert seen == [[False, True, True]] and (x == 1).all()
    node.run(lambda node: node.submit_sub(lambda a, b: np.multiply(a, 2, out=b), in_(x), out(y)))
    assert (x == 1).all() and (y == 2).all()


def test_functions_run_beside_each_other(node):
    meet = threading.Barrier(2)  # passes only when two are inside at once
    node.run(lambda node: [node.submit_sub(lambda x: meet.wait(60), in_(node.tensor(1))) for _ in range(2)])


def test_an_async_function_is_no_host_function(node):
    async def wrong(x):
        pass

    with pytest.raises(troupe.Error, match="no async def"):
        troupe.host_function(wrong)

    def program(node):
        with pytest.raises(troupe.Error, match="async"):
            node.submit_sub(wrong, in_(node.tensor(1)))
        with pytest.raises(troupe.Error, match="no host function"):
            node.submit_sub(42)

    node.run(program)


def test_a_function_may_run_programs_itself(node):
    def nested(x):
        node.run(lambda inner: inner.submit("scale", inout(inner.tensor(1)), scalar(2.0)))
        x[:] = 1

    def program(outer):
        x = outer.tensor(1)
        outer.submit_sub(nested, out(x))
        return outer.read(x).get()

    assert node.run(program) == 1


def test_a_generator_is_no_host_function(node):
    def yields(x):
        yield x

    def program(node):
        with pytest.raises(troupe.Error, match="is a generator, of which nothing would run"):
            node.submit_sub(yields, in_(node.tensor(1)))

    node.run(program)
    with pytest.raises(troupe.Error, match="returned a generator"):
        node.run(lambda node: node.submit_sub(lambda x: yields(x), in_(node.tensor(1))))
