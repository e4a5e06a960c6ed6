"""`troupe run program.py:name`: what it becomes, python3 -m troupe, and the command itself where it was built."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import COMMAND

import troupe

PROGRAMS = """
import os
import troupe

KERNELS = troupe.kernel('''
#include <unistd.h>
TROUPE_KERNEL(who_runs_it)(KernelArgs& k) { k.tensor<std::int32_t>(0)[0] = ::getpid(); }
''')

@troupe.program
def train(node, steps=3, rate: float = 0.5, loud: bool = False):
    '''Learns something.

    More of it.
    '''
    print("steps", steps, "rate", rate, "loud", loud, "chips", node.chips, "path", node.path)

@troupe.program
async def waits(node, number: int):
    await node.submit_sub(lambda: print("number", number))

@troupe.program
def fails(node):
    raise ValueError("on purpose")

@troupe.program
def elsewhere(node):
    x = node.tensor(node.chips, "int32")
    for chip in range(node.chips):
        node.submit("who_runs_it", troupe.out(x[chip : chip + 1]), on_chip=chip)
    here = os.getpid()
    print("chips", node.chips, "elsewhere", all(number not in (0, here) for number in node.read_all(x).get()))

@troupe.program
async def on_each(pod):
    await pod.submit(elsewhere, on_chip=0)
    await pod.submit(elsewhere, on_chip=1)

@troupe.program
async def anywhere(node):
    await node.submit("who_runs_it", troupe.out(node.tensor(1, "int32")))

@troupe.program
async def endless(node):
    first = True
    while True:
        await node.submit_sub(lambda: print("under way", flush=True) if first else None)
        first = False
"""
WHO = """
#include <unistd.h>
TROUPE_KERNEL(who_runs_it)(KernelArgs& k) { k.tensor<std::int32_t>(0)[0] = ::getpid(); }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "programs.py"
    path.write_text(PROGRAMS)
    return str(path)


def test_parameters_have_names_types_and_defaults(troupe_run, file):
    code, out, err = troupe_run(file + ":train", "--chips", "4", "--param", "rate=0.1", "--param", "loud=true")
    assert (code, out) == (0, "steps 3 rate 0.1 loud True chips 4 path node0\n"), err
    assert "train: 0 tasks in" in err
    code, out, err = troupe_run(file + ":waits", "--param", "number=7", "--runs", "2")
    assert (code, out) == (0, "number 7\nnumber 7\n"), err
    code, out, err = troupe_run(file + ":train", "--nodes", "2")
    assert "chips 2 path pod0" in out


