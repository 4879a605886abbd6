"""A condition on runs, as typed after ``--where``: names compared with plain values, and, or, not, brackets.

Not Python, though read by its parser: of the syntax tree a few nodes are known, and nothing is called.
"""

import ast
import io
import operator
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean, listed
from tidemill.loop.narrowing import Narrow, narrow

_LONGEST = 2000
"""Characters of a condition: far above what a person types, far below where the parser gives up."""
_OWN = ("run", "pipeline", "status", "started", "seconds", "trigger")
_PLACES = ("metric", "param", "input")
_BEGINNINGS = frozenset({"run", "started", "input"})
"""Ids, commits and times equal each beginning of theirs: ``started == "2026-11-24"``."""
_ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition may ask of one run.

    Attributes:
        own: ``run``, ``pipeline``, ``status``, ``started``, ``seconds``, ``trigger``.
        metric: The numbers of its report.
        param: Its parameters.
        input: Dataset name to the commit that was read.
    """

    own: Mapping[str, Any]
    metric: Mapping[str, Any]
    param: Mapping[str, Any]
    input: Mapping[str, Any]

    def get(self, place: str, name: str) -> Any:
        """A value, or None where the run has none."""
        return {"own": self.own, "metric": self.metric, "param": self.param, "input": self.input}[place].get(
            name
        )


class Condition:
    """A condition that was read, and can be asked of one run after the other.

    Args:
        text: As typed. SQL's ``=``, ``<>`` and capital ``AND``, ``OR``, ``NOT`` are understood too.

    Raises:
        InvalidInput: ``invalid-run-condition``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree = _parsed(text)
        self._names: list[tuple[str, str]] = []
        self._places: dict[str, str] = {}
        self._check(self._tree)

    @property
    def columns(self) -> Narrow:
        """What must hold of a run's columns, so that the catalog need give no others."""
        return narrow(self._tree)

    @property
    def asks_metrics(self) -> bool:
        """Whether the numbers of reports bear on it: they are the one thing that costs reading."""
        return any(place == "metric" or (not place and name not in _OWN) for place, name in self._names)

    def bind(self, every: list[Facts]) -> None:
        """Find out what each bare name means, among the runs that there are.

        Raises:
            InvalidInput: ``unknown-run-field``, ``ambiguous-run-field``.
        """
        known = {
            "metric": {n for f in every for n in f.metric},
            "param": {n for f in every for n in f.param},
            "input": {n for f in every for n in f.input},
        }
        for place, name in self._names:
            if place:
                if name not in known[place]:
                    raise _unknown(f"{place}.{name}", {f"{place}.{n}" for n in known[place]})
            elif name in _OWN:
                self._places[name] = "own"
            else:
                homes = [p for p in ("metric", "param") if name in known[p]]
                if len(homes) > 1:
                    raise InvalidInput(
                        f"'{name}' is a metric and a parameter.",
                        hint=f"Type metric.{name} or param.{name}.",
                        code=codes.AMBIGUOUS_RUN_FIELD,
                    )
                if not homes:
                    every_name = {*_OWN, *known["metric"], *known["param"]}
                    raise _unknown(name, every_name | {f"input.{n}" for n in known["input"]})
                self._places[name] = homes[0]

    def holds(self, facts: Facts) -> bool:
        """Whether it holds for a run; what a run lacks is neither equal, nor unequal, nor less or more."""
        return self._truth(self._tree, facts) is True

    def _truth(self, node: ast.expr, facts: Facts) -> bool | None:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                found = [self._truth(v, facts) for v in values]
                return False if False in found else None if None in found else True
            case ast.BoolOp(values=values):
                found = [self._truth(v, facts) for v in values]
                return True if True in found else None if None in found else False
            case ast.UnaryOp(operand=operand):
                truth = self._truth(operand, facts)
                return None if truth is None else not truth
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                found = [self._compared(*s, facts) for s in zip(sides, ops, sides[1:], strict=False)]
                return False if False in found else None if None in found else True
            case _:
                value, _ = self._value(node, facts)
                return value if isinstance(value, bool) else None

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, facts: Facts) -> bool | None:
        (a, kind_a), (b, kind_b) = self._value(left, facts), self._value(right, facts)
        if isinstance(op, ast.Is | ast.IsNot):
            return (a is b) == isinstance(op, ast.Is)
        if a is None or b is None:
            return None
        kind = kind_a or kind_b
        if isinstance(op, ast.In | ast.NotIn):
            members = list(b) if isinstance(b, tuple) else [b]
            inside = any(_equal(a, member, kind) for member in members)
            return inside == isinstance(op, ast.In)
        if isinstance(op, ast.Eq | ast.NotEq):
            equal = _equal(a, b, kind) if kind_a or not kind_b else _equal(b, a, kind)
            return equal == isinstance(op, ast.Eq)
        if kind == "started":
            a, b = _moment(a), _moment(b)
        # A run whose parameter is a text has no place in an order of numbers.
        return _ORDERS[type(op)](a, b) if _alike(a, b) else None

    def _value(self, node: ast.expr, facts: Facts) -> tuple[Any, str]:
        """A value, and of what kind it is where that bears on equality."""
        named = _named(node)
        if named is not None:
            place, name = named
            place = place or self._places[name]
            kind = name if place == "own" else place
            return facts.get(place, name), kind if kind in _BEGINNINGS else ""
        match node:
            case ast.Tuple(elts=members) | ast.List(elts=members):
                return tuple(self._value(m, facts)[0] for m in members), ""
            case ast.UnaryOp(operand=operand):
                return -self._value(operand, facts)[0], ""
            case ast.Constant(value=value):
                return value, ""
            case _:
                raise AssertionError(ast.dump(node))

    # -- what may be written

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for op, right in zip(ops, comparators, strict=True):
                    self._check_side(right, several=isinstance(op, ast.In | ast.NotIn))
                self._check_side(left)
                self._check_kinds([left, *comparators])
            case ast.Constant(value=bool()):
                pass
            case _:
                self._check_name(node)

    def _check_side(self, node: ast.expr, *, several: bool = False) -> None:
        match node:
            case ast.Tuple(elts=members) | ast.List(elts=members) if several:
                for member in members:
                    self._check_side(member)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                # -True is arithmetic, not a number.
                if isinstance(value, bool):
                    raise self._fault(node)
            case ast.Constant(value=str() | int() | float() | bool() | None):
                pass
            case _:
                self._check_name(node)

    def _check_name(self, node: ast.expr) -> None:
        named = _named(node)
        if named is None:
            raise self._fault(node)
        self._names.append(named)

    def _check_kinds(self, sides: list[ast.expr]) -> None:
        """What every run has is of a known type: comparing it with another is a slip, and no run would match."""
        own = {named[1] for side in sides if (named := _named(side)) and not named[0] and named[1] in _OWN}
        numbers, texts = own & {"seconds"}, own - {"seconds"}
        for side in sides:
            value = side.value if isinstance(side, ast.Constant) else None
            if (texts and isinstance(value, int | float)) or (numbers and isinstance(value, str)):
                name = next(iter(texts or numbers))
                raise InvalidInput(
                    f"'{name}' is a {'text' if texts else 'number'}, and {value!r} is none.",
                    hint=f'Type {name} == "{value}".' if texts else f"Type {name} > 60.",
                    code=codes.INVALID_RUN_CONDITION,
                )

    def _fault(self, node: ast.expr) -> InvalidInput:
        part = ast.unparse(node)
        if isinstance(node, ast.Attribute | ast.Subscript):
            hint = "After a name comes a comparison; only metric, param and input have a name after a dot."
        else:
            hint = 'Compare names with numbers or texts in quotes: accuracy > 0.88 and status == "succeeded".'
        return InvalidInput(
            f"A condition on runs cannot hold '{part}'.",
            why=f"It stands in: {self.text}",
            hint=hint,
            code=codes.INVALID_RUN_CONDITION,
        )


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise InvalidInput(
            f"A condition on runs has at most {_LONGEST:,} characters; this one has {len(text):,}.",
            hint="Filter in Python: tm.open().runs(limit=None).",
            code=codes.INVALID_RUN_CONDITION,
        )
    try:
        return ast.parse(_as_python(text.strip()), mode="eval").body
    except (SyntaxError, ValueError, tokenize.TokenError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise InvalidInput(
            f"Not a condition on runs: {text}",
            why=f"Reading it ended at: {reason}." if reason else None,
            hint='Type something like: accuracy > 0.88 and status == "succeeded". Texts stand in quotes.',
            code=codes.INVALID_RUN_CONDITION,
        ) from error


def _as_python(text: str) -> str:
    """The words of SQL that conditions on rows are typed in, as Python has them."""
    words = {"=": "==", "AND": "and", "OR": "or", "NOT": "not", "IN": "in", "IS": "is"}
    words |= {"NULL": "None", "null": "None", "true": "True", "false": "False"}
    found: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if found[-1:] == ["<"] and token.string == ">":
            found[-1] = "!="
        elif token.type not in (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER):
            found.append(words.get(token.string, token.string))
    return " ".join(found)


def _named(node: ast.AST) -> tuple[str, str] | None:
    """Place and name that a node says: ``accuracy``, ``metric.accuracy``, ``input["my-data"]``."""
    match node:
        case ast.Name(id=name):
            return ("", name)
        case ast.Attribute(value=ast.Name(id=place), attr=name) if place in _PLACES:
            return (place, name)
        case ast.Subscript(value=ast.Name(id=place), slice=ast.Constant(value=str(name))) if place in _PLACES:
            return (place, name)
        case _:
            return None


def _equal(value: Any, other: Any, kind: str) -> bool:
    if kind and isinstance(value, str) and isinstance(other, str):
        wanted = _moment(other) if kind == "started" else other
        return bool(wanted) and value.startswith(wanted)
    # True is no 1 here, though Python says so.
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _moment(text: Any) -> Any:
    return text.replace(" ", "T", 1) if isinstance(text, str) else text


def _alike(a: Any, b: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return numbers or all(isinstance(v, str) for v in (a, b))


def _unknown(name: str, known: set[str]) -> InvalidInput:
    return InvalidInput(
        f"No run has a '{name}'.",
        why="A name is a metric, a parameter, or one of " + ", ".join(_OWN) + ".",
        hint=did_you_mean(name, known, f"There are: {listed(sorted(known), 12)}. Texts stand in quotes."),
        code=codes.UNKNOWN_RUN_FIELD,
    )
