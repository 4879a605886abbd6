"""A pandas frame as Arrow columns, so that the same frame comes back: index, names and types.

Arrow has other types than pandas, so what a column is in pandas stands beside it, in the schema's metadata. Columns
of NumPy's plain types and of text need no such word. Any other is read back before it is stored and compared, cell by
cell, value and type: what would come back as another one is refused, never stored.
"""

import contextlib
import datetime as dt
import decimal
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from tidemill.core.errors import NeedsExtra
from tidemill.store import values

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

METADATA = b"tidemill.pandas"
INDEX_LEVEL = "__index_level_"
"""How the column of an index level without a name begins."""
_EXACT = 2**53
"""Up to which float64 has every integer."""
_MOST_DIGITS = 76
"""An Arrow decimal has no more."""
_UNITS = ("s", "ms", "us", "ns")


class NotKept(Exception):
    """A frame, or a part of it, would not come back as it is.

    Attributes:
        what: The part, as a person calls it: ``column 'x' (complex128)``.
        hint: What to do instead.
    """

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def pack(frame: "pd.DataFrame", *, with_index: bool = True) -> "pa.Table":
    """The frame's columns, and those of its index unless that is the default one.

    Args:
        frame: The frame.
        with_index: Whether its index is kept; if not, somebody else sees to it.

    Raises:
        NotKept: Where the same frame would not come back.
    """
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    meta: dict[str, Any] = {}
    names = _names(frame, meta)
    index = frame.index
    has_index = with_index and not _is_default(index)
    if len(frame) and not names and not has_index and with_index:
        raise NotKept(f"{len(frame)} rows without a column", "Give it a column, or return its length.")
    plain = [_is_plain(dtype) for dtype in frame.dtypes]
    if all(plain) and not has_index:
        made = pa.Table.from_pandas(frame.set_axis(names, axis=1), preserve_index=False)
        made = made.replace_schema_metadata(None)
    else:
        columns: dict[str, Any] = {}
        special: dict[str, Any] = {}
        for at, name in enumerate(names):
            column = frame.iloc[:, at]
            columns[name], spec = _packed(column, f"column '{name}'", is_plain=plain[at])
            if spec is not None:
                special[name] = spec
        if special:
            meta["special"] = special
        if has_index:
            _add_index(index, columns, meta)
        made = pa.table(columns)
    if frame.attrs:
        try:
            meta["attrs"] = values.encode(frame.attrs)
        except values.NoSpelling as error:
            raise NotKept(f"attrs{error.path}", "Keep numbers, text, lists and dicts in attrs.") from None
    if not frame.flags.allows_duplicate_labels:
        meta["unique_labels"] = True
    assert isinstance(frame, pd.DataFrame)
    return made.replace_schema_metadata({METADATA: json.dumps(meta).encode()}) if meta else made


def unpack(arrow: "pa.Table") -> "pd.DataFrame":
    """The frame that ``pack`` was given; of any other Arrow table, the frame that pandas makes of it.

    Where pandas would round integers beside missing cells, the column has a nullable type (``loses_integers``).

    Raises:
        NeedsExtra: When pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NeedsExtra(
            "A pandas frame is asked for, and pandas is not installed.",
            hint="Type: pip install 'tidemill[pandas]'; or take the rows by to_polars() or to_arrow().",
        ) from error

    meta = metadata_of(arrow)
    if meta is None:
        frame = arrow.to_pandas()
        if frame.shape[1] == arrow.num_columns:
            _make_exact(frame, arrow)
        return frame
    index = meta.get("index", {})
    special: dict[str, Any] = meta.get("special", {})
    hidden = index.get("columns", [])
    # What was put beside the columns later on (with_column) has no word of its own.
    names = [n for n in arrow.column_names if n not in hidden]
    frame = arrow.select(names).to_pandas(ignore_metadata=True)
    _make_exact(frame, arrow.select(names))
    for at, name in enumerate(names):
        # A function may have put another column in its place.
        if name in special and special[name]["arrow"] == str(arrow.schema.field(name).type):
            restored = _restored(arrow.column(name), special[name])
            frame = frame.drop(columns=name)
            frame.insert(at, name, restored, allow_duplicates=True)
    if hidden and all(n in arrow.column_names for n in hidden):
        frame.index = _restored_index([arrow.column(n) for n in hidden], index)
    if "columns" in meta and meta["names"] == names:
        frame.columns = _index_of(meta["columns"])
    frame.attrs = values.decode(meta["attrs"]) if "attrs" in meta else {}
    if meta.get("unique_labels"):
        frame = frame.set_flags(allows_duplicate_labels=False)
    assert isinstance(frame, pd.DataFrame)
    return frame


def loses_integers(column: "pa.ChunkedArray") -> bool:
    """Whether pandas would round a member: it reads integers beside missing cells as float64, exact up to 2**53."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    members: Any = column
    while any(is_kind(members.type) for is_kind in _lists()):
        members = pc.list_flatten(members)
    if not (pa.types.is_int64(members.type) or pa.types.is_uint64(members.type)) or not members.null_count:
        return False
    ends = pc.min_max(members).as_py()
    return ends["max"] is not None and (ends["max"] > _EXACT or ends["min"] < -_EXACT)


