"""The public names: each is in the stubs with its signature, explains itself, shows itself well, and is used by a test."""

import ast
import importlib
import inspect
import pathlib
import re

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar, testing

FOLDER = pathlib.Path(troupe.__file__).parent
MODULES = ["troupe", "troupe.testing", "troupe.pytest_plugin"]


def public(names):
    return {name for name in names if not name.startswith("_")}


class Stubs:
    """What the stubs of a module say: values, functions, and classes with their members."""

    def __init__(self, module):
        self.module = importlib.import_module(module)
        file = pathlib.Path(self.module.__file__).with_suffix(".pyi")
        self.values, self.functions, self.classes = set(), {}, {}
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.AnnAssign):
                self.values.add(node.target.id)
            elif isinstance(node, ast.ClassDef) and hasattr(self.module, node.name):
                members = {}
                for one in node.body:
                    if isinstance(one, ast.FunctionDef):
                        members[one.name] = one
                    elif isinstance(one, ast.AnnAssign):
                        members[one.target.id] = one
                self.classes[node.name] = members
            elif isinstance(node, ast.ClassDef):
                assert node.name.startswith("_"), node.name

    @property
    def options(self):
        """The keys of the dicts of options."""
        tree = ast.parse((FOLDER / "__init__.pyi").read_text())
        found = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Options"):
                found[node.name] = {one.target.id for one in node.body if isinstance(one, ast.AnnAssign)}
                for base in node.bases:
                    found[node.name] |= found.get(getattr(base, "id", ""), set())
        return found


@pytest.fixture(params=MODULES)
def stubs(request):
    return Stubs(request.param)


def test_all_names_are_in_the_stubs_and_only_those(stubs):
    module = stubs.module
    names = set(getattr(module, "__all__", ["pytest_addoption", "pytest_generate_tests", "simulation"]))
    assert public(set(stubs.functions) | set(stubs.classes) | stubs.values) == names
    for name in names:
        assert hasattr(module, name), name
    assert troupe.__version__ == troupe._build.VERSION and re.fullmatch(r"\d+\.\d+\.\d+.*", troupe.__version__)


def test_all_members_are_in_the_stubs_and_only_those(stubs):
    fields_of_instances = {"Module": {"path", "targets", "left_out"}, "Error": {"code", "number", "message", "hint", "path"}}
    for name, members in stubs.classes.items():
        real = public(vars(getattr(stubs.module, name))) | fields_of_instances.get(name, set())
        assert public(members) == real, name


def parameters_in_stub(function):
    """Names, in order, with * and ** where they take the rest, / and * where others must stand apart."""
    given = function.args
    names = [arg.arg for arg in given.posonlyargs] + (["/"] if given.posonlyargs else [])
    names += [arg.arg for arg in given.args]
    if given.vararg:
        names.append("*" + given.vararg.arg)
    elif given.kwonlyargs:
        names.append("*")
    names += [arg.arg for arg in given.kwonlyargs]
    return names + (["**" + given.kwarg.arg] if given.kwarg else [])


def parameters_of_signature(signature):
    names, before = [], None
    kinds = inspect.Parameter
    for parameter in signature.parameters.values():
        if before == kinds.POSITIONAL_ONLY != parameter.kind:
            names.append("/")
        if parameter.kind == kinds.KEYWORD_ONLY and before not in (kinds.KEYWORD_ONLY, kinds.VAR_POSITIONAL):
            names.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        names.append(stars + parameter.name)
        before = parameter.kind
    return names + (["/"] if before == kinds.POSITIONAL_ONLY else [])


def parameters_of(thing):
    """From the function itself, or from the first line of what pybind11 says of it; None: nothing is known."""
    try:
        return parameters_of_signature(inspect.signature(thing))
    except (ValueError, TypeError):
        pass
    first = (thing.__doc__ or "").split("\n")[0]
    found = re.match(r"\w+\((.*)\) -> ", first)
    if not found or first.startswith("Overloaded"):
        return None
    plain = re.sub(r"<[^<>]*>", "0", found.group(1))  # defaults that are shown as <objects>
    for brackets in range(3):
        plain = re.sub(r"\[[^\[\]]*\]", "", plain)  # list[int], and defaults that are lists
    plain = re.sub(r": [^,=)]*", "", plain)
    return parameters_in_stub(ast.parse(f"def f({plain.replace('= ,', '= 0,').rstrip('= ')}): pass").body[0])


