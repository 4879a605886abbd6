"""PostgreSQL's own types: each value as it is there, where psycopg would give a month as 30 days or stop at 'infinity'."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tidemill.data.cell_types import JSON_TEXT, LOGICAL, MOST_DIGITS
from tidemill.data.sources.kinds import Unkept

if TYPE_CHECKING:
    import pyarrow as pa

_INTERVAL = re.compile(
    r"(?:(?P<days>[+-]?\d+) days? ?)?(?:(?P<sign>[+-])?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)"
    r"(?:\.(?P<fraction>\d{1,6}))?)?"
)
_TIMES = ("date", "time", "timetz", "timestamp", "timestamptz")
_AS_TEXT = ("json", "jsonb", "inet", "cidr", "record")
_FAR = "It is not in the years 1 to 9999, the only ones that texts, JSON and Python have, or no time of day."
_MONTHS = "A duration is a number of microseconds; months and years have no fixed length."


def prepare(connection: Any) -> None:
    """Let a psycopg connection give values as they are, and what no dataset keeps as ``Unkept``."""
    import psycopg  # noqa: PLC0415
    from psycopg.adapt import Loader  # noqa: PLC0415
    from psycopg.types.multirange import MultirangeInfo  # noqa: PLC0415
    from psycopg.types.range import RangeInfo  # noqa: PLC0415
    from psycopg.types.string import TextLoader  # noqa: PLC0415

    class Interval(Loader):
        def load(self, data: Any) -> Any:
            return _interval(bytes(data).decode())

    def careful(loader: Any) -> Any:
        class Careful(Loader):
            def __init__(self, oid: int, context: Any = None) -> None:
                super().__init__(oid, context)
                self._loader = loader(oid, context)

            def load(self, data: Any) -> Any:
                try:
                    return self._loader.load(data)
                except psycopg.DataError:
                    return Unkept(bytes(data).decode(), _FAR)

        return Careful

    adapters = connection.adapters
    for info in list(adapters.types):
        if isinstance(info, (RangeInfo, MultirangeInfo)) or info.name in _AS_TEXT:
            adapters.register_loader(info.oid, TextLoader)
        elif info.name in _TIMES:
            loader = adapters.get_loader(info.oid, psycopg.pq.Format.TEXT)
            adapters.register_loader(info.oid, careful(loader))
    adapters.register_loader("interval", Interval)
    connection.execute("set intervalstyle = postgres")


def fields(connection: Any, description: Sequence[Any]) -> "list[pa.Field]":
    """The columns of a query in the types that its tables declare; of type null where the values must say it."""
    import pyarrow as pa  # noqa: PLC0415

    found: list[pa.Field] = []
    for column in description:
        info = connection.adapters.types.get(column.type_code)
        name = info.name if info is not None else ""
        kind = _declared(name, column)
        if info is not None and info.array_oid == column.type_code:
            kind = pa.null()
        metadata = {LOGICAL: JSON_TEXT} if name in ("json", "jsonb") and kind == pa.string() else None
        found.append(pa.field(column.name, kind, metadata=metadata))
    return found


def _declared(name: str, column: Any) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415

    if name == "numeric":
        if column.precision is None:
            return pa.null()
        scale = max(column.scale, 0)
        digits = max(column.precision + scale - column.scale, scale)
        if digits > MOST_DIGITS:
            return pa.null()
        return (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, scale)
    plain: dict[str, Any] = {
        **dict.fromkeys(("int2", "int4", "int8", "oid"), pa.int64()),
        **dict.fromkeys(("float4", "float8"), pa.float64()),
        **dict.fromkeys(("text", "varchar", "bpchar", "name", *_AS_TEXT), pa.string()),
        "bool": pa.bool_(),
        "bytea": pa.binary(),
        "date": pa.date32(),
        "interval": pa.duration("us"),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "uuid": pa.uuid(),
    }
    return plain.get(name, pa.null())


def _interval(text: str) -> Any:
    found = _INTERVAL.fullmatch(text)
    if not text or found is None:
        return Unkept(text, _MONTHS)
    fraction = int((found["fraction"] or "").ljust(6, "0") or 0)
    whole = [int(found[part] or 0) for part in ("hours", "minutes", "seconds")]
    time = timedelta(hours=whole[0], minutes=whole[1], seconds=whole[2], microseconds=fraction)
    try:
        return timedelta(days=int(found["days"] or 0)) + (-time if found["sign"] == "-" else time)
    except OverflowError:
        return Unkept(text, "It is longer than a duration here.")