def _lists() -> tuple[Any, ...]:
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list


def _make_exact(frame: "pd.DataFrame", arrow: "pa.Table") -> None:
    """Replaces the columns of ``frame``, which are those of ``arrow``, in which integers were rounded."""
    for at, column in enumerate(arrow.columns):
        if loses_integers(column):
            frame.isetitem(at, _series(column).array)


def _series(column: "pa.ChunkedArray") -> "pd.Series":
    """A column in pandas, its integers exact."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if not loses_integers(column):
        return column.to_pandas()
    if pa.types.is_integer(column.type):
        kind: Any = pd.Int64Dtype() if pa.types.is_int64(column.type) else pd.UInt64Dtype()
        return pd.Series(kind.__from_arrow__(column))
    held = np.empty(len(column), dtype=object)
    for at, cell in enumerate(column.to_pylist()):
        held[at] = _exact_cell(cell, column.type)
    return pd.Series(held, dtype=object)


def _exact_cell(cell: Any, kind: Any) -> Any:
    """A list as an array, of integers where none is missing, else of objects."""
    import numpy as np  # noqa: PLC0415

    if not isinstance(cell, list):
        return cell
    members = cast("list[Any]", cell)
    if not any(is_kind(kind.value_type) for is_kind in _lists()) and None not in members:
        return np.array(members, dtype=kind.value_type.to_pandas_dtype())
    array = np.empty(len(members), dtype=object)
    for at, member in enumerate(members):
        array[at] = _exact_cell(member, kind.value_type)
    return array


def metadata_of(arrow: "pa.Table") -> dict[str, Any] | None:
    """What ``pack`` noted down beside the columns."""
    noted = (arrow.schema.metadata or {}).get(METADATA)
    return json.loads(noted) if noted else None


def without(arrow: "pa.Table") -> "pa.Table":
    """The columns for whoever is not pandas: index levels without a name are none."""
    meta = metadata_of(arrow)
    if meta is None:
        return arrow
    hidden = {n for n in meta.get("index", {}).get("columns", ()) if n.startswith(INDEX_LEVEL)}
    rest = {k: v for k, v in arrow.schema.metadata.items() if k != METADATA}
    arrow = arrow.replace_schema_metadata(rest or None)
    return arrow.select([n for n in arrow.column_names if n not in hidden]) if hidden else arrow


def merged(schemas: "Iterable[pa.Schema]") -> bytes | None:
    """What chunks of one table noted down, as one: a column may be of a plain type in some of them only."""
    found: dict[str, Any] = {}
    special: dict[str, Any] = {}
    for schema in schemas:
        noted = (schema.metadata or {}).get(METADATA)
        if noted:
            meta = json.loads(noted)
            special = {**meta.get("special", {}), **special}
            found = {**meta, **found}
    if special:
        found["special"] = special
    return json.dumps(found).encode() if found else None


def in_one_form(arrow: "pa.Table", noted: bytes | None) -> "pa.Table":
    """A chunk whose decimals are text where another chunk of its table could have them only as text."""
    import pyarrow as pa  # noqa: PLC0415

    special: dict[str, Any] = json.loads(noted).get("special", {}) if noted else {}
    for at, field in enumerate(arrow.schema):
        if special.get(field.name, {}).get("kind") == "decimals" and pa.types.is_decimal(field.type):
            texts = arrow.column(at).cast(pa.large_string())
            arrow = arrow.set_column(at, field.with_type(texts.type), texts)
    return arrow


def _names(frame: "pd.DataFrame", meta: dict[str, Any]) -> list[str]:
    import pandas as pd  # noqa: PLC0415

    columns = frame.columns
    if not columns.is_unique:
        twice = columns[columns.duplicated()][0]
        raise NotKept(f"two columns of the name {twice!r}", "Give each column a name of its own.")
    names = [n if type(n) is str else str(n) for n in columns]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise NotKept(f"columns whose names differ in type only: {twice!r}", "Rename one of them.")
    try:
        for name in names:
            name.encode()
    except UnicodeEncodeError:
        raise NotKept("a column whose name is not text in Unicode", "Rename it.") from None
    if not _same_index(columns, pd.Index(names)):
        meta["columns"], meta["names"] = _spec_of(columns, "the names of the columns"), names
    return names


def _is_plain(dtype: Any) -> bool:
    """Whether Arrow gives a column of this type back as it is."""
    import numpy as np  # noqa: PLC0415

    if isinstance(dtype, np.dtype):
        if dtype.kind in "Mm":
            return dtype.isnative and np.datetime_data(dtype)[0] in _UNITS
        return dtype.kind in "biuf" and dtype.isnative and dtype.char != "g"
    return dtype == _text_type()


def _is_object(dtype: Any) -> bool:
    return str(dtype) == "object"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _text_type() -> Any:
    """What pandas takes text for by itself."""
    import pandas as pd  # noqa: PLC0415

    found = pd.Series([""]).dtype
    return None if _is_object(found) else found


def _packed(column: "pd.Series", what: str, *, is_plain: bool) -> tuple[Any, Any]:
    """A column as Arrow, and the word that it needs beside it."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    what = f"{what} ({column.dtype})"
    if is_plain:
        return pa.Array.from_pandas(column), None
    row = None
    try:
        for array, spec in _tries(column):
            restored = _restored(pa.chunked_array([array]), spec)
            if same_series(column, restored):
                return array, None if spec["kind"] == "default" else {**spec, "arrow": str(array.type)}
            row = _first_other(column, restored)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError, AttributeError):
        pass
    if isinstance(column.dtype, pd.SparseDtype):
        raise NotKept(what, "Make it dense: frame.sparse.to_dense().")
    if _is_object(column.dtype):
        what = what if row is None else f"{what}, row {row + 1},"
        raise NotKept(what, "Give the column one type: .astype(str), .astype('Int64'), pd.to_datetime(...).")
    raise NotKept(what, "Give it a type that Arrow has, such as .astype('float64'), or .astype(str).")


