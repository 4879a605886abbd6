"""The port between an import and where its rows come from."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Group:
    """Columns of a source whose type is to be found: one, or those that fold into a tensor and share one type.

    Attributes:
        sources: Their names in the source.
        tensor: Whether they fold: then the narrowest whole number type is wanted, not int64.
        known: The dataset's type, which is found again where every cell fits it; None for a new column.
    """

    sources: tuple[str, ...]
    tensor: bool = False
    known: "pa.DataType | None" = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is, or the columns' names are: a file, and its line or row counted from 1 where it has such."""

    file: str
    unit: str = ""
    number: int = 0

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}" if self.unit else self.file

    def details(self, column: str | int) -> dict[str, object]:
        """For an error's details."""
        return {"file": self.file, **({self.unit: self.number} if self.unit else {}), "column": column}


@dataclass(frozen=True, slots=True)
class Note:
    """What a person should know about how the rows were read.

    Attributes:
        code: Its kind, such as ``decided-type``.
        column: The column that it is about; None for all.
        text: Whole sentences.
    """

    code: str
    column: str | None
    text: str


class Source(Protocol):
    """Rows from somewhere. Its pieces can be asked for more than once, and are the same each time."""

    @property
    def name(self) -> str:
        """What complaints and a commit's message call it."""
        ...

    @property
    def how(self) -> str:
        """How the types of its columns are found, for a person: ``found in the cells``."""
        ...

    @property
    def head(self) -> Place:
        """Where its columns are named."""
        ...

    @property
    def sparse(self) -> bool:
        """Whether a column that it does not name is one whose cells are all missing."""
        ...

    @property
    def notes(self) -> "Sequence[Note]":
        """What a person should know, of what was read so far."""
        ...

    @property
    def spellings(self) -> "Mapping[str, str]":
        """Of a source column, what its cells have in common beyond their values; known with its type."""
        ...

    def fields(self) -> "Sequence[pa.Field]":
        """Its columns, in order; of type null where the type is to be found in the cells.

        Raises:
            InvalidInput: With file, line or row, and column.
        """
        ...

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the narrowest that every cell fits.

        Args:
            groups: What is to be found.
            fixed: The types of the other columns.

        Raises:
            InvalidInput: With file, line or row, and column.
        """
        ...

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, some at a time, with these columns in these types.

        Args:
            types: Of every column.
            given: The columns whose type a person gave: there, text is read by its value alone, and may lose its
                spelling.

        Raises:
            InvalidInput: With file, line or row, and column.
        """
        ...

    def place(self, row: int) -> Place:
        """Where a row (counted from 0) is."""
        ...
