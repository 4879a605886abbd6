"""An index of few members, such as the names of the columns or categories, in words of JSON."""

from typing import TYPE_CHECKING, Any

from tidemill.store import values
from tidemill.store.pandas_frames.sameness import is_nan, same_index

if TYPE_CHECKING:
    import pandas as pd


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


def spec_of(index: "pd.Index", what: str) -> dict[str, Any]:
    """An index of few members (names, categories) in words."""
    import pandas as pd  # noqa: PLC0415

    if type(index) is pd.RangeIndex:
        spec: dict[str, Any] = {"range": [index.start, index.stop, index.step]}
    elif isinstance(index, pd.MultiIndex):
        levels = [spec_of(index.get_level_values(i), what) for i in range(index.nlevels)]
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
            spec["categories"], spec["ordered"] = spec_of(index.categories, what), bool(index.ordered)
        if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
            spec["freq"] = index.freqstr  # pyright: ignore[reportAttributeAccessIssue]
    spec["names"] = encoded(list(index.names), what)
    if not same_index(index, index_of(spec)):
        raise NotKept(what, "Rename them to texts.")
    return spec


def index_of(spec: dict[str, Any]) -> "pd.Index":
    """The index that ``spec_of`` put in words."""
    import pandas as pd  # noqa: PLC0415

    names = values.decode(spec["names"])
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=names[0])
    if "levels" in spec:
        return pd.MultiIndex.from_arrays([index_of(s) for s in spec["levels"]], names=names)
    members = [float("nan") if m == {"$nan": 0} else values.decode(m) for m in spec["members"]]
    if "categories" in spec:
        dtype: Any = pd.CategoricalDtype(index_of(spec["categories"]), spec["ordered"])
    elif "storage" in spec:
        dtype = pd.StringDtype(spec["storage"], na_value=float("nan") if spec["nan"] else pd.NA)
    else:
        dtype = spec["dtype"]
    made = pd.Index(members, dtype=dtype)
    if "freq" in spec:
        made = type(made)(made, freq=spec["freq"])  # pyright: ignore[reportCallIssue]
    return made.set_names(names)


def _cell(value: Any, what: str) -> Any:
    return {"$nan": 0} if is_nan(value) else encoded(value, what)


def encoded(value: Any, what: str) -> Any:
    """A value in words of JSON.

    Raises:
        NotKept: There are none for it.
    """
    try:
        return values.encode(value)
    except values.NoSpelling:
        raise NotKept(what, "Use texts or numbers.") from None
