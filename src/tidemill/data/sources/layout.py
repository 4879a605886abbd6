"""What a source's columns mean: which are plain, which fold into a tensor, of which types, and how that is known."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean
from tidemill.data.sources.source import Place
from tidemill.data.spelling import quoted, spelled, spelling
from tidemill.store.table import ID, PREDICTION, SHAPE, SYSTEM_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

GIVEN = "given"
"""How a type is known that a person gave."""
PREFIX = b"tidemill.prefix"
"""A tensor field's metadata: what its columns are called in CSV, before their number."""
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TYPES = (*_INTEGERS, "float32", "float64", "bool", "string", "date", "timestamp")
_UNITS = ("s", "ms", "us", "ns")
_AS_SHOWN = ("double", "date32[day]", "time32[s]", *(f"timestamp[{unit}]" for unit in _UNITS))
"""Types by the names that tables show. ``float`` is none: it is float32 there and float64 in Python."""
_TENSOR_TYPES = frozenset({*_INTEGERS, "float32", "float64", "double", "bool"})


def prefix_of(field: "pa.Field") -> str:
    """What the columns of a tensor are called in CSV, before their number."""
    return (field.metadata or {}).get(PREFIX, f"{field.name}_".encode()).decode()


@dataclass(frozen=True, slots=True)
class Tensor:
    """Columns to fold into one: those named ``prefix`` and a number, in the number's order, row by row.

    Attributes:
        prefix: What the columns' names begin with, such as ``pixel``.
        shape: Of one row's tensor, such as ``(28, 28)``.
    """

    prefix: str
    shape: tuple[int, ...]


