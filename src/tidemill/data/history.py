"""A dataset's commits: walking back from a branch's head, and finding one by what a user calls it."""

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.names import nearest
from tidemill.data.commits import Commit, from_properties
from tidemill.data.lance_table import MAIN, Fork, LanceTable

if TYPE_CHECKING:
    import lance

_SHORTEST_PREFIX = 4


class History:
    """The commits of one dataset. What it has read once it keeps: a version never changes."""

    def __init__(self, dataset: str, table: LanceTable) -> None:
        self._dataset = dataset
        self._table = table
        self._seen: dict[int, Commit | None] = {}
        self._opened: lance.LanceDataset | None = None

    def head(self, branch: str) -> Commit:
        """The newest commit of a branch.

        Raises:
            NotFound: ``branch-not-found``.
        """
        forks = self._table.branches()
        if branch != MAIN and branch not in forks:
            close = nearest(branch, [MAIN, *forks])
            raise NotFound(
                f"Dataset '{self._dataset}' has no branch '{branch}'.",
                hint=f"Did you mean '{close}'?"
                if close
                else f"Type 'tidemill data branch {self._dataset} {branch}' to make it.",
                code="branch-not-found",
            )
        return self._head(branch, forks.get(branch))

    def walk(self, commit: Commit) -> Iterator[Commit]:
        """``commit`` and its first parents, back to the first."""
        yield commit
        while commit.parents:
            commit = self._find(commit.parents[0], before=commit.version)
            yield commit

    def resolve(self, at: str | None) -> Commit:
        """The commit that a branch, a tag, a number of ``main``, or the beginning of an id names.

        Raises:
            NotFound: ``commit-not-found``.
            InvalidInput: ``ambiguous-commit``.
        """
        if at is None or at == MAIN:
            return self.head(MAIN)
        forks, tags = self._table.branches(), self._table.tags()
        if at in forks:
            return self._head(at, forks[at])
        if at in tags:
            return self._at(tags[at])
        if at.isdecimal():
            found = next((c for c in self.walk(self.head(MAIN)) if c.number == int(at)), None)
            if found:
                return found
        matches = (
            [c for c in self.all().values() if c.id.startswith(at)] if len(at) >= _SHORTEST_PREFIX else []
        )
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InvalidInput(
                f"'{at}' begins the ids of {len(matches)} commits of dataset '{self._dataset}'.",
                hint=f"Type more of it: {', '.join(c.id for c in matches[:5])}.",
                code="ambiguous-commit",
            )
        close = nearest(at, [MAIN, *forks, *tags])
        raise NotFound(
            f"Dataset '{self._dataset}' has no branch, tag or commit '{at}'.",
            hint=f"Did you mean '{close}'?" if close else f"Type 'tidemill data log {self._dataset}'.",
            code="commit-not-found",
        )

    def all(self) -> dict[str, Commit]:
        """Every commit, by id; those of deleted branches too."""
        return {c.id: c for v in self._table.versions() if (c := self._commit(v))}

    def ancestors(self, commit: Commit, known: dict[str, Commit]) -> Iterator[Commit]:
        """``commit`` and all that it comes from, newest first; every parent of a merge is followed."""
        queue = [(-commit.version, commit.id)]
        seen = {commit.id}
        while queue:
            _, found = heapq.heappop(queue)
            yield known[found]
            for parent in known[found].parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(queue, (-known[parent].version, parent))

    def merge_base(self, one: Commit, other: Commit) -> Commit:
        """The newest commit that both come from; after a merge, that is the side that was merged."""
        known = self.all()
        mine = {c.id: c for c in self.ancestors(one, known)}
        common = [c for c in self.ancestors(other, known) if c.id in mine]
        # A child has a later version than its parents, so the latest is no other one's ancestor.
        return max(common, key=lambda c: c.version)

    def _head(self, branch: str, fork: Fork | None) -> Commit:
        for version in self._table.versions():
            if fork and version <= fork.since:
                break
            commit = self._commit(version)
            if commit and commit.branch == branch:
                return commit
        assert fork, "main has a first commit"
        return self._at(fork.at)

    def _find(self, commit_id: str, *, before: int) -> Commit:
        versions = (v for v in self._table.versions() if v < before)
        return next(c for v in versions if (c := self._commit(v)) and c.id == commit_id)

    def _at(self, version: int) -> Commit:
        commit = self._commit(version)
        assert commit, f"version {version} is a commit"
        return commit

    def _commit(self, version: int) -> Commit | None:
        if version not in self._seen:
            self._opened = self._opened or self._table.open()
            stored = self._table.properties(self._opened, version)
            self._seen[version] = from_properties(self._dataset, version, stored)
        return self._seen[version]
