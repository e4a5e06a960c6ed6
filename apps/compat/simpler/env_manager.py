"""Environment variables, read once."""

import os

_known = {}


def get(name):
    """The value, or None; as it was when it was first asked for and set."""
    value = _known.get(name)
    if value is None:
        value = os.environ.get(name)
        if value is not None:
            _known[name] = value
    return value


def ensure(name):
    """The value; OSError when it is not set."""
    value = get(name)
    if not value:
        raise OSError(f"the environment variable {name} is not set")
    return value
