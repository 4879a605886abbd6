"""A pandas frame as Arrow columns, so that the same frame comes back: index, names and types.

Arrow has other types than pandas, so what a column is in pandas stands beside it, in the schema's metadata. Columns
of NumPy's plain types and of text need no such word. Any other is read back before it is stored and compared, cell by
cell, value and type: what would come back as another one is refused, never stored.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import NeedsExtra
from tidemill.core.figures import counted
from tidemill.store import values
from tidemill.store.pandas_frames.columns import is_plain, packed, unpacked
from tidemill.store.pandas_frames.index import INDEX_LEVEL, LEVEL, add_index, is_default, restored_index
from tidemill.store.pandas_frames.integers import make_exact
from tidemill.store.pandas_frames.labels import NotKept, index_of, spec_of
from tidemill.store.pandas_frames.sameness import same_index

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

METADATA = b"tidemill.pandas"


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
    has_index = with_index and not is_default(index)
    if len(frame) and not names and not has_index and with_index:
        raise NotKept(
            f"{counted(len(frame), 'row')} without a column", "Give it a column, or return its length."
        )
    plain = [is_plain(dtype) for dtype in frame.dtypes]
    if all(plain) and not has_index:
        made = pa.Table.from_pandas(frame.set_axis(names, axis=1), preserve_index=False)
        made = made.replace_schema_metadata(None)
    else:
        columns: dict[str, Any] = {}
        special: dict[str, Any] = {}
        for at, name in enumerate(names):
            column = frame.iloc[:, at]
            columns[name], spec = packed(column, f"column '{name}'", is_plain=plain[at])
            if spec is not None:
                special[name] = spec
        if special:
            meta["special"] = special
        if has_index:
            add_index(index, columns, meta)
        made = _marked(pa.table(columns), meta)
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
        # Without the word beside them, levels are no index any more, and never were columns.
        arrow = without(arrow)
        frame = arrow.to_pandas()
        if frame.shape[1] == arrow.num_columns:
            make_exact(frame, arrow)
        return frame
    index = meta.get("index", {})
    special: dict[str, Any] = meta.get("special", {})
    hidden = index.get("columns", [])
    # What was put beside the columns later on (with_column) has no word of its own.
    names = [n for n in arrow.column_names if n not in hidden]
    frame = arrow.select(names).to_pandas(ignore_metadata=True)
    make_exact(frame, arrow.select(names))
    for at, name in enumerate(names):
        # A function may have put another column in its place.
        if name in special and special[name]["arrow"] == str(arrow.schema.field(name).type):
            restored = unpacked(arrow.column(name), special[name])
            frame = frame.drop(columns=name)
            frame.insert(at, name, restored, allow_duplicates=True)
    if hidden and all(n in arrow.column_names for n in hidden):
        frame.index = restored_index([arrow.column(n) for n in hidden], index)
    if "columns" in meta and meta["names"] == names:
        frame.columns = index_of(meta["columns"])
    frame.attrs = values.decode(meta["attrs"]) if "attrs" in meta else {}
    if meta.get("unique_labels"):
        frame = frame.set_flags(allows_duplicate_labels=False)
    assert isinstance(frame, pd.DataFrame)
    return frame


def metadata_of(arrow: "pa.Table") -> dict[str, Any] | None:
    """What ``pack`` noted down beside the columns."""
    noted = (arrow.schema.metadata or {}).get(METADATA)
    return json.loads(noted) if noted else None


def without(arrow: "pa.Table") -> "pa.Table":
    """The columns for whoever is not pandas: index levels without a name are none."""
    hidden = levels_of(arrow)
    if metadata_of(arrow) is not None:
        rest = {k: v for k, v in arrow.schema.metadata.items() if k != METADATA}
        arrow = arrow.replace_schema_metadata(rest or None)
    return arrow.select([n for n in arrow.column_names if n not in hidden]) if hidden else arrow


def levels_of(arrow: "pa.Table") -> set[str]:
    """The columns that are index levels without a name: those that are marked, and those that the word beside lists."""
    listed = (metadata_of(arrow) or {}).get("index", {}).get("columns", ())
    marked = (f.name for f in arrow.schema if f.metadata and LEVEL in f.metadata)
    return {*(n for n in listed if n.startswith(INDEX_LEVEL) and n in arrow.column_names), *marked}


def _marked(arrow: "pa.Table", meta: dict[str, Any]) -> "pa.Table":
    """The table with its index levels without a name marked: they stay hidden where the word beside is lost."""
    import pyarrow as pa  # noqa: PLC0415

    levels = [n for n in meta.get("index", {}).get("columns", ()) if n.startswith(INDEX_LEVEL)]
    fields = [f.with_metadata({LEVEL: b"1"}) if f.name in levels else f for f in arrow.schema]
    return pa.Table.from_arrays(arrow.columns, schema=pa.schema(fields)) if levels else arrow


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
    if not same_index(columns, pd.Index(names)):
        meta["columns"], meta["names"] = spec_of(columns, "the names of the columns"), names
    return names
