"""Merging one commit's changes into another: what must change in a branch, and what a person must decide first.

Pure reading; ``Dataset`` commits what comes of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.bases import base_rows
from tidemill.data.cell_text import from_text, text_form
from tidemill.data.cell_values import value
from tidemill.data.columns import conform, differs
from tidemill.data.commits import Changes, Commit
from tidemill.data.conflicts import Choice, Choices, Clash, Value
from tidemill.data.difference import Diff
from tidemill.data.history import History
from tidemill.data.schema_change import SchemaChange
from tidemill.data.shape import change_to_merge, changed
from tidemill.data.snapshot import Snapshot
from tidemill.data.threeway import Rows, merge_rows, read_rows
from tidemill.data.upsert import Plan
from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge or a revert did.

    Attributes:
        commit: The new commit, or the present head when there was nothing to do.
        changes: To the branch that was changed.
        already: Whether the branch had all of it before.
        fast_forward: Whether the branch had nothing of its own since the two parted.
    """

    commit: Commit
    changes: Changes
    already: bool
    fast_forward: bool


class Merge:
    """The merge of two commits over what they come from; nothing is written.

    Args:
        history: Of the dataset.
        open_at: Opens a commit.
        bases: What both come from: one commit, or several (see ``bases``).
        ours: The commit that gets the changes.
        theirs: The commit that has them.
    """

    def __init__(
        self,
        history: History,
        open_at: Callable[[Commit], Snapshot],
        bases: Sequence[Commit],
        ours: Commit,
        theirs: Commit,
    ) -> None:
        self._history = history
        self._open_at = open_at
        self._bases = list(bases)
        self.ours, self.theirs = ours, theirs
        self._ours, self._theirs = open_at(ours), open_at(theirs)

    @property
    def fast_forward(self) -> bool:
        """Whether ours has nothing of its own since the base."""
        return [c.id for c in self._bases] == [self.ours.id]

    @cached_property
    def nothing_to_bring(self) -> bool:
        """Whether theirs has changed nothing since the base."""
        if len(self._bases) > 1:
            return False
        (base,) = self._bases
        there = Diff(self._open_at(base), self._theirs) if base.id != self.theirs.id else None
        return there is None or not (there.counts or there.columns)

    @cached_property
    def columns(self) -> list[str]:
        """The columns that are merged, those that Tidemill keeps too."""
        return [f.name for f in self._fields]

    @cached_property
    def clashes(self) -> list[Clash]:
        """What both did in different ways, by row and column."""
        import numpy as np  # noqa: PLC0415

        found: list[Clash] = []
        for place in np.flatnonzero(self._merged.contested).tolist():
            base, ours, theirs = (_row(r, place) for r in (self._base, self._mine, self._other))
            row, has_base = int(self._merged.ids[place]), not self._base.contested[place]
            found.append(Clash(row, None, "removed-and-changed", base, ours, theirs, has_base))
        for name, mask in self._merged.unknown.items():
            for place in np.flatnonzero(mask).tolist():
                base, ours, theirs = (
                    value(r.table.column(name), place) for r in (self._base, self._mine, self._other)
                )
                row, in_base = int(self._merged.ids[place]), bool(self._base.there[place])
                has_base = in_base and not self._base.doubt(name)[place]
                kind = "cell" if in_base or self._base.contested[place] else "both-added"
                found.append(Clash(row, name, kind, base if has_base else None, ours, theirs, has_base))
        order = {name: n for n, name in enumerate(self.columns)}
        return sorted(found, key=lambda c: (c.id, order.get(c.column or "", -1)))

    def plan(self, choices: Choices) -> Plan:
        """What ours must change to have theirs' changes; every conflict has its choice.

        Raises:
            InvalidInput: ``unknown-choice``: what is written for a cell is no value of its column.
        """
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        result = self._resolved(choices)
        moved = np.zeros(len(result.ids), bool)
        for name in result.table.column_names:
            moved |= differs(result.table.column(name), self._mine.table.column(name))
        edited = self._mine.there & result.there & moved
        added, gone = result.there & ~self._mine.there, self._mine.there & ~result.there
        put = edited | added
        rows = [
            _with_ids(result.table.filter(pa.array(put)), result.ids[put], self._schema),
            # New rows stay in the order that they have there.
            conform(self._theirs.read(ids=self._fresh).to_arrow(), self._schema),
        ]
        return Plan(
            Changes(int(added.sum()) + len(self._fresh), int(edited.sum()), int(gone.sum())),
            self._ours.locate(result.ids[edited | gone]),
            pa.concat_tables([part.cast(self._schema) for part in rows]).combine_chunks(),
            self._change,
        )

    @cached_property
    def _fields(self) -> "list[pa.Field]":
        return [f for f in self._schema if f.name != ID]

    @cached_property
    def _change(self) -> SchemaChange:
        # Several bases differ in rows; of what they say of columns the newest is taken.
        return change_to_merge(self._open_at(self._bases[0]), self._ours, self._theirs)

    @cached_property
    def _schema(self) -> "pa.Schema":
        return changed(self._ours.schema, self._change) if self._change else self._ours.schema

    @cached_property
    def _apart(self) -> Diff:
        return Diff(self._ours, self._theirs)

    @cached_property
    def _touched(self) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """The rows that must be looked at, and those that only theirs has, and the base had not."""
        import numpy as np  # noqa: PLC0415

        one_sided = np.sort(np.concatenate([self._apart.added, self._apart.removed]))
        new = np.zeros(0, np.uint64)
        if len(self._bases) == 1:
            new = one_sided[~self._open_at(self._bases[0]).has(one_sided)]
        looked_at = np.union1d(np.setdiff1d(one_sided, new), self._apart.changed)
        return looked_at.astype(np.uint64), np.intersect1d(new, self._apart.added)

    @property
    def _fresh(self) -> "np.ndarray[Any, Any]":
        return self._touched[1]

    @cached_property
    def _mine(self) -> Rows:
        return read_rows(self._ours, self._touched[0], self._fields)

    @cached_property
    def _other(self) -> Rows:
        return read_rows(self._theirs, self._touched[0], self._fields)

    @cached_property
    def _base(self) -> Rows:
        return base_rows(self._history, self._open_at, self._bases, self._touched[0], self._fields)

    @cached_property
    def _merged(self) -> Rows:
        return merge_rows(self._base, self._mine, self._other)

    def _resolved(self, choices: Choices) -> Rows:
        """The merged rows with every conflict as it was chosen."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        there, table = self._merged.there.copy(), self._merged.table
        sources = {"ours": self._mine, "theirs": self._other, "base": self._base}
        order = {name: n + 1 for n, name in enumerate(sources)}
        # Where each cell comes from: 0 is the merge itself, 1 to 3 a side, from 4 on what was written.
        origin = {name: np.zeros(len(there), np.int64) for name in self.columns}
        written: dict[str, list[Any]] = {name: [] for name in self.columns}
        places = {row: n for n, row in enumerate(self._merged.ids.tolist())} if self.clashes else {}
        for clash in self.clashes:
            choice, place = choices.of(clash), places[clash.id]
            assert choice is not None, "a merge is planned when all is chosen"
            if isinstance(choice, Value):
                name = clash.column
                if name is None:
                    raise _no_value(clash, choice, "it is about a whole row")
                written[name].append(_parsed(clash, choice, table.schema.field(name)))
                origin[name][place] = 3 + len(written[name])
            elif clash.column is None:
                there[place] = sources[choice].there[place]
                for name in self.columns:
                    origin[name][place] = order[choice]
            else:
                origin[clash.column][place] = order[choice]
        columns = [
            _taken(
                [table.column(name), *(r.table.column(name) for r in sources.values())],
                written[name],
                origin[name],
                table.schema.field(name).type,
            )
            for name in self.columns
        ]
        resolved = pa.Table.from_arrays(columns, schema=table.schema)
        return Rows(self._merged.ids, resolved, there, np.zeros(len(there), bool))


def _taken(sources: "list[pa.ChunkedArray]", written: list[Any], origin: Any, kind: Any) -> Any:
    """A column of which each cell comes from the source at its number, or from what was written."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if not origin.any():
        return sources[0]
    rows, count = len(origin), len(sources)
    index = np.where(
        origin < count, np.arange(rows) + np.minimum(origin, count - 1) * rows, count * rows + origin - count
    )
    chunks = [c for s in sources for c in s.chunks]
    return pa.chunked_array([*chunks, *written], kind).take(pa.array(index))


