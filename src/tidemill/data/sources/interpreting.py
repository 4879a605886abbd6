"""A source of texts, such as CSV, for a dataset with cells that such a file writes in a form: lists as JSON, bytes as base64.

The source itself knows of texts only: it is asked for those, and they are read here.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.cell_text import from_text, text_form
from tidemill.data.cell_types import words
from tidemill.data.sources.source import Group, Note, Place, Source

if TYPE_CHECKING:
    import pyarrow as pa


class Interpreted:
    """A source of texts whose cells may say what a dataset keeps.

    Args:
        source: Gives the texts.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def how(self) -> str:
        """The source's."""
        return self._source.how

    @property
    def head(self) -> Place:
        """The source's."""
        return self._source.head

    @property
    def sparse(self) -> bool:
        """The source's."""
        return self._source.sparse

    @property
    def notes(self) -> Sequence[Note]:
        """The source's."""
        return self._source.notes

    @property
    def spellings(self) -> Mapping[str, str]:
        """The source's."""
        return self._source.spellings

    def fields(self) -> "Sequence[pa.Field]":
        """The source's."""
        return self._source.fields()

    def place(self, row: int) -> Place:
        """The source's."""
        return self._source.place(row)

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """As the source says; a column whose cells say what the dataset has is that, where every cell says so."""
        import pyarrow as pa  # noqa: PLC0415

        known = {
            g.sources[0]: g.known
            for g in groups
            if g.known is not None and text_form(g.known) and not g.tensor
        }
        texts = {name: pa.string() for name, kind in {**fixed, **known}.items() if text_form(kind)}
        asked = [replace(g, known=None) if g.known is not None and text_form(g.known) else g for g in groups]
        found = self._source.types(asked, {**fixed, **texts}) if asked else {}
        unsure = dict(known)
        if unsure:
            for piece in self._source.pieces({**fixed, **found, **texts}):
                for name in [n for n, kind in unsure.items() if _read(piece.column(n), kind) is None]:
                    del unsure[name]
        return {**found, **unsure}

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types.

        Raises:
            InvalidInput: ``wrong-type``, for the first cell that says none of its type.
        """
        import pyarrow as pa  # noqa: PLC0415

        read = {name: kind for name, kind in types.items() if text_form(kind)}
        if not read:
            yield from self._source.pieces(types, given)
            return
        start = 0
        for piece in self._source.pieces({**types, **dict.fromkeys(read, pa.string())}, given):
            table = piece
            for name, kind in read.items():
                at, column = table.column_names.index(name), piece.column(name)
                cells = _read(column, kind)
                if cells is None:
                    raise self._wrong(column, kind, name, start)
                table = table.set_column(at, name, cells)
            start += piece.num_rows
            yield table

    def _wrong(self, column: Any, kind: Any, name: str, start: int) -> InvalidInput:
        row = next(n for n in range(len(column)) if _read(column.slice(n, 1), kind) is None)
        at, text = self.place(start + row), repr(column[row].as_py())
        shown = text if len(text) <= 60 else text[:59] + "…"
        return InvalidInput(
            f"{at}, column '{name}': {shown} is not {words(kind)}.",
            why=f"The dataset keeps {words(kind)} there, which such a file writes as {text_form(kind)}.",
            hint="Correct that cell; to change the dataset's type, add --allow-schema-change.",
            code=codes.WRONG_TYPE,
            details=at.details(name),
        )


def _read(column: Any, kind: Any) -> Any:
    """Texts as cells of a type; None where one says no such cell."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return pa.chunked_array([from_text(chunk, kind) for chunk in column.chunks], kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
