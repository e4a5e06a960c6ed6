"""Ends of life: Ctrl-C, exit with runs in flight, fork, subinterpreters. Each in an interpreter of its own."""

import os
import signal

from conftest import KERNELS

START = f"""
import troupe
from troupe import inout, out, in_, scalar
system = troupe.System(chips=1)
node = system.node()
node.load({KERNELS!r})
async def hangs(node):
    task = node.submit("hang", inout(node.tensor(1)))
    node.flush()
    print("under way", flush=True)
    await task
async def quiet(node):
    await node.submit("hang", inout(node.tensor(1)))
def blocks(node):
    task = node.submit("hang", inout(node.tensor(1)))
    print("under way", flush=True)
    task.wait()
"""


def interrupt(process):
    assert process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGINT)


def test_ctrl_c_ends_a_run_and_returns_to_the_prompt(run_python):
    for program in ["hangs", "blocks"]:
        code, out, err = run_python(
            START
            + f"""
try:
    node.run({program})
except KeyboardInterrupt:
    print("interrupted")
assert node.run(lambda node: 3) == 3
print("works")
""",
            signals=interrupt,
        )
        assert (code, out) == (0, "interrupted\nworks\n"), err


def test_ctrl_c_ends_a_wait_for_a_handle_and_not_the_run(run_python):
    code, out, err = run_python(
        START
        + """
handle = node.submit(quiet)
try:
    print("under way", flush=True)
    handle.result()
except KeyboardInterrupt:
    print("interrupted", handle.done)
handle.cancel()
print(handle.wait())
""",
        signals=interrupt,
    )
    assert (code, out) == (0, "interrupted False\nTrue\n"), err


def test_a_signal_handler_of_ones_own_runs_and_the_wait_goes_on(run_python):
    code, out, err = run_python(
        START
        + """
import signal
handle = node.submit(quiet)
signal.signal(signal.SIGINT, lambda *_: (print("heard", flush=True), handle.cancel()))
print("under way", flush=True)
print(handle.wait())
""",
        signals=interrupt,
    )
    assert (code, out) == (0, "heard\nTrue\n"), err


def test_ctrl_c_while_a_program_computes(run_python):
    code, out, err = run_python(
        START
        + """
def computes(node):
    print("under way", flush=True)
    while True:
        pass
try:
    node.run(computes)
except KeyboardInterrupt:
    print("interrupted")
""",
        signals=interrupt,
    )
    assert (code, out) == (0, "interrupted\n"), err


def test_ctrl_c_in_code_that_a_simulation_calls_is_a_keyboard_interrupt(run_python):
    codes = {
        "placement": "sim = testing.Simulation(placement=lambda task, chips: computes())",
        "kernel": "sim = testing.Simulation(); sim.kernel('step', lambda x: computes())",
        "function": "sim = testing.Simulation(); sim.node.add_function('step', lambda x: computes())",
        "program": "sim = testing.Simulation(); program = lambda node: computes()",
    }
    waits = ["sim.node.run(program)", "sim.node.submit(program).result()", "handle = sim.node.submit(program)\n    while sim.step(): pass"]
    for what, simulation in codes.items():
        for wait in waits:
            code, out, err = run_python(
                f"""
from troupe import inout, testing
def computes():
    print("under way", flush=True)
    while True:
        pass
def program(node):
    node.submit("step", inout(node.tensor(1)))
{simulation}
if {what == "placement"}:
    sim.kernel("step", lambda x: None)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted")
sim.close()
print("closed")
""",
                signals=interrupt,
            )
            assert (code, out) == (0, "interrupted\nclosed\n"), (what, wait, out, err)


def test_the_interpreter_ends_with_runs_in_flight(run_python):
    for more in ["", "import sys; sys.exit(0)\n", "del system, node\n", "handles = [node.submit(hangs) for _ in range(20)]\n"]:
        code, out, err = run_python(START + "handle = node.submit(hangs)\nblocked = node.submit(blocks)\n" + more)
        assert code == 0 and "Fatal" not in err and "terminate" not in err, err


