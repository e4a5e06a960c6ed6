"""In a notebook: what code of a run prints goes to the cell that runs it, and things show themselves."""

import queue
import re

import pytest

from conftest import KERNELS

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SETUP = """
import threading, troupe, numpy as np
from troupe import in_, inout, out, scalar
system = troupe.System(chips=2, sub_workers=2)
node = system.node()
"""


def cells(*sources):
    """What each cell put out, as {stream or kind: text}."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in [SETUP, *sources]])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    found = []
    for cell in notebook.cells:
        texts = {}
        for output in cell.outputs:
            kind = output.get("name") or output.output_type
            text = output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
            texts[kind] = texts.get(kind, "") + text
        found.append(texts)
    assert found[0] == {}, found[0]
    return found[1:]


def said(*sources, setup=SETUP):
    """What is said in reply to each cell, whenever that is, and what each displays, as it is in the end; the last one waits for
    all that is to be said."""
    manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        texts = {}
        for source in [setup, *sources]:
            cell = client.execute(source, stop_on_error=False)  # or what comes soon after an error is not run
            texts[cell] = {}
            while True:
                try:
                    message = client.get_iopub_msg(timeout=120)
                except queue.Empty:
                    raise AssertionError(f"nothing more is said: {texts}") from None
                content, of = message["content"], message["parent_header"].get("msg_id")
                if message["msg_type"] == "stream":
                    stream = texts.setdefault(of, {})
                    stream[content["name"]] = stream.get(content["name"], "") + content["text"]
                    if "under way" in content["text"]:
                        manager.interrupt_kernel()
                elif message["msg_type"] in ("display_data", "update_display_data"):
                    shown = texts.setdefault(of, {}).setdefault("display", {})
                    name = content["transient"]["display_id"]
                    assert (message["msg_type"] == "update_display_data") == (name in shown)
                    shown[name] = content["data"]["text/plain"]
                elif message["msg_type"] == "error":
                    texts[of]["error"] = content["ename"]
                elif message["msg_type"] == "status" and content["execution_state"] == "idle" and of == cell:
                    break
        return list(texts.values())[1:]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_what_a_run_in_the_background_prints_goes_to_the_cell_that_submitted_it():
    begins, between, ends, waits, after = said(
        """
go_on, printed = threading.Event(), threading.Event()
import sys
def function():
    go_on.wait(60)
    print("in the function")
    print("and aside", file=sys.stderr)
async def program(node):
    print("in the program")
    await node.submit_sub(function)
    print("later")
def plain(node):
    go_on.wait(60)
    print("plain")
async def fails(node):
    await node.drained()
    go_on.wait(60)
    printed.set()
    print("before it fails")
    raise ValueError
first = node.submit(program)
""",
        "second = node.submit(plain); third = node.submit(fails)",
        "print('here'); go_on.set(); first.wait(); print('there')",
        "second.wait(); third.wait(); print(type(sys.stdout).__name__)",
        "node.run(lambda node: print('in this one')); print('done')",
    )
    assert begins == {"stdout": "in the program\nin the function\nlater\n", "stderr": "and aside\n"}
    # Two threads print: a line's text and its end are two writes of Python, and the other's may come between.
    assert sorted("".join(between["stdout"].split())) == sorted("plain" "beforeitfails") and set(between) == {"stdout"}
    assert ends == {"stdout": "here\nthere\n"}
    assert set(waits) == {"stdout"} and "plain" not in waits["stdout"]
    assert after == {"stdout": "in this one\ndone\n"}


PATIENT = """
import threading
from troupe import _progress
_progress.PATIENCE = _progress.PAUSE = 0  # what takes long is what waits for the line
shown, again = threading.Event(), threading.Event()
real = _progress.Line._put
def put(self, text):
    real(self, text)
    (again if shown.is_set() else shown).set()
_progress.Line._put = put
def waits():
    assert shown.wait(60) and again.wait(60)
def long(node):
    node.submit_sub(waits)
"""


def lines(*sources):
    """What each cell displays, with what became of it; and all else that is in the cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in [SETUP, PATIENT, *sources]])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    found = []
    for cell in notebook.cells[2:]:
        kinds = {output.output_type for output in cell.outputs}
        found.append(([o.data["text/plain"] for o in cell.outputs if o.output_type == "display_data"], kinds))
    return found


def test_a_run_that_takes_long_has_a_line_in_its_cell():
    ran, nothing, raised, named = lines(
        "node.run(long)",
        "1",
        """
shown.clear(); again.clear()
def fails(node):
    node.submit_sub(waits).wait()
    raise ValueError("on purpose")
node.run(fails)
""",
        "shown.clear(); again.clear(); node.run(long, name='nightly')",
    )
    assert ran[1] == {"display_data"} and len(ran[0]) == 1 and re.fullmatch(r"long: done in \d+\.\d s", ran[0][0]), ran
    assert nothing == ([], {"execute_result"})
    assert len(raised[0]) == 1 and re.fullmatch(r"fails: failed after \d+\.\d s", raised[0][0]), raised
    assert raised[1] == {"display_data", "error"}
    assert named[0][0].startswith("nightly: done in ")