def _tries(column: "pd.Series") -> "Iterable[tuple[Any, Any]]":
    """Ways to spell a column, the plainest first."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    dtype: Any = column.dtype
    if _is_object(dtype):
        present = [v for v in column if not (v is None or v is pd.NA or v is pd.NaT or _is_nan(v))]
        missing = next((v for v in column if v is None or v is pd.NA or v is pd.NaT or _is_nan(v)), None)
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
        spec = _spec_of(categories, "categories")
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


def _restored(column: "pa.ChunkedArray", spec: Any) -> Any:
    """A column as it was in pandas."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    match spec["kind"]:
        case "default":
            return _series(column)
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
            categories = _index_of(spec["categories"])
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


def _is_default(index: "pd.Index") -> bool:
    import pandas as pd  # noqa: PLC0415

    return type(index) is pd.RangeIndex and index.name is None and index.start == 0 and index.step == 1


def _add_index(index: "pd.Index", columns: dict[str, Any], meta: dict[str, Any]) -> None:
    import pandas as pd  # noqa: PLC0415

    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    names: list[str] = []
    specs: list[Any] = []
    for at, level in enumerate(levels):
        name = level.name
        if type(name) is not str or name in columns or name.startswith("__"):
            name = f"{INDEX_LEVEL}{at}__"
        series = pd.Series(level, dtype=level.dtype)
        columns[name], one = _packed(series, f"index level {level.name!r}", is_plain=_is_plain(level.dtype))
        names.append(name)
        specs.append(one)
    kind = "multi" if index.nlevels > 1 else "range" if type(index) is pd.RangeIndex else "index"
    spec: dict[str, Any] = {"columns": names, "specs": specs, "kind": kind}
    meta["index"] = spec
    spec["names"] = _encoded(list(index.names), "the names of the index")
    if kind == "range":
        spec["step"] = index.step  # pyright: ignore[reportAttributeAccessIssue]
        spec["start"] = index.start  # pyright: ignore[reportAttributeAccessIssue]
    if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
        spec["freq"] = index.freqstr  # pyright: ignore[reportAttributeAccessIssue]
    import pyarrow as pa  # noqa: PLC0415

    restored = _restored_index([pa.chunked_array([columns[n]]) for n in names], spec)
    if not _same_index(index, restored):
        raise NotKept(f"an index of the type {type(index).__name__}", "Make it columns: frame.reset_index().")


