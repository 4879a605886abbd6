"""Random Arrow columns: of every type that a dataset keeps, inside of each other, with missing and extreme cells."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

ZONES = (None, "UTC", "Europe/Berlin", "America/St_Johns", "+05:30", "-03:00")
UNITS = ("s", "ms", "us", "ns")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
YEARS = (-62_135_510_400, 253_402_214_399)
"""The first day of year 1 and the last one of year 9999 in seconds since 1970, a day further in for the zones."""
TEXTS = (
    "",
    "a",
    "NaN",
    "null",
    "007",
    "1e5",
    "ä\n,\"'",
    "\u200b",
    "[1]",
    '{"a": 1}',
    " b ",
    "true",
    "x" * 40,
)
FLOATS = (0.0, -0.0, 1.0, 0.1, 1e-7, 3.5, -1e30, float("nan"), float("inf"), float("-inf"), 5e-324, 2.0**53)
_IN_PARQUET = ("list_view", "string_view", "binary_view", "duration", "decimal32")
"""What pyarrow does not write to Parquet, or not as such."""


def table(random: Random, rows: int, columns: int, *, parquet: bool) -> Any:
    """A table with a key ``id`` and so many columns of random types and cells."""
    found: dict[str, Any] = {"id": pa.array(range(rows), pa.int64())}
    for number in range(columns):
        kind = of_type(random, 2, parquet=parquet)
        found[f"c{number}"] = cells(random, kind, rows)
    return pa.table(found)


def of_type(random: Random, depth: int, *, parquet: bool, key: bool = False) -> Any:
    """A random type, with so many lists and records around each other at most."""
    if depth and not key and random.random() < 0.4:
        inner: Callable[[], Any] = lambda: of_type(random, depth - 1, parquet=parquet)  # noqa: E731
        makers: list[Callable[[], Any]] = [
            lambda: pa.list_(inner()),
            lambda: pa.large_list(inner()),
            lambda: pa.struct([(name, inner()) for name in random.sample(["x", "y z", "", "a.b", "ß"], random.randint(1, 3))]),
            lambda: pa.map_(of_type(random, 0, parquet=parquet, key=True), inner()),
            lambda: pa.list_(random.choice([pa.float32(), pa.uint8(), pa.int64(), pa.float16(), pa.bool_(), pa.decimal128(9, 2)]), random.randint(1, 3)),
            lambda: pa.list_(random.choice([pa.string(), pa.binary()]), 2),
            *([] if parquet else [lambda: pa.list_view(inner())]),
        ]  # fmt: skip
        return random.choice(makers)()
    digits = random.randint(1, 38)
    many = random.randint(39, 76)
    leaves = [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(3), pa.bool_()),
        *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
        pa.timestamp(random.choice(UNITS), random.choice(ZONES)),
        pa.timestamp(random.choice(UNITS), random.choice(ZONES)),
        pa.decimal128(digits, random.randint(0, digits)),
        pa.decimal256(many, random.randint(0, many)),
        *([] if parquet else [pa.duration(random.choice(UNITS)), pa.string_view(), pa.decimal32(5, 2)]),
    ]
    if key:
        return random.choice([pa.string(), pa.int8(), pa.int64(), pa.date32(), pa.binary()])
    floats = [pa.float16(), pa.float32(), pa.float64()]
    special = [pa.dictionary(pa.int8(), pa.string()), pa.null(), pa.uuid()] if depth == 2 else []
    return random.choice([*leaves, *floats, *floats, *special])


def cells(random: Random, kind: Any, rows: int, *, missing: float = 0.2) -> Any:
    """So many cells of a type, of which some are missing, at every level."""
    types = pa.types
    gone = pa.array([random.random() < missing for _ in range(rows)], pa.bool_())
    if types.is_map(kind) or types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind):
        return _lists(random, kind, rows, gone)
    if types.is_fixed_size_list(kind):
        inner = cells(random, kind.value_type, rows * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(inner, type=kind, mask=gone)
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.StructArray.from_arrays(
            [cells(random, f.type, rows) for f in fields], fields=fields, mask=gone
        )
    if types.is_null(kind):
        return pa.nulls(rows)
    if types.is_dictionary(kind):
        return cells(random, pa.string(), rows, missing=missing).cast(kind)
    values = [None if lacks else _value(random, kind) for lacks in gone.to_pylist()]
    if isinstance(kind, pa.UuidType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, pa.binary(16)))
    if types.is_temporal(kind):
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    if types.is_float16(kind):
        return pa.array([None if v is None else np.float16(v) for v in values], kind)
    return pa.array(values, kind)


def _lists(random: Random, kind: Any, rows: int, gone: Any) -> Any:
    lengths = np.array([0 if lacks else random.choice([0, 1, 1, 3]) for lacks in gone.to_pylist()])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    total = int(ends[-1])
    if pa.types.is_map(kind):
        keys, items = cells(random, kind.key_type, total, missing=0), cells(random, kind.item_type, total)
        return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, items, type=kind, mask=gone)
    inner = cells(random, kind.value_type, total)
    if pa.types.is_list_view(kind):
        starts = pa.array(ends[:-1], pa.int32())
        return pa.ListViewArray.from_arrays(
            starts, pa.array(lengths, pa.int32()), inner, type=kind, mask=gone
        )
    if pa.types.is_large_list(kind):
        return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), inner, type=kind, mask=gone)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inner, type=kind, mask=gone)


def _value(random: Random, kind: Any) -> Any:
    types = pa.types
    if types.is_boolean(kind):
        return random.random() < 0.5
    if types.is_integer(kind):
        low = 0 if types.is_unsigned_integer(kind) else -(2 ** (kind.bit_width - 1))
        high = 2 ** (kind.bit_width - (low < 0)) - 1
        return random.choice([low, high, 0, 1, random.randint(low, high)])
    if types.is_floating(kind):
        value = random.choice([*FLOATS, random.uniform(-1, 1), random.uniform(-1e9, 1e9)])
        with np.errstate(over="ignore"):
            return float(np.dtype(kind.to_pandas_dtype()).type(value))
    if types.is_decimal(kind):
        whole = random.choice([0, 1, -1, 10**kind.precision - 1, random.randint(0, 10**kind.precision - 1)])
        with localcontext(prec=100):
            return Decimal(whole).scaleb(-kind.scale)
    if types.is_date32(kind):
        return random.randint(YEARS[0] // 86400, YEARS[1] // 86400)
    if types.is_date64(kind):
        return random.randint(YEARS[0] // 86400, YEARS[1] // 86400) * 86_400_000
    if types.is_timestamp(kind):
        per = PER_SECOND[kind.unit]
        low, high = max(YEARS[0] * per, -(2**63) + 10**9), min(YEARS[1] * per, 2**63 - 1)
        return random.choice([0, low, high, random.randint(low, high), random.randint(0, 2 * 10**9) * per])
    if types.is_time(kind):
        return random.randrange(86_400 * PER_SECOND[kind.unit])
    if types.is_duration(kind):
        return random.choice([0, -1, random.randint(-(10**15), 10**15)])
    if types.is_fixed_size_binary(kind) or isinstance(kind, pa.UuidType):
        return random.randbytes(16 if isinstance(kind, pa.UuidType) else kind.byte_width)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return random.choice([b"", b"\x00\xff", random.randbytes(5)])
    return random.choice(TEXTS)
