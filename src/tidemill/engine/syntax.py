"""The source of functions, classes and modules as their syntax tree has it: formatting and comments are gone.

Docstrings go too: editing the words about a function does not compute anything again.
"""

import ast
import copy
import linecache
import os
import textwrap
from collections.abc import Container
from dataclasses import dataclass, field
from types import CodeType
from typing import cast

from tidemill.core import identity

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Source:
    """A parsed file: its functions by first line, its classes by qualified name."""

    tree: ast.Module
    functions: dict[tuple[int, str], _Function] = field(default_factory=dict[tuple[int, str], _Function])
    lambdas: dict[int, list[ast.Lambda]] = field(default_factory=dict[int, list[ast.Lambda]])
    classes: dict[str, list[ast.ClassDef]] = field(default_factory=dict[str, list[ast.ClassDef]])
    written: dict[int, str] = field(default_factory=dict[int, str])

    def text(self, node: ast.AST) -> str:
        """The source of a node, written once: many steps reach the same helper."""
        if id(node) not in self.written:
            self.written[id(node)] = ast.unparse(_bare(node))
        return self.written[id(node)]


_parsed: dict[str, tuple[object, Source | None]] = {}


def source(file: str) -> Source | None:
    """The parsed file (or notebook cell), or None where there is no source."""
    try:
        stat = os.stat(file)  # noqa: PTH116 - in the path of every cached step
        mark: object = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        mark = None
    known = _parsed.get(file)
    if known is not None and mark is not None and known[0] == mark:
        return known[1]
    made = _parse(file, in_memory=mark is None)
    _parsed[file] = (mark, made)
    return made


def _parse(file: str, *, in_memory: bool) -> Source | None:
    try:
        if in_memory:
            text = "".join(linecache.getlines(file))
        else:
            with open(file, "rb") as stream:  # noqa: PTH123 - bytes: the parser reads the coding line itself
                text = stream.read()
        if not text:
            return None
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    made = Source(tree)
    _index(made, tree, "")
    return made


def _index(made: Source, node: ast.AST, prefix: str) -> None:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            made.functions[first, child.name] = child
            inner = f"{prefix}{child.name}.<locals>."
            _drop_docstring(child)
        elif isinstance(child, ast.ClassDef):
            made.classes.setdefault(prefix + child.name, []).append(child)
            inner = f"{prefix}{child.name}."
            _drop_docstring(child)
        elif isinstance(child, ast.Lambda):
            made.lambdas.setdefault(child.lineno, []).append(child)
        _index(made, child, inner)
    if isinstance(node, ast.Module):
        _drop_docstring(node)


def _drop_docstring(node: _Function | ast.ClassDef | ast.Module) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body = node.body[1:]


def _bare(node: ast.AST) -> ast.AST:
    """A function without its decorators: what they do is in the object that they made."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node
    bare = copy.copy(node)
    bare.decorator_list = []
    return bare


def of_function(code: CodeType) -> str | None:
    """The source of a function, without its decorators; None where it cannot be found."""
    found = source(code.co_filename)
    if found is None:
        return None
    if code.co_name == "<lambda>":
        lambdas = found.lambdas.get(code.co_firstlineno)
        if not lambdas:
            return None
        text = "\n".join(map(found.text, lambdas))
        # The text of several of one line does not say which of them it is.
        return (
            text if len(lambdas) == 1 else f"{text}\n# bytecode {identity.blob(of_bytecode(code).encode())}"
        )
    node = found.functions.get((code.co_firstlineno, code.co_name))
    return found.text(node) if node is not None else None


def trees_of(code: CodeType) -> list[ast.AST]:
    """The syntax trees of a function; several lambdas of one line cannot be told apart."""
    found = source(code.co_filename)
    if found is None:
        return []
    if code.co_name == "<lambda>":
        return list(found.lambdas.get(code.co_firstlineno, ()))
    node = found.functions.get((code.co_firstlineno, code.co_name))
    return [] if node is None else [node]


def of_class(file: str, qualname: str, without: Container[str] = ()) -> str | None:
    """The source of a class, less its methods' bodies, which are parts of their own.

    Args:
        file: Where it is.
        qualname: Which one.
        without: Decorators of these names do not count.
    """
    found = source(file)
    nodes = found.classes.get(qualname) if found else None
    if found is None or not nodes:
        return None
    lines: list[str] = []
    for node in nodes:
        lines += [f"@{ast.unparse(d)}" for d in node.decorator_list if _root(d) not in without]
        parents = ", ".join(ast.unparse(part) for part in (*node.bases, *node.keywords))
        lines.append(f"class {node.name}({parents}):" if parents else f"class {node.name}:")
        for member in node.body:
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines += [f"    @{ast.unparse(d)}" for d in member.decorator_list]
                lines.append(f"    def {member.name}")
            else:
                lines.append(textwrap.indent(found.text(member), "    "))
    return "\n".join(lines)


def _root(node: ast.expr) -> str:
    """The first name of a decorator: ``tm`` of ``@tm.transform(...)``."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute):
            node = node.value
        else:
            return ""
    return node.id


def of_module(file: str) -> str | None:
    """The source of a whole module."""
    found = source(file)
    return ast.unparse(found.tree) if found else None


def tree_of_module(file: str) -> ast.Module | None:
    """The syntax tree of a whole module."""
    found = source(file)
    return found.tree if found else None


def imports_of(file: str) -> list[tuple[str, int, tuple[str, ...]]]:
    """Every import of a module, wherever it stands: name, level, and the names taken from it."""
    found = source(file)
    return imports_in(found.tree) if found else []


def imports_in(tree: ast.AST) -> list[tuple[str, int, tuple[str, ...]]]:
    """Every import in a tree: name, level, and the names taken from it."""
    made: list[tuple[str, int, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            made += [(alias.name, 0, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            made.append((node.module or "", node.level, tuple(a.name for a in node.names)))
    return made


def of_bytecode(code: CodeType) -> str:
    """What stands in for syntax where a function has no source: without file, lines and addresses."""
    parts = (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars),
        code.co_exceptiontable.hex(),
    )
    return f"{code.co_code.hex()} {parts} {[_of_constant(c) for c in code.co_consts]}"


def _of_constant(constant: object) -> str:
    if isinstance(constant, CodeType):
        return of_bytecode(constant)
    if isinstance(constant, (tuple, frozenset)):
        members = list(map(_of_constant, cast("tuple[object, ...]", constant)))
        # A set is in another order in each process.
        return f"{type(constant).__name__} {members if isinstance(constant, tuple) else sorted(members)}"
    return f"{type(constant).__name__} {constant!r}"


def tree_of_text(text: str) -> ast.Module | None:
    """Code in a text; None where it is none."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
