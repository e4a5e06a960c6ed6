"""Words for calls that do not fit what is called; border/refusals.cpp asks for them."""

import reprlib

#: How one gets what nobody makes by calling its class.
_MADE_BY = {
    "Args": "troupe.args(in_(x), scalar(2.0)) makes some",
    "Chip": "node.chip(0) is one",
    "ChipForTask": "a placement policy is called with them",
    "Collectives": "comm.collectives(), of a troupe.Communicator",
    "Domain": "await node.allocate_domain([0, 1], {\"scratch\": 4096}) makes one",
    "DomainContext": "rank.context() is one",
    "Fault": "troupe.testing.fail(\"step\") makes one, and kill_chip, delay, drop, hang and fail_call do",
    "Handle": "node.submit(program) returns one",
    "LearnedCost": "node.status().learned has them",
    "Node": "system.node() makes one, and system.pod(2)",
    "Orchestrator": "a program is called with one",
    "Plan": "node.record(program, x) makes one",
    "PlanParameter": "plan.parameters has them",
    "Ran": "simulation.ran() has them",
    "Rank": "domain.rank(0) is one",
    "Report": "handle.report() is one",
    "ScalarArgument": "troupe.scalar(2.0) makes one",
    "Scope": "with node.scope(): opens one",
    "Status": "node.status() is one",
    "TaskToPlace": "a placement policy is called with one",
    "Tensor": "node.tensor((2, 3)) makes one, and node.alloc, and chip.malloc",
    "TensorArgument": "in_(x), out(x), inout(x), out_existing(x) and no_dep(x) make them",
    "Wait": "node.submit(…) returns one, and node.read(x)",
}

#: What the types of signatures are called, and what else than they themselves fits.
_KINDS = {
    "bool": "True or False",
    "dict": "a dict",
    "float": "a number",
    "int": "a whole number",
    "str": "a string",
}


def shown(value):
    try:
        return reprlib.Repr().repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def _parts(text):
    """Split at the commas that are outside of brackets and quotes."""
    parts, depth, quote, begin = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [part.strip() for part in [*parts, text[begin:]] if part.strip()]


class _Parameters:
    """Of a signature as pybind11 writes it: (self: troupe._core.Node, index: int, *, name: str = 'x') -> None."""

    def __init__(self, signature, is_method):
        parts = _parts(signature[1 : signature.rindex(") -> ")])
        self.types, self.needed, self.by_position = {}, [], []
        self.takes_rest = self.takes_options = False
        named_only = False
        for part in parts[1 if is_method else 0 :]:
            if part.startswith("**"):
                self.takes_options = True
            elif part.startswith("*"):
                named_only = True
                self.takes_rest = part != "*"
            else:
                declared, _, default = part.partition(" = ")
                name, _, kind = declared.partition(": ")
                self.types[name] = kind
                if not named_only:
                    self.by_position.append(name)
                if not default:
                    self.needed.append(name)


def _fits(value, kind):
    if kind == "int":
        return hasattr(value, "__index__")
    if kind == "float":
        return hasattr(value, "__float__") or hasattr(value, "__index__")
    if kind == "bool":
        return value is None or hasattr(value, "__bool__")
    if kind == "str":
        return isinstance(value, (str, bytes))
    if kind == "dict":
        return isinstance(value, dict)
    if kind.startswith("troupe._core."):
        return any(of.__name__ == kind.rpartition(".")[2] for of in type(value).__mro__)
    if kind.startswith("List["):
        return isinstance(value, (list, tuple)) and all(_fits(one, kind[5:-1]) for one in value)
    return True


def _wrong_type(what, name, kind, value):
    """Message and hint for a value that is none of its type."""
    if _fits(value, kind):  # as far as one sees from here
        return f"{name} of {what} is {shown(value)}, which is out of range", ""
    last = kind.rpartition(".")[2].rstrip("]")
    if kind.startswith("troupe._core."):
        word, hint = f"a {last}", _MADE_BY.get(last, "")
    elif kind.startswith("List["):
        word, hint = f"a list, each of it {_KINDS.get(kind[5:-1], 'a ' + last)}", ""
    else:
        word, hint = _KINDS.get(kind, f"a {last}"), ""
        if kind == "int":
            hint = f"write {name}=4, without quotes and without a point"
    none = "neither" if kind == "bool" else "none"
    return f"{name} of {what} is {word}, and {shown(value)} is {none}", hint or f"help(troupe.{what}) says what it takes"


def explain(owner, name, is_method, signature, args, options):
    """Message and hint for a call that pybind11 has refused."""
    what = owner if name == "__init__" else f"{owner}.{name}" if is_method else name
    help_ = f"help(troupe.{what}) says what it takes"
    if is_method:
        if not args or not _fits(args[0], f"troupe._core.{owner}"):
            given = f", and {shown(args[0])} is none" if args else ""
            return f"{what} is called on a {owner}{given}", _MADE_BY.get(owner, "")
        args = args[1:]
    options = options or {}
    takes = _Parameters(signature, is_method)
    most = len(takes.by_position)
    names = ", ".join(takes.by_position)
    if len(args) > most and not takes.takes_rest:
        count = {0: "no arguments", 1: f"one argument, {names}"}.get(most, f"{most} arguments, {names}")
        by_name = takes.takes_options or len(takes.types) > most
        hint = "what it takes has names: " + help_ if by_name else help_
        place = " by position" if by_name else ""
        return f"{what} takes {count}{place}, and was given {len(args)}", hint
    given = dict(zip(takes.by_position, args))
    for option in options:
        if option in given:
            return f"{what} was given {option} twice, by position and by name", help_
        if option not in takes.types and not takes.takes_options:
            known = ", ".join(takes.types)
            return f'{what} has no argument "{option}"', f"it takes {known}" if known else "it takes none"
    given.update({key: value for key, value in options.items() if key in takes.types})
    for needed in takes.needed:
        if needed not in given:
            return f'{what} needs its argument "{needed}"', help_
    for key, value in given.items():
        if not _fits(value, takes.types[key]):
            return _wrong_type(what, key, takes.types[key], value)
    # Of the right types all: a number that is too large, or below zero where that cannot be.
    for key, value in given.items():
        if takes.types[key] in ("int", "List[int]"):
            return _wrong_type(what, key, takes.types[key], value)
    return f"{what} does not fit what it was given: " + ", ".join(f"{k}={shown(v)}" for k, v in given.items()), help_


def not_made(name):
    """Message and hint for who calls a class to make what comes from elsewhere."""
    return f"a {name} is not made by calling its class", _MADE_BY.get(name, "")
