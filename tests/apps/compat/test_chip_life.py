"""Level 2 from the outside: states, mistakes, and what a failure leaves behind."""

import array

import pytest
from compat_support import IN, INOUT, OUT, RUNTIMES, code_of, floats, packed, program, task

from simpler.task_interface import ArgDirection, CallConfig, ChipCallable, CoreCallable, DataType, TaskArgs
from simpler.worker import Worker


def test_a_missing_platform_or_runtime_is_a_key_error_at_init():
    for config in ({}, {"platform": "a2a3sim"}, {"runtime": "host_build_graph"}):
        w = Worker(level=2, **config)
        with pytest.raises(KeyError):
            w.init()
        w.close()
        w.close()


def test_callables_come_before_and_after_init(worker, platform, runtime):
    w = worker(2, init=False, platform=platform, runtime=runtime)
    early = w.register(packed("add", runtime))
    w.init()
    late = w.register(packed("chain", runtime))
    same = w.register(packed("add", runtime))
    assert same == early and late != early
    c = floats(0, 0)
    w.run(same, task(w, (floats(1, 2), IN), (floats(3, 4), IN), (c, OUT)))
    assert list(c) == [4, 6]
    w.run(late, task(w, (floats(1, 2), IN), (floats(3, 4), IN), (c, OUT), scalars=[0x40000000]))
    assert list(c) == [9, 14]
    w.unregister(early)
    for gone in (early, same):
        with pytest.raises(KeyError):
            w.run(gone, TaskArgs())
    again = w.register(packed("add", runtime))
    w.run(again, task(w, (floats(1, 2), IN), (floats(3, 4), IN), (c, OUT)))
    assert list(c) == [4, 6]


def test_host_memory_of_any_size_comes_and_goes_between_runs(worker, runtime):
    w = worker(2, runtime=runtime)
    h = w.register(packed("add", runtime))
    for n in [1, 7, 64, 1000, 3, 5000, 17] * 20:
        a, b, c = floats(*range(n)), floats(*[n] * n), floats(*[0] * n)
        w.run(h, task(w, (a, IN), (b, IN), (c, OUT)))
        assert c[-1] == 2 * n - 1 and c[0] == n


