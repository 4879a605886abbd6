"""Arrays whose cells hold others: lists of any kind, maps, records. What is inside, whatever slice the array is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def is_list(kind: Any) -> bool:
    """Whether a cell is a list of some length, or a map, which is a list of entries; a tensor is none."""
    import pyarrow as pa  # noqa: PLC0415

    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
        pa.types.is_map,
    )
    return any(test(kind) for test in tests)


def is_record(kind: Any) -> bool:
    """Whether a cell is a record: values by name."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_struct(kind)


def cell_type(kind: Any) -> "pa.DataType":
    """The type of a tensor's cells; of every other column, its own."""
    import pyarrow as pa  # noqa: PLC0415

    return kind.value_type if pa.types.is_fixed_size_list(kind) else kind


def entry_type(kind: "pa.MapType") -> "pa.DataType":
    """A map's entry as a record of key and value."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])


def members(array: Any) -> "tuple[Any, np.ndarray[Any, Any]]":
    """What the lists of an array hold, one after the other, and how much each holds (0 where it is missing).

    Args:
        array: Lists of any kind, maps, or lists of fixed size.

    Returns:
        The members, and their number in each cell (int64).
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_map(array.type):
        array = array.cast(pa.list_(entry_type(array.type)))
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return array.flatten(), lengths.astype("int64", copy=False)


def offsets(lengths: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Where each list begins among the members, and where the last one ends; int64."""
    import numpy as np  # noqa: PLC0415

    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def tensor_cells(array: Any) -> Any:
    """The cells of tensors, row by row, those of a missing tensor too."""
    size = array.type.list_size
    return array.values[array.offset * size : (array.offset + len(array)) * size]


def cells_with_missing(array: Any) -> Any:
    """The cells of tensors, row by row; a tensor that is missing lacks each of them."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    inner = tensor_cells(array)
    if not array.null_count:
        return inner
    gone = np.repeat(np.asarray(array.is_null()), array.type.list_size)
    return inner.take(pa.array(np.arange(len(inner)), mask=gone))


def absent(array: Any) -> Any:
    """Which cells are missing, as a mask for Arrow; None where none is."""
    return array.is_null() if array.null_count else None


def records(array: Any) -> "list[Any]":
    """The fields of records, each as an array; a field of a missing record is missing."""
    return array.flatten()


def make_lists(values: Any, lengths: "np.ndarray[Any, Any]", kind: Any, mask: Any) -> Any:
    """Lists, or maps, of a type from what ``members`` gave."""
    import pyarrow as pa  # noqa: PLC0415

    bounds = pa.array(offsets(lengths).astype("int32"), pa.int32())
    if not pa.types.is_map(kind):
        return pa.ListArray.from_arrays(bounds, values, type=kind, mask=mask)
    keys, items = values.flatten()
    return pa.MapArray.from_arrays(bounds, keys, items, type=kind, mask=mask)


def rebuilt(array: Any, kind: Any, leaf: Callable[[Any, Any], Any]) -> Any:
    """An array in another type of the same shape, what lies innermost made by ``leaf`` from an array and its type.

    Raises:
        ArrowInvalid: When the two types have another shape, or records other fields.
    """
    import pyarrow as pa  # noqa: PLC0415

    own, types = array.type, pa.types
    if not types.is_nested(own) and not types.is_nested(kind):
        return leaf(array, kind)
    if types.is_fixed_size_list(own) and types.is_fixed_size_list(kind) and own.list_size == kind.list_size:
        inner = rebuilt(tensor_cells(array), kind.value_type, leaf)
        return pa.FixedSizeListArray.from_arrays(inner, type=kind, mask=absent(array))
    listed = types.is_fixed_size_list(own) or types.is_list(own)
    if (listed and types.is_list(kind)) or (types.is_map(own) and types.is_map(kind)):
        values, lengths = members(array)
        inner = entry_type(kind) if types.is_map(kind) else kind.value_type
        return make_lists(rebuilt(values, inner, leaf), lengths, kind, absent(array))
    if types.is_struct(own) and types.is_struct(kind):
        have = {own.field(at).name: cells for at, cells in enumerate(records(array))}
        fields = [kind.field(at) for at in range(kind.num_fields)]
        if have.keys() == {field.name for field in fields}:
            cells = [rebuilt(have[field.name], field.type, leaf) for field in fields]
            return pa.StructArray.from_arrays(cells, fields=fields, mask=absent(array))
    raise pa.ArrowInvalid(f"{own} does not have the shape of {kind}")
