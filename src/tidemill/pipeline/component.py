"""A component: a function or class that a pipeline can use. ``components`` has the decorators that make them.

Called while a pipeline is built, a component adds a node and returns handles. Called outside, it just runs,
so that a notebook can try a step on a frame.
"""

import inspect
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean
from tidemill.pipeline import builder as builders
from tidemill.pipeline import graph as graphs
from tidemill.pipeline import values
from tidemill.pipeline.agreement import refuse_wrong
from tidemill.pipeline.annotations import ARTIFACT_FORMS, Form, hints, results_of, shown
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.handles import Handle
from tidemill.pipeline.model import Model
from tidemill.pipeline.parameters import EMPTY, Parameter, by_name, parameters_of
from tidemill.pipeline.script import may_be_imported
from tidemill.pipeline.secret import Secret, replaced
from tidemill.pipeline.training import check_columns

P = ParamSpec("P")
R = TypeVar("R")
Kind = Literal["step", "row_step", "transform", "trainer", "check"]
TABLE = "table"
"""The parameter that carries the rows where the function itself takes columns."""
TRAINER_SETTINGS = ("features", "label", "classes")
"""What any trainer's call may say although its function does not take it: facts about the model."""
TRAINER_SETTINGS_TYPE = str | tuple[Any, ...] | None
"""What they are."""


