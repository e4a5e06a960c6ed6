"""What the tests share: a machine with the kernels of kernels.cpp."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

import troupe

pytest_plugins = ["troupe.pytest_plugin"]

KERNELS = os.environ["TROUPE_TEST_KERNELS"]
COMMAND = pathlib.Path(os.environ["TROUPE_BUILD_FOLDER"]) / "bin" / "troupe"
ways = [pytest.param([sys.executable, "-m", "troupe"], id="module")]
if COMMAND.exists():
    ways.append(pytest.param([str(COMMAND)], id="command"))


@pytest.fixture
def system():
    with troupe.System(platform="a2a3sim", chips=2, sub_workers=2) as made:
        yield made


@pytest.fixture
def node(system):
    made = system.node()
    made.load(KERNELS)
    return made


@pytest.fixture
def run_python():
    """Runs a script in an interpreter of its own; its exit code, output and errors."""

    def run(script, timeout=60, signals=None):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if signals is not None:
                signals(process)
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return process.returncode, out, err

    return run


@pytest.fixture(params=ways)
def troupe_run(request):
    """`troupe run` with these words: its exit code, output and errors."""

    def run(*words):
        done = subprocess.run([*request.param, "run", *words], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    run.words = request.param
    return run
