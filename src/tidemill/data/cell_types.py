"""The types that a dataset keeps cells in: one for each kind of value, in whatever form a file or a frame has it.

What differs only in how it lies in memory (a dictionary, a view, 64-bit offsets, runs) becomes one type. What is
another value stays: a decimal, a UUID, a list, a record, a map. JSON text is text that its field's metadata calls
JSON, since Lance would write such a type anew; a nested fixed-size list is a flat tensor with a shape.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.casting import cast_exactly, has_known_years
from tidemill.data.nested import absent, is_list, make_lists, members, records, tensor_cells
from tidemill.store.table import SHAPE

if TYPE_CHECKING:
    import pyarrow as pa

LOGICAL = b"tidemill.logical"
"""A field's metadata: what its cells are called in Arrow, where the kept type does not say it."""
JSON_TEXT, TENSOR, LISTS = b"json", b"tensor", b"lists"
MOST_DEEP = 32
"""Lists and records inside of each other."""
MOST_DIGITS = 76
_FAR_HINT = "Write the column as a text or a number, or the time as missing."


class NotKeptError(Exception):
    """A type that no dataset keeps.

    Attributes:
        why: The reason, as a sentence.
        hint: What to do instead.
    """

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def kept_field(file: str, field: "pa.Field") -> "pa.Field":
    """A field in the type that a dataset keeps it in.

    Raises:
        InvalidInput: ``unknown-cells``, when no dataset keeps such cells.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        _ = list(_names(field))
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file}: the name of a column, or of a part of one, is not UTF-8.",
            hint="Name it in UTF-8, and write the file again.",
            code=codes.NOT_UTF8,
            details={"file": file},
        ) from error
    try:
        kind = _tensor(field.type) or kept(field.type)
    except NotKeptError as error:
        raise InvalidInput(
            f"{file}, column '{field.name}': a dataset cannot keep cells of type {words(field.type)}.",
            why=error.why,
            hint=error.hint,
            code=codes.UNKNOWN_CELLS,
            details={"file": file, "column": field.name},
        ) from error
    return pa.field(field.name, kind, metadata=_metadata(field))


def _names(field: "pa.Field") -> Iterator[str]:
    """Its name, and those of the fields that it is made of."""
    yield field.name
    for at in range(field.type.num_fields):
        yield from _names(field.type.field(at))


def _metadata(field: "pa.Field") -> Mapping[bytes, bytes] | None:
    import pyarrow as pa  # noqa: PLC0415

    own = {k: v for k, v in (field.metadata or {}).items() if k != b"PARQUET:field_id"}
    kind = field.type
    if isinstance(kind, pa.FixedShapeTensorType):
        own |= {LOGICAL: TENSOR, SHAPE: json.dumps(kind.shape).encode()}
    elif isinstance(kind, pa.JsonType):
        own[LOGICAL] = JSON_TEXT
    elif _tensor(kind) and pa.types.is_fixed_size_list(kind.value_type):
        own |= {LOGICAL: LISTS, SHAPE: json.dumps(_lengths(kind)).encode()}
    return own or None


def logical_type(field: "pa.Field") -> "pa.DataType":
    """The type that other programs know a kept column by."""
    import pyarrow as pa  # noqa: PLC0415

    metadata = field.metadata or {}
    form = metadata.get(LOGICAL)
    if form == JSON_TEXT and pa.types.is_string(field.type):
        return pa.json_(pa.string())
    if form in (TENSOR, LISTS) and pa.types.is_fixed_size_list(field.type):
        shape = json.loads(metadata[SHAPE])
        if form == TENSOR:
            return pa.fixed_shape_tensor(field.type.value_type, shape)
        kind = field.type.value_type
        for length in reversed(shape):
            kind = pa.list_(kind, length)
        return kind
    return field.type


def shown_type(field: "pa.Field") -> "pa.DataType":
    """The type that a person is told: JSON for text that is JSON, else the kept one."""
    import pyarrow as pa  # noqa: PLC0415

    kind = logical_type(field)
    return kind if isinstance(kind, pa.JsonType) else field.type


def as_logical(array: Any, kind: Any) -> Any:
    """Kept cells in the type that ``logical_type`` names."""
    import pyarrow as pa  # noqa: PLC0415

    if array.type == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, array)
    lengths = _lengths(kind)
    cells = tensor_cells(array)
    for length in reversed(lengths[1:]):
        cells = pa.FixedSizeListArray.from_arrays(cells, length)
    return pa.FixedSizeListArray.from_arrays(cells, type=kind, mask=absent(array))


def kept(kind: Any) -> "pa.DataType":
    """The type that a dataset keeps cells of a type in, a tensor's shape aside.

    Raises:
        NotKeptError: When it keeps no such cells.
    """
    return _kept(kind, 0)


def _kept(kind: Any, depth: int) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    if depth > MOST_DEEP:
        raise NotKeptError(
            f"Its lists and records lie deeper in each other than {MOST_DEEP} levels.",
            "Make the cell flatter, or write it as a JSON text.",
        )
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        # Arrow makes and converts no lists of UUIDs: inside of a list, one is its text.
        return pa.string() if depth and isinstance(kind, pa.UuidType) else _of_extension(kind)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _kept(kind.value_type, depth)
    if types.is_union(kind) or types.is_interval(kind):
        what = "a value of one of several types" if types.is_union(kind) else "months, days and nanoseconds"
        raise NotKeptError(
            f"Its cell is {what}, which a column of one type cannot hold.", "Write it as text."
        )
    return _nested(kind, depth) if types.is_nested(kind) else _plain(kind)


def _plain(kind: Any) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    instead = (
        (types.is_null, pa.string()),
        (types.is_large_string, pa.string()),
        (types.is_string_view, pa.string()),
        (types.is_large_binary, pa.binary()),
        (types.is_binary_view, pa.binary()),
        (types.is_date64, pa.date32()),
    )
    if types.is_decimal(kind):
        return _decimal(kind)
    if types.is_timestamp(kind) and kind.tz is not None:
        _check_zone(kind.tz)
    return next((other for test, other in instead if test(kind)), kind)


def _nested(kind: Any, depth: int) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_struct(kind):
        return _record(kind, depth)
    if types.is_map(kind):
        return pa.map_(_kept(kind.key_type, depth + 1), _kept(kind.item_type, depth + 1))
    value = _kept(kind.value_type, depth + 1)
    is_tensor = types.is_fixed_size_list(kind) and kind.list_size and not types.is_nested(value)
    return pa.list_(value, kind.list_size) if is_tensor and not _is_worded(value) else pa.list_(value)


def _of_extension(kind: Any) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(kind, pa.UuidType):
        return kind
    if isinstance(kind, pa.JsonType):
        return pa.string()
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    if isinstance(kind, pa.FixedShapeTensorType):
        order = kind.permutation
        if order is not None and list(order) != sorted(order):
            raise NotKeptError(
                "Its values lie in memory in another order than its shape says.",
                "Write the tensor row by row, without a permutation.",
            )
        return pa.list_(kind.value_type, kind.storage_type.list_size)
    name = getattr(kind, "extension_name", str(kind))
    raise NotKeptError(
        f"What a value of '{name}' means is known only to the library that made it.",
        "Give the column a plain type first: as text, a number, or a time.",
    )


def _record(kind: Any, depth: int) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    names = [kind.field(at).name for at in range(kind.num_fields)]
    if not names:
        raise NotKeptError(
            "A record without a field holds nothing.", "Give it a field, or leave the column out."
        )
    if len(set(names)) < len(names):
        again = next(name for name in names if names.count(name) > 1)
        raise NotKeptError(f"Two fields of its record are named '{again}'.", "Rename one of them.")
    if any("\0" in name for name in names):
        # Lance's names end there.
        raise NotKeptError("The name of a field of its record holds NUL.", "Rename it.")
    return pa.struct([pa.field(name, _kept(kind.field(at).type, depth + 1)) for at, name in enumerate(names)])


def _decimal(kind: Any) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    scale = max(kind.scale, 0)
    digits = kind.precision + scale - kind.scale
    if digits > MOST_DIGITS:
        raise NotKeptError(
            f"It has {digits} digits, and a decimal has {MOST_DIGITS} at most.", "Write it as text."
        )
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _check_zone(zone: str) -> None:
    import pyarrow as pa  # noqa: PLC0415

    try:
        pa.scalar(0, pa.timestamp("s", zone)).as_py()
    except (pa.ArrowException, ValueError, OSError, KeyError) as error:
        raise NotKeptError(
            f"There is no time zone '{zone}'.", "Write the times in a zone of the IANA list."
        ) from error


def _tensor(kind: Any) -> "pa.DataType | None":
    """Nested fixed-size lists of plain cells as one flat list; None for every other type."""
    import pyarrow as pa  # noqa: PLC0415

    size, inner = 1, kind
    while pa.types.is_fixed_size_list(inner):
        size, inner = size * inner.list_size, inner.value_type
    if inner is kind or not size or pa.types.is_nested(inner):
        return None
    value = _kept(inner, 0)
    return None if _is_worded(value) else pa.list_(value, size)


def _lengths(kind: Any) -> list[int]:
    import pyarrow as pa  # noqa: PLC0415

    found: list[int] = []
    while pa.types.is_fixed_size_list(kind):
        found.append(kind.list_size)
        kind = kind.value_type
    return found


def _is_worded(kind: Any) -> bool:
    """Whether a value has no fixed size or a name of its own: Lance keeps no tensor of such."""
    import pyarrow as pa  # noqa: PLC0415

    return isinstance(kind, pa.BaseExtensionType) or any(
        test(kind) for test in (pa.types.is_string, pa.types.is_binary, pa.types.is_fixed_size_binary)
    )


def keep(array: Any) -> Any:
    """Cells in the type that a dataset keeps them in (see ``kept_field``); no cell becomes another value.

    Raises:
        NotKeptError: When a cell has no such form: a part of a tensor is missing, or a time is too far away.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if isinstance(kind, pa.UuidType):
            return array
        return array.cast(pa.bool_()) if isinstance(kind, pa.Bool8Type) else array.storage
    if pa.types.is_dictionary(kind):
        return keep(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return keep(pc.run_end_decode(array))
    if not pa.types.is_nested(kind):
        if not has_known_years(array):
            raise NotKeptError(
                "A time is not in the years 1 to 9999, which texts, JSON and Python have.", _FAR_HINT
            )
        wanted = kept(kind)
        return array if wanted == kind else array.cast(wanted)
    if tensor := _tensor(kind):
        return _flat(array, tensor)
    wanted = kept(kind)
    if pa.types.is_struct(kind):
        fields = [wanted.field(at) for at in range(wanted.num_fields)]
        return pa.StructArray.from_arrays(
            [keep(a) for a in records(array)], fields=fields, mask=absent(array)
        )
    if pa.types.is_fixed_size_list(wanted):
        inner = _inside(tensor_cells(array))
        return pa.FixedSizeListArray.from_arrays(inner, type=wanted, mask=absent(array))
    values, lengths = members(array)
    return make_lists(_inside(values), lengths, wanted, absent(array))


def _inside(array: Any) -> Any:
    """Cells inside of others, in the types that they have there."""
    import pyarrow as pa  # noqa: PLC0415

    made = keep(array)
    return cast_exactly(made, pa.string()) if isinstance(made.type, pa.UuidType) else made


def _flat(array: Any, tensor: Any) -> Any:
    """Nested fixed-size lists as flat ones."""
    import pyarrow as pa  # noqa: PLC0415

    mask, cells, whole = absent(array), tensor_cells(array), array
    if array.null_count:
        # What lies under a tensor that is missing says nothing.
        whole = array.drop_null()
    parts = whole.flatten()
    while pa.types.is_fixed_size_list(cells.type):
        if parts.null_count:
            raise pa.ArrowInvalid(
                "A part of a tensor is missing as a whole, where only single values can be."
            )
        cells, parts = tensor_cells(cells), parts.flatten()
    return pa.FixedSizeListArray.from_arrays(keep(cells), type=tensor, mask=mask)


def words(kind: Any) -> str:
    """A type as people write it: ``uuid``, ``list<string>``, ``{x: double, y: double}``."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return str(getattr(kind, "extension_name", kind)).removeprefix("arrow.")
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return words(kind.value_type)
    if types.is_map(kind):
        return f"map<{words(kind.key_type)}, {words(kind.item_type)}>"
    if types.is_fixed_size_list(kind):
        return f"{words(kind.value_type)}[{kind.list_size}]"
    if is_list(kind):
        return f"list<{words(kind.value_type)}>"
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return "{" + ", ".join(f"{field.name}: {words(field.type)}" for field in fields) + "}"
    return "float16" if types.is_float16(kind) else str(kind)
