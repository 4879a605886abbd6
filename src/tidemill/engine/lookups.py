"""Code that is looked up by a name in a text: ``import_module("lib")``, ``globals()[name]``, ``eval(text)``.

Found in the syntax tree, since the names are no names to Python. Where the text is known (a literal, a constant of the
module, a member of one, or the beginning of a text that names a package) what it names is told, else that it cannot be
seen. Nothing is imported here.
"""

import ast
import builtins
import itertools
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from tidemill.engine import modules

Kind = Literal["module", "package", "dotted", "name", "whole", "code", "variable", "unseen"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One thing that code looks up.

    Attributes:
        kind: ``module``, by its name; ``package``, with all modules in it; ``dotted``, a module or what is in it; ``name``,
            a global of the code's own module; ``whole``, any global of it; ``code``, text that is run; ``unseen``,
            what cannot be known; ``variable``, one of the environment, which is in no key.
        text: The name, or the code; for ``unseen`` and ``variable``, the source of the place.
        line: Where it stands.
    """

    kind: Kind
    text: str
    line: int


_BY_MODULE = {
    "importlib.import_module",
    "builtins.__import__",
    "importlib.__import__",
    "importlib.util.find_spec",
    "runpy.run_module",
}
_BY_DOTTED = {"pkgutil.resolve_name", "pydoc.locate"}
_BY_CODE = {"builtins.eval", "builtins.exec", "builtins.compile"}
_UNSEEN = {
    "runpy.run_path",
    "importlib.util.spec_from_file_location",
    "importlib.machinery.SourceFileLoader",
    "importlib.metadata.entry_points",
    "pkg_resources.iter_entry_points",
    "pkgutil.iter_modules",
    "pkgutil.walk_packages",
    "os.getenv",
    "importlib.machinery.SourcelessFileLoader",
    "importlib.machinery.ExtensionFileLoader",
    "zipimport.zipimporter",
}
_FINDERS = {"importlib.machinery.PathFinder", "importlib.machinery.FileFinder"}
_PICKLES = {"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads"}
"""What makes code of bytes: a pickle names its functions and classes in a text of its own."""
_PROCESSES = {
    *(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")),
    *(f"os.{name}" for name in ("system", "popen", "execv", "execvp", "execl", "execlp", "spawnv", "spawnl")),
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
}
_PYTHON = re.compile(r"(^|[\s/\\])(python[\d.]*|\S+\.pyz?)(\s|$)")
"""A command, or a word of one, that starts Python."""
_MEMBERS = 10_000
"""Up to which a container is looked through; more are data."""
_LOADERS = {"load_module", "exec_module"}
_OF_FRAME = {"f_globals", "__globals__"}
_TABLES = {"builtins.globals", "builtins.vars", "builtins.locals"}
_LOOKING = _BY_MODULE | _BY_DOTTED | _BY_CODE | _PICKLES
"""Told of wherever they are handed on, since who calls them then is not known."""
_CALLED = _LOOKING | _UNSEEN | _TABLES | _FINDERS | _PROCESSES
_OBJECTS = {"sys.modules", "os.environ"}
_WORDS = (
    frozenset(name.rpartition(".")[2] for name in (*_CALLED, *_OBJECTS))
    | _LOADERS
    | _OF_FRAME
    | {"__builtins__"}
)


def known_name(value: object) -> str | None:
    """What a live object is called here, if it looks code up: whatever name it goes by."""
    if value is sys.modules:
        return "sys.modules"
    if value is os.environ:
        return "os.environ"
    if not callable(value):
        return None
    for name in _CALLED:
        home, _, attribute = name.rpartition(".")
        # Who has not imported it cannot hold it.
        if home in sys.modules and vars(sys.modules[home]).get(attribute) is value:
            return name
    return None


def _looking_members(value: object) -> dict[Any, str]:
    """The members of a container or a class that look code up, each by its key and what it is called here."""
    if isinstance(value, type):
        found: Any = vars(value).items()
    elif type(value) not in (dict, list, tuple) or len(cast("list[Any]", value)) > _MEMBERS:
        return {}
    elif isinstance(value, dict):
        found = cast("dict[Any, Any]", value).items()
    else:
        found = enumerate(cast("list[Any]", value))
    members = ((key, getattr(m, "__func__", m) if isinstance(m, staticmethod) else m) for key, m in found)
    kinds = (types.FunctionType, types.BuiltinFunctionType, type)
    named = ((key, known_name(m)) for key, m in members if isinstance(m, kinds) and m.__name__ in _WORDS)
    return {key: name for key, name in named if name in _LOOKING}


@dataclass(slots=True)
class Place:
    """Where code stands: what its names mean.

    Attributes:
        names: Its globals and free variables that are there now; empty where the module is not imported.
        module: The name of its module.
        package: Of its module, for relative names.
    """

    names: Mapping[str, Any]
    module: str
    package: str
    _aliases: dict[str, str] = field(default_factory=dict[str, str])
    _local: "dict[str, list[_Assigned]]" = field(default_factory=dict[str, "list[_Assigned]"])
    _open: set[str] = field(default_factory=set[str])

    def lookups(self, *trees: ast.AST) -> Iterator[Lookup]:
        """Each thing that the trees look up; imports in them count."""
        for tree in trees:
            self._aliases, self._local = dict(_aliases(tree)), _assigned(tree)
            yield from self._within(tree)

    def _within(self, tree: ast.AST) -> Iterator[Lookup]:
        parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        is_found = False
        for found in self._called_within(tree, parents):
            is_found = True
            yield found
        if not is_found:
            # A loader that was handed in; else its place is told where it was made.
            yield from self._of_loaders(tree)

    def _of_loaders(self, tree: ast.AST) -> Iterator[Lookup]:
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr)
                ):
                    if attr in _LOADERS and "loader" in name.lower():
                        yield self._unseen(node)
                case _:
                    pass

    def _called_within(self, tree: ast.AST, parents: Mapping[int, ast.AST]) -> Iterator[Lookup]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in _OF_FRAME:
                yield from self._of_globals(node, parents)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._of_container(node, parents)
            if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
                continue
            called = self._called(node)
            if called is None:
                continue
            parent = parents.get(id(node))
            if called in _OBJECTS:
                yield from self._of_table(called, node, parents)
            elif isinstance(parent, ast.Call) and parent.func is node:
                yield from self._of_call(called, parent, parents)
            else:
                yield from self._passed_on(called, node, parent)

    def _of_globals(self, node: ast.Attribute, parents: Mapping[int, ast.AST]) -> Iterator[Lookup]:
        """``sys._getframe().f_globals`` is ``globals()``; those of another frame or function are not known."""
        match node.value:
            case ast.Call(func=ast.Attribute(attr="_getframe" | "currentframe"), args=[]):
                yield from self._of_table("globals", node, parents)
                return
            case _:
                pass
        match use := parents.get(id(node)):
            case ast.Subscript(slice=ast.Constant(value=str(key))) if key.startswith("__"):
                pass
            case _:
                yield self._unseen(use if isinstance(use, ast.Subscript) else node)

    def _of_container(self, node: ast.Name, parents: Mapping[int, ast.AST]) -> Iterator[Lookup]:
        """``LOADERS["a"]("lib")``, ``Settings.load("lib")`` and ``__builtins__["__import__"]("lib")``."""
        if node.id in self._local or node.id in self._aliases:
            return
        if node.id == "__builtins__":
            members: dict[Any, str] = {n.partition(".")[2]: n for n in _CALLED if n.startswith("builtins.")}
        else:
            members = _looking_members(self.names.get(node.id))
        if not members:
            return
        use = parents.get(id(node))
        is_class = isinstance(self.names.get(node.id), type)
        match use:
            case ast.Attribute(attr=key) if is_class or node.id == "__builtins__":
                # An attribute of ``__builtins__`` is found by its name.
                called = members.get(key) if is_class else None
                if called is None:
                    return
            case ast.Subscript(slice=ast.Constant(value=key)):
                called = members.get(key)
                if called is None:
                    return
            case _:
                if not is_class:
                    yield self._unseen(use if isinstance(use, ast.expr) else node)
                return
        call = parents.get(id(use))
        if isinstance(call, ast.Call) and call.func is use:
            yield from self._of_call(called, call, parents)
        else:
            yield self._unseen(use)

    def _called(self, node: ast.expr) -> str | None:
        """What a name or an attribute is called here, if it looks code up."""
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            return None
        if (alias := self._aliases.get(base.id)) is not None:
            whole = ".".join([alias, *parts])
            return whole if whole in _CALLED or whole in _OBJECTS else None
        if base.id in self._local:
            return self._renamed(base.id, parts)
        if base.id == "__builtins__" and parts:
            return name if (name := f"builtins.{parts[0]}") in _CALLED else None
        if base.id in self.names:
            return known_name(self._live(self.names[base.id], parts))
        if not parts and hasattr(builtins, base.id):
            name = f"builtins.{base.id}"
            return name if name in _CALLED else None
        return None

    def _renamed(self, name: str, parts: list[str]) -> str | None:
        """What a variable, or what is in it, is called here that is given a function or a module by name.

        ``load = importlib.import_module``; ``m = importlib``, of which ``m.import_module`` is asked.
        """
        if name in self._open:
            return None
        self._open.add(name)
        try:
            for assigned in self._local[name]:
                value = assigned.value
                for one in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                    if assigned.is_member or not isinstance(one, (ast.Name, ast.Attribute)):
                        continue
                    whole: ast.expr = one
                    for part in parts:
                        whole = ast.Attribute(whole, part, ast.Load())
                    if (called := self._called(whole)) is not None:
                        return called
            return None
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

    # -- what is looked up

    def _of_call(self, called: str, call: ast.Call, parents: Mapping[int, ast.AST]) -> Iterator[Lookup]:
        if called in _TABLES:
            if called == "builtins.globals" or (called == "builtins.vars" and not call.args):
                yield from self._of_table("globals", call, parents)
            return
        if called == "os.getenv":
            yield Lookup("variable", ast.unparse(call), call.lineno)
            return
        if called in _PROCESSES:
            yield from self._of_process(call)
            return
        if called in _PICKLES:
            match call.args:
                case [ast.Call(func=ast.Attribute(attr="dumps") | ast.Name(id="dumps"))]:
                    # A copy of what the code holds.
                    pass
                case _:
                    yield self._unseen(call)
            return
        first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg in _FIRST), None)
        if called in _UNSEEN | _FINDERS or first is None:
            yield self._unseen(call)
            return
        if called in _BY_CODE:
            texts = self._texts(first)
            if texts is None:
                if not isinstance(first, ast.Call) or self._called(first.func) != "builtins.compile":
                    yield Lookup("whole", "", call.lineno)
                    yield self._unseen(call)
                return
            for text in texts:
                yield Lookup("code", text, call.lineno)
            return
        yield from self._by_name("dotted" if called in _BY_DOTTED else "module", first, call)

    def _of_process(self, call: ast.Call) -> Iterator[Lookup]:
        """Code that another Python runs; what another program does is no code of the project."""
        words: list[ast.expr] = []
        for given in (*call.args, *(k.value for k in call.keywords if k.arg in ("args", "cmd"))):
            word = given.value if isinstance(given, ast.Starred) else given
            if isinstance(word, ast.Name) and word.id in self._local:
                words += [a.value for a in self._local[word.id] if a.value is not None]
            else:
                words += word.elts if isinstance(word, (ast.List, ast.Tuple)) else [word]
        if not any(self._starts_python(word) for word in words):
            return
        for option, text in itertools.pairwise(words):
            known = self._texts(text)
            if isinstance(option, ast.Constant) and option.value in ("-c", "-m") and known is not None:
                kind: Kind = "code" if option.value == "-c" else "module"
                yield from (Lookup(kind, one, call.lineno) for one in known)
                return
        yield self._unseen(call)

    def _starts_python(self, command: ast.expr) -> bool:
        for node in ast.walk(command):
            match node:
                case ast.Attribute(value=ast.Name(), attr="executable"):
                    return True
                case ast.Name(id=name):
                    live = None if name in self._local or name in self._aliases else self.names.get(name)
                    if self._aliases.get(name) == "sys.executable" or (
                        isinstance(live, str) and live == sys.executable
                    ):
                        return True
                case ast.Constant(value=str(text)):
                    if _PYTHON.search(text):
                        return True
                case _:
                    pass
        return False

    def _by_name(self, kind: Kind, name: ast.expr, call: ast.Call) -> Iterator[Lookup]:
        texts = self._texts(name)
        if texts is not None:
            for text in texts:
                absolute = self._absolute(text, call)
                if absolute is None:
                    yield self._unseen(call)
                else:
                    yield Lookup(kind, absolute.rstrip("."), call.lineno)
            return
        beginning = self._beginning(name)
        absolute = self._absolute(beginning, call) if "." in beginning else None
        package = (absolute or "").rpartition(".")[0]
        yield Lookup("package", package, call.lineno) if package else self._unseen(call)

    def _absolute(self, text: str, call: ast.Call) -> str | None:
        """A module's name without dots before it; None where it is not known what it is relative to."""
        if not text.startswith("."):
            return text
        named = [k.value for k in call.keywords if k.arg == "package"]
        packages = self._texts((call.args[1:2] or named or [None])[0])
        rest = text.lstrip(".")
        level = len(text) - len(rest)
        base = packages[0].rsplit(".", level - 1) if packages is not None and len(packages) == 1 else []
        if len(base) < level or not base[0]:
            return None
        return f"{base[0]}.{rest}"

    def _of_table(self, called: str, node: ast.expr, parents: Mapping[int, ast.AST]) -> Iterator[Lookup]:
        """Of ``globals()``, ``sys.modules`` or ``os.environ``: what is taken from it."""
        use = parents.get(id(node))
        key: ast.expr | None = None
        if isinstance(use, ast.Subscript) and use.value is node:
            if not isinstance(use.ctx, ast.Load):
                return
            key = use.slice
        elif isinstance(use, ast.Attribute) and use.attr in ("get", "pop", "setdefault", "__getitem__"):
            call = parents.get(id(use))
            key = call.args[0] if isinstance(call, ast.Call) and call.args else None
        elif called == "os.environ":
            # The whole of it, handed to a process or written to: no one variable is read.
            return
        texts = self._texts(key) if key is not None else None
        line = node.lineno
        if called == "os.environ":
            call = parents.get(id(use))
            shown = call if isinstance(call, ast.Call) and call.func is use else use
            yield Lookup("variable", ast.unparse(shown) if shown is not None else called, line)
        elif texts is not None:
            kind: Kind = "module" if called == "sys.modules" else "name"
            for text in texts:
                yield Lookup(kind, text, line)
        elif called == "globals":
            yield Lookup("whole", "", line)
        elif key is not None:
            yield self._unseen(cast("ast.expr", use))

    def _passed_on(self, called: str, node: ast.expr, parent: ast.AST | None) -> Iterator[Lookup]:
        """A function that looks code up, and is given to another: ``partial(import_module, "lib")``."""
        if called in _FINDERS and isinstance(parent, ast.Attribute):
            # ``PathFinder.find_spec``: it looks where it is told.
            yield self._unseen(parent)
            return
        if called in _TABLES or isinstance(parent, (ast.Attribute, ast.keyword, ast.AnnAssign)):
            return
        if isinstance(parent, ast.Assign) and all(isinstance(t, ast.Name) for t in parent.targets):
            # It is found where it is called by that name.
            return
        if isinstance(parent, ast.Call) and called in _BY_MODULE | _BY_DOTTED:
            after = parent.args[parent.args.index(node) + 1 :] if node in parent.args else []
            texts = self._texts(after[0]) if len(after) == 1 else None
            if texts is not None:
                for text in texts:
                    yield Lookup("dotted" if called in _BY_DOTTED else "module", text, node.lineno)
                return
        if called in _LOOKING:
            yield self._unseen(cast("ast.expr", parent if isinstance(parent, ast.expr) else node))

    @staticmethod
    def _unseen(node: ast.expr) -> Lookup:
        return Lookup("unseen", ast.unparse(node), node.lineno)

    # -- what a text is

    def _texts(self, node: ast.expr | None) -> list[str] | None:
        """What a text can be, as far as it is known before the code runs; None where it is not."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.IfExp(body=body, orelse=other):
                both = self._texts(body), self._texts(other)
                return None if both[0] is None or both[1] is None else [*both[0], *both[1]]
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return _joined([self._texts(left), self._texts(right)])
            case ast.JoinedStr(values=parts):
                return _joined(
                    [self._texts(p.value if isinstance(p, ast.FormattedValue) else p) for p in parts]
                )
            case ast.Name(id="__name__"):
                return [self.module]
            case ast.Name(id="__package__"):
                return [self.package]
            case ast.Name(id=name) if name in self._local:
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
                None if a.value is None else self._members(a.value) if a.is_member else self._texts(a.value)
                for a in self._local[name]
            ]
        finally:
            self._open.discard(name)
        return None if any(f is None for f in found) else [t for f in found for t in f or ()]

    def _members(self, node: ast.expr) -> list[str] | None:
        """The texts in a container."""
        match node:
            case ast.List(elts=members) | ast.Tuple(elts=members) | ast.Set(elts=members):
                found = [self._texts(m) for m in members]
                return None if any(f is None for f in found) else [t for f in found for t in f or ()]
            case ast.Dict(values=members):
                return self._members(ast.List(members))
            case ast.Name(id=name) if name in self._local:
                assigned = self._local[name]
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
        if not isinstance(node, ast.Name) or node.id in self._aliases or node.id in self._local:
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

    def _beginning(self, node: ast.expr) -> str:
        """What a text begins with that is not known as a whole."""
        match node:
            case ast.JoinedStr(values=[first, *_]):
                return (self._texts(first.value if isinstance(first, ast.FormattedValue) else first) or [""])[
                    0
                ]
            case ast.BinOp(left=left, op=ast.Add()):
                return (self._texts(left) or [self._beginning(left)])[0]
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
                return text.partition("%")[0]
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                return text.partition("{")[0]
            case _:
                return ""


_FIRST = ("name", "source", "mod_name", "path")


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


@dataclass(frozen=True, slots=True)
class _Assigned:
    """What is assigned to a variable: a value, or each member of one; None where it is not known."""

    value: ast.expr | None
    is_member: bool = False


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


def bound(function: Any, arguments: tuple[Any, ...]) -> Lookup | None:
    """What a function that is given with its arguments looks up: ``partial(import_module, "lib")``."""
    name = known_name(function)
    if name not in _BY_MODULE | _BY_DOTTED or not arguments or not isinstance(arguments[0], str):
        return None
    return Lookup("dotted" if name in _BY_DOTTED else "module", arguments[0], 0)


def tree_of(text: str) -> ast.Module | None:
    """Code in a text; None where it is none."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def may_look_up(names: Iterable[str], globals_: Mapping[str, Any]) -> bool:
    """Whether code that mentions these names is worth a look."""
    for name in names:
        if name in _WORDS:
            return True
        live = globals_.get(name)
        if live is not None and (known_name(live) is not None or _looking_members(live)):
            return True
    return False
