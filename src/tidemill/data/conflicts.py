"""What a merge cannot decide, and what a person says to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput
from tidemill.core.figures import counted
from tidemill.core.names import did_you_mean
from tidemill.data.commits import Commit

Side = Literal["ours", "theirs", "base"]
SIDES: tuple[Side, ...] = ("ours", "theirs", "base")
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Clash:
    """One thing that both sides did in different ways.

    Attributes:
        id: The row's ``_id``.
        column: The cell's column; None where it is about the whole row.
        kind: ``cell`` (both changed it), ``both-added`` (both added the row, with other cells), or
            ``removed-and-changed``.
        base: The cell before both; None also where there was none. Of a whole row, its cells by name.
        ours: The cell, or row, on the branch that is merged into; None for a row that is removed there.
        theirs: The same of what is merged.
        has_base: Whether ``base`` may be chosen.
        ours_by: The commit that last changed it on that side; ``theirs_by`` likewise.
    """

    id: int
    column: str | None
    kind: str
    base: object
    ours: object
    theirs: object
    has_base: bool
    ours_by: Commit | None = None
    theirs_by: Commit | None = None

    def to_json(self) -> dict[str, object]:
        """As ``--json`` gives it; a tensor by its size only."""
        return {
            "id": str(self.id),
            "column": self.column,
            "kind": self.kind,
            "base": shown(self.base),
            "ours": shown(self.ours),
            "theirs": shown(self.theirs),
            "ours_by": _by(self.ours_by),
            "theirs_by": _by(self.theirs_by),
        }


class Value(NamedTuple):
    """A cell that a person wrote instead of taking a side's; None is a missing one."""

    text: str | None


Choice = Side | Value


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person says to conflicts. Of a cell's own choice, its column's side and the side for all, the first counts.

    Attributes:
        side: For all that nothing else is said of.
        columns: Column to side.
        cells: ``_id`` and column (None for the whole row) to choice.
    """

    side: Side | None = None
    columns: Mapping[str, Side] = field(default_factory=dict)
    cells: Mapping[tuple[int, str | None], Choice] = field(default_factory=dict)

    def of(self, clash: Clash) -> Choice | None:
        """What is chosen for a conflict; None for nothing."""
        own = self.cells.get((clash.id, clash.column))
        return own or self.columns.get(clash.column or "") or self.side


def check_choices(choices: Choices, clashes: Sequence[Clash], columns: Sequence[str]) -> None:
    """See that what is chosen is about these conflicts.

    Raises:
        InvalidInput: ``unknown-conflict``: a choice for a row or cell that is in no conflict; ``unknown-column``;
            ``no-base``: the base is chosen where there is none.
    """
    for name in choices.columns:
        if name not in columns:
            raise InvalidInput(
                f"A side is chosen for column '{name}', which is not there.",
                hint=did_you_mean(name, columns),
                code=codes.UNKNOWN_COLUMN,
            )
    known = {(c.id, c.column): c for c in clashes}
    for row, column in choices.cells:
        if (row, column) not in known:
            what = f"column '{column}' of row {row}" if column else f"row {row} as a whole"
            raise InvalidInput(
                f"There is a choice for {what}, which is in no conflict of this merge.",
                why="Either the list is of another merge, or a branch has moved since it was written.",
                hint="Write the list anew with --conflicts FILE.",
                code=codes.UNKNOWN_CONFLICT,
                details={"id": str(row), "column": column},
            )
    for clash in clashes:
        if choices.of(clash) == "base" and not clash.has_base:
            raise InvalidInput(
                f"The base is chosen for row {clash.id}, which has none.",
                why="Both branches added it, or what they come from contradicts itself there.",
                hint="Choose ours or theirs.",
                code=codes.NO_BASE,
            )


def unresolved(clashes: Sequence[Clash], choices: Choices, names: tuple[str, str]) -> Conflict:
    """The refusal of a merge with conflicts that nothing is chosen for.

    Args:
        clashes: Those that are left, the first of them with who did it.
        choices: What is chosen for others.
        names: Of theirs and ours.
    """
    theirs, ours = names
    first, count = clashes[0], len(clashes)
    what = {
        "cell": f"column '{first.column}' of row {first.id}",
        "both-added": f"column '{first.column}' of row {first.id}, which both added",
        "removed-and-changed": f"row {first.id} (one changed it, the other removed it)",
    }[first.kind]
    some_chosen = bool(choices.cells or choices.columns)
    return Conflict(
        f"'{theirs}' and '{ours}' both changed {counted(count, 'cell')} in different ways"
        + (f", for which nothing is chosen; first {what}." if some_chosen else f"; first {what}."),
        why="Which of the two is right is for a person to say. Nothing was changed.",
        hint="Add --ours, --theirs, --resolve COLUMN=theirs or --interactive; or write the list with "
        "--conflicts FILE, fill in its last column, and give it back with --choices FILE.",
        code=codes.MERGE_CONFLICT,
        details={"count": count, "conflicts": [c.to_json() for c in clashes[:SHOWN]]},
    )


def shown(value: object) -> object:
    """A cell's value as JSON; a tensor by its size only, a row by its cells."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return f"tensor of {len(value)}"
    if isinstance(value, Mapping):
        return {str(name): shown(cell) for name, cell in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)


def _by(commit: Commit | None) -> dict[str, str] | None:
    return commit and {"commit": commit.id, "author": commit.author, "time": commit.time}
