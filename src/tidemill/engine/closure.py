"""The code closure of a component: every function, class, constant and package that its result can depend on.

Live objects are walked, not text: what a global name holds now is what the step would use. A name that a
function only imports inside its body is followed in the source instead, so that nothing heavy is imported
to plan a run. Not seen: what is looked up by a computed name, and files that a step reads by itself.
"""

import copyreg
import dis
import enum
import functools
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tidemill.core import identity
from tidemill.core.errors import InvalidInput
from tidemill.engine import packages, syntax
from tidemill.pipeline.component import Component, Fitted
from tidemill.pipeline.load import installed
from tidemill.pipeline.pipelines import Pipeline

_PARTS = "tidemill.parts"
_SKIPPED_TYPES = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


@dataclass(frozen=True, slots=True)
class Closure:
    """What a component's code is made of.

    Attributes:
        code: ``module:name`` of each function, class and constant of the project, to its digest.
        packages: Each distribution that it reaches, to its version; ``python`` among them.
        files: The project's files that these came from.
    """

    code: dict[str, str]
    packages: dict[str, str]
    files: frozenset[str]


def closure_of(component: Component[..., Any]) -> Closure:
    """The closure of a component.

    Raises:
        InvalidInput: ``no-code-digest``, when it uses an object that has no content to hash.
    """
    walk = _Walk(component.name, frozenset(component.options.get("ignore", ())))
    walk.packages["python"] = packages.python_version()
    if component.kind == "trainer" and hasattr(component.function, "get_compile_config"):
        walk.compiled_model(component.name, component.function)
    else:
        walk.reach(component.name, component.function)
    if component.module.startswith("tidemill.") or component.kind != "step":
        walk.package("tidemill")
    for parameter in component.parameters:
        walk.package(getattr(parameter.annotation, "__module__", "builtins").partition(".")[0])
    return Closure(walk.code, dict(sorted(walk.packages.items())), frozenset(walk.files))


