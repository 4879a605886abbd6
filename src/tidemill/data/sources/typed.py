"""Rows whose columns have types already: tables in files and in memory. What all such sources do alike."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.casting import cast_column
from tidemill.data.cell_text import text_form
from tidemill.data.cell_types import NotKeptError, keep, kept_field, words
from tidemill.data.sources.narrowing import narrowest_whole, widest
from tidemill.data.sources.paths import check_same_columns
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.spelling import exact, loose

if TYPE_CHECKING:
    import pyarrow as pa


class Part(Protocol):
    """One table of a source: a file, or a frame."""

    @property
    def name(self) -> str:
        """What complaints call it."""
        ...

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ...

    def schema(self) -> "pa.Schema":
        """Its columns."""
        ...

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in order, some at a time."""
        ...


class Typed:
    """Tables with the same columns, as one source.

    Args:
        name: What to call them together.
        parts: The tables.
        how: Where the types come from, for a person.
        notes: What a person should know beside that.
    """

    sparse = False
    spellings: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, name: str, parts: Sequence[Part], how: str = "of the file", notes: Sequence[Note] = ()
    ) -> None:
        self.name = name
        self.how = how
        self._notes = notes
        self._parts = list(parts)

    @property
    def notes(self) -> Sequence[Note]:
        """What a person should know beside the types."""
        return self._notes

    @property
    def head(self) -> Place:
        """The first table."""
        return Place(self._parts[0].name)

    @cached_property
    def _fields(self) -> "list[pa.Field]":
        first, *others = self._parts
        found = [kept_field(first.name, field) for field in first.schema()]
        for part in others:
            names = part.schema().names
            check_same_columns(first.name, [f.name for f in found], part.name, names)
            found = [_both(part.name, f, kept_field(part.name, part.schema().field(f.name))) for f in found]
        if not sum(part.rows for part in self._parts):
            raise InvalidInput(
                f"{self.name} has no row.",
                hint="Give it at least one row.",
                code=codes.EMPTY_FILE,
                details={"file": first.name, "row": 1, "column": 1},
            )
        return found

    def fields(self) -> "Sequence[pa.Field]":
        """The columns, in the types that a dataset keeps them in."""
        return self._fields

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The types of the columns themselves; of whole numbers that fold into a tensor, the narrowest."""
        import pyarrow as pa  # noqa: PLC0415

        del fixed
        own = {f.name: f.type for f in self._fields}
        found: dict[str, pa.DataType] = {}
        for group in groups:
            kind = reduce(widest, (own[s] for s in group.sources))
            if group.tensor and pa.types.is_integer(kind):
                kind = self._narrowest(group.sources)
            if group.known is not None and kind != group.known:
                kind = group.known if self._fit(group) else widest(group.known, kind)
            found |= dict.fromkeys(group.sources, kind)
        return found

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types."""
        import pyarrow as pa  # noqa: PLC0415

        names = [f.name for f in self._fields]
        for part in self._parts:
            start = 0
            for table in part.tables():
                arrays = [
                    _typed(
                        table.column(name),
                        types[name],
                        name,
                        lambda row, n=start, p=part: _place(p, n + row),
                        given=name in given,
                    )
                    for name in names
                ]
                start += table.num_rows
                yield pa.Table.from_arrays(arrays, names=names)

    def place(self, row: int) -> Place:
        """Where a row is."""
        for part in self._parts:
            if row < part.rows:
                return _place(part, row)
            row -= part.rows
        raise AssertionError(row)

    def _columns(self, names: Sequence[str]) -> Iterator[Any]:
        for part in self._parts:
            for table in part.tables():
                yield from (_kept(table.column(name)) for name in names)

    def _narrowest(self, names: Sequence[str]) -> "pa.DataType":
        import pyarrow.compute as pc  # noqa: PLC0415

        low = high = 0
        for column in self._columns(names):
            found = pc.min_max(column).as_py()
            low, high = min(low, found["min"] or 0), max(high, found["max"] or 0)
        return narrowest_whole(low, high)

    def _fit(self, group: Group) -> bool:
        return all(_fits(column, group.known) for column in self._columns(group.sources))


