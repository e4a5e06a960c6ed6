"""Marks for functions: what is a program, what is a host function."""

import inspect


def program(function):
    """Marks a function, or an async def function, as a program: called with (node, its arguments).

    A node runs any function; the mark is for `troupe run file.py:name`, which finds programs by it.
    """
    if not callable(function):
        raise TypeError(f"{function!r} is no function")
    function._troupe_program = True
    return function


def host_function(function):
    """Marks a function as one that sub-workers call: with the tensors of its task as arrays, then the scalars.

    The arrays are the tensors' own memory, valid during the call; what is written to them is written. What the function
    raises is its task's error. `node.submit(function, in_(x), scalar(2.0))` works then as `node.submit_sub` does.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError("a host function is called on a thread of its own: it is no async def function")
    if not callable(function):
        raise TypeError(f"{function!r} is no function")
    function._troupe_host_function = True
    return function


def parameters_of(function):
    """The parameters behind the node, as a list of (name, default or None, has a default)."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    empty = inspect.Parameter.empty
    return [(p.name, None if p.default is empty else p.default, p.default is not empty) for p in parameters]