def test_one_buffer_is_several_arguments(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h = w.register(packed("add", runtime))
    memory = w.malloc(4 * 12)
    w.copy_to(memory, floats(*range(12)))

    def part(i):
        return memory.tensor((4,), DataType.FLOAT32, byte_offset=16 * i)

    w.run(h, task(w, (part(0), IN), (part(1), IN), (part(2), OUT)))
    w.run(h, task(w, (part(2), IN), (part(2), IN), (part(0), OUT)))
    out = floats(*[0] * 12)
    w.copy_from(out, memory)
    assert list(out) == [8, 12, 16, 20, 4, 5, 6, 7, 4, 6, 8, 10]


def test_what_is_passed_by_two_names_is_one_argument_twice(worker, runtime):
    w = worker(2, runtime=runtime)
    x = floats(1, 2, 3)
    w.run(w.register(packed("add", runtime)), task(w, (x, IN), (x, IN), (x, OUT)))
    assert list(x) == [2, 4, 6]


def test_failures_of_every_kind_leave_a_chip_that_works(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    add = w.register(packed("add", runtime))
    unknown = w.register(ChipCallable.build([ArgDirection.IN, ArgDirection.OUT], "by_hand_entry",
                                            program("by_hand", [], runtime).binary, []))
    throws, fatal = w.register(program("throws", [], runtime)), w.register(packed("fatal", runtime))
    config = CallConfig()
    config.runtime_env.ring_heap = 1024
    by_hand = w.register(program("by_hand", [ArgDirection.IN, ArgDirection.OUT], runtime))
    big = floats(*range(2000))
    for _ in range(3):
        c = floats(0)
        assert code_of(lambda: w.run(unknown, task(w, (floats(1), IN), (c, OUT)))) == -1
        assert code_of(lambda: w.run(throws, TaskArgs())) == -1
        assert code_of(lambda: w.run(fatal, task(w, scalars=[77]))) == -77
        assert code_of(lambda: w.run(by_hand, task(w, (big, IN), (floats(*[0] * 2000), OUT)), config)) == -2
        w.run(add, task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
        assert list(c) == [3]


def test_what_a_failed_run_was_to_write_is_the_callers_when_the_worker_closes(worker, runtime):
    config = CallConfig()
    config.runtime_env.ring_heap = 1024
    for _ in range(20):
        w = worker(2, runtime=runtime)
        by_hand = w.register(program("by_hand", [ArgDirection.IN, ArgDirection.OUT], runtime))
        x, y = floats(*[1] * 2000), floats(*[2] * 2000)
        assert code_of(lambda: w.run(by_hand, task(w, (x, IN), (y, OUT)), config)) == -2
        y[:] = floats(*[3] * 2000)
        w.close()
        assert list(y) == [3] * 2000


def test_entries_that_are_not_there_are_told_when_registered(worker, runtime):
    w = worker(2, runtime=runtime)
    binary = program("by_hand", [], runtime).binary
    with pytest.raises(RuntimeError):
        w.register(ChipCallable.build([], "no_such_entry", binary, []))
    with pytest.raises(RuntimeError):
        w.register(ChipCallable.build([], "by_hand_entry", b"\x7fELF no object", []))
    with pytest.raises(ValueError):
        ChipCallable.build([], "by_hand_entry", binary, [(1024, CoreCallable.build([], b"x"))])
    for kernel in (b"x", binary):
        with pytest.raises(RuntimeError, match="prepare_callable failed with code -1.*kernel 3"):
            w.register(ChipCallable.build([], "by_hand_entry", binary, [(3, CoreCallable.build([], kernel))]))
    early = worker(2, init=False, runtime=runtime)
    early.register(ChipCallable.build([], "no_such_entry", binary, []))
    with pytest.raises(RuntimeError, match="prepare_callable failed with code -1.*no_such_entry"):
        early.init()
    w.run(w.register(ChipCallable.from_bytes(packed("add", runtime).to_bytes())),
          task(w, (floats(1), IN), (floats(2), IN), (floats(0), OUT)))


def test_a_worker_is_closed_while_handles_and_buffers_live(worker):
    w = worker(2)
    h, memory = w.register(packed("add")), w.malloc(16)
    c = floats(0)
    handle = w.submit(h, task(w, (floats(1), IN), (floats(2), IN), (c, OUT)))
    w.close()
    assert handle.done and handle.wait() is None and list(c) == [3]
    memory.close()
    for call in (lambda: w.run(h), lambda: w.malloc(4), lambda: w.copy_to(memory, floats(1)), lambda: w.submit(h),
                 lambda: w.init(), lambda: w.register(packed("add")), lambda: w.free(memory)):
        with pytest.raises((RuntimeError, ValueError)):
            call()


def test_submitted_runs_keep_their_order(worker, runtime):
    w = worker(2, runtime=runtime)
    h = w.register(packed("add_to", runtime))
    x, one = floats(0), floats(1)
    handles = [w.submit(h, task(w, (x, INOUT), (one, IN))) for _ in range(20)]
    for handle in handles:
        handle.wait(timeout=60)
    assert list(x) == [20]


@pytest.mark.parametrize("signature", [[], [ArgDirection.SCALAR] * 3])
def test_what_the_signature_does_not_say_goes_both_ways(worker, runtime, signature):
    w = worker(2, runtime=runtime)
    x, y = floats(5), floats(0)
    w.run(w.register(packed("add", runtime, signature)), task(w, (x, IN), (x, IN), (y, IN)))
    assert list(x) == [5] and list(y) == [10]
