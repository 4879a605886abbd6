"""The sample that a bundle carries: raw rows, and what the pipeline answered for them.

With it whoever starts a server can ask it real questions whose answers are known.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import NotFound
from tidemill.core.files import atomic_write
from tidemill.models import state
from tidemill.models.columns import Columns

if TYPE_CHECKING:
    import numpy as np

FILE = "sample.zip"
ROWS = 64
"""At most so many rows are kept: enough to notice a wrong model, little next to it."""


def write(
    folder: Path, raw: Columns, expected: "np.ndarray[Any, Any]", classes: tuple[str, ...] | None
) -> None:
    """Keep the first ``ROWS`` rows, and their answers by output name, in a bundle."""
    import numpy as np  # noqa: PLC0415

    columns = {
        name: {
            "data": np.ma.getdata(values[:ROWS]),
            "mask": np.ma.getmaskarray(values[:ROWS]) if np.ma.isMaskedArray(values) else None,
        }
        for name, values in raw.items()
    }
    answers = np.asarray(expected)[:ROWS]
    if classes is None:
        outputs = {"value": answers.astype(np.float64).reshape(len(answers))}
    else:
        outputs = {"label": np.array(classes)[answers.argmax(1)], "probabilities": answers.astype(np.float32)}
    state.write({"columns": columns, "outputs": outputs}, folder / FILE)


def without(folder: Path, gone: "np.ndarray[Any, Any]") -> None:
    """Take the rows out of a bundle's sample that ``gone`` is true for; (rows,), bool."""
    body = state.read(folder / FILE)

    def left(values: "np.ndarray[Any, Any] | None") -> "np.ndarray[Any, Any] | None":
        return None if values is None else values[~gone]

    columns = {n: {"data": left(c["data"]), "mask": left(c["mask"])} for n, c in body["columns"].items()}
    outputs = {n: left(values) for n, values in body["outputs"].items()}
    with atomic_write(folder / FILE) as part:
        state.write({**body, "columns": columns, "outputs": outputs}, part)


def read(folder: Path) -> "tuple[dict[str, np.ndarray[Any, Any]], dict[str, np.ndarray[Any, Any]]]":
    """The raw rows of a bundle's sample as columns, and the pipeline's answers by output name.

    Raises:
        NotFound: ``sample-not-found``.
        InvalidInput: ``state-damaged``.
    """
    import numpy as np  # noqa: PLC0415

    if not (folder / FILE).is_file():
        raise NotFound(
            f"The predictor in {folder} carries no sample rows.",
            hint="Make the release again: 'tidemill release create'.",
            code=codes.SAMPLE_NOT_FOUND,
        )
    body = state.read(folder / FILE)
    columns: dict[str, Any] = {
        name: column["data"]
        if column["mask"] is None
        else np.ma.MaskedArray(column["data"], mask=column["mask"])
        for name, column in body["columns"].items()
    }
    return columns, body["outputs"]
