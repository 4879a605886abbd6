"""History from one store to another: only the commits and files that the other side lacks, ids as they are.

A file is copied whole before a version names it, and a version is made before a ref names it. So a transfer that
is cut off at any moment has changed nothing that is seen, and the next one sends only what is not there yet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink
from tidemill.data.commits import Commit
from tidemill.data.history import History, read_refs
from tidemill.data.lance_table import LanceTable
from tidemill.data.refs import Ref, Refs, Tombstone
from tidemill.data.replay import Replay

if TYPE_CHECKING:
    from tidemill.store.open import Store

EMPTY = Refs({})
"""Of a dataset that is not there."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What travelled.

    Attributes:
        commits: How many.
        files: How many data files; those that were there already are not counted.
        size_bytes: Of these files.
    """

    commits: int = 0
    files: int = 0
    size_bytes: int = 0


class Copy:
    """A dataset as one store has it; it may not be there yet."""

    def __init__(self, table: LanceTable) -> None:
        self.table = table
        self.history = History(table)
        self._places: dict[str, int] = {}
        self._walk: Iterator[Commit] | None = None

    @classmethod
    def of(cls, store: "Store", name: str) -> "Copy":
        """The dataset of this name in a store."""
        return cls(LanceTable(store, name))

    def refs(self) -> Refs:
        """What it has."""
        return read_refs(self.table)[0] or EMPTY

    def known(self) -> dict[str, Commit]:
        """Every commit of its history, by id. It reads all of them: for the near side."""
        return {c.id: c for c in self.history.reachable(self.refs()).values()}

    def place(self, commit_id: str) -> int:
        """The version that a commit of its history is; looks back no further than it takes."""
        if self._walk is None:
            self._walk = self.history.walk_all(self.refs())
        while commit_id not in self._places:
            found = next(self._walk)
            self._places[found.id] = found.version
        return self._places[commit_id]


def lacking(copy: Copy, heads: Iterable[Ref], has: Callable[[str], bool]) -> list[Commit]:
    """The commits behind these heads that the other side does not have, parents first.

    Args:
        copy: Where they are.
        heads: From where to walk back.
        has: Whether the other side has a commit, and so all that it comes from.
    """
    found: dict[str, Commit] = {}
    waiting = [copy.history.at(ref) for ref in heads if not has(ref.id)]
    while waiting:
        commit = waiting.pop()
        if commit.id not in found:
            found[commit.id] = commit
            waiting += [p for p in copy.history.parents(commit) if not has(p.id)]
    return sorted(found.values(), key=lambda c: c.version)


def carry(
    source: Copy,
    target: Copy,
    commits: Sequence[Commit],
    places: Callable[[str], int],
    tombstones: Sequence[Tombstone],
    sink: Sink,
) -> tuple[dict[str, int], Moved]:
    """Bring commits over, parents first; no ref names them yet.

    Args:
        source: Where they are.
        target: Where they go.
        commits: What ``lacking`` found.
        places: The version in ``target`` of a commit that it had before.
        tombstones: Whose rows are left behind.
        sink: Gets ``Progress``.

    Returns:
        Each commit's version in ``target``, and what travelled.
    """
    replay = Replay(source.table, target.table, tombstones)
    there = target.table.data_files()
    wanted: dict[str, int] = {}
    for number, commit in enumerate(commits):
        wanted |= replay.needs(commit)
        sink(Progress("comparing", number + 1, len(commits), "commits"))
    missing = {name: size for name, size in wanted.items() if there.get(name) != size}
    total, done = sum(missing.values()), 0
    for name, size in missing.items():
        source.table.copy_data_file(name, target.table)
        done += size
        sink(Progress("copying", done, total, "bytes"))
    made: dict[str, int] = {}
    for number, commit in enumerate(commits):
        parents = [made[p] if p in made else places(p) for p in commit.parents]
        made[commit.id] = replay.make(commit, parents)
        sink(Progress("committing", number + 1, len(commits), "commits"))
    return made, Moved(len(commits), len(missing), total)


def new_tags(theirs: Mapping[str, Ref], ours: Mapping[str, Ref]) -> dict[str, Ref]:
    """The tags that the other side has and we have not."""
    return {name: ref for name, ref in theirs.items() if name not in ours}


def check_related(name: str, theirs: Refs, ours: Refs, met: bool) -> None:  # noqa: FBT001 - the answer to a question
    """Refuse two datasets of one name that have nothing to do with each other.

    Raises:
        InvalidInput: ``unrelated-datasets``.
    """
    if theirs.branches and ours.branches and not met:
        raise InvalidInput(
            f"Dataset '{name}' here and dataset '{name}' there are two datasets: no commit is in both.",
            why="Each was imported anew; only one of them can be the beginning of a shared history.",
            hint=f"Delete one of the two ('tidemill data delete {name}'), then type "
            f"'tidemill data clone ADDRESS {name}' here, or push again.",
            code=codes.UNRELATED_DATASETS,
        )


def fetched(refs: Refs, remote: str, theirs: Refs, places: Callable[[str], int]) -> Refs:
    """``refs`` with what the other side has now: its branches as ``REMOTE/BRANCH``, its tags where they are new."""
    others = {n: r for n, r in refs.remotes.items() if n.partition("/")[0] != remote}
    own = {f"{remote}/{n}": Ref(r.id, places(r.id)) for n, r in theirs.branches.items()}
    tags = {n: Ref(r.id, places(r.id)) for n, r in new_tags(theirs.tags, refs.tags).items()}
    return replace(refs, remotes={**others, **own}, tags={**refs.tags, **tags})
