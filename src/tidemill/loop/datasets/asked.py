"""Forgotten rows as requests are about them: by the key that a request says, or by all cells that it has.

Cells are compared as a log keeps them, each spelled in one way, so that a date with another offset, NaN for a missing
cell and a narrower number are the same.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.signature import Signature, Tensor
    from tidemill.store.spelling import Spelling
    from tidemill.store.table import Table

Which = Callable[[Mapping[str, "np.ndarray[Any, Any]"]], "np.ndarray[Any, Any]"]
"""Of a page of requests, which are sought: (rows,), bool. It is given columns by the names of the signature's inputs, and
of what names a row where that was sent."""


@dataclass(frozen=True, slots=True)
class Sought:
    """How forgotten rows are known where no ``_id`` is beside them.

    Attributes:
        ids: Their ``_id``s.
        rows: The rows, with all their columns.
        key: The columns that name a row of the dataset.
        words: Texts that only these rows have.
    """

    ids: Collection[int]
    rows: "Sequence[Table]"
    key: Sequence[str]
    words: Collection[str]

    def among(self, signature: "Signature", *, by_key: bool) -> Which:
        """Which requests to a model are about these rows.

        Args:
            signature: The model's.
            by_key: Whether its key columns name rows of this dataset.
        """
        import numpy as np  # noqa: PLC0415

        from tidemill.serve.log_layout import says  # noqa: PLC0415

        tensors = {t.name: t for t in signature.logged}
        inputs = [t.name for t in signature.inputs]
        of_cells = self._wanted([tensors[n] for n in inputs])
        key = list(self.key) if by_key and self.key and set(self.key) <= tensors.keys() else []
        of_key = self._wanted([tensors[n] for n in key])

        def which(columns: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
            cells = {n: _cells(a, tensors[n]) for n, a in columns.items() if n in tensors}
            found = _among(of_cells, cells, inputs) if inputs else np.zeros(_length(columns), bool)
            if key and set(key) <= cells.keys():
                found |= _among(of_key, cells, key)
            if self.words and cells:
                rows = zip(*cells.values(), strict=True)
                found |= np.array([any(says(cell, self.words) for cell in row) for row in rows], bool)
            return found

        return which

    def _wanted(self, tensors: "Sequence[Tensor]") -> set[tuple[bytes, ...]]:
        from tidemill.models.columns import from_table  # noqa: PLC0415

        wanted: set[tuple[bytes, ...]] = set()
        for table in self.rows if tensors else ():
            if all(t.name in table.columns for t in tensors):
                try:
                    columns = from_table(table, [t.name for t in tensors])
                    wanted |= set(zip(*(_cells(columns[t.name], t) for t in tensors), strict=True))
                except (TypeError, ValueError, OverflowError):
                    # Cells of another kind than the model takes: nobody asked it about such a row.
                    continue
        return wanted


def _among(
    wanted: set[tuple[bytes, ...]], cells: Mapping[str, Sequence[bytes]], names: Sequence[str]
) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.array([row in wanted for row in zip(*(cells[n] for n in names), strict=True)], bool)


def _length(columns: "Mapping[str, np.ndarray[Any, Any]]") -> int:
    return next((len(column) for column in columns.values()), 0)


def _cells(array: "np.ndarray[Any, Any]", tensor: "Tensor") -> list[bytes]:
    """Each cell as bytes that are equal where the cells are."""
    import numpy as np  # noqa: PLC0415

    from tidemill.models.signature import DATATYPES  # noqa: PLC0415
    from tidemill.serve.log_layout import encode_rows  # noqa: PLC0415
    from tidemill.store.spelling import Spelling  # noqa: PLC0415

    mask, data = np.ma.getmaskarray(array).copy(), np.ma.getdata(array)
    if tensor.datatype == "BYTES":
        data = data.astype(object)
        data[mask] = ""
        if tensor.type:
            data = _spelled(data, mask, Spelling(tensor.type))
    else:
        data = data.astype(DATATYPES[tensor.datatype])
        if data.dtype.kind == "f":
            mask |= np.isnan(data)
            data = data + 0.0  # of the two zeros, the one
        data[mask] = 0
    column = np.ma.MaskedArray(data, mask=mask) if mask.any() else data
    return encode_rows({tensor.name: column}, [tensor])


def _spelled(
    texts: "np.ndarray[Any, Any]", mask: "np.ndarray[Any, Any]", spelling: "Spelling"
) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    spelled: dict[str, str] = {}
    for text in {str(t) for t in texts[~mask]}:
        try:
            (spelled[text],) = spelling.write(spelling.arrow(spelling.read("", np.array([text], object))))
        except InvalidInput:
            spelled[text] = text
    found = np.empty(texts.shape, object)
    found[...] = ""
    found[~mask] = [spelled[str(t)] for t in texts[~mask]]
    return found
