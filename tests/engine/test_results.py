"""What a step returns is what the next step gets: what the store gives back equals what it was given, value and type."""

import dataclasses
import datetime as dt
import decimal
import enum
import tempfile
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.engine.projects import Project, step
from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tidemill.core.errors import Failed
from tidemill.engine.artifacts import load, save
from tidemill.engine.orders import Ref
from tidemill.engine.tables import read_table, write_chunk
from tidemill.engine.wire import outcome_from_json, outcome_to_json
from tidemill.pipeline.frames import to_form, to_table
from tidemill.store.blobs import Blobs
from tidemill.store.folder import Folder
from tidemill.store.open import Store


def through_the_store(value: Any, form: Any = "any") -> Any:
    """What the next step gets, from a record that went through JSON as the catalog's and a remote worker's do."""
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(Folder(Path(folder)), Path(folder))
        return through(blobs, blobs, value, form)


def through(here: Blobs, there: Blobs, value: Any, form: Any = "any") -> Any:
    """What is saved at one place of a store, as a step gets it at another."""
    from tidemill.engine.orders import Outcome

    saved = save(here, value, "make")
    back = load(there, saved.ref)
    travelled = outcome_from_json(outcome_to_json(Outcome(saved={"result": saved}))).saved["result"]
    assert travelled.meta == saved.meta, "what is in memory is what is recorded"
    if saved.kind == "table":
        return to_form(back, form, step="look", parameter="table")
    assert_same(load(there, Ref(travelled.digest, travelled.kind, travelled.meta)), back)
    return np.array(back) if isinstance(back, np.ndarray) else back


def assert_same(one: Any, other: Any) -> None:
    """One value is the other: types, values, the order of dicts, signs of zero, missing ones by their kind."""
    assert type(one) is type(other), (one, other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
        if one.tobytes() != other.tobytes():
            np.testing.assert_array_equal(one, other)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, dict):
        assert [type(k) for k in one] == [type(k) for k in other]
        assert list(one) == list(other), "the order of a dict is a part of it"
        for name in one:
            assert_same(one[name], other[name])
        assert getattr(one, "default_factory", None) is getattr(other, "default_factory", None)
    elif one is pd.NA or one is pd.NaT:
        assert one is other
    elif isinstance(one, (set, frozenset)):
        assert one == other
        assert sorted(map(repr, one)) == sorted(map(repr, other))
    elif isinstance(one, (np.datetime64, np.timedelta64)):
        assert (one.dtype, one.view("i8")) == (other.dtype, other.view("i8"))
    else:
        assert one == other
        assert type(one) is int or repr(one) == repr(other)


ZONES = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.sampled_from([zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("America/New_York")]),
    st.integers(-1439, 1439).map(lambda m: dt.timezone(dt.timedelta(minutes=m))),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMPY = st.one_of(
    hnp.scalar_dtypes().flatmap(lambda t: hnp.from_dtype(t, allow_nan=False, allow_infinity=False)),
    FINITE.map(np.longdouble),
).filter(lambda v: not isinstance(v, np.void))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 6000).map(lambda n: 10**n + 1),
    FINITE,
    st.text(st.characters()),
    st.just("\ud800 half a pair"),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.complex_numbers(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.times(),
    st.timedeltas(),
    NUMPY,
    st.sampled_from([pd.NA, pd.NaT, np.datetime64("NaT", "ns"), np.timedelta64("NaT")]),
    st.integers(0, 10**15).map(lambda n: pd.Timestamp(n, unit="us")),
    st.integers(0, 10**15).map(lambda n: pd.Timestamp(n, unit="us", tz="Europe/Berlin")),
    st.integers(-(10**15), 10**15).map(lambda n: pd.Timedelta(n, unit="us")),
    st.integers(0, 5000).map(lambda n: pd.Period(ordinal=n, freq="M")),
    st.integers(0, 50).map(lambda n: pd.Interval(n, n + 1, closed="both")),
)
KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.tuples(st.integers(), st.text()), st.dates())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict),
        st.dictionaries(st.text(), inner, max_size=4).map(lambda d: defaultdict(list, d)),
        st.dictionaries(st.text(), st.integers(), max_size=4).map(Counter),
        st.sets(st.one_of(st.integers(), st.text(), st.dates()), max_size=4),
        st.frozensets(st.integers(), max_size=4),
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(VALUES)
def test_a_value_comes_back_as_it_is(value: Any) -> None:
    assert_same(through_the_store(value), value)


