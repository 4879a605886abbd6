"""Reading a prediction log: for harvesting feedback, for tracing a prediction, for drift. Changes nothing."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidemill.models.signature import Signature
from tidemill.serve import log_layout
from tidemill.serve.log_pruning import Pruned

if TYPE_CHECKING:
    import numpy as np

_PAGE = 1000
_SELECT = (
    "SELECT p.sequence, p.id, p.time, p.checking, p.inputs, p.outputs, r.digest, r.number, r.signature "
    "FROM predictions p JOIN releases r ON r.id = p.release "
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One logged, answered row.

    Attributes:
        sequence: Its place in the log; grows.
        id: What the client was told.
        time: When it was answered (``clock.stamp``).
        release: Digest of the release that answered.
        number: That release's number.
        checking: Whether it was asked of a server that had not taken over yet: a check, not traffic.
        signature: What the release takes and gives.
        inputs: The raw row, each column an array of the cell's shape (masked where cells are missing).
        outputs: The answer, likewise.
    """

    sequence: int
    id: str
    time: str
    release: str
    number: int
    checking: bool
    signature: Signature
    inputs: "dict[str, np.ndarray[Any, Any]]"
    outputs: "dict[str, np.ndarray[Any, Any]]"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One label sent back. Of several for one prediction the one with the largest sequence counts."""

    sequence: int
    prediction: str
    label: str | float | int
    time: str


class LogReader:
    """A log, open for reading while servers write to it. Use as a context manager, or ``close`` it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._database = log_layout.open_to_read(file)
        self._is_of_layout_1 = self._rows("PRAGMA user_version", ())[0][0] == 1
        self._signatures: dict[str, Signature] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def count(self, *, checking: bool = False) -> int:
        """How many predictions of traffic there are; of checks instead, if asked."""
        rows = self._rows("SELECT count(*) FROM predictions WHERE checking = ?", (int(checking),))
        return int(rows[0][0])

    def predictions(
        self,
        ids: Sequence[str] | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
        checking: bool = False,
    ) -> Iterator[Prediction]:
        """Logged rows, in the order of the log; read a page at a time.

        Args:
            ids: Only these (checks among them too); one that the log does not have is left out.
            after: Only rows with a larger sequence than this.
            limit: At most so many.
            checking: Whether to give checks of servers before they took over as well.
        """
        if ids is not None:
            yield from self._by_id(ids)
            return
        left = limit
        while left is None or left > 0:
            page = _PAGE if left is None else min(_PAGE, left)
            rows = self._rows(
                _SELECT + "WHERE p.sequence > ? AND p.checking <= ? ORDER BY p.sequence LIMIT ?",
                (after, int(checking), page),
            )
            yield from map(self._prediction, rows)
            if len(rows) < page:
                return
            after = int(rows[-1][0])
            left = None if left is None else left - len(rows)

    def feedback(self, *, after: int = 0, limit: int | None = None) -> list[Feedback]:
        """What was sent back, in order, with a larger sequence than ``after``."""
        rows = self._rows(
            "SELECT sequence, prediction, label, time FROM feedback WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, -1 if limit is None else limit),
        )
        return [Feedback(*row) for row in rows]

    def labels(self, ids: Sequence[str]) -> dict[str, Feedback]:
        """For each of these predictions that has feedback, the latest."""
        found: dict[str, Feedback] = {}
        for at in range(0, len(ids), _PAGE):
            some = ids[at : at + _PAGE]
            rows = self._rows(
                "SELECT max(sequence), prediction, label, time FROM feedback "  # noqa: S608 - only marks are put in
                f"WHERE prediction IN ({_marks(some)}) GROUP BY prediction",
                some,
            )
            found.update({str(row[1]): Feedback(*row) for row in rows})
        return found

    def pruned(self) -> list[Pruned]:
        """What left the log, by day, the earliest first."""
        if self._is_of_layout_1:
            return []
        return [
            Pruned(*r) for r in self._rows("SELECT day, predictions, until FROM prunings ORDER BY day", ())
        ]

    def _by_id(self, ids: Sequence[str]) -> Iterator[Prediction]:
        wanted = list(dict.fromkeys(ids))
        rows: list[Any] = []
        for at in range(0, len(wanted), _PAGE):
            some = wanted[at : at + _PAGE]
            rows += self._rows(_SELECT + f"WHERE p.id IN ({_marks(some)})", some)
        yield from map(self._prediction, sorted(rows, key=lambda row: row[0]))

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise log_layout.storage_error(self._file, error) from error

    def _prediction(self, row: Any) -> Prediction:
        sequence, name, time, checking, inputs, outputs, digest, number, text = row
        signature = self._signatures.get(text)
        if signature is None:
            signature = self._signatures[text] = Signature.from_json(json.loads(text))
        return Prediction(
            sequence=sequence,
            id=name,
            time=time,
            release=digest,
            number=number,
            checking=bool(checking),
            signature=signature,
            inputs=_one(log_layout.decode_rows([inputs], signature.logged)),
            outputs=_one(log_layout.decode_rows([outputs], signature.outputs)),
        )


def stack(predictions: Sequence[Prediction]) -> "dict[str, np.ndarray[Any, Any]]":
    """The inputs of several predictions as columns, in their order; masked where any cell is missing.

    All must have the same inputs.
    """
    import numpy as np  # noqa: PLC0415

    if not predictions:
        return {}
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name in predictions[0].inputs:
        cells = [p.inputs[name] for p in predictions]
        masked = any(isinstance(c, np.ma.MaskedArray) for c in cells)
        columns[name] = np.ma.stack(cells) if masked else np.stack(cells)
    return columns


def _one(columns: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, np.ndarray[Any, Any]]":
    return {name: column[0:1].reshape(column.shape[1:]) for name, column in columns.items()}


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