def test_signatures_are_those_of_the_stubs(stubs):
    compared = 0

    def compare(name, stub, thing):
        nonlocal compared
        real = parameters_of(thing)
        if real is None or any(isinstance(one, ast.Name) and one.id in ("property", "overload") for one in stub.decorator_list):
            return
        wanted = parameters_in_stub(stub)
        # pybind11 has no names for what takes the rest.
        general = {"*args": "*", "**kwargs": "**", "*items": "*", "**options": "**", "*shape": "*"}
        assert [general.get(p, p) for p in real] == [general.get(p, p) for p in wanted], name
        compared += 1

    for name, stub in stubs.functions.items():
        if name != "simulation":  # a fixture
            compare(name, stub, getattr(stubs.module, name))
    for name, members in stubs.classes.items():
        kind = getattr(stubs.module, name)
        for member, stub in members.items():
            if isinstance(stub, ast.FunctionDef) and not member.startswith("__"):
                compare(f"{name}.{member}", stub, getattr(kind, member))
    assert compared >= {"troupe": 60, "troupe.testing": 20, "troupe.pytest_plugin": 2}[stubs.module.__name__]


def listed(error):
    """Those that the hint has: "there are a, b, and for its nodes c, d and e; …"."""
    known = error.hint.split(";")[0].removeprefix("there are ").replace("for its nodes ", "").replace(" and ", ", ")
    return {word.strip() for word in known.split(",")} - {""}


def test_options_are_those_of_the_stubs(node):
    options = Stubs("troupe").options

    def refused(call):
        with pytest.raises(troupe.Error) as raised:
            call(no_such_option=1)
        return listed(raised.value)

    assert refused(troupe.System) == options["_SystemOptions"]
    with troupe.System() as system:
        assert refused(system.node) == options["_NodeOptions"]
        with pytest.raises(troupe.Error) as raised:
            system.pod(0, workers=[{"no_such_option": 1}])
        assert listed(raised.value) == options["_WorkerOptions"]
    assert refused(lambda **given: node.run(lambda node: None, **given)) == options["_RunOptions"] - {"retry", "idempotent"}

    def program(node):
        assert refused(lambda **given: node.submit("scale", **given)) == options["_SubmitOptions"]
        keywords = Stubs("troupe").classes["Orchestrator"]["submit"].args.kwonlyargs
        assert {arg.arg for arg in keywords} == options["_SubmitOptions"]

    node.run(program)


TYPED = """
import numpy as np
import troupe
from troupe import Slot, in_, inout, out, scalar, testing

def layer(node: troupe.Orchestrator, x: troupe.Tensor, r: Slot | float) -> None:
    task: troupe.Wait = node.submit("scale", inout(x), scalar(r), on_chip=1, retry=2, config=troupe.CallConfig(8))
    node.submit("scale", inout(x[0:2]), after=[task], colour="red")  # wrong
    node.submit_group("f", [troupe.args(in_(x))], [0], name="both", priority="high")  # wrong

async def waits(node: troupe.Orchestrator) -> float:
    return await node.read(node.tensor(1))

with troupe.System(chips=2, log_level="debug", trace=troupe.Trace(), remote=[{"address": "x", "silence": 2.0}]) as system:
    node = system.node(own_process=True, chip=3)  # wrong
    plan = node.record(layer, np.ones(3), Slot(0.5), name="x")
    node.run(plan, np.ones(3), 0.5, retry=1)
    pod = system.pod([{"chips": 2}], workers=[{"nodes": 2}])
    print(plan.steps + 1, node.submit(waits).result(timeout=3), troupe.__version__ + "")
    system.node(chips="two")  # wrong
sim = testing.Simulation(seed=3, arena_bytes=5)
ran: list[testing.Ran] = sim.ran()
n: int = sim.ran("x")
sim.fault(testing.delay(1).by(3).of("x"))
"""


def test_a_type_checker_sees_what_is_wrong(tmp_path, monkeypatch):
    mypy = pytest.importorskip("mypy.api")
    (tmp_path / "typed.py").write_text(TYPED)
    monkeypatch.setenv("MYPYPATH", str(FOLDER.parent))
    monkeypatch.chdir(tmp_path)
    told, _, _ = mypy.run(["typed.py", "--python-version", "3.11", "--enable-incomplete-feature=Unpack"])
    lines = [int(line.split(":")[1]) for line in told.splitlines() if line.startswith("typed.py") and "error:" in line]
    assert lines == [i for i, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line], told
    assert "pyi" not in re.sub(r"[^\n]*: note:[^\n]*", "", told), told


def test_every_public_name_explains_itself(stubs):
    for name in getattr(stubs.module, "__all__", ["simulation"]):
        thing = getattr(stubs.module, name)
        if isinstance(thing, (str, int)):
            continue
        assert thing.__doc__ and len(thing.__doc__) > 15, name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if member.startswith("_"):
                    continue
                text = value.__doc__ or ""
                if text.startswith(member + "(self"):  # behind the signature
                    text = text.partition("\n")[2]
                assert len(text.strip()) >= 8, f"{name}.{member}"