def _restored_index(columns: "list[Any]", spec: dict[str, Any]) -> "pd.Index":
    import pandas as pd  # noqa: PLC0415

    names = values.decode(spec["names"])
    levels: list[Any] = []
    for column, one in zip(columns, spec["specs"], strict=True):
        series = _series(column) if one is None else _restored(column, one)
        levels.append(pd.Index(series, dtype=series.dtype))
    if spec["kind"] == "multi":
        return pd.MultiIndex.from_arrays(levels, names=names)
    (made,) = levels
    if spec["kind"] == "range":
        numbers = made.to_numpy()
        start, step = (int(numbers[0]), spec["step"]) if len(numbers) else (spec["start"], spec["step"])
        ranged = pd.RangeIndex(start, start + step * len(numbers), step)
        if (ranged.to_numpy() == numbers).all():
            made = ranged
    if spec.get("freq") is not None:
        # Refused where rows were taken out of it since.
        with contextlib.suppress(ValueError):
            made = type(made)(made, freq=spec["freq"])  # pyright: ignore[reportCallIssue]
    return made.set_names(names)


def _spec_of(index: "pd.Index", what: str) -> dict[str, Any]:
    """An index of few members (names, categories) in words."""
    import pandas as pd  # noqa: PLC0415

    if type(index) is pd.RangeIndex:
        spec: dict[str, Any] = {"range": [index.start, index.stop, index.step]}
    elif isinstance(index, pd.MultiIndex):
        levels = [_spec_of(index.get_level_values(i), what) for i in range(index.nlevels)]
        spec = {"levels": levels}
    else:
        kind: Any = index.dtype
        storage = (
            {"storage": kind.storage, "nan": kind.na_value is not pd.NA}
            if isinstance(kind, pd.StringDtype)
            else {}
        )
        spec = {"members": [_cell(v, what) for v in index], "dtype": str(index.dtype), **storage}
        if isinstance(index, pd.CategoricalIndex):
            spec["categories"], spec["ordered"] = _spec_of(index.categories, what), bool(index.ordered)
        if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
            spec["freq"] = index.freqstr  # pyright: ignore[reportAttributeAccessIssue]
    spec["names"] = _encoded(list(index.names), what)
    if not _same_index(index, _index_of(spec)):
        raise NotKept(what, "Rename them to texts.")
    return spec


