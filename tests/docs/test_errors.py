"""docs/errors.md has each error code of the registry, and the source names codes as the registry does, never as texts."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tidemill.core import codes, errors

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidemill"
FILES = sorted(SOURCE.rglob("*.py"))
REGISTRY = SOURCE / "core" / "codes.py"
ROWS = re.findall(
    r"^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \|$",
    (ROOT / "docs" / "errors.md").read_text("utf-8"),
    re.MULTILINE,
)
DOCUMENTED = [code for code, _, _ in ROWS]
REGISTERED = {name: code for name, code in vars(codes).items() if name.isupper() and isinstance(code, str)}

GIVES_A_TEXT = (ast.Constant, ast.JoinedStr, ast.IfExp, ast.BoolOp)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def texts(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """The texts that an expression may give or is compared with, those of a tuple or set too."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr) or (
            isinstance(part, ast.Constant) and isinstance(part.value, str)
        ):
            yield part


def is_code(node: ast.expr) -> bool:
    """Whether an expression is the code of an error: ``error.code``, ``error["code"]``, ``error.get("code")``."""
    if isinstance(node, ast.Attribute):
        return node.attr == "code"
    inner = node.slice if isinstance(node, ast.Subscript) else (*getattr(node, "args", ()), None)[0]
    return isinstance(inner, ast.Constant) and inner.value == "code"


def bare(tree: ast.AST) -> list[int]:
    """The lines where a code is given or compared as a text."""
    found: set[int] = set()
    for node in ast.walk(tree):
        places: list[ast.expr] = []
        if isinstance(node, ast.Call):
            places += [
                k.value for k in node.keywords if k.arg == "code" and isinstance(k.value, GIVES_A_TEXT)
            ]
            named = isinstance(node.func, ast.Name) and node.func.id == "ErrorCode"
            if named or (isinstance(node.func, ast.Attribute) and is_code(node.func.value)):
                places += node.args
        elif isinstance(node, ast.Dict):
            keys = [k.value if isinstance(k, ast.Constant) else None for k in node.keys]
            places += [
                v
                for k, v in zip(keys, node.values, strict=True)
                if k == "code" and isinstance(v, GIVES_A_TEXT)
            ]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            places += [side for side in sides if any(map(is_code, sides)) and not is_code(side)]
        elif isinstance(node, ast.Constant) and "-" in str(node.value) and node.value in DOCUMENTED:
            places.append(node)
        found.update(text.lineno for place in places for text in texts(place))
    return sorted(found)


@pytest.mark.parametrize(
    "file", [f for f in FILES if f != REGISTRY], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_codes_are_named_from_the_registry(file: Path):
    assert bare(parsed(file)) == []


@pytest.mark.parametrize(
    "line",
    [
        "X('a', code='plain')",
        "X(code=codes.ONE if full else 'two')",
        "X(code=f'{kind}-gone')",
        "X(code=given or 'one')",
        "X(code=ErrorCode('one'))",
        "Y = {'code': 'in-a-dict'}",
        "if error.code == 'storage': pass",
        "if error.code not in (codes.ONE, 'two'): pass",
        "if error['code'] in {'one'}: pass",
        "if error.get('code') == 'one': pass",
        "if error.code.startswith('one'): pass",
        "PASSING = ('step-failed',)",
    ],
)
def test_a_code_that_is_a_text_is_found(line: str):
    assert bare(ast.parse(line)) == [1]


def test_what_is_registered_is_explained_in_its_order():
    assert list(REGISTERED.values()) == DOCUMENTED


def test_each_code_once():
    assert sorted(DOCUMENTED) == sorted(set(DOCUMENTED))


def test_each_code_is_used():
    used = {n.attr for f in FILES for n in ast.walk(parsed(f)) if isinstance(n, ast.Attribute)}
    assert sorted(REGISTERED.keys() - used) == []


def test_a_name_is_its_code():
    assert {name: name.lower().replace("_", "-") for name in REGISTERED} == REGISTERED


def test_what_is_damaged_or_too_new_is_unreadable():
    ends = ("-damaged", "-too-new")
    assert {*codes.UNREADABLE} == {
        code for code in DOCUMENTED if code.endswith(ends) or code == codes.BLOB_NOT_FOUND
    }


def without_a_hint(tree: ast.AST) -> list[int]:
    """The lines of calls that make an error of ours and do not say what to try."""
    groups = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) in groups
        and not {"hint", None} & {keyword.arg for keyword in node.keywords}
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_error_says_what_to_try(file: Path):
    assert without_a_hint(parsed(file)) == []


def test_an_error_without_a_hint_is_found():
    tree = ast.parse("raise NotFound('x', code='y')\nraise Conflict('x', hint='z')\nraise errors.Failed('x')")
    assert without_a_hint(tree) == [1, 3]


@pytest.mark.parametrize(("code", "means", "do"), ROWS)
def test_each_row_says_what_and_what_to_do(code: str, means: str, do: str):
    assert len(means.strip()) > 10, code
    assert len(do.strip()) > 5, code
