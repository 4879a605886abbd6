"""Errors say what, why and what next, the same for a person, for ``--json`` and across processes."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill
from tidemill.core import errors
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import InvalidInput, TidemillError, came_from

GROUPS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TidemillError)
]


def test_the_drawn_tree_is_the_real_one():
    drawn = re.findall(r"[├└]── (\w+) .*\(exit (\d+)\)", errors.__doc__ or "")
    real = [(kind.__name__, str(kind.exit_status)) for kind in GROUPS if kind is not TidemillError]
    assert drawn == real


@pytest.mark.parametrize("kind", GROUPS)
def test_a_group_has_a_code_of_its_own(kind: type[TidemillError]):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.default_code)
    assert [k.default_code for k in GROUPS].count(kind.default_code) == 1


def test_json_holds_what_was_said_and_nothing_empty():
    bare = InvalidInput("no")
    assert bare.to_json() == {"code": "invalid-input", "message": "no"}
    full = InvalidInput("no", why="so", hint="do", code=ErrorCode("wrong-thing"), details={"row": 3})
    assert full.to_json() == {
        "code": "wrong-thing",
        "message": "no",
        "why": "so",
        "hint": "do",
        "details": {"row": 3},
    }


@pytest.mark.parametrize("kind", GROUPS)
def test_an_error_survives_the_way_between_processes(kind: type[TidemillError]):
    error = kind("what", why="why", hint="hint", code=ErrorCode("a-code"), details={"file": "a.csv"})
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(back) is kind
    assert back.to_json() == error.to_json()
    assert str(back) == "what"


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in Path(tidemill.__file__).parent.rglob("*.py"):
        yield path, ast.parse(path.read_text("utf-8"))


def test_what_an_error_came_from_ends_even_in_a_circle():
    first, second, third = ValueError("1"), KeyError("2"), OSError("3")
    third.__cause__, second.__context__, first.__cause__ = second, first, third
    assert list(came_from(third)) == [third, second, first]
    first.__cause__ = first
    assert list(came_from(first)) == [first]


def test_only_one_place_follows_the_causes_of_an_error():
    def loops(tree: ast.Module) -> bool:
        links = {"__cause__", "__context__"}
        return any(
            isinstance(part, ast.Assign)
            and isinstance(part.value, ast.Attribute | ast.BoolOp)
            and any(isinstance(n, ast.Attribute) and n.attr in links for n in ast.walk(part.value))
            for loop in ast.walk(tree)
            if isinstance(loop, ast.While | ast.For)
            for part in ast.walk(loop)
        )

    assert [path.name for path, tree in sources() if loops(tree)] == ["errors.py"]


def test_nothing_is_raised_from_itself():
    """``raise f(error) from error`` is a circle where ``f`` gives its own argument back."""
    circles: list[str] = []
    for path, tree in sources():
        translators = {
            node.exc.func.attr
            if isinstance(node.exc.func, ast.Attribute)
            else getattr(node.exc.func, "id", "")
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.cause is not None
        }
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name in translators:
                given = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
                circles += [
                    f"{path.name}: {function.name}"
                    for node in ast.walk(function)
                    if isinstance(node, ast.Return)
                    and isinstance(node.value, ast.Name)
                    and node.value.id in given
                ]
    assert circles == []
