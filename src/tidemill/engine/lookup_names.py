"""What looks code up, or makes code of bytes, by its name; and what a live object is called here, if it does.

Nothing is imported here: who has not imported a module cannot hold a function of it.
"""

import os
import re
import sys
import types
from typing import Any, cast

BY_MODULE = {
    "importlib.import_module",
    "builtins.__import__",
    "importlib.__import__",
    "importlib.util.find_spec",
    "runpy.run_module",
}
BY_DOTTED = {"pkgutil.resolve_name", "pydoc.locate"}
BY_CODE = {"builtins.eval", "builtins.exec", "builtins.compile"}
UNSEEN = {
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
FINDERS = {"importlib.machinery.PathFinder", "importlib.machinery.FileFinder"}
PICKLES = {"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads"}
"""What makes code of bytes: a pickle names its functions and classes in a text of its own."""
PROCESSES = {
    *(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")),
    *(f"os.{name}" for name in ("system", "popen", "execv", "execvp", "execl", "execlp", "spawnv", "spawnl")),
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
}
PYTHON = re.compile(r"(^|[\s/\\])(python[\d.]*|\S+\.pyz?)(\s|$)")
"""A command, or a word of one, that starts Python."""
_MEMBERS = 10_000
"""Up to which a container is looked through; more are data."""
LOADERS = {"load_module", "exec_module"}
OF_FRAME = {"f_globals", "__globals__"}
TABLES = {"builtins.globals", "builtins.vars", "builtins.locals"}
LOOKING = BY_MODULE | BY_DOTTED | BY_CODE | PICKLES
"""Told of wherever they are handed on, since who calls them then is not known."""
CALLED = LOOKING | UNSEEN | TABLES | FINDERS | PROCESSES
OBJECTS = {"sys.modules", "os.environ"}
WORDS = (
    frozenset(name.rpartition(".")[2] for name in (*CALLED, *OBJECTS)) | LOADERS | OF_FRAME | {"__builtins__"}
)


def known_name(value: object) -> str | None:
    """What a live object is called here, if it looks code up: whatever name it goes by."""
    if value is sys.modules:
        return "sys.modules"
    if value is os.environ:
        return "os.environ"
    if not callable(value):
        return None
    for name in CALLED:
        home, _, attribute = name.rpartition(".")
        # Who has not imported it cannot hold it.
        if home in sys.modules and vars(sys.modules[home]).get(attribute) is value:
            return name
    return None


def looking_members(value: object) -> dict[Any, str]:
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
    named = ((key, known_name(m)) for key, m in members if isinstance(m, kinds) and m.__name__ in WORDS)
    return {key: name for key, name in named if name in LOOKING}
