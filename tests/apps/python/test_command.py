"""`troupe run program.py:name`: what it becomes, python3 -m troupe, and the command itself where it was built."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

COMMAND = pathlib.Path(os.environ["TROUPE_BUILD_FOLDER"]) / "bin" / "troupe"
PROGRAMS = """
import troupe

@troupe.program
def train(node, steps=3, rate: float = 0.5, loud: bool = False):
    print("steps", steps, "rate", rate, "loud", loud, "chips", node.chips, "path", node.path)

@troupe.program
async def waits(node, number: int):
    await node.submit_sub(lambda: print("number", number))

@troupe.program
def fails(node):
    raise ValueError("on purpose")

@troupe.program
async def endless(node):
    first = True
    while True:
        await node.submit_sub(lambda: print("under way", flush=True) if first else None)
        first = False
"""
ways = [pytest.param([sys.executable, "-m", "troupe"], id="module")]
if COMMAND.exists():
    ways.append(pytest.param([str(COMMAND)], id="command"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "programs.py"
    path.write_text(PROGRAMS)
    return str(path)


@pytest.fixture(params=ways)
def troupe_run(request):
    def run(*words):
        done = subprocess.run([*request.param, "run", *words], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    run.words = request.param
    return run


def test_parameters_have_names_types_and_defaults(troupe_run, file):
    code, out, err = troupe_run(file + ":train", "--chips", "4", "--param", "rate=0.1", "--param", "loud=true")
    assert (code, out) == (0, "steps 3 rate 0.1 loud True chips 4 path node0\n"), err
    assert "train: 0 tasks in" in err
    code, out, err = troupe_run(file + ":waits", "--param", "number=7", "--runs", "2")
    assert (code, out) == (0, "number 7\nnumber 7\n"), err
    code, out, err = troupe_run(file + ":train", "--nodes", "2")
    assert "chips 2 path pod0" in out


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        ([":train", "--param", "speed=1"], 2, 'has no parameter "speed"'),
        ([":train", "--param", "steps=many"], 2, "of type int"),
        ([":train", "--param", "steps"], 2, "name=value"),
        ([":train", "--param", "steps=1", "--param", "steps=2"], 2, "twice"),
        ([":waits"], 2, 'needs its parameter "number"'),
        ([":nobody"], 3, "its programs are"),
        ([""], 3, "several programs"),
        ([":fails"], 1, "ValueError: on purpose"),
        ([":train", "--platform", "nosuch"], 3, "nosuch"),
        ([":endless", "--timeout", "1"], 124, "not done within 1 s"),
    ],
)
def test_what_is_wrong_is_said_and_answered_with_its_exit_code(troupe_run, file, words, code, sentence):
    got, out, err = troupe_run(file + words[0], *words[1:])
    assert got == code and sentence in err, err


def test_a_file_that_is_not_there(troupe_run):
    code, out, err = troupe_run("nowhere.py")
    assert code == 3 and "nowhere.py" in err


def test_ctrl_c_cancels_and_answers_130(troupe_run, file):
    process = subprocess.Popen(
        [*troupe_run.words, "run", file + ":endless"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "cancelled" in err


def test_a_trace_is_written(troupe_run, file, tmp_path):
    trace = tmp_path / "trace.json"
    code, out, err = troupe_run(file + ":waits", "--param", "number=1", "--trace", str(trace))
    assert code == 0 and "traceEvents" in trace.read_text(), err