def _parsed(clash: Clash, choice: Value, field: "pa.Field") -> Any:
    """What was written for a cell, as an array of it."""
    import pyarrow as pa  # noqa: PLC0415

    if choice.text is None:
        return pa.nulls(1, field.type)
    if pa.types.is_fixed_size_list(field.type):
        raise _no_value(clash, choice, f"column '{field.name}' holds tensors")
    try:
        texts = pa.array([choice.text])
        return from_text(texts, field.type) if text_form(field.type) else texts.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _no_value(clash, choice, f"column '{field.name}' holds {field.type}") from error


def _no_value(clash: Clash, choice: Choice, reason: str) -> InvalidInput:
    text = choice.text if isinstance(choice, Value) else choice
    return InvalidInput(
        f"'{text}' cannot be chosen for row {clash.id}: {reason}.",
        hint="Choose ours, theirs or base" + (", or a value of that type." if clash.column else "."),
        code=codes.UNKNOWN_CHOICE,
        details={"id": str(clash.id), "column": clash.column},
    )


def _row(rows: Rows, place: int) -> dict[str, object] | None:
    if not rows.there[place]:
        return None
    return {name: value(rows.table.column(name), place) for name in rows.table.column_names}


def _with_ids(table: "pa.Table", ids: Any, schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    columns = [pa.array(ids, pa.uint64()) if f.name == ID else table.column(f.name) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)
