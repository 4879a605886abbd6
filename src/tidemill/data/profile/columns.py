"""The summary of one column as the rows go by: one value a row, or a tensor."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tidemill.data.profile.association import PEARSON, RATIO, Association, Pearson, correlation_ratio
from tidemill.data.profile.first import First
from tidemill.data.profile.kinds import cells, finite, has_range, kind_of, limits, numbers, type_text
from tidemill.data.profile.sketches import Moments
from tidemill.data.profile.values import TALLIED, Against, ColumnProfile, Counted, Spread, Words
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import Table, array_size

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_PIECE_CELLS = 1 << 21


@dataclass(frozen=True, slots=True)
class Maps:
    """What a tensor column shows place by place.

    Attributes:
        mean: Of all rows, in the tensor's shape.
        by_class: The same of each class, in the order of the classes.
        strength: How strongly each place hangs together with the label; None without a label.
    """

    mean: "Array"
    by_class: "list[Array]"
    strength: "Array | None"


class Plain:
    """The summary of a column that has one value a row."""

    def __init__(self, name: str, type_: Any, first: First) -> None:
        label = _label_of(first, name)
        self._name, self._type, self._kind = name, type_, kind_of(type_)
        self._missing = self._infinite = 0
        self._inner = _inner(type_, first.ranges.get(name), label)

    def add(self, column: "pa.ChunkedArray", against: Against) -> None:
        """Take in a piece."""
        import numpy as np  # noqa: PLC0415

        if isinstance(self._inner, Words):
            absent = column.is_null()
            self._missing += column.null_count
            keep = ~np.asarray(absent) if column.null_count else None
            label = against if keep is None else against.where(keep)
            self._inner.add(column.drop_null().combine_chunks(), label)
        elif self._inner is None:
            # A column of numbers without a finite one, or of a kind that nothing is known about.
            if self._kind == "other":
                self._missing += column.null_count
                return
            for chunk in column.chunks:
                values, _ = numbers(chunk)
                self._missing += len(chunk) - len(values) + int(np.isnan(values).sum())
                self._infinite += int(np.isinf(values).sum())
        else:
            at = 0
            for chunk in column.chunks:
                rows = slice(at, at + len(chunk))
                at += len(chunk)
                values, present = numbers(chunk)
                label = against.where(rows) if present is None else against.where(rows).where(present)
                self._missing += len(chunk) - len(values)
                if values.dtype.kind == "f" and not (there := np.isfinite(values)).all():
                    nan = int(np.isnan(values).sum())
                    self._missing += nan
                    self._infinite += len(values) - int(there.sum()) - nan
                    values, label = values[there], label.where(there)
                self._inner.add(values, label)

    def profile(self) -> ColumnProfile:
        """What is known now."""
        if isinstance(self._inner, Counted):
            facts = self._inner.facts(truth=self._kind == "truth")
        else:
            none: dict[str, Any] = {} if self._kind == "other" else {"distinct": 0}
            facts = self._inner.facts() if self._inner is not None else none
        if self._kind == "time":
            facts = _as_times(facts, self._type)
        elif self._kind == "truth":
            facts = {n: v for n, v in facts.items() if n not in ("quantiles", "histogram", "std")}
        else:
            facts = _as_numbers(facts)
        return ColumnProfile(
            self._name,
            type_text(self._type, ()),
            self._kind,
            self._missing,
            self._missing,
            self._infinite,
            **facts,
        )


class Tensor:
    """The summary of a tensor column: of all its cells together, and of each place."""

    def __init__(self, name: str, type_: Any, shape: tuple[int, ...], first: First) -> None:
        import pyarrow as pa  # noqa: PLC0415

        low, high = first.ranges.get(name, limits(type_.value_type))
        middle = low / 2 + high / 2
        if pa.types.is_integer(type_.value_type):
            middle = float(round(middle))
        label, size = _label_of(first, name), array_size(shape)
        self._name, self._type, self._shape = name, type_, shape
        self._missing = self._missing_cells = self._infinite = 0
        self._inner = _inner(type_.value_type, (low, high), Against())
        self._moments = Moments(label.classes, middle, size)
        self._pearson = Pearson(middle, label.middle, size) if label.values is not None else None

    def add(self, column: "pa.ChunkedArray", against: Against) -> None:
        """Take in a piece."""
        size, at = self._type.list_size, 0
        step = max(1, _PIECE_CELLS // size)
        for chunk in column.chunks:
            for start in range(0, len(chunk), step):
                part = chunk.slice(start, step)
                self._piece(part, against.where(slice(at, at + len(part))))
                at += len(part)

    def _piece(self, part: Any, against: Against) -> None:
        import numpy as np  # noqa: PLC0415

        values, there = cells(part, self._type.list_size)
        if values.dtype.kind == "f":
            values, there, infinite = finite(values, there)
            self._infinite += infinite
        if there is None:
            self._take(values, values.ravel(), against)
            return
        whole: Array = np.all(there, axis=1)
        self._missing += len(whole) - int(whole.sum())
        self._missing_cells += there.size - int(there.sum())
        self._take(values[whole], values[whole].ravel(), against.where(whole))
        some = values[~whole], there[~whole]
        self._take(some[0], some[0][some[1]], against.where(~whole), some[1])

    def _take(self, values: "Array", flat: "Array", against: Against, there: "Array | None" = None) -> None:
        assert isinstance(self._inner, Counted | Spread)
        self._inner.add(flat, Against())
        self._moments.add_cells(values, against.codes, None if there is None else ~there)
        if self._pearson is not None and against.values is not None:
            self._pearson.add(values, against.values, there)

    def profile(self) -> ColumnProfile:
        """What is known now."""
        assert isinstance(self._inner, Counted | Spread)
        facts: dict[str, Any] = {**self._inner.facts(), "distinct": None, "distinct_exact": True}
        strength = self._strength()
        # NaN is not itself.
        if strength is not None and len(found := strength[strength == strength]):  # noqa: PLR0124
            best = float(found[abs(found).argmax()])
            facts["association"] = Association(RATIO if self._pearson is None else PEARSON, best)
        return ColumnProfile(
            self._name,
            type_text(self._type, self._shape),
            "tensor",
            self._missing,
            self._missing_cells - self._infinite,
            self._infinite,
            **_as_numbers(facts),
        )

    def maps(self) -> Maps:
        """What the places show."""
        import numpy as np  # noqa: PLC0415

        moments, strength = self._moments, self._strength()
        with np.errstate(invalid="ignore"):
            mean = moments.sum.sum(axis=0) / moments.count.sum(axis=0) + moments.shift
        return Maps(
            mean.reshape(self._shape),
            [m.reshape(self._shape) for m in moments.means()],
            None if strength is None else strength.reshape(self._shape),
        )

    def _strength(self) -> "Array | None":
        if self._pearson is not None:
            return self._pearson.value()
        return correlation_ratio(self._moments) if len(self._moments.count) > 1 else None


def summary(snapshot: Snapshot, name: str, first: First) -> "Plain | Tensor":
    """An empty summary for a column."""
    import pyarrow as pa  # noqa: PLC0415

    type_ = snapshot.schema.field(name).type
    if pa.types.is_fixed_size_list(type_) and kind_of(type_.value_type) in ("number", "truth"):
        empty = Table(pa.schema([snapshot.schema.field(name)]).empty_table())
        return Tensor(name, type_, empty.shape_of(name), first)
    return Plain(name, type_, first)


def _inner(type_: Any, found: tuple[float, float] | None, label: Against) -> Counted | Spread | Words | None:
    import pyarrow as pa  # noqa: PLC0415

    kind = kind_of(type_)
    if kind == "text":
        return Words(label)
    if kind == "other" or (found is None and has_range(type_)):
        return None
    low, high = found or limits(type_)
    whole = not (pa.types.is_floating(type_) or pa.types.is_decimal(type_))
    if whole and high - low < TALLIED and high < 2**63:
        return Counted(int(low), int(high), label)
    return Spread(low, high, label, whole=whole)


def _label_of(first: First, name: str) -> Against:
    """What a summary has to know of the label: how many classes, whether it is a number."""
    import numpy as np  # noqa: PLC0415

    if name == first.label:
        return Against()
    return Against(len(first.classes), None, np.zeros(0) if first.numeric else None, first.middle)


def _as_numbers(facts: dict[str, Any]) -> dict[str, Any]:
    """A quantile between two whole numbers as a float."""
    quantiles: dict[str, Any] = facts.get("quantiles", {})
    plain = {n: float(v) if isinstance(v, Fraction) else v for n, v in quantiles.items()}
    return {**facts, "quantiles": plain} if plain else facts


def _as_times(facts: dict[str, Any], type_: Any) -> dict[str, Any]:
    """Numbers that stand for times as such, in ISO form; a spread has no such form."""
    import pyarrow as pa  # noqa: PLC0415

    units = pa.int32() if type_.bit_width == 32 else pa.int64()

    def time(value: "int | Fraction") -> str:
        if isinstance(value, Fraction) and pa.types.is_date32(type_):
            between = pa.scalar(math.floor(value * 86_400), pa.int64()).cast(pa.timestamp("s"))
            return str(between.cast(pa.string()).as_py())
        whole = pa.scalar(math.floor(value), units)
        return str(whole.cast(type_).cast(pa.string()).as_py())

    return {
        **{n: v for n, v in facts.items() if n not in ("std", "mean")},
        "quantiles": {n: time(v) for n, v in facts.get("quantiles", {}).items()},
        "top": [(time(v), n) for v, n in facts.get("top", [])],
    }