def test_where_tasks_go_is_an_option_and_what_is_learned_is_kept(troupe_run, file, tmp_path):
    costs = tmp_path / "costs"
    for times in (1, 2):
        code, out, err = troupe_run(file + ":anywhere", "--chips", "2", "--placement", "earliest_finish", "--models", str(costs))
        assert code == 0, err
        learned = [line.split("\t") for line in costs.read_text().splitlines() if line.endswith("\twho_runs_it")]
        assert [int(count) for _, _, count, _ in learned] == [times]


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        ([":train", "--models", "costs"], 2, "nothing learns"),
        ([":train", "--nodes", "2", "--placement", "least_loaded", "--models", "costs"], 2, "single node"),
        ([":train", "--placement", "fastest"], 2, "earliest_finish"),
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


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not built")
def test_help_says_what_a_program_takes(file):
    for words in [["run", file + ":train", "--help"], ["help", file + ":train"]]:
        done = subprocess.run([str(COMMAND), *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout == (
            "train: Learns something.\n"
            f"Usage: troupe run {file}:train [OPTIONS] --param k=v …\n"
            "\n"
            "Parameters:\n"
            "  steps=3     int\n"
            "  rate=0.5    float\n"
            "  loud=False  bool\n"
            "\n"
            "Without --chips: 1 chip. All options: troupe run --help\n"
        )
    for words in [["run", file, "--help"], ["run", "nowhere.py", "--help"]]:
        done = subprocess.run([str(COMMAND), *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 3 and done.stderr.startswith("troupe: ")
        assert "built-in" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not built")
@pytest.mark.parametrize("program", [":train", "vector_add"])
def test_help_that_cannot_be_written_is_told_and_one_that_nobody_reads_is_not(file, program):
    words = [str(COMMAND), "run", program if program[0] != ":" else file + program, "--help"]
    for kind in ("full", "closed", "unread"):
        options = {"stderr": subprocess.PIPE, "text": True}
        if kind == "full":
            with open("/dev/full", "w") as full:
                process = subprocess.Popen(words, stdout=full, **options)
        elif kind == "closed":
            process = subprocess.Popen(["sh", "-c", '"$@" >&-', "sh", *words], **options)
        else:
            read, write = os.pipe()
            os.close(read)
            process = subprocess.Popen(words, stdout=write, **options)
            os.close(write)
        err = process.communicate(timeout=60)[1]
        if kind == "unread":
            assert process.returncode == -signal.SIGPIPE and err == "", err
        else:
            assert process.returncode == 3 and err.startswith("troupe: standard output cannot be written"), err
            assert err.endswith("\n  hint: is the disk full?\n") and err.count("\n") == 2, err


def test_what_cannot_be_said_changes_no_exit_code(troupe_run, file):
    with open("/dev/full", "w") as full:
        for program, code in [(":train", 0), (":fails", 1), (":nobody", 3)]:
            words = [*troupe_run.words, "run", file + program]
            assert subprocess.run(words, stdout=subprocess.DEVNULL, stderr=full, timeout=60).returncode == code


def test_a_file_that_is_not_there(troupe_run):
    code, out, err = troupe_run("nowhere.py")
    assert code == 3 and "nowhere.py" in err


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("def f(:\n    pass\n", 'broken.py", line 1 is no Python: invalid syntax\n  hint: the line is: def f(:'),
        ("\tx = 1\n  y = 2\n", "is no Python: "),
        ("x = '\0'\n", "broken.py"),
        ("# coding: nothing\n", "broken.py"),
        ("import nothing_of_the_kind\n", "broken.py\" cannot be loaded: ModuleNotFoundError: No module named"),
        ("def f():\n    raise ValueError('early')\nf()\n", 'broken.py" cannot be loaded: ValueError: early'),
        ("import troupe\nK = troupe.kernel('no C++')\n", "troupe: "),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_in_a_sentence(troupe_run, tmp_path, text, sentence):
    (tmp_path / "broken.py").write_text(text)
    for words in [[str(tmp_path / "broken.py")], [str(tmp_path / "broken.py") + ":train"]]:
        code, out, err = troupe_run(*words)
        assert code == 3 and sentence in err and out == "", (code, err)
        assert "importlib" not in err and "__main__.py" not in err, err
    if "early" in text:
        assert "line 2, in f" in err


def test_a_folder_is_no_program(troupe_run, tmp_path):
    (tmp_path / "folder.py").mkdir()
    code, out, err = troupe_run(str(tmp_path / "folder.py"))
    assert code == 3 and 'folder.py": Is a directory' in err, err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_cancel_and_answer_130(troupe_run, file, sent):
    process = subprocess.Popen(
        [*troupe_run.words, "run", file + ":endless"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "under way\n"
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "cancelled" in err


@pytest.mark.parametrize("where", ["find", "machine_of", "time.perf_counter", "troupe.Node.submit", "troupe.Handle.result"])
def test_ctrl_c_is_said_wherever_it_comes(run_python, file, where):
    code, out, err = run_python(
        f"""
        import sys, time, troupe
        from troupe import __main__ as command

        class Proxy:
            def __init__(self, of):
                self.of = of
            def __getattr__(self, name):
                return getattr(self.of, name)

        def interrupted(*args, **options):
            raise KeyboardInterrupt

        if {where!r}.startswith("troupe."):
            # Classes of the core cannot be changed: their objects are wrapped.
            kind, method = {where!r}.split(".")[1:]
            node_of = troupe.System.node
            def node(self, **options):
                wrapped, real = Proxy(None), node_of(self, **options)
                wrapped.of = real
                def submit(*args, **options):
                    handle = Proxy(real.submit(*args, **options))
                    if kind == "Handle":
                        handle.result = interrupted
                    return handle
                wrapped.submit = interrupted if kind == "Node" else submit
                return wrapped
            troupe.System.node = node
        elif "." in {where!r}:
            command.time = Proxy(time)
            command.time.perf_counter = interrupted
        else:
            setattr(command, {where!r}, interrupted)
        sys.exit(command.main(["run", {file!r} + ":train"]))
        """
    )
    assert code == 130 and "cancelled" in err and "Traceback" not in err, err


def test_a_trace_is_written(troupe_run, file, tmp_path):
    trace = tmp_path / "trace.json"
    code, out, err = troupe_run(file + ":waits", "--param", "number=1", "--trace", str(trace))
    assert code == 0 and "traceEvents" in trace.read_text(), err


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not built")
def test_graphs_swimlanes_and_dumps_are_written(file, tmp_path):
    def run(*words):
        return subprocess.run([str(COMMAND), "run", *words], capture_output=True, text=True, timeout=120)

    graph, lanes, dump = tmp_path / "graph.dot", tmp_path / "lanes.json", tmp_path / "dump"
    words = ["--graph", str(graph), "--swimlane", str(lanes), "--tensor-dump", str(dump), "--dump-only", "who*"]
    done = run(file + ":anywhere", *words)
    assert done.returncode == 0, done.stderr
    assert "who_runs_it" in graph.read_text() and "who_runs_it" in lanes.read_text()
    assert len((dump / "tensors.jsonl").read_text().splitlines()) > 1
    done = run(file + ":fails", "--graph", str(tmp_path / "failed.mmd"))
    assert done.returncode == 1 and "on purpose" in done.stderr and (tmp_path / "failed.mmd").exists()
    for wrong, sentence in [
        (["--graph", str(tmp_path / "graph.png")], "graph.png"),
        (["--graph", str(tmp_path / "no" / "graph.dot")], "graph.dot"),
        (["--trace", str(graph), "--graph", str(graph)], "two outputs"),
    ]:
        done = run(file + ":anywhere", *wrong)
        assert done.returncode == 3 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = run(file + ":anywhere", "--scalar", "f32=1")
    assert done.returncode == 2 and "--param" in done.stderr


FULL = """
import resource, troupe

@troupe.program
def fills(node, fails=False):
    # From here on nothing can be written, as on a disk that is full.
    node.submit_sub(lambda: None)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    if fails:
        raise ValueError("on purpose")
"""


def test_a_trace_that_cannot_be_written_in_the_end_is_told_and_nothing_is_drawn_of_it(troupe_run, tmp_path):
    program, trace, graph = tmp_path / "full.py", tmp_path / "trace.json", tmp_path / "graph.dot"
    program.write_text(FULL)
    ways = [["--trace", str(trace)]]
    if COMMAND.exists():
        tool = ["--tool", str(COMMAND)] if troupe_run.words[0] == sys.executable else []
        ways += [["--graph", str(graph), *tool], ["--trace", str(trace), "--swimlane", str(graph), *tool]]
    for words in ways:
        graph.unlink(missing_ok=True)
        code, out, err = troupe_run(str(program), *words)
        assert code == 3 and "cannot write the trace to" in err and "File too large" in err, (code, err)
        assert err.count("cannot write") == 1 and "fills: 1 task" in err and "Traceback" not in err, err
        # The command makes its outputs before the run, with nothing in them.
        assert not graph.exists() or graph.read_text() == ""
        assert not list(tmp_path.glob("trace.json.*"))
    code, out, err = troupe_run(str(program), "--param", "fails=true", "--trace", str(trace))
    assert code == 1 and "on purpose" in err and "cannot write the trace to" in err, (code, err)
    code, out, err = troupe_run(str(program), "--trace", "/dev/full")
    assert code == 3 and "cannot write" in err and "fills" not in err, err


def test_a_run_that_is_refused_leaves_its_trace_as_it_was(troupe_run, file, tmp_path):
    trace = tmp_path / "trace.json"
    trace.write_text("of before")
    for words in [["--param", "speed=1"], ["--models", "costs"]]:
        code, out, err = troupe_run(file + ":train", "--trace", str(trace), *words)
        assert code == 2 and trace.read_text() == "of before", err


def test_chips_may_be_in_processes_of_their_own(troupe_run, file):
    code, out, err = troupe_run(file + ":elsewhere", "--isolate", "--chips", "2")
    assert (code, out) == (0, "chips 2 elsewhere True\n"), err
    code, out, err = troupe_run(file + ":elsewhere")
    assert (code, out) == (0, "chips 1 elsewhere False\n"), err


@pytest.fixture
def hosts(tmp_path):
    """Addresses of two nodes, processes of their own."""
    if not COMMAND.exists():
        pytest.skip("the command was not built")
    nodes, addresses = [], []
    for chips in (1, 2):
        words = ["node", "--listen", f"unix:{tmp_path}/{chips}", "--chips", str(chips)]
        nodes.append(subprocess.Popen([str(COMMAND), *words], stderr=subprocess.PIPE, text=True))
        for line in nodes[-1].stderr:
            if "listens at " in line:
                addresses.append(line.split("listens at ")[1].split()[0])
                break
    yield addresses
    for node in nodes:
        node.kill()
        node.wait()
        node.stderr.close()


def test_chips_may_be_those_of_other_machines(troupe_run, file, hosts):
    every = ",".join(hosts)
    code, out, err = troupe_run(file + ":elsewhere", "--hosts", every, "--silence", "5000", "--rejoin", "9")
    assert (code, out) == (0, "chips 3 elsewhere True\n"), err
    code, out, err = troupe_run(file + ":on_each", "--hosts", every, "--nodes", "2")
    assert (code, out) == (0, "chips 1 elsewhere True\nchips 2 elsewhere True\n"), err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--isolate"], "--chips and --isolate"),
        (["--chips", "2"], "--chips and --isolate"),
        (["--nodes", "3"], "a pod has one node on each host"),
        (["--cert", "nowhere.pem", "--key", "nowhere.pem", "--ca", "nowhere.pem"], "nowhere.pem"),
    ],
)
def test_what_does_not_go_with_other_machines_is_said(troupe_run, file, words, sentence):
    code, out, err = troupe_run(file + ":elsewhere", "--hosts", "localhost:1", *words)
    assert code in (2, 3) and sentence in err, err


def test_processes_and_machines_are_options_of_a_node(hosts):
    with troupe.System(own_process=True) as system:
        node = system.node()
        node.load(troupe.kernel(WHO))
        number = node.tensor(1, "int32")
        node.run(lambda node: node.submit("who_runs_it", troupe.out(number)))
        assert number.numpy()[0] not in (0, os.getpid())
    with troupe.System() as system:
        node = system.node(remote=[hosts[0], {"address": hosts[1], "silence": 5.0, "patience": 3}], rejoin=9)
        assert node.chips == 3
        for wrong in [3, [3], [{"address": hosts[0], "colour": "red"}], [{}], [{"address": hosts[0], "silence": -1}]]:
            with pytest.raises((troupe.Error, TypeError)):
                system.node(remote=wrong)
    with pytest.raises(troupe.Error):
        troupe.System(rejoin=-1).node(remote=hosts)
