"""What a reader of src/ has to hold: sizes, imports inside functions, ignores, comments, names, circles, contracts.

    python bench/house.py [--names] [--circles]

An import inside a function counts, and so does ``import_module`` or ``__import__`` anywhere. An ignore is a comment that
switches a tool off; what a per-file setting switches off counts as often as it hides something. A name has two meanings
where two rooms define it at the top of a file. A circle is a set of files that import each other, as they run and as a
type checker reads them. Writes bench/results/house.json.
"""

import argparse
import ast
import configparser
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tidemill"
TARGET = Path(__file__).parent / "results" / "house.json"
_IGNORE = re.compile(r"#.*?\b(noqa|type: ignore|pyright: ?ignore|pragma: no cover)\b")
_BY_NAME = {"import_module", "__import__"}


@dataclass
class Read:
    """One file of the package.

    Attributes:
        lines: All of it.
        code: Without comments, docstrings and empty lines.
        comments: Lines that have one.
        ignores: Comments that switch a tool off.
        inner: Imports inside functions, and imports by a text.
        names: Classes, functions and constants at its top.
        running: The files that it imports when it is imported.
        checked: The same with what is in functions and for type checkers.
    """

    lines: int
    code: int = 0
    comments: int = 0
    ignores: int = 0
    inner: int = 0
    names: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", action="store_true", help="Show each name with two meanings.")
    parser.add_argument("--circles", action="store_true", help="Show the files of each circle.")
    asked = parser.parse_args()
    paths = {_module(path): path for path in sorted(SOURCE.rglob("*.py"))}
    read = {module: _read(module, path, paths) for module, path in paths.items()}
    longest = sorted(((one.lines, module) for module, one in read.items()), reverse=True)
    code, comments = sum(one.code for one in read.values()), sum(one.comments for one in read.values())
    ignores = sum(one.ignores for one in read.values())
    hidden, names = _hidden_by_settings(), _two_meanings(read)
    circles = {
        how: _circles({m: getattr(one, how) for m, one in read.items()}) for how in ("running", "checked")
    }
    rows: dict[str, object] = {
        "files": len(read),
        "lines a file, mean": round(sum(one.lines for one in read.values()) / len(read), 1),
        "files above 400 lines": sum(lines > 400 for lines, _ in longest),
        "longest": ", ".join(f"{module} {lines}" for lines, module in longest[:3]),
        "lines of code": code,
        "comments in 100 lines of code": round(100 * comments / code, 1),
        "imports in functions": sum(one.inner for one in read.values()),
        "lint ignores": f"{ignores + hidden} ({hidden} by settings)",
        "names with two meanings": len(names),
        "circles, running": len(circles["running"]),
        "circles, also of type checkers": len(circles["checked"]),
        "files in them": sum(len(circle) for circle in circles["checked"]),
        "contracts": _contracts(),
    }
    for what, figure in rows.items():
        print(f"{what:32} {figure}")
    if asked.names:
        for name, rooms in sorted(names.items(), key=lambda item: (-len(item[1]), item[0])):
            print(f"  {name}: {', '.join(rooms)}")
    if asked.circles:
        for circle in circles["checked"]:
            print(f"  {', '.join(circle)}")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def _read(module: str, path: Path, paths: Mapping[str, Path]) -> Read:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    found = Read(len(text.splitlines()))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            is_ignore = bool(_IGNORE.match(token.string))
            found.ignores += is_ignore
            # An ignore may say why; it still is no comment on the mechanism.
            found.comments += not is_ignore
        elif token.type not in (
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        ):
            code.update(range(token.start[0], token.end[0] + 1))
    found.code = len(code - _docstrings(tree))
    found.names = set(_top_names(tree))
    for node, inside, typed in _walk(tree, inside=False, typed=False):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.inner += called in _BY_NAME
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.inner += inside
            there = {m for m in _imported(node, paths) if m in paths and m != module}
            found.checked |= there
            if not inside and not typed:
                found.running |= there
    return found


def _walk(node: ast.AST, *, inside: bool, typed: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node, and whether it is in a function, and for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        yield child, inside, typed
        in_function = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = typed or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield from _walk(child, inside=in_function, typed=for_types)


def _imported(node: ast.Import | ast.ImportFrom, paths: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif node.module:
        for alias in node.names:
            # A file that is taken out of its folder is what is imported, not the folder's own.
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in paths else node.module


def _docstrings(tree: ast.Module) -> set[int]:
    """The lines of texts that stand alone: of modules, classes and functions, and below a constant."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def _top_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _two_meanings(read: Mapping[str, Read]) -> dict[str, list[str]]:
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, one in read.items():
        room = ".".join(module.split(".")[:2])
        for name in one.names:
            # What is private to a file, or Python's own, nobody looks up elsewhere.
            if not name.startswith("_"):
                rooms[name].add(room)
    return {name: sorted(there) for name, there in rooms.items() if len(there) > 1}


def _circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected sets of more than one file (Tarjan 1972), in the order of their first names."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in sorted(edges[module]):
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            at = stack.index(module)
            circle, stack[at:] = stack[at:], []
            if len(circle) > 1:
                found.append(sorted(circle))

    sys.setrecursionlimit(10_000)
    for module in sorted(edges):
        if module not in number:
            visit(module)
    return sorted(found)


def _hidden_by_settings() -> int:
    """How much the settings' per-file ignores hide in src/."""
    command = [sys.executable, "-m", "ruff", "check", str(SOURCE), "--output-format", "json", "--exit-zero"]
    counts = [
        len(
            json.loads(
                subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout
            )
        )
        for more in ([], ["--config", "lint.per-file-ignores = {}"])
    ]
    return counts[1] - counts[0]


def _contracts() -> int:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return sum(section.startswith("importlinter:contract:") for section in parser.sections())


if __name__ == "__main__":
    main()
