"""Load a pipeline from a user's file, by path, as it is now; and put its folder where its imports look."""

import importlib.util
import linecache
import os
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, ModuleType

from tidemill.core import codes
from tidemill.core.config import choose_backends
from tidemill.core.errors import InvalidInput, NotFound, TidemillError
from tidemill.core.kinds import raised
from tidemill.core.names import did_you_mean, listed
from tidemill.pipeline import from_source
from tidemill.pipeline.pipelines import Pipeline

_current: list[str] = []
"""The project folder that is on ``sys.path`` because of us; at most one."""
_finders: list[from_source.Finder] = []
"""What imports from that folder."""
_stats: dict[str, tuple[int, int]] = {}
"""Each loaded project file's time and size, as they were before it was read: by them a change is seen."""
_seen: tuple[int, str] | None = None
"""How many modules there were when they were last looked through, and which came last."""


def load(path: Path, name: str | None = None) -> Pipeline[..., object]:
    """The pipeline that a file defines; ``name`` chooses one of several, by its name or its function's.

    Without it, pipelines that others of the file call are parts of these, and not meant.

    Raises:
        NotFound: ``file-not-found``, ``pipeline-not-found``.
        InvalidInput: ``invalid-pipeline-file``, naming file and line; ``ambiguous-pipeline``.
    """
    module = load_module(path)
    here = {
        variable: p
        for variable, p in vars(module).items()
        if isinstance(p, Pipeline) and p.function.__module__ == module.__name__
    }
    found = {p.name: p for p in here.values()}
    if len(found) < len({id(p) for p in here.values()}):
        raise InvalidInput(
            f"{path} has two pipelines of one name: {', '.join(p.name for p in here.values())}.",
            why="What runs, models and releases are called must say which it is.",
            hint='Name one of them otherwise: @tm.pipeline(name="...").',
            code=codes.AMBIGUOUS_PIPELINE,
        )
    if name is not None:
        # What it is called, first; then what its function, or the variable that holds it, is.
        by_code = {p.function.__name__: p for p in found.values()} | here
        if (named := found.get(name) or by_code.get(name)) is not None:
            return named
        raise NotFound(
            f"{path} has no pipeline '{name}'.",
            hint=did_you_mean(name, [*found, *by_code], f"There are: {listed(found)}."),
            code=codes.PIPELINE_NOT_FOUND,
        )
    if not found:
        raise NotFound(
            f"{path} has no pipeline.",
            hint="Put @tm.pipeline above the function that joins its steps.",
            code=codes.PIPELINE_NOT_FOUND,
        )
    called = {n for p in found.values() for n in _names_in(p.function.__code__)}
    outer = [p for n, p in here.items() if n not in called]
    if len(outer) == 1:
        return outer[0]
    if len(found) > 1:
        raise InvalidInput(
            f"{path} has {len(found)} pipelines: {', '.join(found)}.",
            hint=f"Name one: {path}:{next(iter(found))}.",
            code=codes.AMBIGUOUS_PIPELINE,
        )
    return next(iter(found.values()))


def _names_in(code: CodeType) -> set[str]:
    """The global names, and attributes, that code and the functions in it mention."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return {*code.co_names, *(name for c in inner for name in _names_in(c))}


def load_module(path: Path) -> ModuleType:
    """Import a user's file by path, again if it or another file of its folder changed since."""
    # Before it is resolved, which links that lead in a circle do not let themselves be.
    if not path.is_file():
        raise _no_file(path)
    file = path.resolve()
    enter(file.parent)
    return entered(file, path)


