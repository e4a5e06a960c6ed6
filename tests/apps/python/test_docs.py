"""What the pages show in Python: their samples compile, and those with a source are that source; examples run."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import threading

import pytest

import troupe

ROOT = pathlib.Path(os.environ["TROUPE_SOURCE_FOLDER"])
EXAMPLES = sorted((ROOT / "apps/python/examples").glob("*.py"))


def blocks(page):
    return re.findall(r"^```python([^\n]*)\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def test_samples_are_python_and_those_with_a_source_are_it():
    checked = 0
    for page in ["README.md", "docs/python.md", "docs/coming-from.md"]:
        for info, text in blocks(page):
            compile(textwrap.dedent(text), page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if "file=" in info:
                source = (ROOT / info.split("file=")[1].strip()).read_text()
                assert text in source
            checked += 1
    assert checked >= 3


def test_the_first_sample_of_the_page_runs():
    exec(compile(blocks("docs/python.md")[0][1], "docs/python.md", "exec"), {"__name__": "sample"})


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="nvcc crashes with the address sanitizer")
def test_the_sample_with_a_kernel_runs():
    samples = [text for _, text in blocks("docs/python.md")]
    kernel = next(text for text in samples if "TROUPE_KERNEL" in text)
    exec(compile(samples[0] + kernel, "docs/python.md", "exec"), {"__name__": "sample"})


def test_the_sample_of_a_test_passes_for_several_seeds(tmp_path):
    sample = next(text for _, text in blocks("docs/python.md") if "def test_" in text)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["troupe.pytest_plugin"]\n')
    (tmp_path / "test_sample.py").write_text(sample)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--troupe-seeds", "3", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_sample_of_a_machine_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = [text for _, text in blocks("docs/python.md")]
    machine = next(text for text in samples if "add_sub_worker" in text)
    exec(compile(samples[0] + machine, "docs/python.md", "exec"), {"__name__": "sample"})
    assert "traceEvents" in (tmp_path / "trace.json").read_text()


def test_the_sample_of_ranks_runs_and_nothing_of_its_windows_is_used_twice(monkeypatch):
    used = []

    class Watched(troupe.Communicator):
        """Notes what is used of the windows, as (rank, begin, end)."""

        def put(self, rank, offset, data):
            used.append((rank, offset, offset + data.nbytes))
            super().put(rank, offset, data)

        def notify(self, rank, offset, *args):
            used.append((rank, offset, offset + 4))
            super().notify(rank, offset, *args)

        def collectives(self):
            used.append((self.rank, 0, troupe.COLLECTIVE_WORKSPACE))
            return super().collectives()

    monkeypatch.setattr(troupe, "Communicator", Watched)
    samples = [text for _, text in blocks("docs/python.md")]
    sample = next(text for text in samples if "Communicator" in text)
    assert "job 17" in sample
    names = {"__name__": "sample"}
    exec(compile(samples[0] + sample.replace("job 17", f"job of {os.getpid()}"), "docs/python.md", "exec"), names)
    came = {}

    def one(rank):
        try:
            came[rank] = names["one_of_four"](rank)
        except Exception as error:
            came[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == dict.fromkeys(range(4), 6)
    used.sort()
    assert len(used) == 12
    for (rank, _, end), (other, begin, _) in zip(used, used[1:]):
        assert rank != other or end <= begin, used


def test_the_sample_for_those_who_know_ray_runs(capsys):
    exec(compile(blocks("docs/coming-from.md")[0][1], "docs/coming-from.md", "exec"), {"__name__": "sample"})
    assert abs(float(capsys.readouterr().out) - 3.14) < 0.05


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example):
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_each_example_in_cpp_has_one_in_python():
    names = {file.stem for file in (ROOT / "apps/examples").glob("*.cpp")} - {"catalogue"}
    assert names <= {file.stem for file in EXAMPLES}
