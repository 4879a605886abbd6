"""What a person should know about the text that an import read: cells that decided a type, words that may mean missing."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidemill.data.sources.source import Note
from tidemill.data.spelling import quoted, spelling_of, why_lost

if TYPE_CHECKING:
    import pyarrow as pa

MISSING_WORDS = (
    "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "none", "NaN", "nan", "NAN", "nil", "missing",
    "-", "--", "?", ".",
)  # fmt: skip
"""What files write where a value is missing; each may be a value too (NA is Namibia)."""


class Noticed:
    """What was seen of one column, or of the columns of a tensor.

    Args:
        name: Of the column.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.decided: tuple[int, str, pa.DataType] | None = None
        self._words: Counter[str] = Counter()
        self._first: int | None = None
        self._empty = 0
        self._spelling: str | None = None
        self._spelled = True

    @property
    def mixed(self) -> bool:
        """Whether the cells that were seen do not have that in common."""
        return not self._spelled

    @property
    def spelling(self) -> str | None:
        """What all cells had in common beyond their values."""
        return self._spelling if self._spelled else None

    def texts(self, cells: Any, start: int) -> None:
        """Cells that stay text, of which the first has the number ``start``."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        found = pc.is_in(cells, value_set=pa.array(MISSING_WORDS))
        if self._first is None:
            at = pc.index(found, True).as_py()
            self._first = start + at if at >= 0 else None
        if self._first is not None:
            self._words.update(cells.filter(found).to_pylist())

    def typed(self, cells: Any, kind: "pa.DataType", empty: int) -> None:
        """Cells that were taken as ``kind``, and how many of them were empty texts in quotes."""
        self._empty += empty
        if self._spelled and cells.null_count < len(cells):
            found = spelling_of(cells, kind)
            self._spelled = found is not None and self._spelling in (None, found)
            self._spelling = found

    def notes(self, kind: "pa.DataType", place: Callable[[int], str]) -> list[Note]:
        """What to tell of it.

        Args:
            kind: The type that was found.
            place: Words for where a row is, by its number from 0.
        """
        import pyarrow as pa  # noqa: PLC0415

        found: list[Note] = []
        if pa.types.is_string(kind) and self._words:
            words = ", ".join(f"{quoted(word)} ({count:,})" for word, count in self._words.most_common(4))
            assert self._first is not None
            found.append(
                Note(
                    "missing-words",
                    self.name,
                    f"'{self.name}' holds {words}, first in {place(self._first)}: kept as text. "
                    f"--missing '{self._words.most_common(1)[0][0]}' takes it as missing.",
                )
            )
        if pa.types.is_string(kind) and self.decided is not None:
            row, text, was = self.decided
            if text not in self._words:
                found.append(
                    Note(
                        "decided-type",
                        self.name,
                        f"'{self.name}' is text, not {was}: {quoted(text)} in {place(row)} {why_lost(text, was)}.",
                    )
                )
        if self._empty and not pa.types.is_string(kind):
            found.append(
                Note(
                    "empty-texts",
                    self.name,
                    f"'{self.name}' has {self._empty:,} empty texts in quotes: taken as missing.",
                )
            )
        return found