def test_help_teaches():
    for thing in [troupe.submit, troupe.Orchestrator.submit]:
        text = inspect.getdoc(thing)
        for word in ["node.submit(", "in_(a)", *Stubs("troupe").options["_SubmitOptions"]]:
            assert word in text, word
        assert "on_chip=None" in str(inspect.signature(thing))
    for word in Stubs("troupe").options["_SystemOptions"]:
        assert re.search(rf"\b{word}\b", troupe.System.__doc__), word


def test_things_show_what_one_wants_to_know(node):
    x = np.ones(2, "f4")
    assert repr(in_(x)) == "<troupe.in f32[2]>" and repr(scalar(2.0)) == "<troupe.scalar 2.0 f32>"
    assert repr(troupe.args(inout(x))) == f"<troupe.Args ({in_(x)!r},)>".replace("troupe.in ", "troupe.inout ")
    assert "8 clusters" in repr(troupe.CallConfig(block_dim=8))
    seen = []

    async def program(node):
        task = node.submit("scale", inout(node.tensor(1)), scalar(1.0), name="first")
        other = node.submit("add", in_(x), in_(x), out(node.alloc(2)))
        fails = node.submit("refuse", inout(node.tensor(1)))
        copy = node.copy(node.tensor(2), x)
        seen.extend([repr(task), repr(other), repr(copy), repr(node.read(x)), repr(node.drained())])
        await task
        with pytest.raises(troupe.Error):
            await fails
        seen.extend([repr(task), repr(fails)])
        return task, other

    task, other = node.run(program)
    assert seen == [
        '<troupe.Task 1 "scale" ("first"), submitted>',
        '<troupe.Task 2 "add", submitted>',
        '<troupe.Task 4 "copy", submitted>',
        "<troupe.Wait for an element>",
        "<troupe.Wait for all tasks>",
        '<troupe.Task 1 "scale" ("first"), ended>',
        '<troupe.Task 3 "refuse", failed: task_failed>',
    ]
    assert repr(task) == '<troupe.Task 1 "scale" ("first"), ended>'
    assert repr(other) == '<troupe.Task 2 "add", of a program that is over>'

    def plain(node):
        task = node.submit("refuse", inout(node.tensor(1)))
        with pytest.raises(troupe.Error):
            task.wait()
        return repr(task)

    assert node.run(plain) == '<troupe.Task 1 "refuse", failed: task_failed>'

    def refused(node):
        node.submit("refuse", inout(node.tensor(1)))

    good, bad = node.submit(lambda node: None, name="good one"), node.submit(refused)
    good.wait(), bad.wait()
    assert repr(good) == '<troupe.Handle of "good one", done>'
    assert repr(bad) == '<troupe.Handle of "refused", failed: task_failed>'
    assert repr(bad.report()) == "<troupe.Report of 1 tasks, failed: task_failed>"
    assert repr(testing.fail("step").on_chip(1).at(2)) == '<troupe.testing.Fault at task 2 of "step" on chip 1>'


def test_every_public_name_is_used_by_a_test():
    tests = pathlib.Path(__file__).parent
    text = "\n".join(file.read_text() for file in tests.rglob("*.py") if file.name != "test_names.py")
    missing = []
    for module in MODULES:
        stubs = Stubs(module)
        for name in public(set(stubs.functions) | set(stubs.classes) | stubs.values):
            if not re.search(rf"\b{name}\b", text) and name not in ABSTRACT:
                missing.append(name)
        for name, members in stubs.classes.items():
            for member in public(members):
                if not re.search(rf"[.]{member}\b", text):
                    missing.append(f"{name}.{member}")
    assert not missing


#: Classes that have no name where they are used, and what pytest calls.
ABSTRACT = {
    "Args", "Chip", "Domain", "DomainContext", "Handle", "Node", "Orchestrator", "Rank", "Report", "ScalarArgument",
    "Scope", "Status", "TensorArgument", "Wait", "Ran", "Fault", "Plan", "pytest_addoption", "pytest_generate_tests",
    "submit",
}  # fmt: skip


def test_parameters_of_a_program():
    @troupe.program
    def train(node, steps=100, rate=None, *, seed):
        pass

    assert troupe.parameters_of(train) == [("steps", 100, True), ("rate", None, True), ("seed", None, False)]


def test_marks_leave_functions_as_they_are():
    def one(node):
        return 1

    assert troupe.program(one) is one and troupe.host_function(one) is one
    for mark in [troupe.program, troupe.host_function]:
        with pytest.raises(troupe.Error, match="3 is no function"):
            mark(3)
