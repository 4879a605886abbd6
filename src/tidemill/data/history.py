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
        self._seen: dict[tuple[str, int], Commit | None] = {}
        self._opened: dict[str, lance.LanceDataset] = {}

    def head(self, branch: str) -> Commit:
        """The newest commit of a branch.

        Raises:
            NotFound: ``branch-not-found``.
        """
        forks = self._table.branches() if branch != MAIN else {}
        if branch != MAIN and branch not in forks:
            close = nearest(branch, [MAIN, *forks])
            raise NotFound(
                f"Dataset '{self._dataset}' has no branch '{branch}'.",
                hint=f"Did you mean '{close}'?"
                if close
                else f"Type 'tidemill data branch {self._dataset} {branch}' to make it.",
                code="branch-not-found",
            )
        return next(self._walk(branch, None, forks))

    def walk(self, commit: Commit) -> Iterator[Commit]:
        """``commit`` and its first parents, back to the first."""
        return self._walk(commit.branch, commit.version, self._table.branches())

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
            return next(self._walk(at, None, forks))
        if at in tags:
            branch, version = tags[at]
            return next(self._walk(branch, version, forks))
        if at.isdecimal():
            found = next((c for c in self._walk(MAIN, None, forks) if c.number == int(at)), None)
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
        """Every commit that a branch holds, by id."""
        forks = self._table.branches()
        found: dict[str, Commit] = {}
        for branch in [MAIN, *forks]:
            oldest = forks[branch].version if branch in forks else 0
            for version in self._table.versions(branch):
                commit = self._commit(branch, version, forks) if version > oldest else None
                if commit:
                    found[commit.id] = commit
        return found

    def ancestors(self, commit: Commit, known: dict[str, Commit]) -> Iterator[Commit]:
        """``commit`` and all that it comes from, newest first; every parent of a merge is followed.

        What came from a branch that is deleted by now is left out.
        """
        queue = [(-commit.number, commit.id)]
        seen = {commit.id}
        while queue:
            _, found = heapq.heappop(queue)
            yield known[found]
            for parent in known[found].parents:
                if parent in known and parent not in seen:
                    seen.add(parent)
                    heapq.heappush(queue, (-known[parent].number, parent))

    def merge_base(self, one: Commit, other: Commit) -> Commit:
        """The newest commit that both come from; after a merge, that is the side that was merged."""
        known = self.all()
        mine = {c.id: c for c in self.ancestors(one, known)}
        common = [c for c in self.ancestors(other, known) if c.id in mine]
        # A common ancestor that another one comes from is an older state than it.
        older = {p for c in common for p in c.parents}
        return max((c for c in common if c.id not in older), key=lambda c: (c.time, c.id))

    def _walk(self, branch: str, version: int | None, forks: dict[str, Fork]) -> Iterator[Commit]:
        while True:
            fork = forks.get(branch)
            for candidate in self._table.versions(branch):
                if (version is not None and candidate > version) or (fork and candidate <= fork.version):
                    continue
                commit = self._commit(branch, candidate, forks)
                if commit:
                    yield commit
            if fork is None:
                return
            branch, version = fork.parent, fork.version

    def _commit(self, branch: str, version: int, forks: dict[str, Fork]) -> Commit | None:
        token = forks[branch].token if branch in forks else ""
        if (token, version) not in self._seen:
            if token not in self._opened:
                self._opened[token] = self._table.open(branch)
            stored = self._table.properties(self._opened[token], version)
            self._seen[token, version] = from_properties(self._dataset, branch, version, stored)
        return self._seen[token, version]
