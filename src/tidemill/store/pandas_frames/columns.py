"""A column of pandas as Arrow, and the word that it needs beside it; and back.

A column of no plain type is read back before it is stored and compared: what would come back as another one is refused.
"""

import contextlib
import datetime as dt
import decimal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tidemill.store import values
from tidemill.store.pandas_frames.integers import series_of
from tidemill.store.pandas_frames.labels import NotKept, index_of, spec_of
from tidemill.store.pandas_frames.sameness import first_other, is_nan, is_object, same_series

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MOST_DIGITS = 76
"""An Arrow decimal has no more."""
_UNITS = ("s", "ms", "us", "ns")


def is_plain(dtype: Any) -> bool:
    """Whether Arrow gives a column of this type back as it is."""
    import numpy as np  # noqa: PLC0415

    if isinstance(dtype, np.dtype):
        if dtype.kind in "Mm":
            return dtype.isnative and np.datetime_data(dtype)[0] in _UNITS
        return dtype.kind in "biuf" and dtype.isnative and dtype.char != "g"
    return dtype == _text_type()


def _text_type() -> Any:
    """What pandas takes text for by itself."""
    import pandas as pd  # noqa: PLC0415

    found = pd.Series([""]).dtype
    return None if is_object(found) else found


def packed(column: "pd.Series", what: str, *, is_plain: bool) -> tuple[Any, Any]:
    """A column as Arrow, and the word that it needs beside it."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    what = f"{what} ({column.dtype})"
    if is_plain:
        return pa.Array.from_pandas(column), None
    row = None
    try:
        for array, spec in _tries(column):
            restored = unpacked(pa.chunked_array([array]), spec)
            if same_series(column, restored):
                return array, None if spec["kind"] == "default" else {**spec, "arrow": str(array.type)}
            row = first_other(column, restored)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError, AttributeError):
        pass
    if isinstance(column.dtype, pd.SparseDtype):
        raise NotKept(what, "Make it dense: frame.sparse.to_dense().")
    if is_object(column.dtype):
        what = what if row is None else f"{what}, row {row + 1}"
        raise NotKept(what, "Give the column one type: .astype(str), .astype('Int64'), pd.to_datetime(...).")
    raise NotKept(what, "Give it a type that Arrow has, such as .astype('float64'), or .astype(str).")


def _tries(column: "pd.Series") -> "Iterable[tuple[Any, Any]]":
    """Ways to spell a column, the plainest first."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    dtype: Any = column.dtype
    if is_object(dtype):
        present = [v for v in column if not (v is None or v is pd.NA or v is pd.NaT or is_nan(v))]
        missing = next((v for v in column if v is None or v is pd.NA or v is pd.NaT or is_nan(v)), None)
        spelled = "nan" if isinstance(missing, float) else values.encode(missing)
        if present and all(type(v) is decimal.Decimal for v in present) and not _of_one_scale(present):
            # Arrow gives all decimals of a column as many digits after the point: as text, each keeps its own.
            texts = [str(v) if type(v) is decimal.Decimal else None for v in column]
            yield pa.array(texts, pa.large_string()), {"kind": "decimals", "missing": spelled}
            return
        array = pa.Array.from_pandas(column)
        yield _whole(array), {"kind": "default"}
        spec = {"kind": "object", "missing": spelled}
        yield _whole(array), spec
        zone = next((v.tzinfo for v in present if type(v) is dt.datetime), None)
        if zone is not None:
            with contextlib.suppress(values.NoSpelling):
                yield _whole(array), {**spec, "zone": values.encode(dt.datetime(2000, 1, 1, tzinfo=zone))}
        return
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        if categories.dtype == _text_type() or getattr(categories.dtype, "kind", "") in ("i", "u", "f"):
            yield _whole(pa.Array.from_pandas(column)), {"kind": "default"}
        codes = pa.array(column.cat.codes.to_numpy(), mask=column.cat.codes.to_numpy() < 0)
        texts = pa.array([str(c) for c in categories], pa.large_string())
        array = pa.DictionaryArray.from_arrays(codes, texts, ordered=bool(dtype.ordered))
        spec = spec_of(categories, "categories")
        yield array, {"kind": "category", "categories": spec, "ordered": bool(dtype.ordered)}
        return
    if isinstance(dtype, pd.PeriodDtype):
        texts = pa.array([None if p is pd.NaT else str(p) for p in column], pa.large_string())
        yield texts, {"kind": "period", "freq": str(dtype)[len("period[") : -1]}
        return
    if isinstance(dtype, pd.StringDtype):
        spec = {"kind": "string", "storage": dtype.storage, "nan": dtype.na_value is not pd.NA}
        yield _whole(pa.array(column.array, pa.large_string(), from_pandas=True)), spec
        return
    if isinstance(dtype, pd.ArrowDtype):
        yield _whole(pa.array(column.array)), {"kind": "arrow"}
        return
    if isinstance(dtype, pd.IntervalDtype):
        array = _whole(pa.array(column.array))
        yield array.storage, {"kind": "interval", "dtype": str(dtype), "closed": dtype.closed}
        return
    yield _whole(pa.array(column.array)), {"kind": "dtype", "dtype": str(dtype)}