@pytest.mark.parametrize(
    "large", [("a", 1) * 20_000, {i: np.float32(i) for i in range(5_000)}, "ä" * 100_000]
)
def test_a_large_value_comes_back_from_its_file(large: Any) -> None:
    assert_same(through_the_store(large), large)


@settings(max_examples=40)
@given(
    hnp.arrays(
        st.one_of(
            hnp.scalar_dtypes(),
            hnp.array_dtypes(allow_subarrays=True),
            hnp.byte_string_dtypes(endianness="?"),
        ),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    )
)
def test_an_array_comes_back_as_it_is(array: Any) -> None:
    assert_same(through_the_store(array), np.ascontiguousarray(array).reshape(array.shape))


def test_a_longdouble_array_has_one_digest(tmp_path: Path) -> None:
    blobs = Blobs(Folder(tmp_path), tmp_path)
    array = np.array([1.0, -0.0, np.pi], np.longdouble) / 3
    dirty = np.frombuffer(b"\xab" * array.nbytes, np.longdouble).copy()
    dirty[...] = array
    assert save(blobs, array, "s").digest == save(blobs, dirty, "s").digest
    assert_same(np.array(load(blobs, save(blobs, array, "s").ref)), array)


FRAMES: dict[str, Any] = {
    "a named index": pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="k")),
    "what a filter left": pd.DataFrame({"v": [1, 2, 3]}).query("v != 2"),
    "another order": pd.DataFrame({"v": [1, 2, 3]})[::-1],
    "a range from 5": pd.DataFrame({"v": [1, 2]}, index=pd.RangeIndex(5, 9, 2, name="n")),
    "several levels": pd.DataFrame(
        {"v": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
    ),
    "days": pd.DataFrame(
        {"v": [1, 2]}, index=pd.date_range("2020", periods=2, name="day", tz="Europe/Berlin")
    ),
    "hours": pd.DataFrame({"v": [1, 2]}, index=pd.timedelta_range("1h", periods=2)),
    "months": pd.DataFrame({"v": [1, 2]}, index=pd.period_range("2020", periods=2, freq="M")),
    "a categorical index": pd.DataFrame({"v": [1]}, index=pd.CategoricalIndex(["x"], categories=["y", "x"])),
    "an index named as a column": pd.DataFrame({"v": [1]}, index=pd.Index([7], name="v")),
    "rows and no columns": pd.DataFrame(index=pd.Index(["a", "b"])),
    "nothing": pd.DataFrame(),
    "numbers as names": pd.DataFrame(np.zeros((2, 2))),
    "names of two types": pd.DataFrame({1: [1], "a": [2]}),
    "names of several levels": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_product([["a"], ["x", "y"]])
    ),
    "days as names": pd.DataFrame([[1, 2]], columns=pd.date_range("2020", periods=2)),
    "a name of the names": pd.DataFrame({"v": [1]}).rename_axis(columns="kinds"),
    "attrs": pd.DataFrame({"v": [1]}),
    "periods": pd.DataFrame({"v": pd.PeriodIndex(["2020-01", None], freq="M")}),
    "intervals": pd.DataFrame({"v": pd.arrays.IntervalArray.from_tuples([(0.0, 1.0), None], closed="left")}),
    "bins": pd.DataFrame({"v": pd.cut([1, 2, 3], 2)}),
    "ordered categories": pd.DataFrame({"v": pd.Categorical(["b", None], ["c", "b", "a"], ordered=True)}),
    "categories of numbers": pd.DataFrame({"v": pd.Categorical([1, 2], categories=[2, 1, 3])}),
    "categories of days": pd.DataFrame({"v": pd.Categorical(pd.date_range("2020", periods=2))}),
    "Int64": pd.DataFrame({"v": pd.array([2**53 + 1, None], dtype="Int64")}),
    "Float32": pd.DataFrame({"v": pd.array([1.5, None], dtype="Float32")}),
    "boolean": pd.DataFrame({"v": pd.array([True, None], dtype="boolean")}),
    "string": pd.DataFrame({"v": pd.array(["a", None], dtype="string")}),
    "string of Python": pd.DataFrame({"v": pd.array(["a", None], dtype="string[python]")}),
    "str": pd.DataFrame({"v": ["a", None]}),
    "an Arrow type": pd.DataFrame({"v": pd.array([None, 1], dtype=pd.ArrowDtype(pa.int32()))}),
    "an Arrow decimal": pd.DataFrame({"v": pd.array([None], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))}),
    "objects and None": pd.DataFrame({"v": pd.Series(["a", None], dtype=object)}),
    "objects and NaN": pd.DataFrame({"v": pd.Series(["a", np.nan], dtype=object)}),
    "objects and NA": pd.DataFrame({"v": pd.Series(["a", pd.NA], dtype=object)}),
    "booleans and None": pd.DataFrame({"v": pd.Series([True, None], dtype=object)}),
    "nothing but None": pd.DataFrame({"v": pd.Series([None, None], dtype=object)}),
    "dates": pd.DataFrame({"v": [dt.date(2020, 1, 1), None]}),
    "decimals": pd.DataFrame({"v": [decimal.Decimal("1.5"), decimal.Decimal("2.25")]}),
    "lists": pd.DataFrame({"v": [[1], [2, 3]]}),
    "arrays": pd.DataFrame({"v": [np.arange(2, dtype="u1"), np.arange(2, dtype="u1")]}),
    "dicts": pd.DataFrame({"v": [{"a": 1}, {"a": 2}]}),
    "minus zero, NaN, infinity": pd.DataFrame({"v": [-0.0, np.nan, np.inf]}),
    "times in seconds": pd.DataFrame(
        {"v": np.array(["2020", "NaT"], "M8[s]"), "w": np.array([1, 2], "m8[ms]")}
    ),
    "times in a zone": pd.DataFrame({"v": pd.date_range("2020", periods=2, tz="Europe/Berlin", unit="s")}),
    "small types": pd.DataFrame(
        {"a": np.array([1], "u1"), "b": np.array([1], "f2"), "c": np.array([1], "i2")}
    ),
    "no rows": pd.DataFrame({"v": pd.Series([], dtype="Int8")}),
    "a column named as a hidden index level": pd.DataFrame({"__index_level_0__": [1, 2]}),
    "such a column beside such a level": pd.DataFrame({"__index_level_0__": [1, 2]}, index=[5, 7]),
    "such a column beside two": pd.DataFrame(
        {"__index_level_1__": [1, 2]}, index=pd.MultiIndex.from_arrays([[5, 7], ["a", "b"]])
    ),
    "unique labels": pd.DataFrame({"v": [1]}).set_flags(allows_duplicate_labels=False),
}
FRAMES["attrs"].attrs = {"unit": "m", "scale": (1, 2)}


