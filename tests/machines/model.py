"""What a dataset's history must be, in plain dicts: written from the definition of a merge, not from our code.

A state maps a row's id to its cells. In the state that several bases make together, a cell may be ``UNKNOWN``
and a row ``CONTESTED``.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Doubt(Enum):
    UNKNOWN = "a cell"
    CONTESTED = "a row"


UNKNOWN, CONTESTED = Doubt.UNKNOWN, Doubt.CONTESTED
COLUMNS = ("a", "b")
State = dict[int, Any]
Where = tuple[int, str | None]


@dataclass
class Model:
    """Commits by number, in the order they were made."""

    parents: list[tuple[int, ...]] = field(default_factory=list)
    content: list[State] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)

    def grow(self, parents: tuple[int, ...], content: State, commit: str) -> int:
        self.parents.append(parents)
        self.content.append(dict(content))
        self.ids.append(commit)
        self.lost.append(0)
        return len(self.ids) - 1

    def forget(self, ids: set[int]) -> None:
        """Remove rows from every commit, and count how many each of them lost."""
        for number, state in enumerate(self.content):
            self.content[number] = {i: row for i, row in state.items() if i not in ids}
            self.lost[number] += len(state.keys() & ids)

    def ancestors(self, commit: int) -> set[int]:
        found, waiting = set[int](), [commit]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.parents[one]
        return found

    def best_common(self, some: list[int], other: int) -> list[int]:
        """What both come from, and nothing else that both come from comes from it; the oldest first."""
        common = set[int]().union(*(self.ancestors(one) for one in some)) & self.ancestors(other)
        return sorted(c for c in common if not any(c in self.ancestors(d) for d in common if d != c))

    def base(self, tips: list[int]) -> State:
        state = self.content[tips[0]]
        for at in range(1, len(tips)):
            below = self.base(self.best_common(tips[:at], tips[at]))
            state = three_way(below, state, self.content[tips[at]])
        return state

    def merge(self, ours: int, theirs: int) -> State | None:
        """The merged state, with its doubts; None where there is nothing to merge."""
        bases = self.best_common([ours], theirs)
        if len(bases) == 1 and self.content[bases[0]] == self.content[theirs]:
            return None
        return three_way(self.base(bases), self.content[ours], self.content[theirs])


def three_way(base: State, ours: State, theirs: State) -> State:
    out: State = {}
    for i in base.keys() | ours.keys() | theirs.keys():
        row = _row(base.get(i), ours.get(i), theirs.get(i))
        if row is not None:
            out[i] = row
    return out


def _row(base: Any, ours: Any, theirs: Any) -> Any:
    if CONTESTED in (ours, theirs):
        return CONTESTED
    if ours is None or theirs is None:
        only = ours or theirs
        if only is None or base is None:
            return only
        unchanged = base == only and UNKNOWN not in base
        return None if unchanged else CONTESTED
    before = (UNKNOWN, UNKNOWN) if base in (None, CONTESTED) else base
    return tuple(_cell(*cells) for cells in zip(before, ours, theirs, strict=True))


def _cell(base: Any, ours: Any, theirs: Any) -> Any:
    if UNKNOWN in (ours, theirs):
        return UNKNOWN
    if theirs in (ours, base):
        return ours
    return theirs if base == ours else UNKNOWN


def doubts(state: State) -> set[Where]:
    """The conflicts that a merged state has."""
    rows: set[Where] = {(i, None) for i, row in state.items() if row is CONTESTED}
    return rows | {
        (i, column)
        for i, row in state.items()
        if row is not CONTESTED
        for column, cell in zip(COLUMNS, row, strict=True)
        if cell is UNKNOWN
    }


def resolved(state: State, ours: State, theirs: State, choices: dict[Where, str]) -> State:
    """A merged state without doubts: of each, the side that was chosen."""
    sides = {"ours": ours, "theirs": theirs}
    out: State = {}
    for i, row in state.items():
        if row is CONTESTED:
            kept = sides[choices[i, None]].get(i)
            if kept is not None:
                out[i] = kept
            continue
        out[i] = tuple(
            sides[choices[i, column]][i][at] if cell is UNKNOWN else cell
            for at, (column, cell) in enumerate(zip(COLUMNS, row, strict=True))
        )
    return out
