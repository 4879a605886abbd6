"""What a step's result depends on: the parts of its cache key, each kept so that a later run can say what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput
from tidemill.engine.closure import Closure
from tidemill.engine.orders import Ref
from tidemill.pipeline import spelling, values
from tidemill.pipeline.graph import Input, Node
from tidemill.pipeline.secret import spelled

_OPTIONS = (
    "columns",
    "to",
    "ids",
    "rows",
    "outputs",
    "features",
    "label",
    "classes",
    "epochs",
    "batch_size",
    "version",
)
"""Options of a component that can change its result; shown in brackets beside the settings."""

Inputs = dict[str, Any]
"""By parameter: a ``Ref``, a tuple of them, or a dict of them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one step's key."""

    component: str
    code: dict[str, str]
    packages: dict[str, str]
    settings: dict[str, Any]
    inputs: dict[str, Any]

    def key(self) -> str:
        """The cache key."""
        return identity.step(self.component, self.code, self.packages, self.settings, self.inputs)

    def chunk_base(self, table: str) -> str:
        """The key made without the table, from which the chunks' memo keys are made."""
        others = {n: d for n, d in self.inputs.items() if n != table}
        return identity.step(self.component, self.code, self.packages, self.settings, others)

    def to_json(self) -> dict[str, Any]:
        """As a step record keeps it."""
        return {
            "code": self.code,
            "packages": self.packages,
            "settings": spelling.written(self.settings),
            "inputs": self.inputs,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node whose inputs are all there."""

    node: Node
    parts: Parts
    key: str
    inputs: Inputs

    @property
    def is_importable(self) -> bool:
        """Whether a worker can compute it; else it is computed in this process, and needs none."""
        component = self.node.component
        return component is not None and component.importable


def parts_of(node: Node, closure: Closure, inputs: Inputs, seed: int) -> Parts:
    """The parts of a node's key, once its inputs are there."""
    component = node.component
    assert component is not None
    options = {f"({n})": component.options[n] for n in _OPTIONS if component.options.get(n) is not None}
    options = {n: list(v) if isinstance(v, tuple) else v for n, v in options.items()}
    name = component.name if node.role in ("call", "rows") else f"{component.name}.{node.role}"
    settings = {**spelled(node.settings), **options, "(seed)": seed}
    digests = {n: _digests(s) for n, s in inputs.items()}
    return Parts(name, closure.code, closure.packages, settings, {**digests, **_files(node)})


def _files(node: Node) -> dict[str, str]:
    """The content of each file or folder that a setting names by a ``pathlib.Path``, in lists and dicts too.

    Raises:
        InvalidInput: ``file-not-found``.
    """
    assert node.component is not None
    found: dict[str, str] = {}
    for parameter in node.component.parameters:
        tree = node.settings.get(parameter.name)
        for path in values.paths_of(tree, parameter.annotation):
            whole = parameter.form == "path" and isinstance(tree, str)
            name = f"file {parameter.name}" if whole else f"file {parameter.name}: {path}"
            found[name] = _given(path, node.name, parameter.name)
    return found


def content_of_path(path: Path) -> str:
    """The digest of a file, or of a folder with all that is in it."""
    if path.is_dir():
        members = sorted(p for p in path.rglob("*") if p.is_file())
        return identity.value([[m.relative_to(path).as_posix(), identity.file(m)] for m in members])
    return identity.file(path)


def _given(path: Path, step: str, parameter: str) -> str:
    if not path.exists():
        raise InvalidInput(
            f"'{parameter}' of step '{step}' names {path}, where there is nothing.",
            why="A step that takes a path depends on what the file holds.",
            hint="Correct the path; it is taken from the working directory.",
            code=codes.FILE_NOT_FOUND,
            details={"step": step, "parameter": parameter},
        )
    return content_of_path(path)


def _digests(source: Any) -> Any:
    if isinstance(source, Ref):
        return source.digest
    if isinstance(source, tuple):
        return [_digests(s) for s in source]
    return {n: _digests(s) for n, s in source.items()}


def resolve_inputs(
    node: Node, found: Mapping[tuple[str, str], Ref], some: Mapping[str, Input] | None = None
) -> Inputs | None:
    """The node's inputs, or ``some`` of them; None while one is still to be computed."""
    made: Inputs = {}
    for name, source in (node.inputs if some is None else some).items():
        if isinstance(source, tuple):
            several = [found.get((p.node, p.output)) for p in source]
            if None in several:
                return None
            made[name] = tuple(several)
        elif isinstance(source, dict):
            named = {n: found.get((p.node, p.output)) for n, p in source.items()}
            if None in named.values():
                return None
            made[name] = named
        else:
            ref = found.get((source.node, source.output))
            if ref is None:
                return None
            made[name] = ref
    return made
