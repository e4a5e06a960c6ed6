"""Marks for functions: what is a program, what is a host function."""

import inspect

from ._core import Orchestrator
from ._errors import Error
from ._mistakes import shown


def program(function):
    """Marks a function, or an async def function, as a program: called with (node, its arguments).

    A node runs any function; the mark is for `troupe run file.py:name`, which finds programs by it.
    """
    if not callable(function):
        what = f"{shown(function)} is no function, so it is no program"
        raise Error("bad_argument", what, "@troupe.program stands above def, or async def")
    function._troupe_program = True
    return function


def host_function(function):
    """Marks a function as one that sub-workers call: with the tensors of its task as arrays, then the scalars.

    The arrays are the tensors' own memory, valid during the call; what is written to them is written. What the function
    raises is its task's error. `node.submit(function, in_(x), scalar(2.0))` works then as `node.submit_sub` does.
    """
    if inspect.iscoroutinefunction(function):
        raise Error("bad_argument", "a host function is called on a thread of its own: it is no async def function")
    if not callable(function):
        what = f"{shown(function)} is no function, so it is no host function"
        raise Error("bad_argument", what, "@troupe.host_function stands above def")
    function._troupe_host_function = True
    return function


def submit(node, *items, **options):
    if not isinstance(node, Orchestrator):
        what = f"submit is given the node that a program is called with, and {shown(node)} is none"
        raise Error("bad_argument", what, 'submit(node, "vector_add", …) is node.submit("vector_add", …)')
    return node.submit(*items, **options)


# submit(node, …) is node.submit(…); help(troupe.submit) says what it takes.
submit.__doc__ = Orchestrator.submit.__doc__
submit.__signature__ = inspect.signature(Orchestrator.submit)


def parameters_of(function):
    """The parameters behind the node, as a list of (name, default or None, has a default)."""
    if not callable(function):
        raise Error("bad_argument", f"{shown(function)} is no function, which would have parameters")
    parameters = list(inspect.signature(function).parameters.values())[1:]
    empty = inspect.Parameter.empty
    return [(p.name, None if p.default is empty else p.default, p.default is not empty) for p in parameters]
