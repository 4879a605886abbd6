"""The parameters of a function, as components and pipelines see them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidemill.pipeline.annotations import Form, form_of, hints

EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a component or a pipeline; ``default`` is ``EMPTY`` where it must be given."""

    name: str
    annotation: Any
    default: Any
    form: Form

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is EMPTY


def parameters_of(function: Callable[..., object], *, skip: int = 0) -> tuple[Parameter, ...]:
    """The parameters of a function, without the first ``skip``."""
    annotations = hints(function)
    found = [
        Parameter(p.name, annotations.get(p.name, EMPTY), p.default, form_of(annotations.get(p.name, EMPTY)))
        for p in inspect.signature(function).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return tuple(found[skip:])
