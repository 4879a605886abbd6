"""Errors say what, why and what next, the same for a person, for ``--json`` and across processes."""

import pickle
import re

import pytest

from tidemill.core import errors
from tidemill.core.errors import InvalidInput, TidemillError

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
    full = InvalidInput("no", why="so", hint="do", code="wrong-thing", details={"row": 3})
    assert full.to_json() == {
        "code": "wrong-thing",
        "message": "no",
        "why": "so",
        "hint": "do",
        "details": {"row": 3},
    }


@pytest.mark.parametrize("kind", GROUPS)
def test_an_error_survives_the_way_between_processes(kind: type[TidemillError]):
    error = kind("what", why="why", hint="hint", code="a-code", details={"file": "a.csv"})
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(back) is kind
    assert back.to_json() == error.to_json()
    assert str(back) == "what"
