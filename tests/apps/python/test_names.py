"""The public names: each is in the stubs, has a docstring, and shows itself well."""

import ast
import inspect
import pathlib

import troupe

STUBS = pathlib.Path(troupe.__file__).parent / "__init__.pyi"


def public(names):
    return {name for name in names if not name.startswith("_")}


def stubs():
    tree = ast.parse(STUBS.read_text())
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    classes = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        members = set()
        for one in node.body:
            if isinstance(one, ast.FunctionDef):
                members.add(one.name)
            elif isinstance(one, ast.AnnAssign):
                members.add(one.target.id)
        classes[node.name] = members
    return functions, classes


def test_all_names_are_in_the_stubs_and_only_those():
    functions, classes = stubs()
    assert public(functions | set(classes)) | {"COLLECTIVES"} == set(troupe.__all__)
    for name in troupe.__all__:
        assert hasattr(troupe, name), name


def test_all_members_are_in_the_stubs_and_only_those():
    _, classes = stubs()
    instance_fields = {"Module": {"path"}, "Error": {"code", "number", "message", "hint", "path"}}
    for name, members in classes.items():
        if not hasattr(troupe, name):
            continue
        real = public(vars(getattr(troupe, name))) | instance_fields.get(name, set())
        assert public(members) == real, name


def test_every_public_name_explains_itself():
    for name in troupe.__all__:
        thing = getattr(troupe, name)
        if isinstance(thing, str):
            continue
        assert thing.__doc__ and len(thing.__doc__) > 20, name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if member.startswith("_") or not callable(value):
                    continue
                text = value.__doc__ or ""
                assert text.strip(), f"{name}.{member}"
    assert "on_chip" in troupe.Orchestrator.submit.__doc__


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
        try:
            mark(3)
        except TypeError:
            continue
        raise AssertionError(mark)
