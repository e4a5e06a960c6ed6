"""Ends that nobody planned: Ctrl-C, a killed parent, functions that do not return, workers that are not closed."""

import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest
from compat_support import packed, read

SCRIPT = """
import os, sys, time
from simpler.task_interface import *
from simpler.worker import Worker

def for_ever(args):
    print("in", os.getpid(), flush=True)
    while True:
        time.sleep(1)

def main():
    w = Worker(level=3, num_sub_workers=2)
    sub = w.register(for_ever)
    w.init()
    print("children", *w._subs.pids, flush=True)
    try:
        w.run(lambda orch, args, cfg: orch.submit_sub(sub))
    finally:
        w.close()

main()
"""


@pytest.fixture
def script():
    made = []

    def start(text):
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()
        process.communicate()


def has_gone(pid, milliseconds=30000):
    """Waits for the end of a process that is not ours."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        return bool(poll.poll(milliseconds))
    finally:
        os.close(end)


def children_of(process):
    line = process.stdout.readline().split()
    assert line[:1] == ["children"], process.stderr.read()
    return [int(pid) for pid in line[1:]]


def test_ctrl_c_ends_a_run_and_the_sub_workers_with_it(script):
    process = script(SCRIPT)
    children = children_of(process)
    assert process.stdout.readline().startswith("in ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert all(has_gone(pid) for pid in children)


def test_sub_workers_do_not_outlive_a_parent_that_is_killed(script):
    process = script(SCRIPT.replace("    while True:\n        time.sleep(1)", "    sys.stdin.read()"))
    children = children_of(process)
    process.kill()
    assert all(has_gone(pid) for pid in children)


def test_a_worker_that_is_not_closed_ends_with_its_program(script):
    process = script("""
        from simpler.worker import Worker
        w = Worker(level=3, platform="a2a3sim", runtime="host_build_graph", device_ids=[0], num_sub_workers=2)
        w.register(lambda args: None)
        w.init()
        b = w.create_buffer(64)
        print("children", *w._subs.pids, flush=True)
        print(b.shm.name, flush=True)
        """)
    children = children_of(process)
    name = process.stdout.readline().strip()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(has_gone(pid) for pid in children)
    assert not os.path.exists("/dev/shm/" + name)


def test_few_descriptors_are_told(script):
    process = script("""
        import resource
        from simpler.worker import Worker
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
        w = Worker(level=3, platform="a2a3sim", runtime="host_build_graph", device_ids=[0], num_sub_workers=40)
        try:
            w.init()
        except (OSError, RuntimeError) as error:
            print("told", w.state)
        w.close()
        """)
    out, errors = process.communicate(timeout=60)
    assert out == "told FAILED\n", errors


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer takes all addresses")
def test_little_memory_is_enough_for_small_programs(script):
    process = script("""
        import resource
        from simpler.worker import Worker
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        with Worker(level=3, num_sub_workers=1) as w:
            sub = w.register(lambda args: None)
            w.init()
            w.run(lambda orch, args, cfg: orch.submit_sub(sub))
        print("done")
        """)
    out, errors = process.communicate(timeout=60)
    assert out == "done\n", errors


def test_bytes_that_are_no_callable_are_told(worker):
    from simpler.task_interface import ArgDirection, ChipCallable, CoreCallable, TaskArgs

    w = worker(2)
    good = packed("add")
    for binary, sentence in ((b"nonsense", "ELF|object|load"), (read("entries_tmr")[:5000], "load|object")):
        bad = ChipCallable.build([ArgDirection.IN], "entry", binary, [(0, CoreCallable.build([], read("add")))])
        with pytest.raises(RuntimeError, match=sentence):
            w.run(w.register(bad), TaskArgs())
    with pytest.raises(RuntimeError, match="no_such_entry"):
        w.run(w.register(ChipCallable.build([], "no_such_entry", read("entries_tmr"), [])), TaskArgs())
    assert w.register(good)
