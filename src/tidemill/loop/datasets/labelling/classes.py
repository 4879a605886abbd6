"""Labels as people give them: texts, the keys that stand for them, and the cells that they become."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean, listed
from tidemill.loop.datasets.labelling.views import ClassView

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.store.table import Table

_DIGITS = "1234567890"
MOST = 200
"""Different labels in a column, at most, for it to be taken as a column of classes."""


def texts(table: "Table", column: str) -> "np.ndarray[Any, Any]":
    """A column's cells as labels: an object array of texts, None where a cell is missing."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    cells = table.to_arrow().column(column).cast(pa.string())
    return np.array(cells.to_pylist(), dtype=object)


def cells(labels: Sequence[str], kind: "pa.DataType") -> "pa.Array":
    """Labels as cells of a column of type ``kind``."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.array(labels, pa.string()).cast(kind)


def check_column(schema: "pa.Schema", column: str, classes: Sequence[str]) -> None:
    """Check that a column can hold these labels.

    Raises:
        InvalidInput: ``not-a-label``.
    """
    import pyarrow as pa  # noqa: PLC0415

    kind = schema.field(column).type
    try:
        cells(list(classes), kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"Column '{column}' is {kind}, and cannot hold {', '.join(classes[:5]) or 'labels'}.",
            why=str(error).splitlines()[0],
            hint="Name another column with --column, or other classes with --class.",
            code=codes.NOT_A_LABEL,
        ) from error


def ordered(names: "set[str]") -> list[str]:
    """Class names in the order in which a person expects them: numbers by size, else by alphabet."""
    return sorted(names, key=lambda n: (0, float(n), n) if _is_number(n) else (1, 0.0, n))


def with_keys(classes: Sequence[str]) -> list[ClassView]:
    """Each class with its key: a name of one character itself, the others the digits, as far as they go.

    A key that another class's name begins with is none, since it begins to type that name.
    """

    def begins(key: str, own: str) -> bool:
        return any(n != own and n.casefold().startswith(key.casefold()) for n in classes)

    found = {n: n for n in classes if len(n) == 1 and n.isprintable() and n != " " and not begins(n, n)}
    free = iter([d for d in _DIGITS if not begins(d, "")])
    return [ClassView(n, found.get(n) or (next(free, None) if len(n) > 1 else None)) for n in classes]


def check_label(label: str, classes: Sequence[str]) -> None:
    """Check that a label is one of the queue's.

    Raises:
        InvalidInput: ``not-a-class``.
    """
    if label not in classes:
        raise InvalidInput(
            f"'{label}' is no class of this queue.",
            hint=did_you_mean(
                label, classes, f"There are: {listed(classes)}. Another is added with --class '{label}'."
            ),
            code=codes.NOT_A_CLASS,
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
