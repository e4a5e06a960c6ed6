"""In a notebook: what code of a run prints goes to the cell that waits for it, and things show themselves."""

import pytest

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


def test_what_a_run_prints_goes_to_the_cell_that_waits_for_it():
    whole, nothing, begins, ends, after = cells(
        """
def program(node):
    print("in the program")
    node.submit_sub(lambda: print("in the function"))
node.run(program)
""",
        "pass",
        """
go_on = threading.Event()
def waits():
    go_on.wait(60)
    print("later")
async def other(node):
    await node.submit_sub(waits)
    print("last")
handle = node.submit(other)
""",
        "go_on.set(); handle.result()",
        "print('done')",
    )
    assert whole == {"stdout": "in the program\nin the function\n"}
    assert nothing == {} and begins == {}
    assert ends == {"stdout": "later\nlast\n"}
    assert after == {"stdout": "done\n"}


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