@dataclass(slots=True)
class _Walk:
    component: str
    ignored: frozenset[str]
    code: dict[str, str] = field(default_factory=dict[str, str])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    files: set[str] = field(default_factory=set[str])
    seen: dict[int, object] = field(default_factory=dict[int, object])
    open: list[int] = field(default_factory=list[int])

    def compiled_model(self, where: str, model: Any) -> None:
        """Add a Keras model that is to be trained: from fresh weights, so those that it has do not count."""
        self.package("keras")
        self._note(where, self.describe(where, ["keras", model.get_config(), model.get_compile_config()]))

    # -- what a name holds

    def reach(self, where: str, value: Any) -> None:
        """Add what ``value``, found at ``where``, is made of."""
        if isinstance(value, (Component, Pipeline)):
            value = value.function
        if isinstance(value, (functools.partial, functools.partialmethod)):
            self.reach(where, value.func)
            self._note(f"{where}(partial)", self.describe(where, [list(value.args), dict(value.keywords)]))
        elif isinstance(value, types.ModuleType):
            self._module(value.__name__, getattr(value, "__file__", None))
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, _SKIPPED_TYPES):
            self.package((getattr(value, "__module__", None) or "builtins").partition(".")[0])
        elif (held := _wrapped(value)) is not None:
            self.package(type(value).__module__.partition(".")[0])
            for inner in held:
                self.reach(where, inner)
        else:
            self._note(where, self.describe(where, value))

    def _note(self, where: str, tree: Any) -> None:
        self._add(where, identity.value(tree))

    def _add(self, name: str, digest: str) -> None:
        # Two objects of one name (two wrappers that one decorator made) stand beside each other.
        number, unique = 1, name
        while unique in self.code and self.code[unique] != digest:
            number += 1
            unique = f"{name}#{number}"
        self.code[unique] = digest

    def package(self, top: str) -> None:
        """Add an installed package's version."""
        self.packages.update(packages.versions_of(top))

    def _first_time(self, thing: object) -> bool:
        if id(thing) in self.seen:
            return False
        self.seen[id(thing)] = thing
        return True

    def _is_project(self, module: str | None, file: str | None) -> bool:
        if module is None or module == "builtins":
            return False
        if module == "tidemill" or module.startswith("tidemill."):
            return module == _PARTS or module.startswith(_PARTS + ".")
        if module == "__main__":
            return True
        return file is not None and file.endswith(".py") and not installed(file)

    # -- functions

    def _function(self, function: types.FunctionType) -> None:
        if not self._first_time(function):
            return
        code = function.__code__
        module = function.__module__
        if not self._is_project(module, code.co_filename):
            home = getattr(sys.modules.get(module or ""), "__file__", None)
            if not (code.co_filename.startswith("<") and self._is_project(module, home)):
                self.package((module or "builtins").partition(".")[0])
                return
        self.files.add(code.co_filename)
        name = f"{module}:{function.__qualname__}"
        text = syntax.of_function(code) or syntax.of_bytecode(code)
        self._add(name, identity.code(name, text))
        defaults: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for number, default in enumerate(defaults):
            self.reach(f"{name}(default {number})", default)
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            if variable in self.ignored:
                continue
            try:
                held = cell.cell_contents
            except ValueError:
                continue
            self.reach(f"{name}.{variable}", held)
        self._names(function.__globals__, code)

    def _names(self, globals_: dict[str, Any], code: types.CodeType) -> None:
        home = str(globals_.get("__name__", "__main__"))
        for instructions in _all_instructions(code):
            for at, instruction in enumerate(instructions):
                name = instruction.argval
                if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    if name in self.ignored or name not in globals_:
                        continue
                    attributes = _attributes(instructions, at + 1)
                    self._global(home, str(name), globals_[name], attributes)
                elif instruction.opname == "IMPORT_NAME":
                    taken, level = instructions[at - 1].argval, instructions[at - 2].argval
                    package = str(globals_.get("__package__") or "")
                    self._imported(str(name), int(level or 0), tuple(taken or ()), package)

    def _global(self, home: str, name: str, value: Any, attributes: Sequence[str]) -> None:
        where = f"{home}:{name}"
        for attribute in attributes:
            if not isinstance(value, types.ModuleType):
                break
            module = value.__name__
            if not self._is_project(module, getattr(value, "__file__", None)) and module != "tidemill":
                self.package(module.partition(".")[0])
                return
            if not hasattr(value, attribute):
                return
            value, where = getattr(value, attribute), f"{module}:{attribute}"
        self.reach(where, value)

    # -- modules, by their source

    def _imported(self, name: str, level: int, taken: tuple[str, ...], package: str) -> None:
        if level:
            base = package.split(".")[: len(package.split(".")) - level + 1]
            name = ".".join([*base, name] if name else base)
        self._module(name, None)
        for member in taken:
            if (loaded := self._file_of(f"{name}.{member}")) is not None:
                self._module(f"{name}.{member}", loaded)

    def _module(self, name: str, file: str | None) -> None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        file = file or self._file_of(name)
        if file is None or not self._is_project(name, file):
            self.package(top)
            return
        key = f"{name}:*"
        if key in self.code:
            return
        self.files.add(file)
        self.code[key] = identity.code(key, syntax.of_module(file) or Path(file).read_text("utf-8"))
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        for imported, level, taken in syntax.imports_of(file):
            self._imported(imported, level, taken, package)

    def _file_of(self, name: str) -> str | None:
        loaded = sys.modules.get(name)
        if loaded is not None:
            return getattr(loaded, "__file__", None)
        top, *rest = name.split(".")
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None:
            return None
        if not rest:
            return spec.origin
        # The rest is found on disk: asking the import system would import the parent.
        for base in spec.submodule_search_locations or ():
            plain = Path(base, *rest)
            for candidate in (plain.with_suffix(".py"), plain / "__init__.py"):
                if candidate.is_file():
                    return str(candidate)
        return None

    # -- classes

    def _class(self, kind: type) -> None:
        if not self._first_time(kind):
            return
        module = kind.__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if not self._is_project(module, file):
            self.package(module.partition(".")[0])
            return
        name = f"{module}:{kind.__qualname__}"
        text = (syntax.of_class(file, kind.__qualname__) if file else None) or ""
        if file:
            self.files.add(file)
        self._add(name, identity.code(name, text))
        for base in (*kind.__bases__, type(kind)):
            self._class(base)
        for attribute, held in vars(kind).items():
            if attribute in self.ignored or _is_machinery(attribute, held):
                continue
            plain = inspect.unwrap(held) if inspect.isfunction(held) else held
            # What a decorator generated (a dataclass's __init__) follows from the class's own syntax.
            if isinstance(plain, types.FunctionType) and plain.__code__.co_filename.startswith("<string>"):
                continue
            self.reach(f"{name}.{attribute}", held)

    # -- constants

    def describe(self, where: str, value: Any) -> Any:
        """``value`` as a tree that has an identity; code inside it is reached on the way."""
        if value is None or type(value) in _PLAIN:
            return value
        if id(value) in self.open:
            return ["again", len(self.open) - self.open.index(id(value))]
        self.open.append(id(value))
        try:
            return self._describe(where, value)
        finally:
            self.open.pop()

    def _describe(self, where: str, value: Any) -> Any:
        if type(value) in (list, tuple):
            return [type(value).__name__, *(self.describe(where, v) for v in value)]
        if type(value) is dict:
            pairs = cast("dict[Any, Any]", value).items()
            return ["dict", *([self.describe(where, k), self.describe(where, v)] for k, v in pairs)]
        if type(value) in (set, frozenset):
            members = [self.describe(where, v) for v in cast("set[Any]", value)]
            return [type(value).__name__, *sorted(members, key=lambda m: identity.pre_image("sort", m))]
        if isinstance(
            value, (type, types.FunctionType, types.MethodType, types.ModuleType, Component, Pipeline)
        ):
            self.reach(where, value)
            return ["code", _name_of(value)]
        if isinstance(value, (types.GenericAlias, types.UnionType)) or type(value).__module__ == "typing":
            return ["type", repr(value)]
        self._class(type(value))
        if isinstance(value, enum.Enum):
            return ["enum", type(value).__qualname__, value.name]
        if type(value) is object:
            return ["object"]
        if isinstance(value, Fitted):
            return ["fitted", self.describe(where, value.component), self.describe(where, value.state)]
        if hasattr(value, "get_config") and hasattr(value, "get_weights"):
            # A Keras object pickles as a dated archive: its configuration and weights are its content.
            return [
                "keras",
                self.describe(where, value.get_config()),
                self.describe(where, value.get_weights()),
            ]
        return self._reduced(where, value)

    def _reduced(self, where: str, value: Any) -> Any:
        """By the object's own pickling protocol, read as a tree: the same content gives the same tree."""
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = registered(value) if registered else value.__reduce_ex__(4)
        except Exception as error:
            raise self._no_digest(where, value) from error
        if isinstance(reduced, str):
            return ["named", type(value).__module__, reduced]
        function, arguments, *rest = reduced
        parts = [list(p) if isinstance(p, Iterator) else p for p in rest]
        members = [self.describe(where, p) for p in (*arguments, *parts)]
        return ["instance", _name_of(type(value)), _name_of(function), *members]

    def _no_digest(self, where: str, value: Any) -> InvalidInput:
        name = where.partition(":")[2] or where
        return InvalidInput(
            f"'{self.component}' uses '{name}', a {type(value).__qualname__}, which has no content to hash.",
            why="The cache must know when it changes, and cannot.",
            hint=f"Make it inside the step, or, if it does not matter to the result, say "
            f"ignore=('{name.rpartition('.')[2]}',) in the decorator.",
            code="no-code-digest",
            details={"component": self.component, "name": where},
        )