@pytest.mark.parametrize("name", FRAMES)
def test_a_pandas_frame_comes_back_as_it_is(name: str) -> None:
    assert_same_frame(name, through_the_store(FRAMES[name], "pandas"))


def assert_same_frame(name: str, back: Any) -> None:
    """A frame is the one of this name: index, types, names, cells and their types."""
    frame = FRAMES[name]
    pd.testing.assert_frame_equal(
        back,
        frame,
        check_exact=True,
        check_freq=True,
        check_index_type="exact",  # pyright: ignore[reportArgumentType]
        check_column_type="exact",  # pyright: ignore[reportArgumentType]
        check_flags=True,
    )
    assert type(back.columns) is type(frame.columns)
    assert back.attrs == frame.attrs
    for column in frame:
        assert [type(v) for v in back[column]] == [type(v) for v in frame[column]]
        # The decimals of a column have one number of digits: 1.5 comes back as 1.50, which is equal.
        assert name == "decimals" or repr(list(back[column])) == repr(list(frame[column]))


def test_a_column_named_as_a_hidden_index_level_is_a_column_in_every_form() -> None:
    for index in (None, [5, 7]):
        frame = pd.DataFrame({"__index_level_0__": [1, 2]}, index=index)
        for form in ("table", "polars", "arrow"):
            back = through_the_store(frame, form)
            names = back.column_names if form == "arrow" else back.columns
            assert list(names) == ["__index_level_0__"], (index, form)


