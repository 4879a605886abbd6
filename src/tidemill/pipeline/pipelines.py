"""``@tm.pipeline``: a function whose body, called with a run's parameter values, builds the graph."""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from tidemill.core.errors import InvalidInput
from tidemill.core.names import nearest
from tidemill.pipeline import graph as graphs
from tidemill.pipeline import values
from tidemill.pipeline.component import Fitted
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.handles import Handle, Port, port_of
from tidemill.pipeline.leaks import refuse_leaks
from tidemill.pipeline.model import Model
from tidemill.pipeline.parameters import Parameter, parameters_of

P = ParamSpec("P")
R = TypeVar("R")


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
        functools.update_wrapper(cast("Any", self), function, updated=())

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def file(self) -> Path | None:
        """The file that defines it; None in a notebook."""
        file = getattr(sys.modules.get(self.function.__module__), "__file__", None)
        return Path(file) if file else None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """In the body of another pipeline, add this one's steps to it; outside, run it in memory, uncached."""
        return self.function(*args, **kwargs)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameter values: the given ones converted by annotation, the defaults for the rest.

        Raises:
            InvalidInput: ``unknown-parameter``, ``wrong-parameter-type``, ``missing-parameter``.
        """
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                close = nearest(name, known)
                raise InvalidInput(
                    f"Pipeline '{self.name}' has no parameter '{name}'.",
                    hint=f"Did you mean '{close}'?" if close else f"It has: {', '.join(known) or 'none'}.",
                    code="unknown-parameter",
                    details={"parameter": name, "known": list(known)},
                )
        return {name: self._value(parameter, given) for name, parameter in known.items()}

    def _value(self, parameter: Parameter, given: Mapping[str, Any]) -> Any:
        if parameter.name not in given:
            if parameter.required:
                raise InvalidInput(
                    f"Pipeline '{self.name}' needs a value for '{parameter.name}'.",
                    hint=f"Add -p {parameter.name}=...",
                    code="missing-parameter",
                    details={"parameter": parameter.name},
                )
            return parameter.default
        value = given[parameter.name]
        try:
            return values.convert(value, parameter.annotation, parameter.default)
        except ValueError:
            raise values.wrong_type(
                "Parameter", parameter.name, value, parameter.annotation, parameter.default
            ) from None

    def build(self, given: Mapping[str, Any] | None = None) -> graphs.Graph:
        """Call the body with these parameter values and return the graph that it made.

        Raises:
            InvalidInput: As ``values``; or ``handle-used-as-value``, ``leak``, ``empty-pipeline``, and what a
                component's call raises.
        """
        builder = graphs.Builder(self.name)
        with graphs.building(builder):
            arguments = {
                name: builder.input(value, name) if isinstance(value, (Dataset, Model)) else value
                for name, value in self.values(given or {}).items()
            }
            returned = cast("Callable[..., object]", self.function)(**arguments)
            outputs = self._outputs(builder, returned)
        used = {p.node for n in builder.nodes for p in n.sources()} | {p.node for p in outputs.values()}
        # What this build's values left unused is not read.
        nodes = tuple(n for n in builder.nodes if n.component is not None or n.name in used)
        if not any(n.component for n in nodes) and not outputs:
            raise InvalidInput(
                f"Pipeline '{self.name}' has no step.",
                hint="Call a @tm.step function in its body.",
                code="empty-pipeline",
            )
        inputs = {n.name: n.reference for n in nodes if n.reference is not None}
        made = graphs.Graph(nodes, inputs, outputs)
        refuse_leaks(made)
        return made

    def _outputs(self, builder: graphs.Builder, returned: object) -> dict[str, Port]:
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

    def _port(self, builder: graphs.Builder, name: str, value: object) -> Port:
        if isinstance(value, Fitted):
            value = value.state
        if isinstance(value, (Dataset, Model)):
            value = builder.input(value)
        if not isinstance(value, Handle):
            raise self._not_a_result(name, value)
        return port_of(value)

    def _not_a_result(self, name: str, value: object) -> InvalidInput:
        return InvalidInput(
            f"Pipeline '{self.name}' returns {value!r} as '{name}'.",
            why="What a pipeline returns must come from a step.",
            hint="Return a step's result, or a dict of results by name.",
            code="not-an-artifact",
        )


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a function a pipeline; ``name`` in place of the function's own."""
    if function is None:
        return lambda given: Pipeline(given, name)
    return Pipeline(function, name)