def _of_one_scale(numbers: "list[decimal.Decimal]") -> bool:
    """Whether Arrow's decimals hold these as they are: digits after the point, and a sign of zero."""
    scales = {n.as_tuple().exponent for n in numbers}
    (scale, *others) = scales
    most = max(len(n.as_tuple().digits) for n in numbers)
    return (
        not others
        and isinstance(scale, int)
        and -_MOST_DIGITS <= scale <= 0
        and most <= _MOST_DIGITS
        and not any(n.is_zero() and n.is_signed() for n in numbers)
    )


def _whole(array: Any) -> Any:
    return array.combine_chunks() if hasattr(array, "combine_chunks") else array


def unpacked(column: "pa.ChunkedArray", spec: Any) -> Any:
    """A column as it was in pandas."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    match spec["kind"]:
        case "default":
            return series_of(column)
        case "object":
            missing = float("nan") if spec["missing"] == "nan" else values.decode(spec["missing"])
            zone = values.decode(spec["zone"]).tzinfo if "zone" in spec else None
            cells = [
                missing if v is None else v if zone is None else v.astimezone(zone)
                for v in column.to_pylist()
            ]
            held = np.empty(len(cells), dtype=object)
            # One by one: NumPy would make a matrix of lists of one length.
            for at, cell in enumerate(cells):
                held[at] = cell
            return pd.Series(held, dtype=object)
        case "decimals":
            missing = float("nan") if spec["missing"] == "nan" else values.decode(spec["missing"])
            texts = column.to_pylist()
            return pd.Series([missing if t is None else decimal.Decimal(t) for t in texts], dtype=object)
        case "category":
            categories = index_of(spec["categories"])
            codes = column.combine_chunks()
            codes = codes.chunk(0) if isinstance(codes, pa.ChunkedArray) else codes
            numbers = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            return pd.Series(
                pd.Categorical.from_codes(numbers, dtype=pd.CategoricalDtype(categories, spec["ordered"]))
            )
        case "period":
            texts = column.to_pylist()
            periods = [pd.NaT if t is None else pd.Period(t, freq=spec["freq"]) for t in texts]
            return pd.Series(pd.array(periods, dtype=pd.PeriodDtype(spec["freq"])))
        case "string":
            dtype = pd.StringDtype(spec["storage"], na_value=float("nan") if spec["nan"] else pd.NA)
            return pd.Series(dtype.__from_arrow__(column))
        case "arrow":
            return pd.Series(pd.ArrowDtype(column.type).__from_arrow__(column))
        case "interval":
            ends = column.combine_chunks()
            ends = ends.chunk(0) if isinstance(ends, pa.ChunkedArray) else ends
            made = pd.arrays.IntervalArray.from_arrays(
                ends.field(0).to_pandas(), ends.field(1).to_pandas(), closed=spec["closed"]
            )
            return (
                pd.Series(made)
                .where(pd.Series(ends.is_valid().to_pylist(), dtype=bool))
                .astype(spec["dtype"])
            )
        case _:
            dtype = pd.api.types.pandas_dtype(spec["dtype"])
            return pd.Series(dtype.__from_arrow__(column))  # pyright: ignore[reportAttributeAccessIssue]
