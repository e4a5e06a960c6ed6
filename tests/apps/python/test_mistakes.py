"""Mistakes of every kind, all over what is public: each is an error of troupe's that says in a sentence what is wrong."""

import functools
import inspect
import re

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar, testing


class NoText:
    def __repr__(self):
        raise RuntimeError("shows nothing of itself")


WRONG = [
    None,
    "word",
    "\udcff",
    3.5,
    float("nan"),
    -1,
    10**30,
    True,
    object(),
    NoText(),
    [object()],
    {"x": object()},
    {3: 4},
    b"\xff",
    (1, 2),
    range(0),
    np.ones(2),
    np.float32(2),
    lambda *_: object(),
    ...,
]

#: What no user should have to read, and what only says that nobody looked.
NEVER = [
    "incompatible function arguments",
    "incompatible constructor arguments",
    "Invoked with",
    "Unable to cast",
    "No constructor defined",
    "is not iterable",
    "object has no attribute",
    "codec can't",
    "expected str, bytes or os.PathLike",
    "cannot be interpreted as an integer",
    "troupe._core",
]


class Sweep:
    """Calls things with what they do not take, and counts."""

    def __init__(self):
        self.refused, self.faults = 0, []

    def try_(self, name, call, /, *args, **options):
        """What is right may pass; what is wrong has to be an error of troupe's."""
        try:
            call(*args, **options)
            return
        except troupe.Error as error:
            text = f"{error.message}\n{error.hint}"
            self.refused += 1
            if any(words in text for words in NEVER) or len(error.message) < 10:
                self.faults.append((name, text))
        except TypeError as error:
            # Python itself says how many arguments a function in Python has.
            if not re.search(r"\(\) (missing|takes|got)\b.*argument", str(error)):
                self.faults.append((name, f"TypeError: {error}"))
        except BaseException as error:
            self.faults.append((name, f"{type(error).__name__}: {error}"))

    def all_of(self, name, call, /):
        """Wrong counts, wrong types by position and by name, and a name that there is not."""
        try:
            names = list(inspect.signature(call).parameters)
        except (ValueError, TypeError):
            names = []
        for wrong in WRONG:
            for count in range(1, 5):
                self.try_(name, call, *[wrong] * count)
            for option in names:
                self.try_(name, call, **{option: wrong})
        self.try_(name, call)
        self.try_(name, call, no_such_argument=1)

    def members_of(self, name, thing, *, but=()):
        for member in dir(thing):
            if not member.startswith("_") and member not in but and callable(getattr(thing, member)):
                self.all_of(f"{name}.{member}", getattr(thing, member))

    def check(self, least):
        assert not self.faults, f"{len(self.faults)} of {self.refused}:\n" + "\n".join(map(str, self.faults[:30]))
        assert self.refused >= least, self.refused


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Some of it is a path, after all."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sweep():
    return Sweep()


def test_functions_and_classes(sweep):
    for name in troupe.__all__:
        thing = getattr(troupe, name)
        if callable(thing) and name != "Error":
            sweep.all_of(name, thing)
    for name in testing.__all__:
        sweep.all_of(f"testing.{name}", getattr(testing, name))
    sweep.check(3000)


def test_classes_that_nobody_makes_say_how_one_gets_theirs():
    made = {"CallConfig", "Communicator", "Error", "Module", "Slot", "Stop", "System", "Trace", "Simulation"}
    classes = [getattr(troupe, name) for name in troupe.__all__] + [getattr(testing, name) for name in testing.__all__]
    for kind in classes:
        if inspect.isclass(kind) and kind.__name__ not in made:
            with pytest.raises(troupe.Error, match=f"a {kind.__name__} is not made by calling its class") as raised:
                kind()
            assert raised.value.hint, kind

    class Mine(troupe.Node):
        pass

    with pytest.raises(troupe.Error, match="is not made by calling"):
        Mine()


