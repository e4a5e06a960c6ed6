"""The parameters of a program in Python: `--param name=value`, and the types that they are of."""

import subprocess

import pytest
from conftest import COMMAND

ANNOTATED = """
{first}
import enum, pathlib, typing, troupe
if typing.TYPE_CHECKING:
    from nowhere import Level, Node
FLAG = typing.Optional[bool]

@troupe.program
def takes(node: "Node", verbose: {verbose}, name: {name} = "x", n: {n} = 3, level: "Level" = 1, where: pathlib.Path = None):
    print(repr((verbose, name, n, level, where)))
"""


@pytest.mark.parametrize(
    "first, verbose, name, n",
    [
        ("", "bool", "str", "int"),
        ("from __future__ import annotations", "bool", "str", "int"),
        ("", "'bool'", "'str'", "'int'"),
        ("", "typing.Optional[bool]", "typing.Optional[str]", "int | None"),
        ("from __future__ import annotations", "bool | None", "typing.Optional[str]", "typing.Union[None, int]"),
        ("from __future__ import annotations", "FLAG", "typing.Annotated[str, 'called']", "typing.Annotated[int | None, 3]"),
        ("", "bool", "'Level'", "'Level'"),  # which nobody can look up: as the default is
    ],
)
def test_a_parameter_has_the_type_of_its_annotation_however_that_is_written(troupe_run, tmp_path, first, verbose, name, n):
    path = tmp_path / "annotated.py"
    path.write_text(ANNOTATED.format(first=first, verbose=verbose, name=name, n=n))

    def run(*given):
        return troupe_run(str(path), *(word for text in given for word in ("--param", text)))

    code, out, err = run("verbose=false", "name=007", "n=7")
    assert (code, out) == (0, "(False, '007', 7, 1, None)\n"), err
    code, out, err = run("verbose=1", "level=4", "where=here")
    assert (code, out) == (0, "(True, 'x', 3, 4, 'here')\n"), err
    for wrong, kind in [("n=zwei", "int"), ("verbose=no", "bool"), ("level=high", "int")]:
        code, out, err = run("verbose=true", wrong) if "verbose" not in wrong else run(wrong)
        assert code == 2 and out == "" and f"of type {kind}\n" in err, err


def test_a_parameter_that_may_be_of_several_types_is_of_the_first_that_takes_it(troupe_run, tmp_path):
    path = tmp_path / "several.py"
    path.write_text(
        "import troupe\n@troupe.program\ndef p(node, x: 'float | int | None', y: int | bool = 1, z: bool | str = ''):\n    print(repr((x, y, z)))\n"
    )
    code, out, err = troupe_run(str(path), "--param", "x=2", "--param", "y=true", "--param", "z=7")
    assert (code, out) == (0, "(2, True, '7')\n"), err
    code, out, err = troupe_run(str(path), "--param", "x=1e3", "--param", "y=0")
    assert (code, out) == (0, "(1000.0, 0, '')\n"), err
    code, out, err = troupe_run(str(path), "--param", "x=two")
    assert code == 2 and "of type int or float" in err, err


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not built")
def test_help_says_the_types_however_they_are_written(tmp_path):
    (tmp_path / "annotated.py").write_text(
        ANNOTATED.format(first="from __future__ import annotations", verbose="bool | None", name="str", n="'Level'")
    )
    done = subprocess.run([str(COMMAND), "run", str(tmp_path / "annotated.py"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.split("Parameters:\n")[1].split("\n\n")[0].split("\n")]
    assert rows == [["verbose", "bool"], ["name=x", "str"], ["n=3", "int"], ["level=1", "int"], ["where=None", "Path"]]
