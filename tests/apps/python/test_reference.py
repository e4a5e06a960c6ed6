"""Everything public that the reference of C++ lists is there in Python, under its name or another, or said to be left out."""

import ast
import os
import pathlib
import re

import troupe

SOURCE = pathlib.Path(os.environ["TROUPE_SOURCE_FOLDER"])


def declared(text):
    """The names that the page declares, by its sections."""
    section, found = "", {}
    for part in re.finditer(r"^## ([^\n]*)$|^```cpp header=\S+\n(.*?)^```", text, re.M | re.S):
        if part.group(1):
            section = part.group(1)
            continue
        for line in part.group(2).splitlines():
            code = line.split("//")[0].strip()
            code = re.sub(r"^using [\w:]*::(\w+);", r"\1;", code)
            for _ in range(3):
                code = re.sub(r"<[^<>]*>", "", code)
            name = re.match(r"(?:.*?[\s&*])?(operator\W+|\w+)\s*\(", code) or re.match(r"(?:[^=;{]*\s)?(\w+)\s*(?:=|\{|;|$)", code)
            if code:
                found.setdefault(section, set()).add(name.group(1).strip() if name else code)
    return found


def defined(text):
    """The names that a stub defines: classes, functions, their parameters, attributes."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def test_what_cpp_has_is_here_or_said_to_be_elsewhere():
    here = set()
    for stub in ["__init__.pyi", "testing.pyi"]:
        here |= defined((pathlib.Path(troupe.__file__).parent / stub).read_text())
    page = (SOURCE / "docs/python.md").read_text()
    rows = re.findall(r"^\| (.+?) \| .+ \|$", page[page.index("## Names in C++") :], re.M)
    elsewhere = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    sections = declared((SOURCE / "docs/reference.md").read_text())
    assert {"System", "Node", "Handle", "Orchestrator", "Plan", "Tensor", "Testing"} <= set(sections)
    inside = {"Inside a kernel", "Inside a chip program"}
    named = set().union(*(names for section, names in sections.items() if section not in inside))
    assert sorted(named - here - elsewhere) == []
    # And nothing is said to be elsewhere that is not there.
    assert sorted(elsewhere - named) == ["System(argc, argv)"]
    assert {"run", "submit_group", "stop", "learned", "wait_until", "credit"} <= here