COLUMNS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "Int64": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    "boolean": st.one_of(st.none(), st.booleans()),
    "string": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
    "str": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
    "category": st.sampled_from(["a", "b", None]),
    "datetime64[us]": st.datetimes(),
    "object": st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.text(max_size=2), st.floats(0, 1)),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of several types, with any index."""
    rows = draw(st.integers(0, 5))
    columns = {}
    for at, kind in enumerate(draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=4))):
        cells = draw(st.lists(COLUMNS[kind], min_size=rows, max_size=rows))
        columns[f"{kind}{at}"] = pd.Series(cells, dtype=kind)
    frame = pd.DataFrame(columns)
    index = draw(st.sampled_from(["none", "text", "number", "day", "two"]))
    if index != "none":
        cells = draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows))
        one = {
            "text": lambda: pd.Index([str(c) for c in cells], name="k", dtype="str"),
            "number": lambda: pd.Index(cells, dtype="int64"),
            "day": lambda: pd.DatetimeIndex(pd.to_datetime(cells, unit="D"), name="day"),
            "two": lambda: pd.MultiIndex.from_arrays([cells, cells], names=["a", "b"]),
        }[index]
        frame.index = one()
    return frame


@settings(max_examples=40)
@given(frames())
def test_any_frame_comes_back_or_is_refused(frame: pd.DataFrame) -> None:
    error: Failed | None = None
    back: Any = None
    try:
        back = through_the_store(frame, "pandas")
    except Failed as refused:
        error = refused
    if error is not None:
        assert error.code == "table-not-kept"
        assert {"step", "output", "part"} <= set(error.details)
        mixed = [c for c in frame if frame[c].dtype == object]
        assert any(f"'{c}'" in str(error.details["part"]) for c in mixed), "only mixed objects are refused"
        return
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert type(back.index) is type(frame.index)
    for column in frame:
        assert [type(v) for v in back[column]] == [type(v) for v in frame[column]]


POLARS = pl.DataFrame(
    {
        "enum": pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
        "category": pl.Series(["x", "y"], dtype=pl.Categorical),
        "decimal": [decimal.Decimal("1.5"), None],
        "list": [[1], None],
        "struct": [{"a": 1, "b": ["y"]}, {"a": 2, "b": ["x"]}],
        "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)),
        "deep": pl.Series([[[1.0], [2.0]], [[3.0], [4.0]]], dtype=pl.Array(pl.Float32, (2, 1))),
        "time": [dt.time(1), None],
        "duration": pl.Series([1, 2], dtype=pl.Duration("ms")),
        "zone": pl.Series([1, 2], dtype=pl.Datetime("ns", "Europe/Berlin")),
        "null": [None, None],
        "binary": [b"a", b""],
        "nan": [float("nan"), None],
        "zero": [-0.0, 0.0],
        "bool": [True, None],
        "unsigned": pl.Series([1, 2], dtype=pl.UInt16),
        "day": [dt.date(2020, 1, 1), None],
    }
)


@pytest.mark.parametrize("frame", [POLARS, POLARS.head(0), POLARS.filter(pl.col("bool")), pl.DataFrame()])
def test_a_polars_frame_comes_back_as_it_is(frame: pl.DataFrame) -> None:
    back = through_the_store(frame, "polars")
    assert back.schema == frame.schema
    assert repr(back.rows()) == repr(frame.rows())


def test_another_machine_gets_each_kind_as_it_is(s3: S3Server, postgres: Postgres, tmp_path: Path) -> None:
    """From a bucket, with nothing kept from when it was saved."""
    with closing(Store.create(s3.fresh(), local=tmp_path / "here", catalog=postgres.catalog())) as here:
        there = Blobs(here.objects, tmp_path / "there")
        for name, frame in FRAMES.items():
            assert_same_frame(name, through(here.blobs, there, frame, "pandas"))
        back = through(here.blobs, there, POLARS, "polars")
        assert (back.schema, repr(back.rows())) == (POLARS.schema, repr(POLARS.rows()))
        for value in (
            ("a", 1.5, {2: (None, np.float32(3)), "x": {dt.date(2020, 1, 1)}}) * 1000,
            np.array([["2020", "NaT"]], "M8[ms]"),
            np.arange(6, dtype=np.longdouble).reshape(2, 3) / 3,
        ):
            assert_same(through(here.blobs, there, value), value)


def test_an_arrow_table_comes_back_as_it_is() -> None:
    field = pa.field(
        "v", pa.dictionary(pa.int8(), pa.string(), ordered=True), metadata={"unit": "m", "a": "b"}
    )
    table = pa.table(
        [pa.array(["b", "a", None]).dictionary_encode().cast(field.type), pa.array([1, 2, 3]), pa.nulls(3)],
        schema=pa.schema(
            [field, pa.field("n", pa.int64(), nullable=False), pa.field("z", pa.null())],
            metadata={"k": "v", "b": ""},
        ),
    )
    for one in (table, table.slice(1), table.slice(0, 0)):
        back = through_the_store(one, "arrow")
        assert back.schema.equals(one.schema, check_metadata=True)
        assert back.equals(one)


def test_other_forms_see_the_named_index_as_a_column_and_no_other() -> None:
    named = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="k"))
    assert through_the_store(named, "polars").columns == ["v", "k"]
    assert through_the_store(named.rename_axis(None), "polars").columns == ["v"]
    assert through_the_store(named.rename_axis(None), "arrow").schema.metadata is None


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


@dataclasses.dataclass
class Thing:
    a: int


class Pair(NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    ("value", "kind", "way_out"),
    [
        (Colour.RED, "Colour", ".value"),
        ({"a": [Colour.RED]}, "Colour", ".value"),
        ({Colour.RED: 1}, "Colour", ".value"),
        (Word("a"), "Word", "str(...)"),
        (Thing(1), "Thing", "asdict"),
        (Pair(1, 2), "Pair", "_asdict"),
        ([Path("a")], "PosixPath", "str(path)"),
        (pd.Series([1]), "Series", "to_frame"),
        (pl.Series([1]), "Series", "to_frame"),
        (pl.LazyFrame({"a": [1]}), "LazyFrame", "collect"),
        (np.ma.masked_array([1, 2], [True, False]), "MaskedArray", "mask"),
        ({"a": np.ma.masked_array([1, 2], [True, False])}, "MaskedArray", "mask"),
        ({"a": np.zeros(2), "b": Colour.RED}, "Colour", ".value"),
        (np.rec.array([(1,)], dtype=[("a", int)]), "recarray", "numpy.asarray"),
        (np.array([None, 1]), "object", "tolist"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "StringDType", "astype(str)"),
        (range(3), "range", "Return"),
    ],
)
def test_what_would_not_come_back_is_refused_with_a_way_out(
    tmp_path: Path, value: Any, kind: str, way_out: str
) -> None:
    with pytest.raises(Failed) as caught:
        save(Blobs(Folder(tmp_path), tmp_path), value, "make", "out")
    assert caught.value.code == "no-artifact-kind"
    assert "'make'" in caught.value.message
    assert "'out'" in caught.value.message
    assert kind in caught.value.message
    assert way_out in (caught.value.hint or "")


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
TWICE = dt.datetime(2025, 10, 26, 2, 30)  # noqa: DTZ001
D = decimal.Decimal


def said(cell: Any) -> str:
    """A cell with all that equality does not look at."""
    return repr((cell, getattr(cell, "fold", 0)))


@pytest.mark.parametrize(
    "cells",
    [
        [D("2"), D("2.00"), None],
        [D("-0"), D("1E+2"), D("0.0")],
        [D("1E+2"), D("2E+2")],
        [D("1.50"), D("2.25")],
        [D("1.5"), float("nan"), D("1." + "7" * 80)],
        [TWICE.replace(tzinfo=BERLIN, fold=f) for f in (0, 1)],
        [TWICE.replace(tzinfo=dt.UTC), None],
        [TWICE.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))],
    ],
    ids=str,
)
def test_cells_of_objects_come_back_with_digits_zone_and_fold(cells: list[Any]) -> None:
    for frame in (
        pd.DataFrame({"v": pd.Series(cells, dtype=object)}),
        pd.DataFrame({"n": range(len(cells))}, index=pd.Index(cells, dtype=object)),
    ):
        back = through_the_store(frame, "pandas")
        held = back.get("v", back.index)
        assert list(map(said, held)) == list(map(said, cells))


def test_decimals_of_several_chunks_keep_their_digits(tmp_path: Path) -> None:
    """Also where only one of the chunks has them as text."""
    blobs = Blobs(Folder(tmp_path), tmp_path)
    parts = [["1.50", "0.00", None], ["2", "-0"], [None], ["3.25"]]
    chunks: list[Any] = []
    for texts in parts:
        cells = pd.Series([None if t is None else D(t) for t in texts], dtype=object)
        chunks.append(write_chunk(blobs, to_table(pd.DataFrame({"v": cells}), step="make")))
    back = to_form(
        read_table(blobs, {"content": {"chunks": chunks}}), "pandas", step="look", parameter="table"
    )
    assert [v if v is None else str(v) for v in back["v"]] == [t for texts in parts for t in texts]


@pytest.mark.parametrize(
    "cells",
    [
        [TWICE, TWICE.replace(fold=1)],
        [TWICE.replace(tzinfo=dt.UTC), TWICE.replace(tzinfo=BERLIN)],
        [TWICE.replace(tzinfo=dt.UTC), TWICE.replace(tzinfo=zoneinfo.ZoneInfo("UTC"))],
        [dt.time(1, 2), dt.time(1, 2, fold=1)],
        [dt.time(1, 2), dt.time(1, 2, tzinfo=dt.UTC)],
        [[D("2.00")], [D("2")]],
        [{"a": D("2.00")}, {"a": D("2")}],
        [[TWICE.replace(tzinfo=BERLIN)], [TWICE.replace(tzinfo=dt.UTC)]],
    ],
    ids=str,
)
def test_a_cell_that_would_come_back_as_an_equal_one_is_refused_with_its_row(cells: list[Any]) -> None:
    with pytest.raises(Failed, match=r"column 'v' \(object\), row 2, which") as caught:
        through_the_store(pd.DataFrame({"v": pd.Series(cells, dtype=object)}), "pandas")
    assert caught.value.code == "table-not-kept"
    if not isinstance(cells[0], (list, dict)):
        with pytest.raises(Failed, match=r"index level None \(object\), row 2, which"):
            through_the_store(pd.DataFrame({"n": [1, 2]}, index=pd.Index(cells, dtype=object)), "pandas")


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame({1: [1], "1": [2]}), "'1'"),
        (pd.DataFrame({"a": [1]})[[]], "1 row "),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "Sparse"),
        (pd.DataFrame({"a": [1j]}), "complex128"),
        (pd.DataFrame({"a": np.array([1], np.longdouble)}), "float128"),
        (pd.DataFrame({"a": np.array([1], ">i4")}), ">i4"),
        (pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}), "object"),
        (pd.DataFrame({"a": pd.Series([1, 2.5], dtype=object)}), "object"),
        (pd.DataFrame({"a": pd.Series(["x", None, pd.NA], dtype=object)}), "object"),
        (pd.DataFrame({"a": [(1, 2)]}), "object"),
        (pd.DataFrame({"a": [Colour.RED]}, dtype=object), "object"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([object()])), "index"),
        (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "Object"),
        (pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)}), "Int128"),
        (pa.table([[1], [2]], names=["a", "a"]), "'a'"),
    ],
)
def test_a_frame_that_would_not_come_back_is_refused_with_its_part(
    tmp_path: Path, frame: Any, part: str
) -> None:
    with pytest.raises(Failed) as caught:
        save(Blobs(Folder(tmp_path), tmp_path), frame, "make", "out")
    assert caught.value.code == "table-not-kept"
    assert part in caught.value.message
    assert "'make'" in caught.value.message
    assert caught.value.hint


STEPS = """
import datetime
import numpy as np
import pandas as pd
import tidemill as tm