def test_what_a_program_calls(node, sweep):
    x = node.tensor((4, 4), fill=1.0)

    def program(inner):
        sweep.members_of("Orchestrator", inner)
        for option in ["on_chip", "name", "after", "priority", "deadline", "retry", "idempotent", "blocks", "config"]:
            for wrong in WRONG[1:]:
                sweep.try_(f"submit {option}", inner.submit, "refuse", inout(x), **{option: wrong})
                sweep.try_(f"fill {option}", inner.fill, x, 1.0, **{option: wrong})
                sweep.try_(f"submit_group {option}", inner.submit_group, "refuse", [troupe.args(inout(x))], **{option: wrong})
        for wrong in WRONG:
            sweep.try_("submit", inner.submit, "refuse", wrong)
            sweep.try_("copy", inner.copy, x, wrong)
            sweep.try_("fill", inner.fill, x, wrong)
            sweep.try_("prefetch", inner.prefetch, x, wrong)
            sweep.try_("tensor", inner.tensor, 4, fill=wrong)
            sweep.try_("allocate_domain", inner.allocate_domain, wrong, {"x": 64})
            sweep.try_("allocate_domain", inner.allocate_domain, [0, 1], {"x": wrong})
            sweep.try_("allocate_domain", inner.allocate_domain, [wrong], {})
            sweep.try_("submit_group", inner.submit_group, "refuse", [troupe.args(wrong)])
        domain = inner.allocate_domain([0, 1], {"x": 64, "workspace": troupe.COLLECTIVE_WORKSPACE}).get()
        sweep.members_of("Domain", domain)
        sweep.members_of("Rank", domain.rank(0))
        sweep.members_of("Wait", inner.read(x))
        for wrong in WRONG:
            for collective in [troupe.all_reduce, troupe.all_gather, troupe.reduce_scatter, troupe.all_to_all]:
                sweep.try_("collective", collective, inner, domain, wrong, "x")
                sweep.try_("collective", collective, inner, wrong, "x", "x")
                sweep.try_("collective", collective, wrong, domain, "x", "x")
            sweep.try_("broadcast", troupe.broadcast, inner, wrong, "x")
            sweep.try_("broadcast", troupe.broadcast, wrong, domain, "x")
            sweep.try_("broadcast", troupe.broadcast, inner, domain, "x", workspace=wrong)
            if wrong is not None:
                sweep.try_("broadcast", troupe.broadcast, inner, domain, "x", root=wrong)
                sweep.try_("all_reduce", troupe.all_reduce, inner, domain, "x", operation=wrong)
                sweep.try_("all_reduce", troupe.all_reduce, inner, domain, "x", algorithm=wrong)

    with pytest.raises(troupe.Error):  # of what could be submitted, "refuse" fails
        node.run(program)
    sweep.check(3500)


def test_what_nodes_and_systems_are_asked(node, system, sweep):
    sweep.members_of("Node", node, but=["add_node", "add_chip", "add_sub_worker", "remove_executor"])
    for wrong in WRONG:
        if wrong is not True:
            sweep.try_("remove_executor", node.remove_executor, wrong)
            if isinstance(wrong, (str, bytes)):
                sweep.try_("add_sub_worker", node.add_sub_worker, wrong)
            for option in ["credit", "own_process", "device_options", "abort_grace"]:
                if not isinstance(wrong, (float, np.ndarray, range)):
                    sweep.try_(f"add_chip {option}", node.add_chip, "no such platform", **{option: wrong})
        sweep.try_("add_kernel", node.add_kernel, "x", wrong)
        sweep.try_("add_kernel", node.add_kernel, "x", b"", cores=wrong)
        sweep.try_("add_function", node.add_function, "x", wrong)
        sweep.try_("record", node.record, lambda node, x: None, wrong)
        for option in ["name", "priority", "deadline"]:
            sweep.try_(f"run {option}", node.run, lambda node: None, **{option: wrong})
        for option in ["nodes", "name", "sub_workers", "workers"]:
            if wrong is not True and not isinstance(wrong, (range, np.ndarray)) and (option != "name" or wrong != "word"):
                sweep.try_(f"pod {option}", system.pod, **{"nodes": 0, option: wrong})
    handle = node.submit(lambda node: None)
    handle.wait()
    sweep.members_of("Handle", handle)
    sweep.members_of("Chip", node.chip(0))
    sweep.members_of("Status", node.status())
    plan = node.record(lambda node, x: node.fill(x, 1.0), np.ones(2, "f4"))
    sweep.members_of("Plan", plan)
    for wrong in WRONG:
        sweep.try_("run of a plan", node.run, plan, wrong)
    sweep.check(2000)


