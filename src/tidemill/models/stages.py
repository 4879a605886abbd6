"""The stages between raw rows and the model: the pipeline's own components, run on columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput, TidemillError
from tidemill.core.kinds import raised, type_name
from tidemill.models import state as states
from tidemill.store.spelling import TypedColumns

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

ROW = "_row"
"""The column that travels with the rows through the stages: each row's position in the request."""


class StageSpec(TypedDict):
    """One stage, as ``predictor.json`` lists it.

    Attributes:
        name: The step's name in the pipeline.
        kind: ``row_step`` or ``transform``.
        component: ``module:qualname``, of the bundle's code or of an installed module.
        settings: The step's settings, by name; JSON values.
        state: What a transform learned: the object itself when a bundle is built, its file in the bundle
            once it is written; None where there is none.
    """

    name: str
    kind: str
    component: str
    settings: Mapping[str, Any]
    state: Any


class Stages:
    """The stages of one bundle, their components imported and their states read."""

    def __init__(self, specs: Sequence[StageSpec], folder: Path, code: "IsolatedCode") -> None:
        self._stages = [
            (
                spec["name"],
                _serve(code, spec),
                dict(spec["settings"]),
                None if spec["state"] is None else states.read(folder / spec["state"]),
            )
            for spec in specs
        ]

    def run(
        self, rows: int, columns: "dict[str, np.ndarray[Any, Any]]", types: Mapping[str, str] | None = None
    ) -> "dict[str, np.ndarray[Any, Any]]":
        """The columns as the model wants them.

        Args:
            rows: How many.
            columns: The checked raw columns.
            types: The Arrow type of each whose dtype does not say it, so that a step gets what it got in training.

        Raises:
            InvalidInput: ``row-refused``, when a stage drops a row; the details name ``row`` and ``stage``.
            Failed: ``stage-failed``, when a stage raises something of its own.
        """
        if not self._stages:
            return columns
        import numpy as np  # noqa: PLC0415

        columns = TypedColumns({**columns, ROW: np.arange(rows)}, types or {})
        for name, serve, settings, state in self._stages:
            try:
                columns = TypedColumns.after(serve(columns, settings, state), columns)
            except TidemillError as error:
                error.details.setdefault("stage", name)
                raise
            except Exception as error:
                raise Failed(
                    f"Stage '{name}' failed: {raised(error)}.",
                    hint=f"Try the step '{name}' on these rows in the pipeline.",
                    code=codes.STAGE_FAILED,
                    details={"stage": name},
                ) from error
            if len(columns.get(ROW, ())) != rows:
                raise _refused(name, rows, columns)
        return columns


def _serve(code: "IsolatedCode", spec: StageSpec) -> Any:
    component = code.component(spec["component"])
    serve = getattr(component, "serve", None)
    if serve is None:
        raise InvalidInput(
            f"'{spec['component']}' cannot be served.",
            why=f"It is a {type_name(component)}, not a row_step or a transform.",
            hint="Decorate it with tm.row_step or tm.transform.",
            code=codes.NOT_SERVABLE,
            details={"component": spec["component"]},
        )
    return serve


def _refused(name: str, rows: int, columns: "Mapping[str, np.ndarray[Any, Any]]") -> TidemillError:
    left = columns.get(ROW)
    if left is None or len(left) > rows:
        return Failed(
            f"Stage '{name}' lost track of the rows.",
            why=f"It must carry the column '{ROW}' along, and may only drop rows.",
            hint="Return the columns that came in, changed.",
            code=codes.STAGE_FAILED,
            details={"stage": name},
        )
    kept = {int(r) for r in left}
    row = next(r for r in range(rows) if r not in kept)
    return InvalidInput(
        f"Row {row} was refused by '{name}'.",
        why=f"In training, '{name}' drops such rows, so the model never learned from one.",
        hint=f"Send a row that '{name}' keeps.",
        code=codes.ROW_REFUSED,
        details={"row": row, "stage": name},
    )
