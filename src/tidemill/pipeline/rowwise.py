"""What a row-wise component does with one table: the same for a chunk in a run and for rows in a notebook."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.figures import counted
from tidemill.core.kinds import type_name
from tidemill.pipeline import values
from tidemill.pipeline.frames import to_form
from tidemill.pipeline.identified import identified
from tidemill.pipeline.parameters import parameters_of
from tidemill.pipeline.secret import Secret

if TYPE_CHECKING:
    import numpy as np

    from tidemill.pipeline.component import Component
    from tidemill.store.table import Table


def apply_rows(
    component: "Component[..., Any]", table: "Table", arguments: Mapping[str, Any], *, proven: bool = False
) -> "tuple[Table, ...]":
    """Run a ``row_step`` on a table; one table for each of its outputs.

    Args:
        component: The row step.
        table: The rows, with their identity.
        arguments: What else the function takes.
        proven: Whether a run has shown already that the function keeps the order of rows.

    Raises:
        Failed: ``not-row-wise``, ``table-not-kept``, ``step-returned-wrong-type``, ``reserved-column``.
    """
    step = component.short_name
    if component.columns:
        arrays = [table.numpy_with_nan(c) for c in component.columns]
        made = component.function(*arrays, **arguments)
        return (_with_result(component, table, made),)
    first = component.parameters[0]
    ids = bool(component.options.get("ids"))

    def call(rows: "Table") -> Any:
        frame = to_form(rows, first.form, step=step, parameter=first.name, ids=ids)
        returned = component.function(frame, **arguments)
        several = returned if len(component.outputs) > 1 else (returned,)
        if not isinstance(several, (tuple, list)) or len(several) != len(component.outputs):
            raise _wrong_type(step, counted(len(component.outputs), "table"), returned)
        return several

    given = table.apart()
    several = call(given)
    return tuple(
        identified(component, given, member, None if proven else lambda rows, at=at: call(rows)[at])
        for at, member in enumerate(several)
    )


def apply_state(
    component: "Component[..., Any]",
    table: "Table",
    settings: Mapping[str, Any],
    state: Any,
    *,
    proven: bool = False,
) -> "Table":
    """Run a fitted transform on a table; ``proven`` as for ``apply_rows``."""
    instance = component.instance(settings)
    if component.is_object:
        made = _transform_object(component, table, state)
        return _with_result(component, table, made)
    if component.columns:
        arrays = [table.numpy_with_nan(c) for c in component.columns]
        return _with_result(component, table, instance.apply(*arrays, state))
    form = _form(instance.apply)
    step = component.short_name
    ids = bool(component.options.get("ids"))

    def call(rows: "Table") -> Any:
        return instance.apply(to_form(rows, form, step=step, parameter="table", ids=ids), state)

    given = table.apart()
    return identified(component, given, call(given), None if proven else call)


def fit_state(component: "Component[..., Any]", table: "Table", settings: Mapping[str, Any]) -> Any:
    """Fit a transform: its state, a dict of arrays and plain values."""
    instance = component.instance(settings)
    if component.is_object:
        fitted = unfitted(instance)
        fitted.fit(_matrix(component, table))
        return {"fitted": fitted}
    if component.columns:
        return instance.fit(*(table.numpy_with_nan(c) for c in component.columns))
    form = _form(instance.fit)
    ids = bool(component.options.get("ids"))
    return instance.fit(to_form(table, form, step=component.short_name, parameter="table", ids=ids))


def arguments_of(component: "Component[..., Any]", settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they were given, from how keys and records have them."""
    known = {p.name: p for p in component.parameters}
    found: dict[str, Any] = {}
    for name, tree in settings.items():
        parameter = known.get(name)
        if parameter is None:
            continue
        try:
            # Where a secret was, its text is.
            found[name] = tree if parameter.annotation is Secret else values.read(tree, parameter.annotation)
        except ValueError:
            found[name] = tree
    return found


def unfitted(estimator: Any) -> Any:
    """A copy of an estimator that has learned nothing."""
    if hasattr(estimator, "get_params"):
        return type(estimator)(**copy.deepcopy(estimator.get_params(deep=False)))
    return copy.deepcopy(estimator)


def _form(method: Any) -> Any:
    parameters = parameters_of(method)
    return parameters[0].form if parameters else "table"


def _matrix(component: "Component[..., Any]", table: "Table") -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    columns = component.columns
    if not columns:
        raise InvalidInput(
            f"Transform '{component.short_name}' does not say which columns it takes.",
            hint="Type tm.transform(StandardScaler(), columns='image').",
            code=codes.WRONG_DEFINITION,
        )
    return np.concatenate([table.numpy_with_nan(c).reshape(len(table), -1) for c in columns], axis=1)


def _transform_object(
    component: "Component[..., Any]", table: "Table", state: Mapping[str, Any]
) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    shape = table.shape_of(component.columns[0])
    if not len(table):
        return np.zeros((0, *shape))
    made = state["fitted"].transform(_matrix(component, table))
    made = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    same = len(component.columns) == 1 and made.ndim > 1 and made[0].size == int(np.prod(shape or (1,)))
    return made.reshape(len(table), *shape) if same else made


def _with_result(component: "Component[..., Any]", table: "Table", made: Any) -> "Table":
    import numpy as np  # noqa: PLC0415

    step = component.short_name
    if not isinstance(made, np.ndarray):
        raise _wrong_type(step, "a NumPy array", made)
    if made.ndim == 0 or len(made) != len(table):
        raise Failed(
            f"Step '{step}' got {counted(len(table), 'row')} and returned an array of shape {made.shape}.",
            why="A row_step in column form returns one value for each row.",
            hint="Return an array of the same length; to drop rows, take the whole table.",
            code=codes.NOT_ROW_WISE,
        )
    name = component.options.get("to") or component.columns[0]
    return table.with_column(name, _plain_strings(made))


def _plain_strings(made: "np.ndarray[Any, Any]") -> Any:
    # Arrow takes NumPy's fixed-width text only one by one.
    return made.tolist() if made.dtype.kind in "UT" else made


def _wrong_type(step: str, wanted: str, got: Any) -> Failed:
    return Failed(
        f"Step '{step}' must return {wanted}, not a {type_name(got)}.",
        hint="Correct what the function returns.",
        code=codes.STEP_RETURNED_WRONG_TYPE,
    )
