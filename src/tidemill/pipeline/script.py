"""The script that Python was started with: under which name other processes can import it, and whether they may."""

import ast
import functools
import os
import sys
from pathlib import Path
from types import ModuleType

_MAIN = "__main__"


def importable_name(module: str) -> str:
    """The name of a module by which another process finds it too: of a script, its file's.

    The script's module is entered in ``sys.modules`` under it, so that it is not run a second time here.
    """
    main = sys.modules.get(_MAIN)
    if module != _MAIN or main is None or (file := file_of(main)) is None:
        return module
    spec = getattr(main, "__spec__", None)
    # Started by ``python -m package.module``, it has a name already.
    name = spec.name if spec is not None else file.stem.replace("-", "_").replace(" ", "_")
    there = sys.modules.get(name)
    if there is main:
        return name
    if there is not None or name in sys.stdlib_module_names or (not name.isidentifier() and spec is None):
        return module
    sys.modules[name] = main
    return name


def file_of(main: ModuleType | None = None) -> Path | None:
    """The file of the script; None in a notebook, at a prompt, and where an installed command was started."""
    file = getattr(main or sys.modules.get(_MAIN), "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    path = Path(file).absolute()
    inside = any(part in path.parts for part in ("site-packages", "dist-packages"))
    return None if inside or path.is_relative_to(Path(sys.prefix, "bin")) else path


def may_be_imported(module: ModuleType) -> bool:
    """Whether another process may import a module: of a script, whether what it does stands below its guard.

    A script without ``if __name__ == "__main__":`` would start its runs again wherever it is imported.
    """
    if module is not sys.modules.get(_MAIN):
        return True
    file = file_of(module)
    if file is None:
        return False
    try:
        return _is_guarded(str(file), os.stat(file).st_mtime_ns)  # noqa: PTH116 - asked for each step
    except OSError:
        return False


@functools.lru_cache(maxsize=16)
def _is_guarded(file: str, modified: int) -> bool:
    del modified  # It makes the key: a file that was edited is read again.
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(n, ast.If) and "__name__" in ast.unparse(n.test) and _MAIN in ast.unparse(n.test)
        for n in tree.body
    )
