"""What the names and texts in code mean where it stands, as far as that is known before it runs.

Not which of them look code up to what end: that is ``lookups``.
"""

import ast
import builtins
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tidemill.engine import lookup_names as known
from tidemill.engine import modules


@dataclass(frozen=True, slots=True)
class _Assigned:
    """What is assigned to a variable: a value, or each member of one; None where it is not known."""

    value: ast.expr | None
    is_member: bool = False


@dataclass(slots=True)
class Scope:
    """What names mean in one tree of code.

    Attributes:
        names: Its globals and free variables that are there now; empty where the module is not imported.
        module: The name of its module.
        package: Of its module, for relative names.
        aliases: What import statements in the tree call things, by their own dotted names.
        local: What is assigned to the variables that it has of its own, which hide the globals.
    """

    names: Mapping[str, Any]
    module: str
    package: str
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    local: "Mapping[str, list[_Assigned]]" = field(default_factory=dict[str, "list[_Assigned]"])
    _open: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, tree: ast.AST, names: Mapping[str, Any], module: str, package: str) -> "Scope":
        """Of a tree; imports in it count."""
        return cls(names, module, package, dict(_aliases(tree)), _assigned(tree))

    def called(self, node: ast.expr) -> str | None:
        """What a name or an attribute is called here, if it looks code up."""
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            module = self.module_of(base)
            return known.canonical(".".join([module, *parts])) if module else None
        if (alias := self.aliases.get(base.id)) is not None:
            return known.canonical(".".join([alias, *parts]))
        if base.id in self.local:
            return self._renamed(base.id, parts)
        if base.id == "__builtins__" and parts:
            return name if (name := f"builtins.{parts[0]}") in known.CALLED else None
        if base.id in self.names:
            return known.known_name(self._live(self.names[base.id], parts))
        if not parts and hasattr(builtins, base.id):
            name = f"builtins.{base.id}"
            return name if name in known.CALLED else None
        return None

    def _renamed(self, name: str, parts: list[str]) -> str | None:
        """What a variable, or what is in it, is called here that is given a function or a module by name.

        ``load = importlib.import_module``; ``m = importlib``, of which ``m.import_module`` is asked.
        """
        if name in self._open:
            return None
        self._open.add(name)
        try:
            for assigned in self.local[name]:
                value = assigned.value
                for one in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                    if assigned.is_member or one is None:
                        continue
                    if not isinstance(one, (ast.Name, ast.Attribute)) and not (parts and self.module_of(one)):
                        continue
                    whole: ast.expr = one
                    for part in parts:
                        whole = ast.Attribute(whole, part, ast.Load())
                    if (called := self.called(whole)) is not None:
                        return called
            return None
        finally:
            self._open.discard(name)

    def module_of(self, node: ast.expr) -> str | None:
        """The name of the module that an expression is: ``pickle``, ``m`` after ``m = pickle``, ``__import__("pickle")``."""
        match node:
            case ast.Name(id="__builtins__"):
                return "builtins"
            case ast.Name(id=name) if name in self.aliases:
                return self.aliases[name]
            case ast.Name(id=name) if name in self.local:
                return self._renamed_module(name)
            case ast.Name(id=name):
                value = self.names.get(name)
                return value.__name__ if isinstance(value, types.ModuleType) else None
            case ast.Attribute(value=inner, attr=attr):
                outer = self.module_of(inner)
                return f"{outer}.{attr}" if outer else None
            case ast.Call(func=ast.Name() | ast.Attribute() as func, args=[first, *_]):
                called = self.called(func)
                names = self.texts(first) if called in known.BY_MODULE else None
            case ast.Subscript(value=ast.Name() | ast.Attribute() as table, slice=key):
                called = self.called(table)
                names = self.texts(key) if called == "sys.modules" else None
            case _:
                return None
        if names is None or len(names) != 1:
            return None
        return names[0].partition(".")[0] if called == "builtins.__import__" else names[0]

    def _renamed_module(self, name: str) -> str | None:
        if name in self._open:
            return None
        self._open.add(name)
        try:
            values = (a.value for a in self.local[name] if a.value is not None and not a.is_member)
            return next((m for m in map(self.module_of, values) if m), None)
        finally:
            self._open.discard(name)

    @staticmethod
    def _live(value: Any, parts: list[str]) -> Any:
        for part in parts:
            # Of modules alone: an object's attribute may do anything when it is asked for.
            if not isinstance(value, types.ModuleType):
                return None
            value = vars(value).get(part)
        return value

    # -- what a text is

    def texts(self, node: ast.expr | None) -> list[str] | None:
        """What a text can be, as far as it is known before the code runs; None where it is not."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.IfExp(body=body, orelse=other):
                both = self.texts(body), self.texts(other)
                return None if both[0] is None or both[1] is None else [*both[0], *both[1]]
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return _joined([self.texts(left), self.texts(right)])
            case ast.JoinedStr(values=parts):
                return _joined(
                    [self.texts(p.value if isinstance(p, ast.FormattedValue) else p) for p in parts]
                )
            case ast.Name(id="__name__"):
                return [self.module]
            case ast.Name(id="__package__"):
                return [self.package]
            case ast.Name(id=name) if name in self.local:
                return self._of_local(name)
            case ast.Name() | ast.Attribute():
                value = self._value(node)
                return [value] if isinstance(value, str) else None
            case ast.Subscript(value=inner) | ast.Call(func=ast.Attribute(value=inner, attr="get"), args=[_]):
                return self._members(inner)
            case _:
                return None

    def _of_local(self, name: str) -> list[str] | None:
        """What a variable of a function can be: all that is assigned to it."""
        if name in self._open:
            return None
        self._open.add(name)
        try:
            found = [
                None if a.value is None else self._members(a.value) if a.is_member else self.texts(a.value)
                for a in self.local[name]
            ]
        finally:
            self._open.discard(name)
        return None if any(f is None for f in found) else [t for f in found for t in f or ()]

    def _members(self, node: ast.expr) -> list[str] | None:
        """The texts in a container."""
        match node:
            case ast.List(elts=members) | ast.Tuple(elts=members) | ast.Set(elts=members):
                found = [self.texts(m) for m in members]
                return None if any(f is None for f in found) else [t for f in found for t in f or ()]
            case ast.Dict(values=members):
                return self._members(ast.List(members))
            case ast.Name(id=name) if name in self.local:
                assigned = self.local[name]
                value = assigned[0].value if len(assigned) == 1 and not assigned[0].is_member else None
                return (
                    self._members(value)
                    if isinstance(value, (ast.List, ast.Tuple, ast.Set, ast.Dict))
                    else None
                )
            case _:
                return _as_texts(self._value(node))

    def _value(self, node: ast.expr) -> Any:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.aliases or node.id in self.local:
            return None
        value = self.names.get(node.id)
        for part in parts:
            # What a library holds is in no key, and may be another when the code runs.
            ours = isinstance(value, type) or (
                isinstance(value, types.ModuleType)
                and modules.is_project(value.__name__, getattr(value, "__file__", None))
            )
            value = vars(value).get(part) if ours else None
        return value

    def beginning(self, node: ast.expr) -> str:
        """What a text begins with that is not known as a whole."""
        match node:
            case ast.JoinedStr(values=[first, *_]):
                return (self.texts(first.value if isinstance(first, ast.FormattedValue) else first) or [""])[
                    0
                ]
            case ast.BinOp(left=left, op=ast.Add()):
                return (self.texts(left) or [self.beginning(left)])[0]
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
                return text.partition("%")[0]
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                return text.partition("{")[0]
            case _:
                return ""


def _joined(parts: list[list[str] | None]) -> list[str] | None:
    made = [""]
    for part in parts:
        if part is None or len(made) * len(part) > 1000:
            return None
        made = [a + b for a in made for b in part]
    return made


def _as_texts(value: Any) -> list[str] | None:
    """The members of a constant, if all are texts."""
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        members = list(cast("list[Any]", value))
        return [str(m) for m in members] if members and all(isinstance(m, str) for m in members) else None
    return None


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What import statements in a tree call things, by their own dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                yield name.asname or top, name.name if name.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for name in node.names:
                yield name.asname or name.name, f"{node.module}.{name.name}"


def _assigned(tree: ast.AST) -> dict[str, list[_Assigned]]:  # noqa: C901 - a case for each way to assign
    """The variables that code has of its own, which hide the globals."""
    found: dict[str, list[_Assigned]] = {}
    told: set[int] = set()

    def note(target: ast.expr, what: _Assigned) -> None:
        if isinstance(target, ast.Name):
            told.add(id(target))
            found.setdefault(target.id, []).append(what)

    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    note(target, _Assigned(value))
            case (
                ast.AnnAssign(target=target, value=ast.expr() as value)
                | ast.NamedExpr(target=target, value=value)
            ):
                note(target, _Assigned(value))
            case ast.For(target=target, iter=members) | ast.comprehension(target=target, iter=members):
                note(target, _Assigned(members, is_member=True))
            case ast.arg(arg=name):
                found.setdefault(name, []).append(_Assigned(None))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if node is not tree:
                    found.setdefault(name, []).append(_Assigned(None))
            case _:
                pass
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in told:
            found.setdefault(node.id, []).append(_Assigned(None))
    return found
