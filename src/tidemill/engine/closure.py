"""The code closure of a component: every function, class, constant and package that its result can depend on.

Live objects are walked, not text: what a global name holds now is what the step would use. A name that a
function only imports inside its body is followed in the source instead, so that nothing heavy is imported
to plan a run, and so is what it looks up by a name in a text (``lookups``). Not seen: what is looked up by a computed
name, which is told, and files that a step reads by itself; ``uses=`` declares both.
"""

import ast
import functools
import sys
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput
from tidemill.core.names import hex_of
from tidemill.engine import lookups, members, modules, packages, syntax
from tidemill.engine.constants import Describer, NoContent, name_of
from tidemill.engine.unseen import Unseen
from tidemill.pipeline import load
from tidemill.pipeline.component import Component
from tidemill.pipeline.graph import Node
from tidemill.pipeline.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Closure:
    """What a component's code is made of.

    Attributes:
        code: ``module:name`` of each function, class and constant of the project, to its digest.
        packages: Each distribution that it reaches, to its version; ``python`` among them.
        files: The project's files that these came from.
        images: Each digest to the bytes that were hashed.
        unseen: Places that look up what is in no key; none where ``uses=`` says what they reach.
    """

    code: dict[str, str]
    packages: dict[str, str]
    files: frozenset[str]
    images: dict[str, bytes]
    unseen: tuple[Unseen, ...] = ()


def closure_of(component: Component[..., Any]) -> Closure:
    """The closure of a component; of one with ``code_version``, that text stands for its code.

    Raises:
        InvalidInput: ``no-code-digest``, when it uses an object that has no content to hash; ``use-not-found``.
    """
    walk = _Walk(component.name, frozenset(component.options.get("ignore", ())))
    walk.packages["python"] = packages.python_version()
    if component.options.get("code_version") is not None:
        walk.enter(component)
        # What it reaches is not known, so a worker must have all of the project as it is now.
        walk.files.update(load.files())
    elif component.kind == "trainer" and hasattr(component.function, "get_compile_config"):
        walk.compiled_model(component.name, component.function)
    else:
        walk.reach(component.name, component.function)
        for parameter in component.parameters:
            walk.annotation(parameter.annotation)
    if component.module.startswith("tidemill.") or component.kind != "step":
        walk.package("tidemill")
    walk.uses(component)
    return Closure(
        walk.code,
        dict(sorted(walk.packages.items())),
        frozenset(walk.files),
        walk.images,
        () if "uses" in component.options else tuple(walk.unseen),
    )


def closures_of(nodes: Iterable[Node]) -> dict[int, Closure]:
    """The closure of each node's component, by the identity of the component it was made from."""
    found: dict[int, Closure] = {}
    for node in nodes:
        component = node.component
        if component is not None and id(component.origin) not in found:
            found[id(component.origin)] = closure_of(component.origin)
    return found


