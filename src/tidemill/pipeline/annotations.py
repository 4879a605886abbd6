"""What an annotation says about a parameter or a result, found without importing what it names.

A file may annotate ``polars.DataFrame`` under ``TYPE_CHECKING`` only: then the annotation is text, and text
is enough to know the form.
"""

import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

Form = Literal[
    "any",
    "value",
    "polars",
    "pandas",
    "arrow",
    "table",
    "numpy",
    "model",
    "native-model",
    "report",
    "path",
    "dataset",
]
TABLE_FORMS: frozenset[str] = frozenset({"polars", "pandas", "arrow", "table"})
ARTIFACT_FORMS: frozenset[str] = TABLE_FORMS | {"numpy", "model", "native-model", "report", "path", "dataset"}

_BY_NAME: dict[tuple[str, str], Form] = {
    ("polars", "DataFrame"): "polars",
    ("pl", "DataFrame"): "polars",
    ("pandas", "DataFrame"): "pandas",
    ("pd", "DataFrame"): "pandas",
    ("pyarrow", "Table"): "arrow",
    ("pa", "Table"): "arrow",
    ("numpy", "ndarray"): "numpy",
    ("np", "ndarray"): "numpy",
    ("tidemill", "Table"): "table",
    ("tm", "Table"): "table",
    ("", "Table"): "table",
    ("tidemill", "TrainedModel"): "model",
    ("tm", "TrainedModel"): "model",
    ("", "TrainedModel"): "model",
    ("tidemill", "Report"): "report",
    ("tm", "Report"): "report",
    ("", "Report"): "report",
    ("pathlib", "Path"): "path",
    ("", "Path"): "path",
    ("tidemill", "Dataset"): "dataset",
    ("tm", "Dataset"): "dataset",
    ("", "Dataset"): "dataset",
}
_NATIVE_HOMES = frozenset({"keras", "sklearn"})


def hints(function: Callable[..., object]) -> dict[str, Any]:
    """The annotations by parameter name, resolved where they can be and text where they cannot."""
    found: dict[str, Any] = {}
    plain = inspect.unwrap(function)
    module = sys.modules.get(getattr(plain, "__module__", None) or "")
    names: dict[str, Any] = getattr(plain, "__globals__", None) or vars(module or typing)
    for name, annotation in getattr(plain, "__annotations__", {}).items():
        if not isinstance(annotation, str):
            found[name] = annotation
            continue
        try:
            found[name] = eval(annotation, dict(names))  # noqa: S307 - the file's own annotation, as typing does
        except Exception:  # noqa: BLE001 - it names what is imported for type checkers only
            found[name] = annotation
    return found


def form_of(annotation: Any) -> Form:
    """The form that an annotation asks for; ``any`` where it says nothing."""
    if annotation is inspect.Parameter.empty or annotation is Any:
        return "any"
    if isinstance(annotation, str):
        return _form_of_text(annotation)
    origin = typing.get_origin(annotation)
    forms: set[Form]
    if origin in (typing.Union, types.UnionType):
        forms = {form_of(a) for a in typing.get_args(annotation) if a is not type(None)}
        return forms.pop() if len(forms) == 1 else "any"
    if origin is typing.Annotated:
        return form_of(typing.get_args(annotation)[0])
    if origin is not None and origin is not typing.Literal:
        annotation = origin
    if isinstance(annotation, type):
        return _form_of_class(annotation)
    return "value"


def is_optional(annotation: Any) -> bool:
    """Whether None is among what an annotation allows."""
    if isinstance(annotation, str):
        parts = [part.strip() for part in annotation.split("|")]
        return "None" in parts or parts[0].rpartition(".")[2].startswith("Optional[")
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return type(None) in typing.get_args(annotation)
    return annotation in (None, type(None))


def _form_of_class(kind: type) -> Form:
    home = kind.__module__.partition(".")[0]
    if home == "polars" and kind.__qualname__ in {"DataFrame", "LazyFrame"}:
        return "polars"
    known = _BY_NAME.get((home, kind.__qualname__))
    if known is not None:
        return known
    return "native-model" if home in _NATIVE_HOMES else "value"


def _form_of_text(text: str) -> Form:
    text = text.strip().removesuffix("| None").strip().partition("[")[0]
    home, _, name = text.rpartition(".")
    known = _BY_NAME.get((home.partition(".")[0], name))
    if known is not None:
        return known
    return "native-model" if home.partition(".")[0] in _NATIVE_HOMES else "value" if not home else "any"


def results_of(annotation: Any) -> tuple[Any, ...] | None:
    """The annotations of several results, when ``annotation`` is a tuple of a fixed length; else None."""
    if isinstance(annotation, str):
        if not annotation.startswith(("tuple[", "Tuple[")) or "..." in annotation:
            return None
        return tuple(part.strip() for part in annotation.partition("[")[2].rstrip("]").split(","))
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        own = typing.get_type_hints(annotation)
        return tuple(own[name] for name in annotation._fields)  # pyright: ignore[reportAttributeAccessIssue]
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and arguments and Ellipsis not in arguments:
        return arguments
    return None


def shown(annotation: Any) -> str:
    """The annotation as a person would write it."""
    if annotation is inspect.Parameter.empty:
        return "anything"
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
