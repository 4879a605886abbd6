"""Code that is looked up by a name in a text: ``import_module("lib")``, ``globals()[name]``, ``eval(text)``.

Found in the syntax tree, since the names are no names to Python. Where the text is known (a literal, a constant of the
module, a member of one, or the beginning of a text that names a package) what it names is told, else that it cannot be
seen. Nothing is imported here.
"""

import ast
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, cast

from tidemill.engine import lookup_names as known
from tidemill.engine import modules
from tidemill.engine.lookup_scope import Scope

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


@dataclass(frozen=True, slots=True)
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

    def lookups(self, *trees: ast.AST) -> Iterator[Lookup]:
        """Each thing that the trees look up; imports in them count."""
        for tree in trees:
            parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
            yield from _Tree(tree, Scope.of(tree, self.names, self.module, self.package), parents).lookups()


@dataclass(frozen=True, slots=True)
class _Tree:
    """One tree of code: what its names mean, and the node that each of its nodes is in, by ``id``."""

    tree: ast.AST
    scope: Scope
    parents: Mapping[int, ast.AST]

    def lookups(self) -> Iterator[Lookup]:
        is_found = False
        for found in self._called_within():
            is_found = True
            yield found
        if not is_found:
            # A loader that was handed in; else its place is told where it was made.
            yield from self._of_loaders()

    def _of_loaders(self) -> Iterator[Lookup]:
        for node in ast.walk(self.tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr)
                ):
                    if attr in known.LOADERS and "loader" in name.lower():
                        yield self._unseen(node)
                case _:
                    pass

    def _called_within(self) -> Iterator[Lookup]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and node.attr == "__dict__":
                yield from self._of_members(node.value, node)
            if isinstance(node, ast.Attribute) and node.attr in known.OF_FRAME:
                yield from self._of_globals(node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._of_container(node)
            if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
                continue
            called = self.scope.called(node)
            if called is None:
                continue
            parent = self.parents.get(id(node))
            if called in known.OBJECTS:
                yield from self._of_table(called, node)
            elif isinstance(parent, ast.Call) and parent.func is node:
                yield from self._of_call(called, parent)
            else:
                yield from self._passed_on(called, node, parent)

    def _of_globals(self, node: ast.Attribute) -> Iterator[Lookup]:
        """``sys._getframe().f_globals`` is ``globals()``; those of another frame or function are not known."""
        match node.value:
            case ast.Call(func=ast.Attribute(attr="_getframe" | "currentframe"), args=[]):
                yield from self._of_table("globals", node)
                return
            case _:
                pass
        match use := self.parents.get(id(node)):
            case ast.Subscript(slice=ast.Constant(value=str(key))) if key.startswith("__"):
                pass
            case _:
                yield self._unseen(use if isinstance(use, ast.Subscript) else node)

    def _of_container(self, node: ast.Name) -> Iterator[Lookup]:
        """``LOADERS["a"]("lib")``, ``Settings.load("lib")`` and ``__builtins__["__import__"]("lib")``."""
        if node.id in self.scope.local or node.id in self.scope.aliases:
            return
        if node.id == "__builtins__":
            members: dict[Any, str] = {
                n.partition(".")[2]: n for n in known.CALLED if n.startswith("builtins.")
            }
        else:
            members = known.looking_members(self.scope.names.get(node.id))
        if not members:
            return
        use = self.parents.get(id(node))
        is_class = isinstance(self.scope.names.get(node.id), type)
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
        call = self.parents.get(id(use))
        if isinstance(call, ast.Call) and call.func is use:
            yield from self._of_call(called, call)
        else:
            yield self._unseen(use)

    # -- what is looked up

    def _of_call(self, called: str, call: ast.Call) -> Iterator[Lookup]:
        if called in known.TABLES | known.GETTERS:
            yield from self._of_getter(called, call)
            return
        if called == "os.getenv":
            yield Lookup("variable", ast.unparse(call), call.lineno)
            return
        if called in known.PROCESSES:
            yield from self._of_process(call)
            return
        if called in known.PICKLES or called in known.BY_OPTION:
            if not _is_copy(call) and known.makes_code(called, call):
                yield self._unseen(call)
            return
        first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg in _FIRST), None)
        if called in known.UNSEEN | known.FINDERS or first is None:
            yield self._unseen(call)
            return
        if called in known.BY_CODE:
            texts = self.scope.texts(first)
            if texts is None:
                if not isinstance(first, ast.Call) or self.scope.called(first.func) != "builtins.compile":
                    yield Lookup("whole", "", call.lineno)
                    yield self._unseen(call)
                return
            for text in texts:
                yield Lookup("code", text, call.lineno)
            return
        yield from self._by_name("dotted" if called in known.BY_DOTTED else "module", first, call)

    def _of_getter(self, called: str, call: ast.Call) -> Iterator[Lookup]:
        """``globals()``, ``getattr(builtins, "eval")("lib")`` and ``attrgetter("eval")(builtins)("lib")``."""
        match call.args:
            case _ if called == "builtins.globals":
                yield from self._of_table("globals", call)
            case [] if called == "builtins.vars":
                yield from self._of_table("globals", call)
            case [module] if called == "builtins.vars":
                yield from self._of_members(module, call)
            case [module, name, *_] if called == "builtins.getattr":
                yield from self._of_member(module, name, call)
            case [name] if called == "operator.attrgetter":
                outer = self.parents.get(id(call))
                if isinstance(outer, ast.Call) and outer.func is call and outer.args:
                    yield from self._of_member(outer.args[0], name, outer)
            case _:
                pass

    def _of_members(self, module: ast.expr, table: ast.expr) -> Iterator[Lookup]:
        """``vars(builtins)["eval"]`` and ``builtins.__dict__.get("eval")``."""
        use = self.parents.get(id(table))
        match use:
            case ast.Subscript(slice=name) if use.value is table:
                yield from self._of_member(module, name, use)
            case ast.Attribute(attr="get" | "pop" | "__getitem__"):
                call = self.parents.get(id(use))
                if isinstance(call, ast.Call) and call.func is use and call.args:
                    yield from self._of_member(module, call.args[0], call)
            case _:
                pass

    def _of_member(self, module: ast.expr, name: ast.expr, taken: ast.expr) -> Iterator[Lookup]:
        """What is taken from a module by a text; ``taken`` is the expression that does it."""
        home = self.scope.module_of(module)
        if home is None:
            return
        texts = self.scope.texts(name)
        if texts is None:
            beginning = self.scope.beginning(name)
            if any(member.startswith(beginning) for member in known.looking_in(home)):
                yield self._unseen(taken)
            return
        call = self.parents.get(id(taken))
        for text in texts:
            called = known.canonical(f"{home}.{text}")
            if called is None:
                continue
            if isinstance(call, ast.Call) and call.func is taken:
                yield from self._of_call(called, call)
            elif called in known.LOOKING | known.UNSEEN:
                yield self._unseen(taken)

    def _of_process(self, call: ast.Call) -> Iterator[Lookup]:
        """Code that another Python runs, and files of the project that a program is given: scripts of a shell."""
        words: list[ast.expr] = []
        for given in (*call.args, *(k.value for k in call.keywords if k.arg in ("args", "cmd"))):
            word = given.value if isinstance(given, ast.Starred) else given
            if isinstance(word, ast.Name) and word.id in self.scope.local:
                words += [a.value for a in self.scope.local[word.id] if a.value is not None]
            else:
                words += word.elts if isinstance(word, (ast.List, ast.Tuple)) else [word]
        if not any(self._starts_python(word) for word in words):
            if any(self._names_file(word, set()) for word in words):
                yield self._unseen(call)
            return
        for option, text in itertools.pairwise(words):
            texts = self.scope.texts(text)
            if isinstance(option, ast.Constant) and option.value in ("-c", "-m") and texts is not None:
                kind: Kind = "code" if option.value == "-c" else "module"
                yield from (Lookup(kind, one, call.lineno) for one in texts)
                return
        yield self._unseen(call)

    def _names_file(self, word: ast.expr, seen: set[str]) -> bool:
        """Whether a word of a command, as far as it is known, names a file of the project."""
        for node in ast.walk(word):
            texts: list[str] = []
            match node:
                case ast.Constant(value=str(text)):
                    texts = known.BETWEEN.split(text)
                case ast.Name(id=name) if name in self.scope.local and name not in seen:
                    seen.add(name)
                    values = [a.value for a in self.scope.local[name] if a.value is not None]
                    if any(self._names_file(value, seen) for value in values):
                        return True
                case ast.Name(id=name) if name not in self.scope.aliases and name not in self.scope.local:
                    live = self.scope.names.get(name)
                    texts = [str(live)] if isinstance(live, (str, PurePath)) else []
                case _:
                    pass
            if any(modules.is_project_file(text, self.scope.module) for text in texts if text):
                return True
        return False

    def _starts_python(self, command: ast.expr) -> bool:
        for node in ast.walk(command):
            match node:
                case ast.Attribute(value=ast.Name(), attr="executable"):
                    return True
                case ast.Name(id=name):
                    live = (
                        None
                        if name in self.scope.local or name in self.scope.aliases
                        else self.scope.names.get(name)
                    )
                    if self.scope.aliases.get(name) == "sys.executable" or (
                        isinstance(live, str) and live == sys.executable
                    ):
                        return True
                case ast.Constant(value=str(text)):
                    if known.PYTHON.search(text):
                        return True
                case _:
                    pass
        return False

    def _by_name(self, kind: Kind, name: ast.expr, call: ast.Call) -> Iterator[Lookup]:
        texts = self.scope.texts(name)
        if texts is not None:
            for text in texts:
                absolute = self._absolute(text, call)
                if absolute is None:
                    yield self._unseen(call)
                else:
                    yield Lookup(kind, absolute.rstrip("."), call.lineno)
            return
        beginning = self.scope.beginning(name)
        absolute = self._absolute(beginning, call) if "." in beginning else None
        package = (absolute or "").rpartition(".")[0]
        yield Lookup("package", package, call.lineno) if package else self._unseen(call)

    def _absolute(self, text: str, call: ast.Call) -> str | None:
        """A module's name without dots before it; None where it is not known what it is relative to."""
        if not text.startswith("."):
            return text
        named = [k.value for k in call.keywords if k.arg == "package"]
        packages = self.scope.texts((call.args[1:2] or named or [None])[0])
        rest = text.lstrip(".")
        level = len(text) - len(rest)
        base = packages[0].rsplit(".", level - 1) if packages is not None and len(packages) == 1 else []
        if len(base) < level or not base[0]:
            return None
        return f"{base[0]}.{rest}"

    def _of_table(self, called: str, node: ast.expr) -> Iterator[Lookup]:
        """Of ``globals()``, ``sys.modules`` or ``os.environ``: what is taken from it."""
        use = self.parents.get(id(node))
        key: ast.expr | None = None
        if isinstance(use, ast.Subscript) and use.value is node:
            if not isinstance(use.ctx, ast.Load):
                return
            key = use.slice
        elif isinstance(use, ast.Attribute) and use.attr in ("get", "pop", "setdefault", "__getitem__"):
            call = self.parents.get(id(use))
            key = call.args[0] if isinstance(call, ast.Call) and call.args else None
        elif called == "os.environ":
            # The whole of it, handed to a process or written to: no one variable is read.
            return
        texts = self.scope.texts(key) if key is not None else None
        line = node.lineno
        if called == "os.environ":
            call = self.parents.get(id(use))
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
        if called in known.FINDERS and isinstance(parent, ast.Attribute):
            # ``PathFinder.find_spec``: it looks where it is told.
            yield self._unseen(parent)
            return
        if called in known.TABLES or isinstance(parent, (ast.Attribute, ast.keyword, ast.AnnAssign)):
            return
        if isinstance(parent, ast.Assign) and all(isinstance(t, ast.Name) for t in parent.targets):
            # It is found where it is called by that name.
            return
        if isinstance(parent, ast.Call) and called in known.BY_MODULE | known.BY_DOTTED:
            after = parent.args[parent.args.index(node) + 1 :] if node in parent.args else []
            texts = self.scope.texts(after[0]) if len(after) == 1 else None
            if texts is not None:
                for text in texts:
                    yield Lookup("dotted" if called in known.BY_DOTTED else "module", text, node.lineno)
                return
        if called in known.BY_OPTION and isinstance(parent, ast.Call):
            # ``partial(numpy.load, allow_pickle=True)``
            if known.makes_code(called, ast.Call(node, [], parent.keywords)):
                yield self._unseen(parent)
        elif called in known.LOOKING:
            yield self._unseen(cast("ast.expr", parent if isinstance(parent, ast.expr) else node))

    @staticmethod
    def _unseen(node: ast.expr) -> Lookup:
        return Lookup("unseen", ast.unparse(node), node.lineno)


def _is_copy(call: ast.Call) -> bool:
    """Of ``loads(dumps(value))``, which makes a copy of what the code holds."""
    match call.args:
        case [ast.Call(func=ast.Attribute(attr="dumps") | ast.Name(id="dumps"))]:
            return True
        case _:
            return False


_FIRST = ("name", "source", "mod_name", "path")


def bound(function: Any, arguments: tuple[Any, ...]) -> Lookup | None:
    """What a function that is given with its arguments looks up: ``partial(import_module, "lib")``."""
    name = known.known_name(function)
    if name not in known.BY_MODULE | known.BY_DOTTED or not arguments or not isinstance(arguments[0], str):
        return None
    return Lookup("dotted" if name in known.BY_DOTTED else "module", arguments[0], 0)


def may_look_up(names: Iterable[str], globals_: Mapping[str, Any]) -> bool:
    """Whether code that mentions these names is worth a look."""
    for name in names:
        if name in known.WORDS:
            return True
        live = globals_.get(name)
        if live is not None and (known.known_name(live) is not None or known.looking_members(live)):
            return True
    return False