@tm.step
def make():
    return {"b": (1, np.float32(2)), "a": {datetime.date(2020, 1, 1): {1, 2}}, 3: np.datetime64("2020", "ns")}

@tm.step
def frame():
    return pd.DataFrame({"v": pd.Categorical(["x"], ["y", "x"])}, index=pd.date_range("2020", periods=1, name="day"))

@tm.step
def look(value, table: pd.DataFrame) -> str:
    # 1
    return f"{value!r} {table.index!r} {table.v.dtype!r}"

@tm.pipeline
def p():
    return look(make(), frame())
"""


@pytest.mark.both_stores
def test_a_first_run_gives_the_next_step_what_a_cached_run_does(project: Project) -> None:
    project.write(STEPS)
    first = project.run()
    project.write(STEPS.replace("# 1", "0"))
    second = project.run()
    assert (step(second, "make").status, step(second, "look").status) == ("cached", "computed")
    assert project.value(first) == project.value(second)
    assert "(1, np.float32(2.0))" in str(project.value(first))
    assert "name='day', freq='D'" in str(project.value(first))


@pytest.mark.both_stores
def test_a_list_of_values_keeps_their_types_item_by_item(project: Project) -> None:
    project.write("""
import tidemill as tm

@tm.step
def items():
    return [(1, 2), {"b": 1, "a": (2,)}]

