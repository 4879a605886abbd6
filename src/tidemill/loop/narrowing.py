"""The part of a condition on runs that the catalog can answer by itself: what the columns of a run must be.

It leaves out only runs for which the condition cannot hold; those that are left are asked it in full.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_COLUMNS = {"pipeline": "pipeline", "status": "status", "trigger": "trigger"}
_BEGINNINGS = {"run": "id", "started": "started_at"}
_LAST = "\U0010ffff"
"""After every text that begins like the one before it."""


@dataclass(frozen=True, slots=True)
class Narrow:
    """What the columns must be.

    Attributes:
        equal: Column to the values of which it must be one.
        between: Column to the text that it must be at least, and the one that it must be less than.
    """

    equal: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    between: dict[str, tuple[str | None, str | None]] = field(
        default_factory=dict[str, tuple[str | None, str | None]]
    )

    def __bool__(self) -> bool:
        return bool(self.equal or self.between)


def narrow(tree: ast.expr) -> Narrow:
    """What must hold of the columns, whatever else the condition says: its parts that are joined by ``and``."""
    found = Narrow()
    for part in _joined(tree):
        match part:
            case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[other]):
                texts = _texts(other)
                if name in _COLUMNS and isinstance(op, ast.Eq | ast.In) and texts is not None:
                    _add_equal(found, _COLUMNS[name], texts)
                elif name in _BEGINNINGS and texts is not None and len(texts) == 1:
                    _add_between(found, _BEGINNINGS[name], op, texts[0])
            case _:
                pass
    return found


def _joined(tree: ast.expr) -> Iterator[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for value in tree.values:
            yield from _joined(value)
    else:
        yield tree


def _texts(node: ast.expr) -> list[str] | None:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Tuple(elts=members) | ast.List(elts=members):
            found = [m.value for m in members if isinstance(m, ast.Constant) and isinstance(m.value, str)]
            return found if len(found) == len(members) else None
        case _:
            return None


def _add_equal(found: Narrow, column: str, texts: list[str]) -> None:
    before = found.equal.get(column)
    found.equal[column] = texts if before is None else [t for t in before if t in texts]


def _add_between(found: Narrow, column: str, op: ast.cmpop, text: str) -> None:
    text = text.replace(" ", "T", 1) if column == "started_at" else text
    least, under = found.between.get(column, (None, None))
    if isinstance(op, ast.Eq | ast.In | ast.Gt | ast.GtE):
        least = text if least is None else max(least, text)
    if isinstance(op, ast.Eq | ast.In | ast.Lt | ast.LtE):
        end = text if isinstance(op, ast.Lt) else text + _LAST
        under = end if under is None else min(under, end)
    if (least, under) != (None, None):
        found.between[column] = least, under