def tensors_of(fields: "Iterable[pa.Field]") -> dict[str, Tensor]:
    """What folds into the tensor columns of a dataset, by column."""
    import pyarrow as pa  # noqa: PLC0415

    found: dict[str, Tensor] = {}
    for field in fields:
        if pa.types.is_fixed_size_list(field.type):
            stored = (field.metadata or {}).get(SHAPE)
            shape = tuple(json.loads(stored)) if stored else (field.type.list_size,)
            found[field.name] = Tensor(prefix_of(field), shape)
    return found


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table to be.

    Attributes:
        name: Its name there.
        sources: The source's columns it is made of: one, or a tensor's in order.
        tensor: How they fold; None for a plain column.
        type: Of its cells (of the tensor's inner cells); None is to be found.
        how: How the type is known, for a person.
        known: The dataset's type, where it holds only if every cell fits it.
        metadata: Of the source's own field, such as a tensor's shape.
    """

    name: str
    sources: tuple[str, ...]
    tensor: Tensor | None
    type: "pa.DataType | None"
    how: str
    known: "pa.DataType | None" = None
    metadata: Mapping[bytes, bytes] | None = None


def layout(
    head: Place,
    fields: "Sequence[pa.Field]",
    how: str,
    *,
    tensors: Mapping[str, Tensor],
    types: Mapping[str, str],
    schema: "pa.Schema | None",
    may_change: bool = False,
) -> list[Column]:
    """The table's columns, in the order in which the source has them.

    Args:
        head: Where the source names its columns, for complaints.
        fields: The source's columns; of type null where the type is to be found.
        how: How the source finds its types.
        tensors: New column to what folds into it.
        types: Type names by column of the table.
        schema: The dataset's, if it exists: its types and tensors hold.
        may_change: Whether the dataset's types may change, where the source's cells do not fit them.

    Raises:
        InvalidInput: ``duplicated-column``, ``invalid-column-name``, ``tensor-columns``, ``unknown-type``,
            ``unknown-column``, ``foreign-column`` or ``schema-change``.
    """
    header: list[str] = [field.name for field in fields]
    _check_names(head, header)
    _check_own(head, fields, types)
    for name in tensors:
        _check_name(head, "a tensor", name, name)
    folds = {**_stored_tensors(schema, header), **tensors}
    members = {name: tuple(_members(head, header, name, tensor)) for name, tensor in folds.items()}
    owner: dict[str, str] = {source: name for name, sources in members.items() for source in sources}
    plain = [name for name in header if name not in owner]
    for name in folds:
        if name in plain:
            raise InvalidInput(
                f"{head}, column {header.index(name) + 1}: column '{name}' has the name of the tensor.",
                hint="Give the tensor another name.",
                code=codes.TENSOR_COLUMNS,
                details=head.details(name),
            )
    stored = _stored_types(schema, folds)
    given = _given_types(types, [*plain, *folds], folds, {} if may_change else stored)
    # A tensor stands where the first of its columns stood.
    names = dict.fromkeys(owner.get(source, source) for source in header)
    metadata = {field.name: field.metadata for field in fields}
    sourced = {field.name: field.type for field in fields if str(field.type) != "null"}
    found: list[Column] = []
    for name in names:
        own = stored.get(name)
        column = Column(name, members.get(name, (name,)), folds.get(name), own, how, None, metadata.get(name))
        if name in given:
            column = replace(column, type=given[name], how=GIVEN)
        elif own is not None and may_change and name not in SYSTEM_COLUMNS:
            column = replace(column, type=None, known=own)
        elif own is not None:
            column = replace(column, how="of the dataset")
        elif name in sourced:
            column = replace(column, type=sourced[name])
        if (
            own is not None
            and own == (column.type or column.known)
            and schema is not None
            and name in schema.names
        ):
            column = replace(column, metadata=spelled(column.metadata, spelling(schema.field(name))))
        found.append(column)
    return found


def tensor_field(column: Column, kind: "pa.DataType") -> "pa.Field":
    """The field of a tensor column whose cells are ``kind``."""
    import pyarrow as pa  # noqa: PLC0415

    assert column.tensor is not None
    metadata = {SHAPE: json.dumps(list(column.tensor.shape)).encode(), PREFIX: column.tensor.prefix.encode()}
    return pa.field(column.name, pa.list_(kind, math.prod(column.tensor.shape)), metadata=metadata)


def holds_numbers(kind: "pa.DataType") -> bool:
    """Whether the cells of a tensor may have this type."""
    import pyarrow as pa  # noqa: PLC0415

    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def _check_names(head: Place, header: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for position, name in enumerate(header, start=1):
        if name in first:
            raise InvalidInput(
                f"{head}: columns {first[name]} and {position} are both named '{name}'.",
                hint="Rename or remove one of them.",
                code=codes.DUPLICATED_COLUMN,
                details=head.details(name),
            )
        first[name] = position
        _check_name(head, f"column {position}", position, name)


def _check_name(head: Place, what: str, column: str | int, name: str) -> None:
    reserved = name.startswith("_") and name not in SYSTEM_COLUMNS
    if not name or reserved or any(mark in name for mark in (".", "`", "\0")):
        raise InvalidInput(
            f"{head}: {what} cannot be named {quoted(name)}.",
            why="A column's name is not empty, has no '.', '`' or NUL, and does not begin with '_' (Tidemill's own).",
            hint="Rename it.",
            code=codes.INVALID_COLUMN_NAME,
            details=head.details(column),
        )


def _check_own(head: Place, fields: "Sequence[pa.Field]", types: Mapping[str, str]) -> None:
    """Refuse a column that has the name of one of Tidemill's and is not what Tidemill writes there."""
    import pyarrow as pa  # noqa: PLC0415

    own = {field.name: field.type for field in fields if field.name in SYSTEM_COLUMNS}
    for name, kind in own.items():
        fits = pa.types.is_integer(kind) if name == ID else pa.types.is_string(kind)
        if name in types or not (fits or pa.types.is_null(kind)) or ID not in own:
            raise not_own(str(head), name, head.details(name))


def not_own(place: str, name: str, details: Mapping[str, object]) -> InvalidInput:
    """A complaint about a column that has the name of one of Tidemill's and holds something else."""
    what = {
        ID: "the identity of each row, a whole number",
        PREDICTION: "the prediction that a row corrects, a text beside its '_id'",
    }
    return InvalidInput(
        f"{place}: column '{name}' holds something else than Tidemill's own column of that name.",
        why=f"'{name}' is {what[name]}, as exports of a dataset have it.",
        hint=f"If the column is yours, rename it, such as to '{name[1:]}'; else leave it out.",
        code=codes.FOREIGN_COLUMN,
        details=details,
    )


def _members(head: Place, header: Sequence[str], name: str, tensor: Tensor) -> list[str]:
    size = math.prod(tensor.shape)
    pattern = re.compile(re.escape(tensor.prefix) + r"(\d+)")
    numbered = sorted((int(m[1]), c) for c in header if (m := pattern.fullmatch(c)))
    numbers = [n for n, _ in numbered]
    if numbers and numbers == list(range(numbers[0], numbers[0] + size)):
        return [c for _, c in numbered]
    start = numbers[0] if numbers else 1
    lacking = next((n for n in range(start, start + size) if n not in set(numbers)), None)
    found = f"has {len(numbers)}" + (f" and lacks '{tensor.prefix}{lacking}'" if lacking is not None else "")
    raise InvalidInput(
        f"{head}: tensor '{name}' of shape {'x'.join(map(str, tensor.shape))} wants {size} columns "
        f"'{tensor.prefix}*' numbered without a gap; the file {found}.",
        hint=did_you_mean(
            f"{tensor.prefix}1", () if numbers else header, "Correct the prefix, the shape or the file."
        ),
        code=codes.TENSOR_COLUMNS,
        details=head.details(f"{tensor.prefix}{lacking}" if lacking else tensor.prefix),
    )


def _stored_tensors(schema: "pa.Schema | None", header: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of the dataset, except one that the file does not touch at all (that is said later)."""
    return {
        name: tensor
        for name, tensor in tensors_of(schema or ()).items()
        if name not in header
        and any(re.fullmatch(re.escape(tensor.prefix) + r"\d+", column) for column in header)
    }


def _stored_types(schema: "pa.Schema | None", folds: Mapping[str, Tensor]) -> dict[str, Any]:
    import pyarrow as pa  # noqa: PLC0415

    found = {ID: pa.uint64(), PREDICTION: pa.string()}
    for field in schema or ():
        found[field.name] = field.type.value_type if field.name in folds else field.type
    return found


def _given_types(
    types: Mapping[str, str], columns: list[str], folds: Mapping[str, Tensor], stored: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in types.items():
        if name not in columns:
            raise InvalidInput(
                f"A type is given for column '{name}', which is not there.",
                hint=did_you_mean(name, columns),
                code=codes.UNKNOWN_COLUMN,
            )
        allowed = [t for t in (*_TYPES, *_AS_SHOWN) if name not in folds or t in _TENSOR_TYPES]
        if text not in allowed:
            raise _unknown_type(name, text, allowed)
        kind = arrow_type(text)
        if stored.get(name, kind) != kind:
            raise InvalidInput(
                f"Column '{name}' is {stored[name]} in the dataset; the type {text} would change it.",
                why="A column keeps its type until somebody says otherwise.",
                hint="Leave the type out, or add --allow-schema-change.",
                code=codes.SCHEMA_CHANGE,
                details={"column": name, "old": str(stored[name]), "new": str(kind)},
            )
        found[name] = kind
    return found


def _unknown_type(name: str, text: str, allowed: Sequence[str]) -> InvalidInput:
    why, hint = None, did_you_mean(text, allowed)
    if text == "float":
        hint = "Write float64, which has all digits of a number, or float32, which tables show as 'float'."
    elif text.startswith(("decimal", "list", "struct", "map", "{", "timestamp[", "duration", "time64")):
        why = "Cells have such a type by their file or database; it cannot be given by name."
        hint = (
            f"Import it from Parquet, Arrow, a frame or a database; by name there are: {', '.join(allowed)}."
        )
    return InvalidInput(
        f"Column '{name}' cannot have the type '{text}'.", why=why, hint=hint, code=codes.UNKNOWN_TYPE
    )


def arrow_type(text: str) -> "pa.DataType":
    """The Arrow type that a type's name stands for."""
    import pyarrow as pa  # noqa: PLC0415

    special = {"bool": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("us")}
    return special.get(text) or pa.type_for_alias(text)