def entered(file: Path, path: Path) -> ModuleType:
    """Import a file of the folder that was entered last; ``path`` is what a person calls it."""
    name = module_name(file)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    if not file.is_file():
        raise _no_file(path)
    loader = from_source.Loader(name, str(file), _note_file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or spec.loader is None:
        raise InvalidInput(
            f"{path} is not a Python file.",
            hint="Name a file whose name ends in .py.",
            code=codes.INVALID_PIPELINE_FILE,
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    choose_backends()
    try:
        spec.loader.exec_module(module)
    except TidemillError:
        sys.modules.pop(name, None)
        raise
    except Exception as error:
        sys.modules.pop(name, None)
        raise _broken(path, file, error) from error
    _note(file.parent)
    return module


def module_name(file: Path) -> str:
    """The name a user's file is imported under: its stem, unless an installed module has that name."""
    stem = file.stem.replace("-", "_").replace(" ", "_")
    taken = stem in sys.stdlib_module_names or stem in {"tidemill", "__main__", "__init__"}
    if not taken and (there := sys.modules.get(stem)) is not None:
        taken = getattr(there, "__file__", None) != str(file)
    return f"{stem}_pipeline" if taken else stem


def enter(folder: Path | str) -> str:
    """Make ``folder`` the one project folder on ``sys.path``; forget modules of another, and changed ones.

    Returns:
        The folder as it is without links.
    """
    text = str(folder)
    if text not in _current:
        text = os.path.realpath(folder)
    if _current and _current[0] != text:
        leave()
    if text not in sys.path:
        sys.path.insert(0, text)
    if not _current:
        _current.append(text)
        _finders.append(from_source.Finder(text, installed, _note_file))
        at = next((i for i, f in enumerate(sys.meta_path) if f is PathFinder), len(sys.meta_path))
        sys.meta_path.insert(at, _finders[0])
    changed = {f for f, stat in _stats.items() if _stat(f) != stat}
    if changed:
        # A module that imported a changed one holds its old objects, so all of the folder's go.
        _forget(text)
    # A file or folder that was made a moment ago is found too; what is installed does not change that fast.
    _finders[0].invalidate_caches()
    sys.path_importer_cache.pop(text, None)
    return text


def leave() -> None:
    """Take the project folder off ``sys.path`` and forget its modules."""
    while _current:
        text = _current.pop()
        if text in sys.path:
            sys.path.remove(text)
        _forget(text)
    while _finders:
        sys.meta_path.remove(_finders.pop())


def folder() -> str | None:
    """The project folder that is on ``sys.path`` because of us."""
    return _current[0] if _current else None


def files() -> dict[str, tuple[int, int]]:
    """The project's loaded files, with the time and size they had when they were loaded."""
    if _current:
        _note(Path(_current[0]))
    return dict(_stats)


def _note(folder: Path) -> None:
    global _seen  # noqa: PLW0603 - of this process, as sys.modules is
    now = len(sys.modules), next(reversed(sys.modules))
    if now == _seen:
        return
    _seen = now
    for file in modules_in(folder).values():
        if file not in _stats:
            _note_file(file)


def _note_file(file: str) -> None:
    if (stat := _stat(file)) is not None:
        _stats[file] = stat


def _forget(folder: str) -> None:
    global _seen  # noqa: PLW0603
    _seen = None
    for name, file in modules_in(Path(folder)).items():
        sys.modules.pop(name, None)
        linecache.cache.pop(file, None)
    _stats.clear()


def modules_in(folder: Path) -> dict[str, str]:
    """The modules of a project's folder that are loaded, by name, each with its file."""
    inside = f"{folder}{os.sep}"
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            isinstance(file, str)
            and name != "__main__"
            and file.startswith(inside)
            and not installed(file)
            and not name.startswith("tidemill.")
            and name != "tidemill"
        ):
            found[name] = file
    return found


def installed(file: str) -> bool:
    """Whether a file belongs to an installed package or the standard library, not to a project."""
    if f"{os.sep}site-packages{os.sep}" in file or f"{os.sep}dist-packages{os.sep}" in file:
        return True
    return file.startswith(_STDLIB + os.sep)


_STDLIB = str(Path(os.__file__).parent)


def _stat(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - called for every project file of every order
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _no_file(path: Path) -> NotFound:
    return NotFound(
        f"There is no file {path}.",
        hint="Type the path of the pipeline's Python file.",
        code=codes.FILE_NOT_FOUND,
    )


def _broken(path: Path, file: Path, error: Exception) -> InvalidInput:
    line: int | None = None
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if not installed(frame.filename) and "importlib" not in frame.filename:
                line = frame.lineno if frame.filename == str(file) else line
    where = f"{path}, line {line}" if line else str(path)
    missing = isinstance(error, ModuleNotFoundError)
    return InvalidInput(
        f"{where}: {raised(error)}.",
        why="The file could not be imported.",
        hint=f"Install '{error.name}', or correct the name." if missing else "Correct that line.",
        code=codes.INVALID_PIPELINE_FILE,
        details={"file": str(path), **({"line": line} if line else {})},
    )