def test_options_of_a_system(sweep):
    hint = None
    with pytest.raises(troupe.Error) as raised:
        troupe.System(no_such_option=1)
    hint = raised.value.hint.removeprefix("there are ").replace("and for its nodes ", "")
    options = hint.split(", ")
    assert len(options) >= 28
    for option in options:
        for wrong in WRONG:
            if option in ("dump", "log_file", "trace", "models") and isinstance(wrong, (str, bytes)):
                continue  # paths
            sweep.try_(f"System {option}", lambda **given: troupe.System(**given).close(), **{option: wrong})
    for records in [[3], ["x"], [{"comm": 3}], [{"comm": {"rank": "x"}}], [{"buffers": 3}], [{"buffers": [3]}], [{4: 5}]]:
        sweep.try_("chip_bootstrap_configs", troupe.System, chip_bootstrap_configs=records)
    buffer = {"name": "x", "count": 4, "nbytes": 16}
    for field in ["name", "dtype", "count", "nbytes", "load_from_host", "store_to_host"]:
        for wrong in WRONG:
            if not (field in ("name", "dtype") and isinstance(wrong, str)):
                config = {"buffers": [{**buffer, field: wrong}]}
                sweep.try_(f"a buffer's {field}", lambda: testing.Simulation(chip_bootstrap_configs=[config]).close())
    sweep.check(400)


def test_what_tensors_and_traces_are_asked(node, sweep):
    x = node.tensor((4, 4), fill=1.0)
    sweep.members_of("Tensor", x)
    sweep.members_of("Trace", troupe.Trace(), but=["write", "describe"])
    sweep.members_of("ScalarArgument", scalar(1.0))
    for wrong in WRONG:
        for tag in (in_, out, inout, troupe.out_existing, troupe.no_dep):
            sweep.try_("tag", tag, wrong)
        sweep.try_("scalar", scalar, 1.0, wrong)
        sweep.try_("Slot", troupe.Slot, 1.0, wrong)
        if not isinstance(wrong, (str, bytes)):
            sweep.try_("write", troupe.Trace().write, wrong)
            sweep.try_("describe", troupe.Trace().describe, wrong, wrong)
        try:
            x[wrong]
        except IndexError:  # what ends a loop over it
            assert isinstance(wrong, int) and wrong == 10**30
        except troupe.Error as error:
            assert not any(words in str(error) for words in NEVER), error
    assert [row.shape for row in x] == [(4,)] * 4
    sweep.check(550)


def test_what_a_simulation_is_asked(sweep):
    with testing.Simulation(chips=1) as sim:
        sweep.members_of("Simulation", sim, but=["close"])
    sweep.members_of("Fault", testing.fail("x"))
    for wrong in WRONG[1:]:
        for option in ["seed", "chips", "nodes", "sub_workers", "arena_bytes", "recover", "log", "trace", "placement", "models"]:
            if option != "models" or not isinstance(wrong, (str, bytes)):
                sweep.try_(f"Simulation {option}", lambda **given: testing.Simulation(**given).close(), **{option: wrong})
    sweep.check(700)


