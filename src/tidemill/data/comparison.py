"""Which cells of two arrays of one type are unequal: missing equals missing, and NaN equals NaN, at every level."""

from typing import TYPE_CHECKING, Any

from tidemill.data.nested import is_list, members, records, tensor_cells

if TYPE_CHECKING:
    import numpy as np


def unequal(a: Any, b: Any) -> "np.ndarray[Any, Any]":
    """Which cells of two equally long arrays of one type differ: bool, one a cell.

    A tensor that is missing equals one whose values are all missing. Lists are equal when they are as long and
    hold the same in the same order, maps when they hold the same entries in the same order.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind = a.type
    if not len(a):
        return np.zeros(0, bool)
    if isinstance(kind, pa.BaseExtensionType):
        return unequal(a.storage, b.storage)
    if pa.types.is_fixed_size_list(kind):
        return _unequal_tensors(a, b)
    lacks_a, lacks_b = np.asarray(a.is_null()), np.asarray(b.is_null())
    if is_list(kind):
        apart = _unequal_lists(a, b)
    elif pa.types.is_struct(kind):
        pairs = zip(records(a), records(b), strict=True)
        apart = np.logical_or.reduce([unequal(one, other) for one, other in pairs])
    else:
        apart = _unequal_values(a, b)
    return np.where(lacks_a | lacks_b, lacks_a != lacks_b, apart)


def _unequal_values(a: Any, b: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_float16(a.type):
        # Arrow compares no numbers of 16 bits; each of them is one of 32 bits too.
        a, b = a.cast(pa.float32()), b.cast(pa.float32())
    apart = np.asarray(pc.not_equal(a, b).fill_null(pa.scalar(value=False)))
    return apart & ~(_is_nan(a) & _is_nan(b)) if pa.types.is_floating(a.type) else apart


def _is_nan(array: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.asarray(array.is_null(nan_is_null=True)) & ~np.asarray(array.is_null())


def _unequal_tensors(a: Any, b: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    size = a.type.list_size
    inner_a, inner_b = tensor_cells(a), tensor_cells(b)
    apart = unequal(inner_a, inner_b).reshape(len(a), size)
    if a.null_count or b.null_count:
        gone_a, gone_b = (np.repeat(np.asarray(x.is_null()), size) for x in (a, b))
        lacks_a = (np.asarray(inner_a.is_null()) | gone_a).reshape(len(a), size)
        lacks_b = (np.asarray(inner_b.is_null()) | gone_b).reshape(len(a), size)
        apart = np.where(lacks_a | lacks_b, lacks_a != lacks_b, apart)
    return np.asarray(apart.any(axis=1))


def _unequal_lists(a: Any, b: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    (inner_a, long_a), (inner_b, long_b) = members(a), members(b)
    same = long_a == long_b
    row_a, row_b = (np.repeat(np.arange(len(same)), lengths) for lengths in (long_a, long_b))
    if not same.all():
        inner_a = inner_a.filter(pa.array(same[row_a]))
        inner_b = inner_b.filter(pa.array(same[row_b]))
    apart = ~same
    apart[row_a[same[row_a]][unequal(inner_a, inner_b)]] = True
    return apart
