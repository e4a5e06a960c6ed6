"""What looks at runs that take long: it keeps nothing of those that are over, and a child of fork has one of its own."""

import threading
import weakref

from troupe import _progress


def test_nothing_is_kept_of_a_run_that_is_over(monkeypatch):
    known, slept, kept = threading.Event(), threading.Event(), []

    class Line:
        def look(self):
            known.wait(60)
            return True

    class Time:
        @staticmethod
        def sleep(seconds):
            kept.append(gone() is not None)
            slept.set()

    monkeypatch.setattr(_progress, "time", Time)
    watch = _progress.Watch()
    gone = weakref.ref(watch.add(Line()))
    known.set()
    assert slept.wait(60) and kept == [False]


def test_runs_of_a_child_of_fork_have_lines_too(run_python):
    code, out, err = run_python(
        """
import os, threading, troupe
from troupe import _progress
_progress.PATIENCE = _progress.PAUSE = 0
said = threading.Event()
_progress.install(lambda node: lambda kind, content: said.set())
def with_a_line():
    said.clear()
    with troupe.System(chips=1, sub_workers=1) as system:
        system.node().run(lambda node: node.submit_sub(lambda: said.wait(30)))
    return said.is_set()
print(with_a_line(), flush=True)
if os.fork() == 0:
    print(with_a_line(), flush=True)
    os._exit(0)
os.wait()
""",
        timeout=120,
    )
    assert (code, out) == (0, "True\nTrue\n"), err