@pytest.mark.parametrize(
    "call, message, hint",
    [
        (lambda node: troupe.System(2), "System takes no arguments by position, and was given 1", "help(troupe.System)"),
        (lambda node: troupe.System(chips="two"), "chips is a whole number, and 'two' is none", "write chips=4"),
        (lambda node: troupe.System(name=3), "name is a string, and 3 is none", ""),
        (lambda node: node.chip("a"), "index of Node.chip is a whole number, and 'a' is none", "write index=4"),
        (lambda node: node.chip(), 'Node.chip needs its argument "index"', "help(troupe.Node.chip)"),
        (lambda node: node.chip(0, index=1), "Node.chip was given index twice, by position and by name", ""),
        (lambda node: node.chip(number=1), 'Node.chip has no argument "number"', "it takes index"),
        (lambda node: troupe.CallConfig(10**30), f"block_dim of CallConfig is {10**30}, which is out of range", ""),
        (lambda node: node.tensor(4).numpy(writable="no"), "writable of Tensor.numpy is True or False, and 'no' is neither", ""),
        (lambda node: troupe.Node.chip(3, 4), "Node.chip is called on a Node, and 3 is none", "system.node()"),
        (lambda node: in_(1, 2), "in_ takes one tensor or array, and was given 2", "in_(x), in_(y)"),
        (lambda node: node.run(lambda node: node.barrier(3, 0)), "domain of Orchestrator.barrier is a Domain, and 3 is none", "allocate_domain"),
        (lambda node: troupe.kernel(3), "source is C++ text, and 3 is none", "TROUPE_KERNEL"),
        (lambda node: troupe.kernel("", flags="-O3"), "flags is a list of strings, and '-O3' is none", "flags=["),
        (lambda node: troupe.host_function(3), "3 is no function, so it is no host function", "@troupe.host_function"),
        (lambda node: node.load(3), "path is the path of a file, and 3 is none", "pathlib.Path"),
    ],
)  # fmt: skip
def test_the_words(node, call, message, hint):
    with pytest.raises(troupe.Error) as raised:
        call(node)
    assert raised.value.root.message.split("\n")[0] == message and hint in raised.value.root.hint, raised.value


def test_hints_name_what_one_writes_in_python():
    with pytest.raises(troupe.Error) as raised:
        troupe.System(remote="some.host:1").node()
    assert '"certificate": ' in str(raised.value.root) and "--cert" not in str(raised.value.root)


def test_methods_that_python_gives_a_meaning_raise_what_it_expects(node):
    x = node.tensor(4)
    with pytest.raises(TypeError, match="has no argument"):  # packages that ask for more try again without
        x.__dlpack__(no_such_argument=1)
    with pytest.raises(TypeError, match="takes"):
        x.__array__(1, 2, 3, 4)
    assert list(np.asarray(x, dtype="f8")) == [0, 0, 0, 0]


def test_options_that_are_neither_true_nor_false_are_refused_on_tasks_too(node):
    x = node.tensor(1)

    def program(node):
        with pytest.raises(troupe.Error, match="idempotent is True or False, and 'no' is neither"):
            node.submit("scale", inout(x), scalar(1.0), retry=1, idempotent="no")
        node.submit("scale", inout(x), scalar(1.0), retry=1, idempotent=np.bool_(True))

    node.run(program)


def test_text_that_is_none_is_shown_and_does_not_hide_the_error(node):
    def program(node):
        raise ValueError("\udcff here")

    with pytest.raises(troupe.Error, match="here") as raised:
        node.run(program)
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(troupe.Error, match="xff"):
        node.load(b"\xff")
    with pytest.raises(troupe.Error):
        node.run(program, NoText())


def test_a_function_that_is_wrapped_is_called_as_it_was_wrapped(node):
    def twice(function):
        @functools.wraps(function)
        def both(x):
            function(x)
            function(x)

        return both

    @troupe.host_function
    @twice
    def add_one(x):
        x += 1

    x = np.zeros(2, "f4")
    node.add_function("add_one", add_one)
    node.run(lambda node: [node.submit_sub(add_one, inout(x)), node.submit(add_one, inout(x)), node.submit("add_one", inout(x))])
    assert (x == 6).all()