@tm.step
def shown(item) -> str:
    return repr(item)

@tm.step
def same(item):
    return item

@tm.pipeline
def p():
    each = items()
    return {"shown": tm.each(each, shown), "same": tm.each(each, same)}
""")
    result = project.run()
    assert project.value(result, "shown") == ["(1, 2)", "{'b': 1, 'a': (2,)}"]
    assert project.value(result, "same") == [(1, 2), {"b": 1, "a": (2,)}]


def test_numbers_of_numpy_are_numbers_to_whoever_reads_the_record(project: Project) -> None:
    project.write("""
import numpy as np
import tidemill as tm

@tm.step
def score() -> float:
    return np.float64(0.5)

@tm.step
def is_good(score: float) -> bool:
    assert type(score) is np.float64
    return score > 0.4

@tm.pipeline
def p():
    made = score()
    return {"score": made, "said": tm.when(is_good(made), then=lambda: made, otherwise=lambda: 0)}
""")
    result = project.run()
    assert result.outputs["score"].meta["content"] == 0.5
    assert_same(project.value(result, "said"), np.float64(0.5))


@settings(max_examples=10)
@given(st.lists(st.one_of(st.none(), st.uuids(), st.fractions()), max_size=3))
def test_a_state_with_arrays_comes_back_as_it_is(members: list[Any]) -> None:
    state = {"z": np.zeros((2, 2), np.float32), "a": (1, np.int8(2)), "m": members, "u": uuid.UUID(int=1)}
    back = through_the_store(state)
    assert_same(back.pop("z"), state.pop("z"))
    assert_same(back, state)
