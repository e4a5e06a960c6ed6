"""What the tests share: a machine with the kernels of kernels.cpp."""

import os

import pytest

import troupe

pytest_plugins = ["troupe.pytest_plugin"]

KERNELS = os.environ["TROUPE_TEST_KERNELS"]


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
    import subprocess
    import sys
    import textwrap

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
