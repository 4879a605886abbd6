"""The frameworks that Tidemill knows: a table of adapters, each loaded when a model of its kind is met.

An adapter is a module that has the functions of ``Adapter``. It is never imported to find out whose a
model is: that shows in the home of the model's type.
"""

import importlib
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotFound
from tidemill.core.names import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode


class NotExportable(Exception):
    """Why a model cannot become ONNX; the predictor then keeps the framework."""


class Adapter(Protocol):
    """What an adapter module offers."""

    def save(self, model: Any, folder: Path) -> None:
        """Write ``model`` into the empty ``folder``, in the framework's safe format, same model same bytes."""
        ...

    def load(self, folder: Path, code: "IsolatedCode | None") -> Any:
        """The model that ``save`` wrote; ``code`` is where its own Python files are found."""
        ...

    def predict(self, model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The framework's own answer: ``(rows, columns)`` probabilities, or values."""
        ...

    def order(self, model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
        """For each class its column in ``predict``'s answer (-1: none); None where they agree."""
        ...

    def to_onnx(self, model: Any, features: "np.ndarray[Any, Any]") -> bytes:
        """An ONNX model of one input whose first output is what ``predict`` gives.

        Raises:
            NotExportable: With the reason, for a person.
        """
        ...

    def takes_missing(self, model: Any, features: "np.ndarray[Any, Any]") -> bool:
        """Whether the framework knows what to do with NaN among these features, for this model."""
        ...

    def history(self, model: Any) -> dict[str, list[float]]:
        """The curves of its training, where the framework keeps them in the model."""
        ...

    def packages(self) -> dict[str, str]:
        """The distributions that a process needs to run such a model, with their versions."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: What users and records call the framework.
        path: The adapter's module.
        extra: The extra of ``tidemill`` that installs it; None where the core suffices.
        roots: Top-level packages whose classes, and classes derived from them, are its models.
        keeps_derived: Whether a class that somebody else derived from the framework's can be kept.
    """

    name: str
    path: str
    extra: str | None
    roots: tuple[str, ...]
    keeps_derived: bool = True


TABLE = (
    Row("keras", "tidemill.models.frameworks.keras", "keras", ("keras",)),
    Row("sklearn", "tidemill.models.frameworks.sklearn", "sklearn", ("sklearn",), keeps_derived=False),
    Row("onnx", "tidemill.models.frameworks.onnx", None, ("onnx", "tidemill.models.frameworks.onnx")),
    Row("function", "tidemill.models.frameworks.function", None, ("tidemill.models.frameworks.function",)),
)


def owner(model: object) -> str:
    """The framework that ``model`` belongs to.

    Raises:
        InvalidInput: ``unknown-framework``.
    """
    return _row(type(model)).name


def refuse_unkeepable(kind: type) -> None:
    """Raise if a model of this type surely cannot be kept: what its type tells, before anything is trained.

    Raises:
        InvalidInput: ``unknown-framework`` or ``model-not-safe``.
    """
    row = _row(kind)
    if row.keeps_derived or not row.roots or kind.__module__.partition(".")[0] in row.roots:
        return
    raise InvalidInput(
        f"A {kind.__module__}.{kind.__qualname__} cannot be kept as a model.",
        why=f"It is a class of its own, derived from {row.name}'s: reading it again would run its code.",
        hint=f"Use {row.name}'s own estimators, and do what else there is in a tm.row_step or tm.transform before the "
        "model; or let the trainer return a function at the top of a file of the project.",
        code=codes.MODEL_NOT_SAFE,
    )


def _row(kind: type) -> Row:
    homes = {c.__module__ for c in kind.__mro__}
    roots = homes | {h.partition(".")[0] for h in homes}
    for row in TABLE:
        if roots.intersection(row.roots):
            return row
    if issubclass(kind, types.FunctionType):
        return TABLE[-1]
    raise InvalidInput(
        f"A {kind.__module__}.{kind.__qualname__} is not a model that Tidemill knows.",
        why=f"It knows {', '.join(r.name for r in TABLE)}.",
        hint="Return a Keras model, a scikit-learn estimator, an ONNX model, or a function from features to "
        "answers.",
        code=codes.UNKNOWN_FRAMEWORK,
    )


def adapter(framework: str) -> Adapter:
    """The adapter of a framework.

    Raises:
        NotFound: ``framework-not-found``.
        NeedsExtra: ``needs-extra``, when the framework is not installed.
    """
    row = next((r for r in TABLE if r.name == framework), None)
    if row is None:
        raise NotFound(
            f"There is no framework '{framework}'.",
            hint=did_you_mean(framework, (r.name for r in TABLE)),
            code=codes.FRAMEWORK_NOT_FOUND,
        )
    return cast("Adapter", importlib.import_module(row.path))


def needs_extra(framework: str, error: ImportError) -> NeedsExtra:
    """What to raise when a framework's own import fails."""
    row = next(r for r in TABLE if r.name == framework)
    return NeedsExtra(
        f"This needs {framework}, and {error.name or 'a part of it'} is not installed.",
        hint=f"Type \"pip install 'tidemill[{row.extra}]'\".",
        details={"extra": row.extra or ""},
    )


def versions(*names: str) -> dict[str, str]:
    """The installed versions of these distributions; one that is not installed is left out."""
    from importlib import metadata  # noqa: PLC0415

    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
