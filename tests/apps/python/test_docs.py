"""What the pages show in Python: their samples compile, and those with a source are that source; examples run."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(os.environ["TROUPE_SOURCE_FOLDER"])
EXAMPLES = sorted((ROOT / "apps/python/examples").glob("*.py"))


def blocks(page):
    return re.findall(r"^```python([^\n]*)\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def test_samples_are_python_and_those_with_a_source_are_it():
    checked = 0
    for page in ["README.md", "docs/python.md"]:
        for info, text in blocks(page):
            compile(text, page, "exec")
            if "file=" in info:
                source = (ROOT / info.split("file=")[1].strip()).read_text()
                assert text in source
            checked += 1
    assert checked >= 3


def test_the_first_sample_of_the_page_runs():
    exec(compile(blocks("docs/python.md")[0][1], "docs/python.md", "exec"), {"__name__": "sample"})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example):
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
