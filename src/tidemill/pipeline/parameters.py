"""The parameters of a function, as components and pipelines see them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
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


def by_name(who: str, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call of ``who`` by name, also of names that it has no parameters for.

    Raises:
        InvalidInput: ``wrong-call``, for more arguments than names, or one that is given twice.
    """
    if len(args) > len(names):
        raise InvalidInput(
            f"{who} takes {counted(len(names), 'argument')}, but {counted(len(args), 'is', 'are')} given.",
            hint=f"It takes: {', '.join(names) or 'none'}.",
            code=codes.WRONG_CALL,
        )
    given = dict(zip(names, args, strict=False))
    twice = next((name for name in kwargs if name in given), None)
    if twice is not None:
        raise InvalidInput(
            f"{who} gets '{twice}' twice.",
            hint="Give it once, by its place or by its name.",
            code=codes.WRONG_CALL,
        )
    return {**given, **kwargs}