def _kept(column: Any) -> Any:
    """A column in the type that a dataset keeps it in; raises ``ArrowInvalid`` for cells that are not what they say."""
    import pyarrow as pa  # noqa: PLC0415

    # A file, or another library, may give texts that are not UTF-8, and places outside of the data.
    column.validate(full=True)
    chunks = [keep(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks) if chunks else keep(column.combine_chunks())


def _fits(column: Any, kind: Any, *, given: bool = False) -> bool:
    """Whether each cell can be of another type without losing anything."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        _in_type(column, kind, given=given)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True


def _in_type(column: Any, kind: Any, *, given: bool) -> Any:
    """Cells in another type; a text is what it would be in CSV. Raises what Arrow does where one would lose something."""
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_string(column.type) or pa.types.is_string(kind) or text_form(kind):
        return cast_column(column, kind)
    made = [(loose if given else exact)(chunk, kind) for chunk in column.chunks]
    if any(chunk is None for chunk in made):
        raise pa.ArrowInvalid(f"a text is not written as {kind} is")
    return pa.chunked_array(made, kind)


def _typed(column: Any, kind: Any, name: str, place: Any, *, given: bool) -> Any:
    """A column of a part, kept and then cast.

    Raises:
        InvalidInput: ``not-utf8``, ``unreadable-file``, ``unknown-cells``, ``wrong-type``, ``tensor-shape``.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        own = _kept(column)
    except (NotKeptError, pa.ArrowInvalid) as error:
        rows = (n for n in range(len(column)) if not _can_be_kept(column.slice(n, 1)))
        at, said = place(next(rows, 0)), str(error).splitlines()[0]
        if isinstance(error, NotKeptError):
            what, hint, code = "a dataset cannot keep the cell.", error.hint, codes.UNKNOWN_CELLS
        elif "UTF8" in said:
            what, code = "a text is not UTF-8.", codes.NOT_UTF8
            hint = "Write it as UTF-8, or the column as binary, where it holds no text."
        else:
            what, code = "the cells are not what their type says.", codes.UNREADABLE_FILE
            hint = "The file may be damaged: get or write it again."
        raise InvalidInput(
            f"{at}, column '{name}': {what}", why=said, hint=hint, code=code, details=at.details(name)
        ) from error
    return cast(own, kind, name, place, given=given)


def _can_be_kept(column: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    try:
        _kept(column)
    except (NotKeptError, pa.ArrowInvalid):
        return False
    return True


def cast(column: Any, kind: Any, name: str, place: Any, *, given: bool = False) -> Any:
    """A column in another type, every cell of it.

    Args:
        column: The cells, of a type that a dataset keeps.
        kind: The type.
        name: The column's name, for the complaint.
        place: Gives a row's ``Place`` by its number in ``column``.
        given: Whether a person gave the type: then only a text's value counts.

    Raises:
        InvalidInput: ``wrong-type``, for the first cell that does not fit.
    """
    import pyarrow as pa  # noqa: PLC0415

    if column.type == kind:
        return column
    if _fits(column, kind, given=given):
        return _in_type(column, kind, given=given)
    tensors = [k for k in (column.type, kind) if pa.types.is_fixed_size_list(k)]
    if len(tensors) == 2 and tensors[0].list_size != tensors[1].list_size:
        raise InvalidInput(
            f"{place(0).file}, column '{name}': its tensors have {tensors[0].list_size} values, the dataset's "
            f"{tensors[1].list_size}.",
            why="The tensors of a column have one shape.",
            hint="Bring them to that shape (images: --resize), or import them under another name.",
            code=codes.TENSOR_SHAPE,
            details=place(0).details(name),
        )
    # The first that does not fit is the last of the shortest beginning that does not.
    low, high = 0, len(column)
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (middle + 1, high) if _fits(column.slice(0, middle + 1), kind, given=given) else (low, middle)
        )
    at = place(low)
    value = repr(column[low].as_py())
    value = value if len(value) <= 60 else value[:59] + "…"
    raise InvalidInput(
        f"{at}, column '{name}': {value} is not {words(kind)}.",
        why=f"The column's type is {words(kind)}, and the value's is {words(column.type)}.",
        hint="Correct that cell, or give the column another type when the dataset is made; to change a dataset's "
        "type, add --allow-schema-change.",
        code=codes.WRONG_TYPE,
        details=at.details(name),
    )


def _place(part: Part, row: int) -> Place:
    return Place(part.name, "row", row + 1)


def _both(file: str, one: "pa.Field", other: "pa.Field") -> "pa.Field":
    """A column of two files that has one type in each."""
    import pyarrow as pa  # noqa: PLC0415

    wide = widest(one.type, other.type)
    if one.type != other.type and pa.types.is_string(wide):
        raise InvalidInput(
            f"{file}, column '{one.name}': it is {words(other.type)} here and {words(one.type)} before.",
            why="Files that are imported together become one table.",
            hint="Write the files with one type a column, or import them one by one.",
            code=codes.FILES_DIFFER,
            details={"file": file, "column": one.name},
        )
    return one.with_type(wide)