class Component(Generic[P, R]):
    """A function or class made usable in a pipeline.

    Attributes:
        kind: ``step``, ``row_step``, ``transform``, ``trainer`` or ``check``.
        function: The user's function or class; for scikit-learn objects, the object.
        options: What the decorator was told.
        bound: Settings that were fixed beforehand (transforms).
        outputs: Names of its results; ``("result",)`` for one.
    """

    def __init__(
        self,
        kind: Kind,
        function: Any,
        options: Mapping[str, Any],
        *,
        module: str,
        bound: Mapping[str, Any] | None = None,
        origin: "Component[..., Any] | None" = None,
    ) -> None:
        self.kind: Kind = kind
        self.function: Any = function
        self.options: dict[str, Any] = dict(options)
        self.bound: dict[str, Any] = dict(bound or {})
        self.module = module
        self.origin = origin or self
        self.parameters = self._parameters()
        self.outputs = self._outputs()
        self.__doc__ = getattr(function, "__doc__", None)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = module

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    @property
    def is_object(self) -> bool:
        """Whether it was made from an object (an estimator), not from a function or class."""
        return not (inspect.isroutine(self.function) or inspect.isclass(self.function))

    @property
    def short_name(self) -> str:
        """What its steps are called."""
        return self.variable.rpartition(".")[2].strip("_").replace("_", "-") or self.kind

    @property
    def variable(self) -> str:
        """Where it is within its module: its qualified name, or the variable that holds it."""
        home = sys.modules.get(self.module)
        origin = self.origin
        if home is not None and not _is_at(home, self.__qualname__, origin):
            for name, held in vars(home).items():
                if held is origin:
                    return name
        return self.__qualname__

    @property
    def name(self) -> str:
        """``module:qualname``, the same on every machine."""
        return f"{self.module}:{self.variable}"

    @property
    def file(self) -> Path | None:
        """The file that defines it; None in a notebook."""
        file = getattr(sys.modules.get(self.module), "__file__", None)
        return Path(file) if file else None

    @property
    def importable(self) -> bool:
        """Whether another process can find it: it is a module-level name of a module with a file."""
        home = sys.modules.get(self.module)
        if home is None or not getattr(home, "__file__", None) or not may_be_imported(home):
            return False
        return self.module != "__main__" and _is_at(home, self.variable, self.origin)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a column-form function takes; empty for a table form."""
        named = self.options.get("columns")
        return () if named is None else (named,) if isinstance(named, str) else tuple(named)

    @property
    def result(self) -> Any:
        """The annotation of what it returns."""
        return hints(self.function).get("return", EMPTY) if inspect.isroutine(self.function) else EMPTY

    def _parameters(self) -> tuple[Parameter, ...]:
        table = Parameter(TABLE, EMPTY, EMPTY, "table")
        if self.kind == "transform":
            has_own = inspect.isclass(self.function) and self.function.__init__ is not object.__init__
            return parameters_of(self.function.__init__, skip=1) if has_own else ()
        if self.is_object:
            return (table,)
        if self.kind == "row_step":
            if self.columns:
                return (table, *parameters_of(self.function, skip=len(self.columns)))
            first, *rest = parameters_of(self.function) or (None,)
            if first is None:
                raise _wrong_definition(
                    self.function, "takes no parameter", "A row_step's first takes the rows."
                )
            # The first parameter carries the rows whatever its annotation says.
            form: Form = first.form if first.form in ARTIFACT_FORMS else "table"
            return (Parameter(first.name, first.annotation, EMPTY, form), *rest)
        return parameters_of(self.function)

    def _outputs(self) -> tuple[str, ...]:
        named = self.options.get("outputs")
        if named:
            return tuple(named)
        several = results_of(self.result)
        if several is None or self.kind in ("transform", "trainer", "check"):
            return ("result",)
        return tuple(getattr(self.result, "_fields", None) or (str(i) for i in range(len(several))))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a step to the pipeline that is being built; outside a build, run the function."""
        if self.kind == "transform":
            return cast("R", self._configured(args, kwargs))
        builder = builders.current()
        if builder is None:
            if self.is_object:
                raise InvalidInput(
                    f"{self!r} is called outside a pipeline.",
                    hint="Use the estimator itself, or call it in the body of a @tm.pipeline.",
                    code=codes.NOT_IN_PIPELINE,
                )
            given = replaced([list(args), kwargs], lambda secret: secret.text())
            returned: Any = self.function(*given[0], **given[1])
            wholes = _wholes.get()
            if wholes is not None and self.outputs == ("result",) and isinstance(returned, (tuple, dict)):
                wholes.append(cast("object", returned))
            return cast("R", returned)
        settings, inputs = self.bind(builder, self.short_name, args, kwargs)
        role: graphs.Role = "rows" if self.kind == "row_step" else "call"
        table = self.parameters[0].name if role == "rows" else None
        if table is not None and not isinstance(inputs.get(table), graphs.Port):
            raise InvalidInput(
                f"Step '{self.short_name}' needs a step's result or a dataset as '{table}'.",
                why="It is a row_step: it maps over the rows of one table.",
                hint="Give it tm.dataset(NAME), or what a step returned.",
                code=codes.NOT_AN_ARTIFACT,
            )
        handles = builder.add(self.short_name, role, self, settings, inputs, self.outputs, table=table)
        return cast("R", handles[0] if self.outputs == ("result",) else handles)

    def bind(
        self,
        builder: builders.Builder,
        step: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        unconverted: Sequence[str] = (),
    ) -> tuple[dict[str, Any], dict[str, graphs.Input]]:
        """The call's arguments, parted into settings (plain) and inputs (handles).

        ``unconverted`` are settings that somebody else sees to.

        Raises:
            InvalidInput: ``wrong-call``, ``not-a-setting``, ``not-an-artifact``, ``wrong-parameter-type``.
        """
        given = self._named(step, args, kwargs)
        settings: dict[str, Any] = {}
        inputs: dict[str, graphs.Input] = {}
        for name, value in given.items():
            parameter = next((p for p in self.parameters if p.name == name), None)
            if name in unconverted:
                settings[name] = value
                continue
            source = builder.source(step, name, value)
            if source is not None:
                if parameter is not None:
                    refuse_wrong(step, parameter, source, builder.node_of)
                inputs[name] = source
                continue
            form = parameter.form if parameter else "any"
            if form in ARTIFACT_FORMS and value is not None and form != "path":
                assert parameter is not None
                raise InvalidInput(
                    f"'{name}' of step '{step}' must be a step's result or a dataset, not {value!r}.",
                    why=f"It is annotated {shown(parameter.annotation)}.",
                    hint="Make it in a step and pass that step's result.",
                    code=codes.NOT_AN_ARTIFACT,
                )
            settings[name] = self._setting(step, name, value, parameter)
        return settings, inputs

    @staticmethod
    def _setting(step: str, name: str, value: Any, parameter: Parameter | None) -> Any:
        if parameter is None:
            check_columns({name: value}, f"Step '{step}'")
            return values.plain(value, step, name, TRAINER_SETTINGS_TYPE)
        secret = parameter.default if isinstance(parameter.default, Secret) else EMPTY
        try:
            converted = values.given(value, parameter.annotation, secret)
        except ValueError:
            what = f"Setting of step '{step}':"
            raise values.wrong_type(what, name, value, parameter.annotation, secret) from None
        return values.plain(converted, step, name, parameter.annotation)

    def _named(self, step: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = [p.name for p in self.parameters]
        known = (*names, *(TRAINER_SETTINGS if self.kind == "trainer" else ()))
        given = by_name(f"Step '{step}'", names, args, kwargs)
        for name in kwargs:
            if name not in known:
                raise InvalidInput(
                    f"Step '{step}' has no parameter '{name}'.",
                    hint=did_you_mean(name, known),
                    code=codes.WRONG_CALL,
                )
        for parameter in self.parameters:
            if parameter.name not in given:
                if parameter.required:
                    raise InvalidInput(
                        f"Step '{step}' lacks '{parameter.name}'.",
                        hint=f"It is {shown(parameter.annotation)}; give it in the call.",
                        code=codes.WRONG_CALL,
                    )
                given[parameter.name] = parameter.default
        return given

    def _configured(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Component[..., Any]":
        if any(isinstance(v, (Handle, Dataset, Model)) for v in (*args, *kwargs.values())):
            raise InvalidInput(
                f"Transform '{self.short_name}' is called with the result of a step.",
                hint=f"Fit it, then apply it: fitted = {self.short_name}.fit(train); "
                "train = fitted.apply(train).",
                code=codes.WRONG_CALL,
            )
        bound = {**self.bound, **self._named(self.short_name, args, kwargs)}
        return Component(
            self.kind, self.function, self.options, module=self.module, bound=bound, origin=self.origin
        )

    def instance(self, settings: Mapping[str, Any] | None = None) -> Any:
        """A transform's object: the class called with its settings; a scikit-learn object as it is."""
        if self.is_object:
            return self.function
        wanted = {p.name: p.annotation for p in self.parameters}
        if settings is None:
            return self.function(**{n: self._fitting(n, v) for n, v in self.bound.items()})
        return self.function(**{n: values.read(v, wanted[n]) for n, v in settings.items()})

    def _fitting(self, name: str, value: Any) -> Any:
        """A transform's setting as its annotation wants it."""
        parameter = next(p for p in self.parameters if p.name == name)
        try:
            return values.given(value, parameter.annotation)
        except ValueError:
            what = f"Setting of transform '{self.short_name}':"
            raise values.wrong_type(what, name, value, parameter.annotation) from None

    def fit(self, table: Any) -> "Fitted":
        """Fit the transform on a table; in a build, a step. The result's ``apply`` uses what was learned."""
        if self.kind != "transform":
            raise InvalidInput(
                f"{self!r} has no fit().", hint="Only a transform has one.", code=codes.WRONG_CALL
            )
        builder = builders.current()
        if builder is None:
            return Fitted(self, self.instance().fit(table), {})
        step = f"{self.short_name}-fit"
        given = {p.name: p.default for p in self.parameters if not p.required} | self.bound
        settings = {
            p.name: values.plain(self._fitting(p.name, v), step, p.name, p.annotation, v)
            for p in self.parameters
            if (v := given.get(p.name, EMPTY)) is not EMPTY
        }
        for parameter in self.parameters:
            if parameter.name not in settings:
                raise InvalidInput(
                    f"Transform '{self.short_name}' lacks '{parameter.name}'.",
                    hint=f"Type {self.short_name}({parameter.name}=...).fit(...).",
                    code=codes.WRONG_CALL,
                )
        source = _one_source(builder, step, table)
        (state,) = builder.add(step, "fit", self, settings, {TABLE: source}, ("result",), table=TABLE)
        return Fitted(self, state, settings)

    def serve(
        self, columns: Mapping[str, Any], settings: Mapping[str, Any], state: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """What the predictor does with this component: columns in, columns out, ``_row`` beside them."""
        from tidemill.pipeline.serving import serve  # noqa: PLC0415 - only a predictor needs it

        return serve(self, columns, settings, state)


_wholes: ContextVar[list[object] | None] = ContextVar("wholes", default=None)


@contextmanager
def whole_results() -> Generator[list[object]]:
    """Inside the block, which runs in memory: the tuples and dicts that are one result of a step each."""
    wholes: list[object] = []
    token = _wholes.set(wholes)
    try:
        yield wholes
    finally:
        _wholes.reset(token)


class Fitted:
    """A transform with what it learned; ``state`` is a handle in a build, the state itself outside."""

    def __init__(self, component: Component[..., Any], state: Any, settings: Mapping[str, Any]) -> None:
        self.component = component
        self.state = state
        self._settings = dict(settings)

    def apply(self, table: Any) -> Any:
        """Apply what was learned to a table; in a build, a step that computes changed rows only."""
        builder = builders.current()
        if builder is None:
            return self.component.instance().apply(table, self.state)
        step = f"{self.component.short_name}-apply"
        inputs: dict[str, graphs.Input] = {
            TABLE: _one_source(builder, step, table),
            "state": _one_source(builder, step, self.state),
        }
        (handle,) = builder.add(
            step, "apply", self.component, self._settings, inputs, ("result",), table=TABLE
        )
        return handle


def _one_source(builder: builders.Builder, step: str, value: Any) -> graphs.Port:
    source = builder.source(step, TABLE, value)
    if not isinstance(source, graphs.Port):
        raise InvalidInput(
            f"Step '{step}' needs a step's result or a dataset, not {value!r}.",
            hint="Give it tm.dataset(NAME), or what a step returned.",
            code=codes.NOT_AN_ARTIFACT,
        )
    return source


def _is_at(home: object, qualname: str, component: object) -> bool:
    found: object = home
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is component


def _wrong_definition(function: Any, what: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"{getattr(function, '__qualname__', function)} {what}.", hint=hint, code=codes.WRONG_DEFINITION
    )
