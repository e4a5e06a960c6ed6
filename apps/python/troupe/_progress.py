"""In a notebook: a run that takes long has a line in its cell that says how far it is."""

import itertools
import os
import threading
import time

from ._core import Node

#: Seconds that a run may take before it has a line, and between two looks at it.
PATIENCE, PAUSE = 2.0, 0.5

_numbers = itertools.count(1)


def _seconds(since):
    passed = time.monotonic() - since
    return f"{passed:.1f} s" if passed < 60 else f"{int(passed) // 60} min {int(passed) % 60} s"


def _tasks(count):
    return f"{count:,} task" + ("" if count == 1 else "s")


def _counts(status):
    """Of a node or pod: tasks that have ended, that run, and that wait there."""
    children = [_counts(child) for child in status.children]
    own = (status.completed + status.failed, status.running, status.queued)
    return tuple(map(sum, zip(*children))) if children else own


class Line:
    """What is said of one run, in the cell that it belongs to."""

    def __init__(self, node, name, say, handle=None):
        self.node, self.name, self.say, self.handle = node, name, say, handle
        self.begin = time.monotonic()
        self.display = None  # its name, once it is there
        self.before = None
        self.over = False
        self.lock = threading.Lock()  # nothing is said behind the last word

    def _put(self, text):
        kind = "update_display_data" if self.display else "display_data"
        self.display = self.display or f"troupe-{id(self)}-{next(_numbers)}"
        content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": self.display}}
        self.say(kind, content)

    def look(self):
        """Says how far it is; True: that was the last time."""
        if self.handle is not None and self.handle.done:
            report = self.handle.report()
            self.end(report.error, report.tasks + report.inside)
            return True
        ended, running, queued = _counts(self.node.status())
        if self.before is None:
            self.before = ended
        if time.monotonic() - self.begin < PATIENCE:
            return self.over
        with self.lock:
            if not self.over:
                there = f"{_tasks(ended - self.before)} ended on {self.node.name}, {running} running, {queued} waiting there"
                self._put(f"{self.name}: {_seconds(self.begin)}, {there}")
        return self.over

    def end(self, error=None, tasks=None):
        with self.lock:
            self.over = True
            if self.display is None:
                return
            how = "failed after " if error is not None else "" if tasks is None else f"{_tasks(tasks)} in "
            self._put(f"{self.name}: {how}{_seconds(self.begin)}" if how else f"{self.name}: done in {_seconds(self.begin)}")


class Watch:
    """The thread that looks at runs that are under way; asleep while there are none."""

    def __init__(self):
        self.lines, self.changed, self.thread = [], threading.Condition(), None

    def add(self, line):
        with self.changed:
            self.lines.append(line)
            if self.thread is None:
                self.thread = threading.Thread(target=self.work, name="troupe-progress", daemon=True)
                self.thread.start()
            elif len(self.lines) == 1:
                self.changed.notify_all()
        return line

    def remove(self, line):
        with self.changed:
            if line in self.lines:
                self.lines.remove(line)
            if not self.lines:
                self.changed.notify_all()

    def idle(self):
        """Waits until there is nothing to look at."""
        with self.changed:
            self.changed.wait_for(lambda: not self.lines)

    def look(self):
        for line in list(self.lines):
            try:
                over = line.look()
            except Exception:  # its node has gone, or the notebook has
                over = True
            if over:
                self.remove(line)

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.lines)
            self.look()  # a call of its own: nothing that it has named is kept while this thread waits
            time.sleep(PAUSE)


def _named(given, options):
    program = given[0] if given else options.get("program")
    return str(options.get("name") or getattr(program, "__name__", None) or getattr(program, "name", None) or program)


def install(speaker):
    """Puts a line beside runs. `speaker(node)`: what says something in the cell that is at work; None: nothing is to be said."""
    watch = Watch()
    os.register_at_fork(after_in_child=watch.__init__)  # a child has neither the thread nor the runs
    globals()["idle"] = watch.idle  # for tests
    run, submit = Node.run, Node.submit

    def run_with_line(self, *args, **options):
        say = speaker(self)
        if say is None:
            return run(self, *args, **options)
        line = watch.add(Line(self, _named(args, options), say))
        try:
            result = run(self, *args, **options)
        except BaseException as error:
            line.end(error)
            raise
        else:
            line.end()
            return result
        finally:
            watch.remove(line)

    def submit_with_line(self, *args, **options):
        say, handle = speaker(self), submit(self, *args, **options)
        if say is not None:
            watch.add(Line(self, _named(args, options), say, handle))
        return handle

    for wrapped, real in [(run_with_line, run), (submit_with_line, submit)]:
        wrapped.__name__, wrapped.__doc__ = real.__name__, real.__doc__
        setattr(Node, real.__name__, wrapped)
