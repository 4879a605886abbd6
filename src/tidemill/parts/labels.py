"""Encoding labels as numbers that can be decoded again."""

from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.components import row_step

if TYPE_CHECKING:
    from tidemill.store.table import Table


@row_step(training_only=True)
def one_hot(rows: "Table", label: str, classes: list[str], to: str = "target") -> "Table":
    """Add a float32 tensor column of length ``len(classes)``: 1 at the label's place, 0 elsewhere.

    The label itself stays, so that the encoding can always be read back.

    Raises:
        InvalidInput: ``unknown-class``, when a label is not among ``classes``.
    """
    import numpy as np  # noqa: PLC0415

    labels = rows.numpy(label)
    index = {name: i for i, name in enumerate(classes)}
    try:
        places = np.fromiter((index[v] for v in labels), np.intp, len(labels))
    except KeyError as error:
        raise InvalidInput(
            f"The label {error} is not one of the classes.",
            why=f"They are: {', '.join(classes)}.",
            hint="Remove such rows first with parts.keep_labels.",
            code=codes.UNKNOWN_CLASS,
        ) from None
    return rows.with_column(to, np.eye(len(classes), dtype=np.float32)[places])