@dataclass(slots=True)
class _Walk:
    component: str
    ignored: frozenset[str]
    code: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, bytes] = field(default_factory=dict[str, bytes])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    files: set[str] = field(default_factory=set[str])
    names: dict[int, str] = field(default_factory=dict[int, str])
    """Each object that was walked into, to its name: two wrappers that one decorator made have two."""
    counts: dict[str, int] = field(default_factory=dict[str, int])
    held: list[object] = field(default_factory=list[object])
    """Those objects, so that their ids stay theirs."""
    describer: Describer = field(init=False)
    unseen: dict[Unseen, None] = field(default_factory=dict["Unseen", None])
    declared: int = 0
    """How many components around the code that is walked say by ``uses=`` what it reaches."""

    def __post_init__(self) -> None:
        self.describer = Describer(self.enter)

    def compiled_model(self, where: str, model: Any) -> None:
        """Add a Keras model that is to be trained: from fresh weights, so those that it has do not count."""
        self.package("keras")
        self._note(where, ["keras", model.get_config(), model.get_compile_config()])

    def annotation(self, annotation: Any) -> None:
        """Add what an annotation names: a setting is made into it, a result is held against it."""
        if isinstance(annotation, type):
            self._class(annotation)
        else:
            self.package(getattr(annotation, "__module__", "builtins").partition(".")[0])

    # -- what a name holds

    def reach(self, where: str, value: Any) -> None:
        """Add what ``value``, found at ``where``, is made of."""
        if isinstance(value, (functools.partial, functools.partialmethod)):
            self.reach(where, value.func)
            self._note(f"{where}(partial)", [list(value.args), dict(value.keywords)])
            if (lookup := lookups.bound(value.func, value.args)) is not None:
                self._looked_up(lookups.Place({}, "", ""), [lookup], "", None)
        elif members.is_named(value):
            name = self.enter(value)
            # Which name holds which function matters too: two that change places are a change.
            if name != where:
                self._add(where, identity.value_image(["code", name]))
        elif isinstance(value, types.MethodType):
            self.reach(where, value.__func__)
            self.reach(f"{where}(self)", value.__self__)
        elif (inner := members.accessors(value)) is not None:
            for accessor in inner:
                self.reach(where, accessor)
        elif hasattr(value, "__wrapped__") and not self._is_of_project(type(value)):
            self.package(type(value).__module__.partition(".")[0])
            self._inside(where, value, {})
        else:
            self._note(where, value)

    def enter(self, value: Any) -> str:
        """Walk into code; the name that it has here."""
        if isinstance(value, Component):
            version = value.options.get("code_version")
            if version is not None:
                self._add(value.name, identity.code_image(value.name, f"code_version = {version!r}"))
                return value.name
            if "uses" in value.options:
                return self._enter_declared(value)
            value = value.function
            if not members.is_named(value):
                return self._enter_object(value)
        if isinstance(value, Pipeline):
            value = value.function
        if isinstance(value, types.ModuleType):
            self._module(value.__name__, getattr(value, "__file__", None))
            return value.__name__
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        self.package((getattr(value, "__module__", None) or "builtins").partition(".")[0])
        return name_of(value)

    def _enter_declared(self, component: Component[..., Any]) -> str:
        """A component that says itself what it reaches."""
        self.uses(component)
        self.declared += 1
        try:
            if members.is_named(component.function):
                return self.enter(component.function)
            return self._enter_object(component.function)
        finally:
            self.declared -= 1

    def uses(self, component: Component[..., Any]) -> None:
        """Add what ``uses=`` of a component names."""
        beside = component.file.parent if component.file is not None else Path.cwd()
        for use in component.options.get("uses") or ():
            if isinstance(use, str):
                self._used_module(component, use)
            elif isinstance(use, Path):
                self._used_file(component, beside / use, use)
            else:
                self.reach(f"{component.name}(uses {name_of(use)})", use)

    def _used_module(self, component: Component[..., Any], name: str) -> None:
        names = [name, *modules.within(name)]
        if modules.file_of(name) is None and name not in sys.builtin_module_names:
            raise _no_use(component, f"the module {name}", "It is looked for where the step's imports are.")
        for found in names:
            self._module(found, None)

    def _used_file(self, component: Component[..., Any], path: Path, said: Path) -> None:
        if not path.exists():
            raise _no_use(component, str(said), f"It is taken from the folder of the step's file: {path}.")
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in found:
            name = (said / file.relative_to(path)).as_posix() if path.is_dir() else said.as_posix()
            digest = hex_of(identity.file(file))
            self._add(f"{component.module}:file {name}", identity.value_image(["file", digest]))
            self.files.add(str(file))

    def _enter_object(self, value: Any) -> str:
        """An estimator that a component was made from."""
        name = self._named(value, f"{self.component}({type(value).__qualname__})")
        if name not in self.code:
            self._note(name, value)
        return name

    def _note(self, where: str, value: Any) -> None:
        try:
            tree = self.describer.describe(value)
        except NoContent as error:
            raise self._no_digest(where, error.value) from error.__cause__
        self._add(where, identity.value_image(tree))

    def _add(self, name: str, image: bytes) -> None:
        digest = identity.blob(image)
        self.images[digest] = image
        number, unique = 1, name
        while unique in self.code and self.code[unique] != digest:
            number += 1
            unique = f"{name}#{number}"
        self.code[unique] = digest

    def package(self, top: str) -> None:
        """Add an installed package's version."""
        self.packages.update(packages.versions_of(top))

    def _named(self, thing: object, name: str) -> str:
        """The name of an object, which no other object has."""
        if id(thing) not in self.names:
            count = self.counts[name] = self.counts.get(name, 0) + 1
            self.names[id(thing)] = name if count == 1 else f"{name}#{count}"
            self.held.append(thing)
        return self.names[id(thing)]

    @staticmethod
    def _is_of_project(kind: type) -> bool:
        return modules.is_project(kind.__module__, modules.home_of(kind.__module__))

    # -- functions

    def _function(self, function: types.FunctionType) -> str:
        if id(function) in self.names:
            return self.names[id(function)]
        code, module = function.__code__, function.__module__
        if not modules.is_function(function):
            return self._foreign(function)
        self.files.add(code.co_filename)
        name = self._named(function, f"{module or '<text>'}:{function.__qualname__}")
        self._add(name, identity.code_image(name, syntax.of_function(code) or syntax.of_bytecode(code)))
        for number, default in enumerate(members.defaults(function)):
            self.reach(f"{name}(default {number})", default)
        for variable, held in members.of_closure(function):
            if variable not in self.ignored:
                self.reach(f"{name}.{variable}", held)
        for attribute, held in vars(function).items():
            if attribute not in self.ignored and attribute != "__wrapped__":
                self.reach(f"{name}.{attribute}", held)
        self._names(function.__globals__, code)
        self._look_ups(function)
        return name

    def _foreign(self, function: types.FunctionType) -> str:
        """A library's function: its version counts, and what it holds of the project's."""
        name = self._named(function, name_of(function))
        self.package(packages.top_of(function.__code__.co_filename) or "builtins")
        self.package((function.__module__ or "builtins").partition(".")[0])
        if self._holds(function, set()):
            for variable, held in [*members.of_closure(function), *vars(function).items()]:
                if variable not in self.ignored:
                    self._inside(f"{name}.{variable}", held, {})
        return name

    def _holds(self, value: Any, seen: set[int]) -> bool:
        """Whether a library's object leads to code of the project."""
        if id(value) in seen:
            return False
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            if modules.is_function(value):
                return True
            return any(self._holds(held, seen) for _, held in members.of_closure(value))
        if isinstance(value, type):
            return self._is_of_project(value)
        if isinstance(value, types.ModuleType):
            return False
        return self._is_of_project(type(value)) or any(self._holds(m, seen) for m in members.of_object(value))

    def _inside(self, where: str, value: Any, seen: dict[int, object]) -> None:
        """Add what a library's object holds of the project's; the rest of its state is the library's affair."""
        if id(value) in seen:
            return
        seen[id(value)] = value
        if members.is_named(value) or self._is_of_project(type(value)) or members.is_data(value):
            try:
                self.reach(where, value)
            except InvalidInput:
                if self._is_of_project(type(value)):
                    raise
            else:
                return
        for member in members.of_object(value):
            if members.is_data(member) or self._holds(member, set()):
                self._inside(where, member, seen)

    def _names(self, globals_: dict[str, Any], code: types.CodeType) -> None:
        home = str(globals_.get("__name__", "__main__"))
        for instructions in members.all_instructions(code):
            for at, instruction in enumerate(instructions):
                name = instruction.argval
                if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    if name in self.ignored or name not in globals_:
                        continue
                    attributes = members.attributes(instructions, at + 1)
                    self._global(f"{home}:{name}", globals_[name], attributes)
                elif instruction.opname == "IMPORT_NAME":
                    taken, level = instructions[at - 1].argval, instructions[at - 2].argval
                    package = str(globals_.get("__package__") or "")
                    self._imported(str(name), int(level or 0), tuple(taken or ()), package)

    def _global(self, where: str, value: Any, attributes: Sequence[str]) -> None:
        for attribute in attributes:
            if not isinstance(value, types.ModuleType):
                break
            module = value.__name__
            if not modules.is_project(module, getattr(value, "__file__", None)) and module != "tidemill":
                self._library(where, value)
                return
            if not hasattr(value, attribute):
                return
            value, where = getattr(value, attribute), f"{module}:{attribute}"
        self.reach(where, value)

    def _library(self, where: str, module: types.ModuleType) -> None:
        """A library's module under a name: ``np`` may be another one tomorrow."""
        self.package(module.__name__.partition(".")[0])
        if where.rpartition(":")[2] != module.__name__:
            self._add(where, identity.value_image(["code", module.__name__]))

    # -- what is looked up by a text

    def _look_ups(self, function: types.FunctionType) -> None:
        code, globals_ = function.__code__, function.__globals__
        held = {**globals_, **dict(members.of_closure(function))}
        if not lookups.may_look_up(members.all_names(code), held):
            return
        home = str(globals_.get("__name__", "__main__"))
        place = lookups.Place(held, home, str(globals_.get("__package__") or ""))
        self._looked_up(place, place.lookups(*syntax.trees_of(code)), code.co_filename, globals_)

    def _looked_up(
        self,
        place: lookups.Place,
        found: Iterable[lookups.Lookup],
        file: str,
        globals_: dict[str, Any] | None,
    ) -> None:
        """Add what code looks up; ``globals_`` are its module's, None where all of its module is there already."""
        for lookup in found:
            for name in modules.named(lookup.kind, lookup.text):
                self._module(name, None)
            if lookup.kind in ("unseen", "variable"):
                self._note_unseen(file, lookup)
            elif lookup.kind == "code":
                self._run_text(place, lookup, file, globals_)
            elif globals_ is None:
                continue
            elif lookup.kind == "name" and lookup.text in globals_ and lookup.text not in self.ignored:
                self._global(f"{place.module}:{lookup.text}", globals_[lookup.text], ())
            elif lookup.kind == "whole":
                if modules.home_of(place.module) is None:
                    self._note_unseen(file, lookup)
                self._module(place.module, None)

    def _run_text(
        self, place: lookups.Place, lookup: lookups.Lookup, file: str, globals_: dict[str, Any] | None
    ) -> None:
        """Code in a text that is known: what it names, imports and looks up."""
        tree = syntax.tree_of_text(lookup.text)
        if tree is None:
            return
        for name, level, taken in syntax.imports_in(tree):
            self._imported(name, level, taken, place.package)
        there = globals_ or {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in there and node.id not in self.ignored:
                self._global(f"{place.module}:{node.id}", there[node.id], ())
        inner = [replace(found, line=lookup.line) for found in place.lookups(tree)]
        self._looked_up(place, inner, file, globals_)

    def _note_unseen(self, file: str, lookup: lookups.Lookup) -> None:
        if not self.declared and lookup.text.partition("(")[0].partition(".")[0] not in self.ignored:
            where = "a notebook" if file.startswith("<") else Path(file).name
            place = f"{where}, line {lookup.line}: {lookup.text or 'globals()'}"
            self.unseen[Unseen(place, lookup.kind == "variable")] = None

    # -- modules, by their source

    def _imported(self, name: str, level: int, taken: tuple[str, ...], package: str) -> None:
        name = modules.absolute(name, level, package)
        self._module(name, None)
        for member in taken:
            if (loaded := modules.file_of(f"{name}.{member}")) is not None:
                self._module(f"{name}.{member}", loaded)

    def _module(self, name: str, file: str | None) -> None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        file = file or modules.file_of(name)
        if file is None or not modules.is_project(name, file):
            self.package(top)
            return
        key = f"{name}:*"
        if key in self.code:
            return
        self.files.add(file)
        text = syntax.of_module(file) or Path(file).read_text("utf-8")
        self._add(key, identity.code_image(key, text))
        for parent in modules.parents(name):
            self._module(parent, None)
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        for imported, level, taken in syntax.imports_of(file):
            self._imported(imported, level, taken, package)
        tree = syntax.tree_of_module(file)
        if tree is not None:
            place = lookups.Place({}, name, package)
            self._looked_up(place, place.lookups(tree), file, None)

    # -- classes

    def _class(self, kind: type) -> str:
        if id(kind) in self.names:
            return self.names[id(kind)]
        module, file = kind.__module__, modules.home_of(kind.__module__)
        if members.is_made(kind):
            file = None
        elif not modules.is_project(module, file):
            self.package(module.partition(".")[0])
            return name_of(kind)
        name = self._named(kind, f"{module}:{kind.__qualname__}")
        ours = [n for n, v in vars(sys.modules[module]).items() if _is_ours(v)] if file else ()
        text = (syntax.of_class(file, kind.__qualname__, ours) if file else None) or ""
        if file:
            self.files.add(file)
        self._add(name, identity.code_image(name, text))
        if not text and (fields := members.fields_of(kind)):
            self._note(f"{name}(fields)", fields)
        for base in (*kind.__bases__, type(kind), *vars(kind).get("__annotations__", {}).values()):
            if isinstance(base, type):
                self._class(base)
        for attribute, held in members.of_class(kind):
            if attribute not in self.ignored:
                self.reach(f"{name}.{attribute}", held)
        return name

    def _no_digest(self, where: str, value: Any) -> InvalidInput:
        name = where.partition(":")[2] or where
        kind = type(value).__qualname__
        return InvalidInput(
            f"'{self.component}' uses '{name}', a {kind}, which has no content to hash.",
            why="The cache must know when it changes, and cannot.",
            hint=f"Make it inside the step; or say ignore=('{name.rpartition('.')[2]}',) in the decorator, if it "
            f"does not matter to the result; or register what counts with @tidemill.digest_of({kind}); or let "
            "code_version='1' in the decorator stand for all of the step's code.",
            code=codes.NO_CODE_DIGEST,
            details={"component": self.component, "name": where},
        )


def _no_use(component: Component[..., Any], what: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"'{component.name}' says that it uses {what}, which is not there.",
        why=why,
        hint="Correct uses= in its decorator.",
        code=codes.USE_NOT_FOUND,
        details={"component": component.name},
    )


def _is_ours(value: Any) -> bool:
    """Whether it is Tidemill or one of its decorators: what these are told is in the settings."""
    module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return module in {"tidemill", "tidemill.pipeline.components"}
