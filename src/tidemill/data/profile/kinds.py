"""Arrow types by what a profile does with them, and their values as NumPy arrays."""

from typing import TYPE_CHECKING, Any

from tidemill.data.cell_types import words

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def type_text(type_: Any, shape: tuple[int, ...]) -> str:
    """A column's type as people write it: ``string``, ``uint8[28x28]``."""
    return f"{words(type_.value_type)}[{'x'.join(map(str, shape))}]" if shape else words(type_)


def kind_of(type_: Any) -> str:
    """``number``, ``time``, ``truth``, ``text`` or ``other``."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_boolean(type_):
        return "truth"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "number"
    if types.is_temporal(type_):
        return "time"
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return "text" if any(test(type_) for test in texts) else "other"


def has_range(type_: Any) -> bool:
    """Whether the range of the values must be looked up, since the type does not say it closely."""
    import pyarrow as pa  # noqa: PLC0415

    inner = type_.value_type if pa.types.is_fixed_size_list(type_) else type_
    return kind_of(inner) in ("number", "time") and limits(inner) == (0, 0)


def limits(type_: Any) -> tuple[float, float]:
    """What values of a narrow type lie between; zeros for a wide one."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_boolean(type_):
        return 0, 1
    if pa.types.is_uint8(type_):
        return 0, 255
    return (-128, 127) if pa.types.is_int8(type_) else (0, 0)


def width(type_: Any) -> int:
    """About how many bytes a cell takes in memory."""
    try:
        return max(1, type_.byte_width)
    except ValueError:
        return 1 if type_.num_buffers == 2 else 32


def numbers(chunk: Any) -> "tuple[Array, Array | None]":
    """The values that are there of a column of numbers, times or tensors, and where they are (None: everywhere)."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_fixed_size_list(chunk.type):
        chunk = chunk.flatten()
    if pa.types.is_temporal(chunk.type):
        chunk = chunk.view(pa.int32() if chunk.type.bit_width == 32 else pa.int64())
    elif pa.types.is_decimal(chunk.type):
        chunk = chunk.cast(pa.float64())
    if not chunk.null_count:
        return chunk.to_numpy(zero_copy_only=False), None
    present = ~np.asarray(chunk.is_null())
    return chunk.drop_null().to_numpy(zero_copy_only=False), present


def cells(part: Any, size: int) -> "tuple[Array, Array | None]":
    """The cells of a piece of tensors, (rows, size), zero where missing, and which are there (None: all)."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = len(part)
    inner = part.values[part.offset * size : (part.offset + rows) * size]
    there = None
    if pa.types.is_decimal(inner.type):
        inner = inner.cast(pa.float64())
    if inner.null_count:
        there = ~np.asarray(inner.is_null()).reshape(rows, size)
        inner = inner.fill_null(pa.scalar(0, inner.type))
    if part.null_count:
        outer = ~np.asarray(part.is_null())[:, None]
        there = np.broadcast_to(outer, (rows, size)) if there is None else there & outer
    return inner.to_numpy(zero_copy_only=False).reshape(rows, size), there


def finite(values: "Array", there: "Array | None") -> "tuple[Array, Array | None, int]":
    """The values with zeros for what is not finite, where they are there and finite, how many are infinite."""
    import numpy as np  # noqa: PLC0415

    finite = np.isfinite(values)
    if finite.all():
        return values, there, 0
    infinite = int(np.isinf(values).sum())
    return np.where(finite, values, 0), finite if there is None else there & finite, infinite
