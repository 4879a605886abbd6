"""What looks code up, or makes code of bytes, by its name; and what a live object is called here, if it does.

Nothing is imported here: who has not imported a module cannot hold a function of it.
"""

import ast
import functools
import os
import re
import sys
import types
from dataclasses import dataclass
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
    "ctypes.CDLL",
    "ctypes.PyDLL",
}
FINDERS = {"importlib.machinery.PathFinder", "importlib.machinery.FileFinder"}
PICKLES = {
    *(f"pickle.{name}" for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler")),
    *(f"{home}.{name}" for home in ("marshal", "joblib", "compress_pickle") for name in ("load", "loads")),
    *(f"cloudpickle.{name}" for name in ("load", "loads", "Unpickler")),
    *(f"dill.{name}" for name in ("load", "loads", "Unpickler", "load_session", "load_module", "loadtypes")),
    *(f"mlflow.{kind}.load_model" for kind in ("pyfunc", "sklearn", "pytorch", "xgboost", "lightgbm")),
    "jsonpickle.decode",
    "multiprocessing.reduction.ForkingPickler.loads",
    "pandas.read_pickle",
    "shelve.open",
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
}
"""What makes code of bytes: a pickle names its functions and classes in a text of its own."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a loader must be told so that it makes no code.

    Attributes:
        keyword: The argument's name.
        position: Where it stands without its name; None where it always has one.
        harmless: The last words of values with which no code is made.
    """

    keyword: str
    position: int | None
    harmless: frozenset[str]


_SAFE_MODE = Option("safe_mode", 3, frozenset({"True"}))
_YAML = Option(
    "Loader", 1, frozenset(c + k for c in ("", "C") for k in ("SafeLoader", "BaseLoader", "FullLoader"))
)
BY_OPTION = {
    "numpy.load": Option("allow_pickle", 2, frozenset({"False"})),
    "numpy.lib.format.read_array": Option("allow_pickle", 1, frozenset({"False"})),
    "torch.load": Option("weights_only", None, frozenset({"True"})),
    "keras.saving.load_model": _SAFE_MODE,
    "keras.models.load_model": _SAFE_MODE,
    "tensorflow.keras.models.load_model": _SAFE_MODE,
    "yaml.load": _YAML,
    "yaml.load_all": _YAML,
}
"""What makes code of bytes where it is told to; by default each does not."""
_OFFERED = {
    (top, name): f"{top}.{name}"
    for top, _, name in (n.partition(".") for n in (*PICKLES, *BY_OPTION))
    if "." not in name
}
"""Loaders that a package offers at its top; where in it they are made is its own affair."""
GETTERS = {"builtins.getattr", "operator.attrgetter"}
"""By which a member of a module is taken with a text."""
PROCESSES = {
    *(
        f"subprocess.{name}"
        for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput")
    ),
    *(f"os.{name}" for name in ("system", "popen", "execv", "execvp", "execl", "execlp", "spawnv", "spawnl")),
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
}
PYTHON = re.compile(r"(^|[\s/\\])(python[\d.]*|\S+\.pyz?)(\s|$)")
"""A command, or a word of one, that starts Python."""
BETWEEN = re.compile(r"[\s;&|<>()'\"`=]+")
"""What stands between the words of a command of a shell."""
_MEMBERS = 10_000
"""Up to which a container is looked through; more are data."""
LOADERS = {"load_module", "exec_module"}
OF_FRAME = {"f_globals", "__globals__"}
TABLES = {"builtins.globals", "builtins.vars", "builtins.locals"}
LOOKING = BY_MODULE | BY_DOTTED | BY_CODE | PICKLES
"""Told of wherever they are handed on, since who calls them then is not known."""
CALLED = LOOKING | UNSEEN | TABLES | FINDERS | PROCESSES | GETTERS | set(BY_OPTION)
OBJECTS = {"sys.modules", "os.environ"}
WORDS = (
    frozenset(name.rpartition(".")[2] for name in (*CALLED, *OBJECTS))
    | LOADERS
    | OF_FRAME
    | {"__builtins__", "__dict__"}
)


_BY_HOME: dict[str, list[str]] = {}
for _home, _, _name in (called.rpartition(".") for called in sorted(CALLED)):
    _BY_HOME.setdefault(_home, []).append(_name)


def known_name(value: object) -> str | None:
    """What a live object is called here, if it looks code up: whatever name it goes by."""
    if value is sys.modules:
        return "sys.modules"
    if value is os.environ:
        return "os.environ"
    if isinstance(value, functools.partial):
        # What its text names is told where it is made.
        name = known_name(value.func)
        return name if name in PICKLES else None
    if not callable(value):
        return None
    for home, names in _BY_HOME.items():
        holder = sys.modules.get(home)
        if holder is not None:
            held = vars(holder)
            for name in names:
                if held.get(name) is value:
                    return f"{home}.{name}"
    return None


def live(name: str) -> object:
    """What a dotted name is now; None where its module is not imported, since who has not done so cannot hold it."""
    home, _, attribute = name.rpartition(".")
    return vars(sys.modules[home]).get(attribute) if home in sys.modules else None


def canonical(name: str) -> str | None:
    """What a dotted name is called here, if it looks code up: ``pandas.io.pickle.read_pickle`` too."""
    if name in CALLED or name in OBJECTS:
        return name
    top, _, rest = name.partition(".")
    return known_name(live(name)) or _OFFERED.get((top, rest.rpartition(".")[2]))


def makes_code(name: str, call: ast.Call) -> bool:
    """Whether a loader, called so, may make code of what it reads."""
    option = BY_OPTION.get(name)
    if option is None:
        return name in PICKLES
    given = [k.value for k in call.keywords if k.arg in (option.keyword, None)]
    if option.position is not None:
        given += call.args[option.position : option.position + 1]
    return any(ast.unparse(value).rpartition(".")[2] not in option.harmless for value in given)


def looking_in(module: str) -> set[str]:
    """The members of a module that look code up, or make it of bytes, whatever they are given."""
    return {n.rpartition(".")[2] for n in LOOKING | UNSEEN if n.rpartition(".")[0] == module}


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
