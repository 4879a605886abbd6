"""The project's files that some of its files import, found in their source: whatever is loaded in this process.

What a release is made of must not depend on who started the run: a command has loaded the pipeline's file and what it
imports, a script or a notebook more, or nothing by these names.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tidemill.engine import lookups, modules, syntax


def imported_by(files: Iterable[Path], folder: Path) -> tuple[dict[str, Path], bool]:
    """The files themselves and all below ``folder`` that they import, at their top or in a function, or look up by a text.

    Args:
        files: Where to begin; those outside of ``folder`` are left out.
        folder: The pipeline's, without links; Python finds the project's modules in it.

    Returns:
        The files by their path in the folder, sorted; and whether one of them looks up what cannot be known.
    """
    found: dict[str, Path] = {}
    is_unseen = False
    waiting = [file.resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if not file.is_relative_to(folder) or (name := file.relative_to(folder).as_posix()) in found:
            continue
        found[name] = file
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        wanted: list[str] = []
        for imported, level, taken in syntax.imports_of(str(file)):
            base = modules.absolute(imported, level, package)
            wanted += [base, *(f"{base}.{member}" for member in taken)]
        tree = syntax.tree_of_module(str(file))
        for lookup in lookups.Place({}, module, package).lookups(tree) if tree is not None else ():
            is_unseen = is_unseen or lookup.kind == "unseen"
            wanted += _named(lookup, folder)
        waiting += [path for one in wanted for path in _files_of(one, folder)]
        waiting += [path for one in modules.parents(module) for path in _files_of(one, folder)]
    return dict(sorted(found.items())), is_unseen


def _named(lookup: lookups.Lookup, folder: Path) -> Iterator[str]:
    if lookup.kind != "package":
        yield from modules.named(lookup.kind, lookup.text)
        return
    yield lookup.text
    for file in folder.joinpath(*lookup.text.split(".")).rglob("*.py"):
        yield (
            file.relative_to(folder)
            .as_posix()
            .removesuffix(".py")
            .removesuffix("/__init__")
            .replace("/", ".")
        )


def _files_of(module: str, folder: Path) -> Iterator[Path]:
    """The file of a module in the folder, and those of the packages that Python imports before it."""
    for name in (*modules.parents(module), module):
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return
        place = folder.joinpath(*parts)
        for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if candidate.is_file():
                yield candidate.resolve()