_PLAIN = {bool, int, float, str, bytes}


def _wrapped(value: Any) -> list[Any] | None:
    """The functions (and the instance) behind a method, a descriptor or a wrapper; None for other things."""
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (staticmethod, classmethod)):
        return [cast("Any", value).__func__]
    if isinstance(value, property):
        return [accessor for accessor in (value.fget, value.fset, value.fdel) if accessor is not None]
    if isinstance(value, functools.cached_property):
        return [cast("Any", value).func]
    if callable(value) and hasattr(value, "__wrapped__"):
        return [cast("Any", value).__wrapped__]
    return None


def _name_of(thing: Any) -> str:
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    if isinstance(thing, (Component, Pipeline)):
        thing = thing.function
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _is_machinery(attribute: str, held: object) -> bool:
    if attribute.startswith("__") and attribute.endswith("__"):
        # Special methods are code; the rest of the double-underscored is what Python notes down itself.
        return not isinstance(held, (types.FunctionType, staticmethod, classmethod, property))
    if attribute.startswith("_abc_") or attribute in ("_member_map_", "_value2member_map_", "_member_names_"):
        return True
    return isinstance(held, (types.GetSetDescriptorType, types.MemberDescriptorType)) or (
        type(held).__module__ == "enum" and isinstance(held, property)
    )


def _all_instructions(code: types.CodeType) -> Iterator[list[dis.Instruction]]:
    yield list(dis.get_instructions(code))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_instructions(constant)


def _attributes(instructions: Sequence[dis.Instruction], start: int) -> list[str]:
    found: list[str] = []
    for instruction in instructions[start:]:
        if instruction.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            break
        found.append(str(instruction.argval))
    return found
