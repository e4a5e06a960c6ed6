"""In a notebook: what a run in the background prints goes to the cell that submitted it; one that takes long has a line."""

import contextvars
import sys

from ._core import _contexts_from

#: What the messages of the cell are replies to, in code of a run that it submitted.
_cell = contextvars.ContextVar("troupe_cell", default=None)


class _CellStream:
    """Standard output of a notebook's kernel, which by itself knows only the cell that is at work."""

    def __init__(self, stream):
        self.__dict__["_stream"] = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __setattr__(self, name, value):
        setattr(self._stream, name, value)

    def __iter__(self):
        return iter(self._stream)

    def write(self, text):
        stream, cell = self._stream, _cell.get()
        if cell is None or cell == stream.parent_header or not isinstance(text, str):
            return stream.write(text)
        content = {"name": stream.name, "text": text}
        stream.session.send(stream.pub_thread, "stream", content=content, parent=cell, ident=stream.topic)
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)


def _of_a_kernel(stream):
    """A stream of a notebook's kernel, with what is used of it here."""
    of_kernel = isinstance(stream, _CellStream) or type(stream).__module__ == "ipykernel.iostream"
    return of_kernel and all(hasattr(stream, name) for name in ("parent_header", "session", "pub_thread", "topic", "name"))


def _knows_one_cell(stream):
    """Of ipykernel 6; younger ones have what is at work in a context, as programs have theirs."""
    return _of_a_kernel(stream) and not isinstance(stream, _CellStream) and not hasattr(type(stream), "parent_header")


def install():
    """Stands before the streams of a notebook's kernel, if this is one."""
    if "ipykernel" not in sys.modules:
        return
    for name in ("stdout", "stderr"):
        if _knows_one_cell(getattr(sys, name)):
            setattr(sys, name, _CellStream(getattr(sys, name)))
            _contexts_from(context)
    if _of_a_kernel(sys.stdout):
        from . import _progress

        _progress.install(speaker)


def speaker(node):
    """What says something of the node in the cell that is at work here, from whatever thread; None: there is no cell."""
    if node._simulated:  # one thread does all there, in an order that somebody who asks would change
        return None
    stream = sys.stdout
    cell = _of_a_kernel(stream) and (_cell.get() or stream.parent_header)
    if not cell:
        return None

    def say(kind, content):
        stream.session.send(stream.pub_thread, kind, content=content, parent=cell, ident=kind.encode())

    return say


def context():
    """The context that a run in the background has: that of who submits it."""
    made = contextvars.copy_context()
    stream = sys.stdout
    if isinstance(stream, _CellStream) and made.get(_cell) is None:
        made.run(_cell.set, stream.parent_header)
    return made
