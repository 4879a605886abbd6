"""The index of a pandas frame as columns, and back."""

import contextlib
from typing import TYPE_CHECKING, Any

from tidemill.core.kinds import type_name
from tidemill.store import values
from tidemill.store.pandas_frames.columns import is_plain, packed, unpacked
from tidemill.store.pandas_frames.integers import series_of
from tidemill.store.pandas_frames.labels import NotKept, encoded
from tidemill.store.pandas_frames.sameness import same_index

if TYPE_CHECKING:
    import pandas as pd

INDEX_LEVEL = "__index_level_"
"""How the column of an index level without a name begins."""
LEVEL = b"tidemill.level"
"""In the metadata of a column: it is an index level without a name. Users' columns may be named as those are."""


def is_default(index: "pd.Index") -> bool:
    """Whether it is the one that pandas gives a frame by itself."""
    import pandas as pd  # noqa: PLC0415

    return type(index) is pd.RangeIndex and index.name is None and index.start == 0 and index.step == 1


def add_index(index: "pd.Index", columns: dict[str, Any], meta: dict[str, Any]) -> None:
    """Adds its levels to ``columns``, and to ``meta`` the word beside them.

    Raises:
        NotKept: Where the same index would not come back.
    """
    import pandas as pd  # noqa: PLC0415

    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    names: list[str] = []
    specs: list[Any] = []
    for at, level in enumerate(levels):
        name = level.name
        if type(name) is not str or name in columns or name.startswith("__"):
            name = f"{INDEX_LEVEL}{at}__"
            while name in columns:
                name += "_"
        series = pd.Series(level, dtype=level.dtype)
        columns[name], one = packed(series, f"index level {level.name!r}", is_plain=is_plain(level.dtype))
        names.append(name)
        specs.append(one)
    kind = "multi" if index.nlevels > 1 else "range" if type(index) is pd.RangeIndex else "index"
    spec: dict[str, Any] = {"columns": names, "specs": specs, "kind": kind}
    meta["index"] = spec
    spec["names"] = encoded(list(index.names), "the names of the index")
    if kind == "range":
        spec["step"] = index.step  # pyright: ignore[reportAttributeAccessIssue]
        spec["start"] = index.start  # pyright: ignore[reportAttributeAccessIssue]
    if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
        spec["freq"] = index.freqstr  # pyright: ignore[reportAttributeAccessIssue]
    import pyarrow as pa  # noqa: PLC0415

    restored = restored_index([pa.chunked_array([columns[n]]) for n in names], spec)
    if not same_index(index, restored):
        raise NotKept(f"an index of the type {type_name(index)}", "Make it columns: frame.reset_index().")


def restored_index(columns: "list[Any]", spec: dict[str, Any]) -> "pd.Index":
    """The index of these columns and the word that ``add_index`` noted."""
    import pandas as pd  # noqa: PLC0415

    names = values.decode(spec["names"])
    levels: list[Any] = []
    for column, one in zip(columns, spec["specs"], strict=True):
        series = series_of(column) if one is None else unpacked(column, one)
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
