"""``@tm.pipeline``: a function whose body, called with a run's parameter values, builds the graph."""

import datetime as dt
import decimal
import enum
import functools
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Reference, did_you_mean
from tidemill.pipeline import builder as builders
from tidemill.pipeline import graph as graphs
from tidemill.pipeline import values
from tidemill.pipeline.body import called
from tidemill.pipeline.component import Fitted
from tidemill.pipeline.control import in_memory
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.handles import Handle, Port
from tidemill.pipeline.leaks import refuse_leaks
from tidemill.pipeline.model import Model
from tidemill.pipeline.parameters import EMPTY, Parameter, by_name, parameters_of

P = ParamSpec("P")
R = TypeVar("R")
_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict,
    Path, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, enum.Enum, Reference,
)  # fmt: skip
"""What a parameter can be given as a plain value, and is held against its annotation."""
RESERVED = "options"
"""The parameter that no pipeline has: how it is run is said by it."""
_around: ContextVar[tuple[object, ...]] = ContextVar("around", default=())
"""The pipelines that are running in memory, the outermost first."""


class Pipeline(Generic[P, R]):
    """A graph of components with parameters.

    Attributes:
        name: What runs, models and releases of it are called.
        parameters: Its parameters, in order, with annotation and default.
    """

    def __init__(self, function: Callable[P, R], name: str | None = None) -> None:
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.parameters = parameters_of(function)
        if any(p.name == RESERVED for p in self.parameters):
            raise InvalidInput(
                f"Pipeline '{self.name}' has a parameter '{RESERVED}'.",
                why="tm.run takes how a pipeline is run by that name; every other name is the pipeline's.",
                hint="Call it something else, such as 'choices'.",
                code=codes.RESERVED_PARAMETER,
                details={"parameter": RESERVED},
            )
        functools.update_wrapper(cast("Any", self), function, updated=())

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def file(self) -> Path | None:
        """The file that defines it; None in a notebook."""
        file = getattr(sys.modules.get(self.function.__module__), "__file__", None)
        return Path(file) if file else None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """In the body of another pipeline, add this one's steps to it; outside, run it in memory, uncached.

        In another's body its steps stand below its name (``prepare/clean``), and its parameters are what they are when
        it is run: plain values are held against their annotations, defaults are filled in. A result of a step can
        stand for any of them.

        Raises:
            InvalidInput: ``wrong-call``, ``pipeline-circle``, and as ``values``.
        """
        given, function = self._bound(args, kwargs), cast("Callable[..., R]", self.function)
        builder = builders.current()
        if builder is None:
            around = _around.get()
            self._refuse_circle(around)
            token = _around.set((*around, self))
            try:
                return in_memory(self.name, lambda: function(**given))
            finally:
                _around.reset(token)
        self._refuse_circle(builder.scope.pipelines)
        for name, value in given.items():
            if isinstance(value, (Dataset, Model)):
                given[name] = builder.input(value)
        with builder.at(builder.inside(self, self.name)):
            return function(**given)

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """A call's arguments by name: plain ones held against their annotations, defaults filled in."""
        given = by_name(f"Pipeline '{self.name}'", [p.name for p in self.parameters], args, kwargs)
        says = {
            p.name
            for p in self.parameters
            if p.annotation is not EMPTY or (p.default is not EMPTY and p.default is not None)
        }
        known = {p.name for p in self.parameters}
        made = {
            n: v
            for n, v in given.items()
            if (n in known and n not in says) or not isinstance(v, _PLAIN) or _has_handles(v)
        }
        plain = {n: v for n, v in given.items() if n not in made}
        return self.values(plain, there=made)

    def _refuse_circle(self, around: Sequence[object]) -> None:
        if self not in around:
            return
        circle = [*around[around.index(self) :], self]
        raise InvalidInput(
            f"Pipeline '{self.name}' calls itself: {' → '.join(cast('Pipeline[..., Any]', p).name for p in circle)}.",
            why="Its steps would have no end.",
            hint="Repeat steps with tm.each, or a loop over a parameter.",
            code=codes.PIPELINE_CIRCLE,
        )

    def values(self, given: Mapping[str, Any], *, there: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All parameter values: the given ones held against their annotations, the defaults for the rest.

        A value of Python stays what it is, ``core.given.Text`` and ``Json`` are read; ``there`` are values that are
        not looked at.

        Raises:
            InvalidInput: ``unknown-parameter``, ``wrong-parameter-type``, ``missing-parameter``.
        """
        known = {p.name: p for p in self.parameters}
        there = there or {}
        for name in (*given, *there):
            if name not in known:
                raise InvalidInput(
                    f"Pipeline '{self.name}' has no parameter '{name}'.",
                    hint=did_you_mean(name, known),
                    code=codes.UNKNOWN_PARAMETER,
                    details={"parameter": name, "known": list(known)},
                )
        return {
            name: there[name] if name in there else self._value(parameter, given)
            for name, parameter in known.items()
        }

    def _value(self, parameter: Parameter, given: Mapping[str, Any]) -> Any:
        if parameter.name not in given:
            if parameter.required:
                raise InvalidInput(
                    f"Pipeline '{self.name}' needs a value for '{parameter.name}'.",
                    hint=f"Add -p {parameter.name}=..., or {parameter.name}= where it is called.",
                    code=codes.MISSING_PARAMETER,
                    details={"parameter": parameter.name},
                )
            return parameter.default
        value = given[parameter.name]
        try:
            return values.given(value, parameter.annotation, parameter.default)
        except ValueError:
            raise values.wrong_type(
                "Parameter", parameter.name, value, parameter.annotation, parameter.default
            ) from None

    def build(self, given: Mapping[str, Any] | None = None) -> graphs.Graph:
        """Call the body with these parameter values and return the graph that it made.

        Raises:
            InvalidInput: As ``values``; or ``pipeline-body-failed``, ``handle-used-as-value``, ``leak``, ``empty-pipeline``, and what a
                component's call raises.
        """
        builder = builders.Builder(self.name)
        with builders.building(builder), builder.at(builders.Scope(pipelines=(self,))):
            arguments = {
                name: builder.input(value, name) if isinstance(value, (Dataset, Model)) else value
                for name, value in self.values(given or {}).items()
            }
            returned = called(self.name, cast("Callable[..., object]", self.function), arguments)
            outputs = self._outputs(builder, returned)
        used = {p.node for n in builder.nodes for p in n.sources()} | {p.node for p in outputs.values()}
        exits = tuple(builder.exits)
        # What this build's values left unused is not read.
        nodes = tuple(n for n in builder.nodes if n.role not in ("dataset", "model") or n.name in used)
        if not any(n.component for n in (*nodes, *exits)) and not outputs:
            raise InvalidInput(
                f"Pipeline '{self.name}' has no step.",
                hint="Call a @tm.step function in its body.",
                code=codes.EMPTY_PIPELINE,
            )
        inputs = {n.name: n.reference for n in nodes if n.reference is not None}
        made = graphs.Graph(nodes, inputs, outputs, exits)
        refuse_leaks(made)
        return made

    def _outputs(self, builder: builders.Builder, returned: object) -> dict[str, Port]:
        if returned is None:
            return {}
        if isinstance(returned, Fitted):
            returned = returned.state
        if isinstance(returned, (Handle, Dataset, Model)):
            return {"result": self._port(builder, "result", returned)}
        if isinstance(returned, dict):
            members = cast("dict[object, object]", returned).items()
            return {str(n): self._port(builder, str(n), h) for n, h in members}
        if isinstance(returned, tuple):
            names = getattr(returned, "_fields", None) or [str(i) for i in range(len(returned))]
            return {str(n): self._port(builder, str(n), h) for n, h in zip(names, returned, strict=True)}
        raise self._not_a_result("result", returned)

    def _port(self, builder: builders.Builder, name: str, value: object) -> Port:
        if isinstance(value, Fitted):
            value = value.state
        if isinstance(value, (Dataset, Model)):
            value = builder.input(value)
        if not isinstance(value, Handle):
            raise self._not_a_result(name, value)
        return builder.seen(value, f"Pipeline '{self.name}'", f"as its result '{name}'")

    def _not_a_result(self, name: str, value: object) -> InvalidInput:
        return InvalidInput(
            f"Pipeline '{self.name}' returns {value!r} as '{name}'.",
            why="What a pipeline returns must come from a step.",
            hint="Return a step's result, or a dict of results by name.",
            code=codes.NOT_AN_ARTIFACT,
        )


def _has_handles(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_handles(v) for v in cast("dict[object, object]", value).values())
    if isinstance(value, (list, tuple)):
        return any(_has_handles(v) for v in cast("Sequence[object]", value))
    return isinstance(value, (Handle, Dataset, Model, Fitted))


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a function a pipeline; ``name`` in place of the function's own."""
    if function is None:
        return lambda given: Pipeline(given, name)
    return Pipeline(function, name)
