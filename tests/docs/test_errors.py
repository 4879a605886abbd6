"""docs/errors.md has each stable error code of the source, and no other."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tidemill.core import codes, errors

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidemill"
ROWS = re.findall(
    r"^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \|$",
    (ROOT / "docs" / "errors.md").read_text("utf-8"),
    re.MULTILINE,
)
DOCUMENTED = [code for code, _, _ in ROWS]
REGISTERED = {name: code for name, code in vars(codes).items() if name.isupper() and isinstance(code, str)}


def patterns(node: ast.expr) -> list[str]:
    """The codes that an expression may give, as regular expressions: an f-string's holes are anything."""
    if isinstance(node, ast.Constant):
        return [re.escape(node.value)] if isinstance(node.value, str) else []
    if isinstance(node, ast.Attribute) and node.attr in REGISTERED:
        return [re.escape(REGISTERED[node.attr])]
    if isinstance(node, ast.JoinedStr):
        return [
            "".join(
                "[a-z0-9-]+" if isinstance(p, ast.FormattedValue) else patterns(p)[0] for p in node.values
            )
        ]
    if isinstance(node, ast.IfExp):
        return patterns(node.body) + patterns(node.orelse)
    return []


def codes_in(tree: ast.AST) -> list[str]:
    """Of ``code=`` in calls, ``"code":`` in dicts, and ``default_code`` in the groups."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += [p for k in node.keywords if k.arg == "code" for p in patterns(k.value)]
        elif isinstance(node, ast.Attribute):
            found += patterns(node)
        elif isinstance(node, ast.Dict):
            keys = [k.value if isinstance(k, ast.Constant) else None for k in node.keys]
            found += [p for k, v in zip(keys, node.values, strict=True) if k == "code" for p in patterns(v)]
        elif isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            names = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(isinstance(n, ast.Name) and n.id == "default_code" for n in names):
                found += patterns(node.value)
    return found


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


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_error_says_what_to_try(file: Path):
    assert without_a_hint(ast.parse(file.read_text("utf-8"))) == []


def test_an_error_without_a_hint_is_found():
    tree = ast.parse("raise NotFound('x', code='y')\nraise Conflict('x', hint='z')\nraise errors.Failed('x')")
    assert without_a_hint(tree) == [1, 3]


@cache
def used() -> dict[str, str]:
    """Pattern of a code to the file that uses it."""
    found: dict[str, str] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for pattern in codes_in(ast.parse(file.read_text("utf-8"))):
            found.setdefault(pattern, str(file.relative_to(SOURCE)))
    return found


def test_the_scan_sees_what_it_must():
    tree = ast.parse(
        "X('a', code='plain-code')\nY = {'code': 'in-a-dict'}\n"
        "X(code='one' if full else 'two')\nX(code=f'{kind}-gone')\n"
        "class G:\n    default_code: ClassVar[str] = 'of-a-group'\n"
    )
    assert sorted(codes_in(tree)) == sorted(
        [r"plain\-code", r"in\-a\-dict", "one", "two", "[a-z0-9-]+" + re.escape("-gone"), r"of\-a\-group"]
    )


def test_each_code_of_the_source_is_explained():
    missing = {p: f for p, f in used().items() if not any(re.fullmatch(p, code) for code in DOCUMENTED)}
    assert missing == {}


def test_nothing_else_is_explained():
    assert [code for code in DOCUMENTED if not any(re.fullmatch(pattern, code) for pattern in used())] == []


def test_each_code_once():
    assert sorted(DOCUMENTED) == sorted(set(DOCUMENTED))


def test_what_is_registered_is_explained_in_its_order():
    assert list(REGISTERED.values()) == DOCUMENTED


def test_what_is_damaged_or_too_new_is_unreadable():
    ends = ("-damaged", "-too-new")
    assert {*codes.UNREADABLE} == {
        code for code in DOCUMENTED if code.endswith(ends) or code == "blob-not-found"
    }


@pytest.mark.parametrize(("code", "means", "do"), ROWS)
def test_each_row_says_what_and_what_to_do(code: str, means: str, do: str):
    assert len(means.strip()) > 10, code
    assert len(do.strip()) > 5, code