# Streams as those of ipykernel 7: what is at work is kept in a context, and for threads that have none.
YOUNGER = """
import contextvars, sys
from ipykernel.iostream import OutStream
def header(stream):
    return stream._in_context.get(stream._for_all)
def set_header(stream, header):
    stream._for_all = header
    stream._in_context.set(header)
if not hasattr(OutStream, "parent_header"):
    for stream in (sys.stdout, sys.stderr):
        stream._in_context = contextvars.ContextVar("parent_header")
        set_header(stream, stream.__dict__.pop("parent_header"))
    OutStream.parent_header = property(header, set_header)
"""


@pytest.mark.parametrize("before", ["", YOUNGER], ids=["", "younger streams"])
def test_the_line_of_a_run_in_the_background_is_in_the_cell_that_submitted_it(before):
    _, submits, other, waits, after = said(
        PATIENT,
        "first = node.submit(long)",
        "print('here')",
        "assert shown.wait(60) and again.wait(60); first.result(); _progress.idle()",
        "print('there')",
        setup=before + SETUP,
    )
    assert set(submits) == {"display"}, submits
    (line,) = submits["display"].values()
    assert re.fullmatch(r"long: 1 task in \d+\.\d s", line)
    assert other == {"stdout": "here\n"} and waits == {} and after == {"stdout": "there\n"}


def test_a_line_says_how_far_the_run_is():
    (said,) = lines(
        r"""
texts = []
last = _progress.Line._put
def put(self, text):
    texts.append(text)
    last(self, text)
_progress.Line._put = put
node.run(long)
import re
assert re.fullmatch(r"long: \d+\.\d s, \d+ tasks? ended on node0, [01] running, [01] waiting there", texts[0]), texts
"""
    )
    assert said[1] == {"display_data"}


def test_short_runs_have_no_line():
    never = "from troupe import _progress; _progress.PATIENCE = 1e9"
    assert cells(never, "for i in range(100): node.run(lambda node: None)", "node.submit(lambda node: None).wait(); 1") == [
        {},
        {},
        {"execute_result": "1"},
    ]


def test_simulations_are_left_alone():
    (said,) = lines(
        """
from troupe import testing
sim = testing.Simulation()
sim.node.run(lambda node: node.submit_sub(lambda: None))
_progress.idle()
"""
    )
    assert said == ([], set())


def test_an_interrupt_ends_a_run_and_the_notebook_goes_on():
    first, second, third, fourth, after = said(
        f"node.load({KERNELS!r})"
        """
async def hangs(node):
    task = node.submit("hang", inout(node.tensor(1)))
    node.flush()
    print("under way", flush=True)
    await task
node.run(hangs)
""",
        """
def blocks(node):
    task = node.submit("hang", inout(node.tensor(1)))
    print("under way", flush=True)
    task.wait()
node.run(blocks)
""",
        """
def computes(node):
    print("under way", flush=True)
    while True:
        pass
node.run(computes)
""",
        """
handle = node.submit(lambda node: node.submit("hang", inout(node.tensor(1))))
print("under way", flush=True)
handle.result()
""",
        """
handle.cancel()
import asyncio
print(handle.wait(), await asyncio.to_thread(node.run, lambda node: 5))
""",
    )
    for interrupted in [first, second, third, fourth]:
        assert interrupted == {"stdout": "under way\n", "error": "KeyboardInterrupt"}
    assert after == {"stdout": "True 5\n"}


def test_what_a_run_prints_goes_to_the_cell_that_waits_for_it():
    whole, nothing = cells(
        """
def program(node):
    print("in the program")
    node.submit_sub(lambda: print("in the function"))
node.run(program)
""",
        "pass",
    )
    assert whole == {"stdout": "in the program\nin the function\n"}
    assert nothing == {}


def test_errors_and_log_lines_are_shown_by_the_cell_that_runs():
    failed, after, told = cells(
        """
def broken(x):
    raise ValueError("on purpose")
node.run(lambda node: node.submit_sub(broken, in_(np.ones(1))))
""",
        "print(node)",
        """
lines = []
with troupe.System(log=lambda level, path, text: lines.append(text), log_level="debug") as other:
    other.node()
print(len(lines) > 0)
""",
    )
    assert "ValueError" in failed["error"] and "on purpose" in failed["error"] and set(failed) == {"error"}
    assert "node0" in after["stdout"] and set(after) == {"stdout"}
    assert told == {"stdout": "True\n"}


def test_things_show_themselves():
    shown = cells(
        "system",
        "node",
        "x = node.tensor(4); x",
        "inout(x), scalar(2.0)",
        "x.numpy()",
        "handle = node.submit(lambda node: None); handle.wait(); handle",
        "handle.report()",
        "node.status()",
        "system.close(); system",
    )
    wanted = ["troupe.System", "node0", "f32[4]", "troupe.inout", "array([0., 0., 0., 0.]", "troupe.Handle", "ended well", "chip1", "closed"]
    for text, word in zip(shown, wanted, strict=True):
        assert set(text) == {"execute_result"} and word in text["execute_result"], (text, word)
