"""Tasks that end when somebody else has raised a counter."""

import array
import contextlib
import os

import pytest
from compat_support import INOUT, code_of, program

from simpler.task_interface import ArgDirection, DataType, TaskArgs

I32 = DataType.INT32


def chip(w, runtime, counters):
    h = w.register(program("deferred", [ArgDirection.INOUT, ArgDirection.INOUT], runtime))
    memory = w.malloc(4 * counters)
    w.copy_to(memory, array.array("i", [0] * counters))
    notes = array.array("i", [0] * 2 * counters)
    args = TaskArgs()
    args.add_tensor(w.make_tensor_arg(notes, (2 * counters,), I32.value), INOUT)
    args.add_tensor(memory.tensor((counters,), I32), INOUT)
    args.add_scalar(3)
    return h, memory, notes, args


def test_counters_that_the_host_raises_end_their_tasks(worker, platform, runtime):
    w = worker(2, platform=platform, runtime=runtime)
    h, memory, notes, args = chip(w, runtime, 4)
    handle = w.submit(h, args)
    assert not handle.done
    for values in ([1, 2, 3, 4], [3, 2, 3, 4], [5, 3, 3, 4]):
        w.copy_to(memory, array.array("i", values))
    handle.wait(timeout=60)
    assert notes.tolist() == [1, 1, 1, 2, 1, 3, 1, 4]


def test_counters_that_nobody_raises_end_their_run_with_100(worker, runtime, monkeypatch):
    monkeypatch.setenv("SIMPLER_SCHEDULER_TIMEOUT_MS", "30")
    w = worker(2, runtime=runtime)
    h, memory, notes, args = chip(w, runtime, 3)
    for _ in range(2):
        assert code_of(lambda: w.run(h, args)) == -100
    w.copy_to(memory, array.array("i", [3, 3, 3]))
    w.run(h, args)
    assert notes.tolist() == [1, 1, 1, 2, 1, 3]


@contextlib.contextmanager
def errors_in(file):
    """Standard error goes there; capfd loses what is written while it reads."""
    before = os.dup(2)
    with file.open("wb") as to:
        os.dup2(to.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@pytest.mark.parametrize("limit", ["soon", "0", "30 ms"])
def test_a_limit_that_makes_no_sense_is_ignored_with_a_warning(worker, monkeypatch, tmp_path, limit):
    monkeypatch.setenv("SIMPLER_SCHEDULER_TIMEOUT_MS", limit)
    w = worker(2)
    h, memory, notes, args = chip(w, "tmr", 1)
    said = tmp_path / "said"
    with errors_in(said):
        handle = w.submit(h, args)
        while "is ignored" not in said.read_text() and not handle.done:  # said when the task begins to wait
            pass
    w.copy_to(memory, array.array("i", [3]))
    handle.wait(timeout=60)
    assert f"SIMPLER_SCHEDULER_TIMEOUT_MS={limit} is ignored" in said.read_text()
    assert notes.tolist() == [1, 1]