def test_the_interpreter_ends_while_a_daemon_thread_waits(run_python):
    code, out, err = run_python(
        START
        + """
import threading
threading.Thread(target=lambda: node.run(hangs), daemon=True).start()
threading.Thread(target=lambda: node.submit(hangs).wait(), daemon=True).start()
import time
handle = node.submit(lambda node: node.submit_sub(lambda x: time.sleep(600), in_(node.tensor(1))))
handle.wait(0.2)
"""
    )
    assert code == 0 and "terminate" not in err and "FATAL" not in err, err


def test_the_interpreter_ends_while_a_function_computes_for_ever(run_python):
    code, out, err = run_python(
        """
import troupe
from troupe import in_
import threading
begun = threading.Event()
node = troupe.System(chips=1, abort_grace=0.05).node()
def computes(x):
    begun.set()
    while True:
        pass
node.submit(lambda node: node.submit_sub(computes, in_(node.tensor(1))))
begun.wait()
"""
    )
    assert code == 0 and "terminate" not in err and "FATAL" not in err, err


def test_a_child_of_fork_is_told_so(run_python):
    code, out, err = run_python(
        START
        + """
import os
assert node.run(lambda node: 1) == 1
pid = os.fork()
if pid == 0:
    try:
        node.run(lambda node: 1)
    except troupe.Error as error:
        print(error.code, flush=True)
    with troupe.System(chips=1) as own:
        print(own.node().run(lambda node: 5), flush=True)
    raise SystemExit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(node.run(lambda node: 2))
"""
    )
    assert (code, out) == (0, "wrong_state\n5\n0\n2\n"), err


def test_multiprocessing_with_fork_is_an_error_in_a_sentence(run_python):
    code, out, err = run_python(
        START
        + """
import multiprocessing
def work(_):
    try:
        return node.run(lambda node: 1)
    except troupe.Error as error:
        return error
with multiprocessing.get_context("fork").Pool(1) as pool:
    error = pool.map(work, [1])[0]
print(error.code)
"""
    )
    assert (code, out) == (0, "wrong_state\n"), err


def test_subinterpreters_are_refused(run_python):
    for before in ["import troupe", ""]:  # also the first that wants it
        code, out, err = run_python(
            f"""
import _xxsubinterpreters as sub
{before}
which = sub.create()
try:
    sub.run_string(which, "import troupe")
except sub.RunFailedError as error:
    print("main interpreter" in str(error))
import troupe
print(troupe.System(chips=1).node().run(lambda node: 5))
"""
        )
        assert (code, out) == (0, "True\n5\n"), err


def test_import_needs_no_numpy(run_python):
    code, out, err = run_python(
        """
import sys
sys.modules["numpy"] = None
import array, troupe
from troupe import inout
node = troupe.System(chips=1).node()
x = array.array("f", [1, 2])
node.run(lambda node: node.submit_sub(lambda a: a.__setitem__(0, 7.0), inout(x)))
assert list(x) == [7, 2]
y = node.tensor(3, fill=2.0)
view = y.numpy()
assert isinstance(view, memoryview) and view.tolist() == [2, 2, 2]
print("fine")
"""
    )
    assert (code, out) == (0, "fine\n"), err


def test_deep_recursion_and_many_threads_do_not_hurt(run_python):
    code, out, err = run_python(
        START
        + """
def deep(node, n):
    return deep(node, n + 1)
try:
    node.run(deep, 0)
except troupe.Error as error:
    print("RecursionError" in error.message)
"""
    )
    assert (code, out) == (0, "True\n"), err


def test_what_is_left_of_a_closed_system_ends_in_a_child_of_fork(run_python):
    code, out, err = run_python("""
        import gc, os, troupe

        gc.disable()
        class Box: pass

        system = troupe.System(chips=1)
        box = Box()
        box.itself, box.node = box, system.node()
        system.close()
        del box
        pid = os.fork()
        if pid == 0:
            gc.collect()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
    assert (code, out) == (0, "7\n"), err


def test_memory_that_cannot_be_had_is_told_with_the_limit(run_python):
    code, out, err = run_python(
        """
import resource
import troupe
system = troupe.System(chips=1)
node = system.node()
kernel = bytes(1 << 30)
for line in open("/proc/self/status"):
    if line.startswith("VmSize:"):
        limit = (int(line.split()[1]) << 10) + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
try:
    node.add_kernel("large", kernel)
except MemoryError as error:
    print(error)
"""
    )
    assert out.startswith("there is no more memory (this process has ") and "ulimit -v" in out, (out, err)