def _index_of(spec: dict[str, Any]) -> "pd.Index":
    import pandas as pd  # noqa: PLC0415

    names = values.decode(spec["names"])
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=names[0])
    if "levels" in spec:
        return pd.MultiIndex.from_arrays([_index_of(s) for s in spec["levels"]], names=names)
    members = [float("nan") if m == {"$nan": 0} else values.decode(m) for m in spec["members"]]
    if "categories" in spec:
        dtype: Any = pd.CategoricalDtype(_index_of(spec["categories"]), spec["ordered"])
    elif "storage" in spec:
        dtype = pd.StringDtype(spec["storage"], na_value=float("nan") if spec["nan"] else pd.NA)
    else:
        dtype = spec["dtype"]
    made = pd.Index(members, dtype=dtype)
    if "freq" in spec:
        made = type(made)(made, freq=spec["freq"])  # pyright: ignore[reportCallIssue]
    return made.set_names(names)


def _cell(value: Any, what: str) -> Any:
    return {"$nan": 0} if _is_nan(value) else _encoded(value, what)


def _encoded(value: Any, what: str) -> Any:
    try:
        return values.encode(value)
    except values.NoSpelling:
        raise NotKept(what, "Use texts or numbers.") from None


def _same_index(one: "pd.Index", other: "pd.Index") -> bool:
    import pandas as pd  # noqa: PLC0415

    if type(one) is not type(other) or len(one) != len(other) or one.nlevels != other.nlevels:
        return False
    if isinstance(one, pd.MultiIndex):
        return list(one.names) == list(other.names) and all(
            _same_index(one.get_level_values(i), other.get_level_values(i)) for i in range(one.nlevels)
        )
    if getattr(one, "freq", None) != getattr(other, "freq", None) or not _same_name(one.name, other.name):
        return False
    return same_series(pd.Series(one, dtype=one.dtype), pd.Series(other, dtype=other.dtype))


def _same_name(one: Any, other: Any) -> bool:
    return _same_cell(one, other)


def same_series(one: "pd.Series", other: "pd.Series") -> bool:
    """Whether two columns are of one type, and each cell of one value and type."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    if one.dtype != other.dtype or str(one.dtype) != str(other.dtype) or len(one) != len(other):
        return False
    kind: Any = one.dtype
    if isinstance(kind, pd.CategoricalDtype):
        categories = (kind.categories, other.dtype.categories)  # pyright: ignore[reportAttributeAccessIssue]
        return (
            _same_index(*categories)
            and kind.ordered == other.dtype.ordered  # pyright: ignore[reportAttributeAccessIssue]
            and bool((one.cat.codes.to_numpy() == other.cat.codes.to_numpy()).all())
        )
    if not _is_object(kind):
        here, there = one.isna().to_numpy(), other.isna().to_numpy()
        same = np.asarray((one.array == other.array), dtype=object)
        return bool((here == there).all()) and all(bool(s) for s in same[~here])
    return all(_same_cell(a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True))


def _first_other(one: "pd.Series", other: "pd.Series") -> int | None:
    """The first row, from 0, whose cell is another one; None where the columns differ as a whole."""
    if len(one) != len(other):
        return None
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    return next((row for row, (a, b) in enumerate(pairs) if not _same_cell(a, b)), None)


def _same_cell(one: Any, other: Any) -> bool:
    import numpy as np  # noqa: PLC0415

    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        is_one_type = one.dtype == other.dtype and one.shape == other.shape
        if is_one_type and one.dtype == object:
            return all(_same_cell(a, b) for a, b in zip(one.flat, other.flat, strict=True))
        return is_one_type and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same_cell, one, other))
    if isinstance(one, dict):
        return _same_cell(list(one), list(other)) and _same_cell(list(one.values()), list(other.values()))
    if _is_nan(one):
        return _is_nan(other)
    # Equal in value is not the same yet: 2 and 2.00 are equal, and so is one moment in two zones.
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (dt.datetime, dt.time)):
        is_same = one.fold == other.fold and _same_zone(one.tzinfo, other.tzinfo)
        if not is_same or one.utcoffset() != other.utcoffset():
            return False
        # A time in pandas counts in a unit.
        return bool(one == other) and getattr(one, "unit", "") == getattr(other, "unit", "")
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def _same_zone(one: Any, other: Any) -> bool:
    if one is other:
        return True
    key = getattr(one, "key", None)
    is_one = key == other.key if key is not None and type(one) is type(other) else bool(one == other)
    return type(one) is type(other) and is_one and str(one) == str(other)
