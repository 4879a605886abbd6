"""A dataset's commits: what its refs lead to, walking back from there, and finding one by what a user calls it."""

import contextlib
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput, NotFound, StorageError
from tidemill.core.names import did_you_mean, listed
from tidemill.data import layout_1
from tidemill.data.commits import PROPERTY, Commit, from_properties
from tidemill.data.file_log import FOLDER
from tidemill.data.lance_table import LanceTable
from tidemill.data.packs import FOLDER as PACKS
from tidemill.data.refs import MAIN, REMOVED, Ref, Refs, check_not_lost, load, refs_key

_SHORTEST_PREFIX = 4
_ID_DIGITS = 12
_FEW_STEPS = 64
"""To walk back so far costs less than to write down what was passed."""


def read_refs(table: LanceTable) -> tuple[Refs | None, str | None]:
    """A dataset's refs and the tag to swap them by; those of layout 1 are written down when first seen."""
    refs, tag = load(table.objects, table.dataset)
    if refs is not None:
        table.follow(refs)
    if refs is not None or tag is not None:
        return refs, tag
    old = layout_1.refs_of(table)
    if old is None:
        check_not_lost(table.objects, table.dataset)
        return None, None
    try:
        return old, table.objects.put_if(refs_key(table.dataset), old.to_bytes(), None)
    except Conflict:
        return load(table.objects, table.dataset)
    except StorageError:
        # A store that may only be read is read as it is.
        return old, None


class History:
    """The commits of one dataset. What it has read once it keeps: a version never changes."""

    def __init__(self, table: LanceTable) -> None:
        self._dataset = table.dataset
        self._table = table
        self._seen: dict[int, Commit | None] = {}

    def refs(self) -> Refs:
        """What each name means at this moment.

        Raises:
            NotFound: ``dataset-not-found``, when it was removed meanwhile.
        """
        return self._loaded()[0]

    def change(self, make: Callable[[Refs], Refs], without: Collection[str] = ()) -> None:
        """Put what ``make`` makes of the refs in their place; again from the new ones, when they changed meanwhile.

        Args:
            make: Makes them.
            without: The keys, below the table, of files whose digests are not kept any more.

        Raises:
            NotFound: ``dataset-not-found``, and what ``make`` raises.
        """
        while True:
            refs, tag = self._loaded()
            try:
                self._put(refs, make(refs), tag, without=without)
            except Conflict as error:
                if error.code != codes.OBJECT_CHANGED:
                    raise
                continue
            return

    def swap(self, old: Refs, new: Refs) -> bool:
        """Put new refs in the place of these; False when they were others by then.

        Raises:
            NotFound: ``dataset-not-found``.
        """
        refs, tag = self._loaded()
        if not refs.says_as(old):
            return False
        # Whoever collects may have packed old versions meanwhile.
        return self._was_put(refs, replace(new, packs=refs.packs), tag)

    def reserve(self) -> str | None:
        """Say in the place of refs that a dataset is being made, before anything of it is there.

        So what a killed writer leaves is not taken for a dataset that has lost its refs.

        Returns:
            What ``begin`` swaps by; None where there is a dataset.

        Raises:
            StorageError: ``store-damaged``, when there is one without refs.
        """
        refs, tag = read_refs(self._table)
        if refs is None and tag is None:
            try:
                return self._table.objects.put_if(refs_key(self._dataset), REMOVED, None)
            except Conflict:
                refs, tag = load(self._table.objects, self._dataset)
        return None if refs else tag

    def begin(self, new: Refs, tag: str | None) -> bool:
        """Put the first refs of a dataset where there are none; False when somebody else's were there by then.

        Args:
            new: The refs.
            tag: Of what lies in their place, such as of a removed dataset.
        """
        return self._was_put(None, new, tag)

    def keep_digests(self, keys: Collection[str] | None = None, log: str | None = None) -> None:
        """Write down the digest of every file of the history that has none.

        Args:
            keys: Then also: forget those of all other files.
            log: The entry to go on from, where the one that the refs name is damaged; empty: from none.
        """
        while True:
            refs, tag = self._loaded()
            old = refs if log is None else replace(refs, log=log or None)
            try:
                self._put(old, refs, tag, only=keys, begin=True)
            except Conflict:
                continue
            return

    def head(self, branch: str) -> Commit:
        """The newest commit of a branch.

        Raises:
            NotFound: ``branch-not-found``.
        """
        branches = self.refs().branches
        if branch not in branches:
            raise NotFound(
                f"Dataset '{self._dataset}' has no branch '{branch}'.",
                hint=did_you_mean(
                    branch, branches, f"Type 'tidemill data branch {self._dataset} {branch}' to make it."
                ),
                code=codes.BRANCH_NOT_FOUND,
            )
        return self.at(branches[branch])

    def at(self, ref: Ref) -> Commit:
        """The commit that a ref names."""
        commit = self._commit(ref.version, ref.id)
        if commit is None or commit.id != ref.id:
            raise StorageError(
                f"Commit {ref.id} of dataset '{self._dataset}' is gone.",
                why=f"Version {ref.version} of the table, which it was, is another one now.",
                hint=f"Type 'tidemill data repair {self._dataset} --from ADDRESS' to get it from another store.",
                code=codes.STORE_DAMAGED,
                details={"store": self._table.objects.address},
            )
        return commit

    def parents(self, commit: Commit) -> list[Commit]:
        """The commits that this one was made from, the branch's own first."""
        if not commit.parents:
            return []
        if commit.parent_versions:
            return [self.at(Ref(*pair)) for pair in zip(commit.parents, commit.parent_versions, strict=True)]
        # Layout 1 did not say where a parent lies.
        known = {c.id: c for c in self._every()}
        return [known[parent] for parent in commit.parents]

    def made(self, commit: Commit, stored: dict[str, str]) -> None:
        """A commit was made here, with these properties: it need not be read, nor looked for among the older ones."""
        self._seen[commit.version] = commit
        self._table.commit_file.put(commit.version, stored)

    def of_version(self, version: int) -> Commit | None:
        """The commit that a version is, as the table has it; None when it is upkeep.

        Raises:
            StorageError: ``store-damaged``.
        """
        return self._commit(version)

    def walk(self, commit: Commit) -> Iterator[Commit]:
        """``commit`` and its first parents, back to the first."""
        yield commit
        while commit.parents:
            commit = self.parents(commit)[0]
            yield commit

    def before(self, commit: Commit) -> Iterator[Commit]:
        """All that a commit comes from, by all parents, newest first."""
        return itertools.islice(self._back_from([commit]), 1, None)

    def resolve(self, at: str | None) -> Commit:
        """The commit that a branch, a tag, a number of ``main``, or the beginning of an id names.

        Raises:
            NotFound: ``commit-not-found``.
            InvalidInput: ``ambiguous-commit``.
        """
        refs = self.refs()
        named = refs.named(at or MAIN)
        if named is not None:
            return self.at(named)
        assert at is not None, "main is always there"
        if at.isdecimal():
            found = self._numbered(int(at), self.at(refs.branches[MAIN]))
            if found:
                return found
        matches = self._by_id(at, refs) if len(at) >= _SHORTEST_PREFIX else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InvalidInput(
                f"'{at}' begins the ids of {len(matches)} commits of dataset '{self._dataset}'.",
                hint=f"Type more of it: {listed((c.id for c in matches), 5)}.",
                code=codes.AMBIGUOUS_COMMIT,
            )
        raise NotFound(
            f"Dataset '{self._dataset}' has no branch, tag or commit '{at}'.",
            hint=did_you_mean(
                at, [*refs.branches, *refs.tags, *refs.remotes], f"Type 'tidemill data log {self._dataset}'."
            ),
            code=codes.COMMIT_NOT_FOUND,
        )

    def reachable(self, refs: Refs) -> dict[int, Commit]:
        """Every commit that the refs lead to, by version: the dataset's history."""
        return {c.version: c for c in self.walk_all(refs)}

    def walk_all(self, refs: Refs) -> Iterator[Commit]:
        """The same, newest first, reading on only as far as is asked for."""
        yield from self._back_from([self.at(ref) for ref in refs.heads()])

    def since(self, refs: Refs, known: Collection[int]) -> set[int]:
        """The versions of what the refs lead to, back to these versions, which they lead to as well."""
        found: set[int] = set()
        waiting = [self.at(ref) for ref in refs.heads()]
        while waiting:
            commit = waiting.pop()
            if commit.version not in known and commit.version not in found:
                found.add(commit.version)
                waiting += self.parents(commit)
        return found

    def kept(self, refs: Refs, named: Collection[str]) -> dict[int, Commit]:
        """What the refs lead to, and beside it the commits of these ids and what they come from."""
        found = self.reachable(refs)
        there = {c.id for c in found.values()}
        extra: dict[str, Commit] = {}
        if not there.issuperset(named):
            for commit in self._every():
                if commit.id in named and commit.id not in there:
                    # Where a killed rewriting left two, the newer one is the one without the forgotten rows.
                    extra.setdefault(commit.id, commit)
        return {**found, **{c.version: c for c in self._back_from([*extra.values()])}}

    def ids(self) -> set[str]:
        """The id of every commit that is there, of those too that no ref leads to."""
        return {c.id for c in self._every()}

    def _back_from(self, heads: Iterable[Commit]) -> Iterator[Commit]:
        known = {c.version: c for c in heads}
        waiting = [-version for version in known]
        heapq.heapify(waiting)
        while waiting:
            commit = known[-heapq.heappop(waiting)]
            yield commit
            for parent in self.parents(commit):
                if parent.version not in known:
                    known[parent.version] = parent
                    heapq.heappush(waiting, -parent.version)

    def merge_bases(self, one: Commit, other: Commit) -> list[Commit]:
        """The commits that both come from and that lead to no other such, newest first.

        After branches were merged into each other crosswise there are several. Walks no further back than
        that takes: a child has a later version than its parents, so whatever is taken next has been reached
        by all that lead to it.
        """
        from_one, from_other, older = 1, 2, 4
        both = from_one | from_other
        marks = {one.version: from_one}
        marks[other.version] = marks.get(other.version, 0) | from_other
        waiting = [-version for version in marks]
        heapq.heapify(waiting)
        known = {one.version: one, other.version: other}
        bases: list[Commit] = []
        while any(not marks[-v] & older for v in waiting):
            version = -heapq.heappop(waiting)
            mark = marks[version]
            if mark == both:
                bases.append(known[version])
                mark |= older
            for parent in self.parents(known[version]):
                if parent.version not in marks:
                    heapq.heappush(waiting, -parent.version)
                marks[parent.version] = marks.get(parent.version, 0) | mark
                known[parent.version] = parent
        return bases

    def _numbered(self, number: int, head: Commit) -> Commit | None:
        """The commit of this number that a head comes from by first parents; walks only as far as nobody did before."""
        if not 0 < number <= head.number:
            return None
        line, passed = self._table.main_line, list[Commit]()
        found: Commit | None = None
        for commit in self.walk(head):
            found = commit if commit.number == number else found
            if found and len(passed) <= _FEW_STEPS:
                return found
            if line.get(commit.number) == commit.ref:
                ref = line.get(number) if found is None else None
                with contextlib.suppress(StorageError):
                    found = self.at(ref) if ref else found
                if found and found.number == number:
                    break
                found = None
            passed.append(commit)
        if len(passed) > _FEW_STEPS:
            line.put(passed[::-1])
        return found

    def _by_id(self, prefix: str, refs: Refs) -> list[Commit]:
        at_once = self._at_once(prefix, refs) if len(prefix) == _ID_DIGITS else None
        if at_once is not None:
            return [at_once]
        found = [c for c in self.reachable(refs).values() if c.id.startswith(prefix)]
        if not found and len(prefix) == _ID_DIGITS:
            # Of a branch that is gone; its commits are there until they are collected.
            found = [c for c in self._every() if c.id == prefix][:1]
        return found

    def _at_once(self, commit_id: str, refs: Refs) -> Commit | None:
        """The commit of a whole id, found without walking: by its place on ``main``, or as its version was read before."""
        try:
            number = self._table.main_line.number_of(commit_id)
        except ValueError:
            return None
        found = self._numbered(number, self.at(refs.branches[MAIN])) if number else None
        if found and found.id == commit_id:
            return found
        # Where history was rewritten, two versions may be one commit, and only the refs tell which of them counts.
        version = None if refs.generation else self._table.commit_file.version_of(commit_id)
        if version is None:
            return None
        try:
            stored = self._table.properties(version)
        except StorageError:
            return None
        found = from_properties(self._dataset, version, stored)
        return found if found and found.id == commit_id else None

    def _every(self) -> Iterator[Commit]:
        return (c for v in self._table.versions() if (c := self._commit(v)))

    def _was_put(self, old: Refs | None, new: Refs, tag: str | None) -> bool:
        try:
            self._put(old, new, tag)
        except Conflict as error:
            if error.code != codes.OBJECT_CHANGED:
                raise
            return False
        return True

    def _put(
        self,
        old: Refs | None,
        new: Refs,
        tag: str | None,
        *,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
        begin: bool = False,
    ) -> None:
        """Put refs in the place of others: the one way that they change.

        First the digest of each file that they lead to is in the log, so that none is ever named without.

        Args:
            old: What was there; None: nothing.
            new: The refs.
            tag: What the place is swapped by.
            only: The keys, below the table, of all files that the log is to have.
            without: The keys of files that it is not to have.
            begin: Whether a log begins also where others may use an older Tidemill.

        Raises:
            Conflict: ``object-changed``, when other refs were there by then.
        """
        table, key = self._table, refs_key(self._dataset)
        shared = table.objects.path("") is None
        if old is None and shared:
            # Whoever makes it says that others may pack it: an older Tidemill never read it.
            new = replace(new, packs=())
        if old is not None and old.log is None and shared and not begin:
            # They could not read it any more: it begins when somebody says so.
            table.objects.put_if(key, replace(new, log=None).to_bytes(), tag)
            return
        table.files.follow(old.log if old else None)
        new_files = table.files.take(self._without_digest(old, new))
        log = table.files.log.with_entry(new.body(), new_files, without)
        if only is not None:
            log = log.only(new.body(), only)
        entry = log.entries[0]
        table.objects.put(f"{table.prefix}/{FOLDER}/{entry.name}", bytes(entry.data))
        try:
            table.objects.put_if(key, replace(new, log=entry.name).to_bytes(), tag)
        except Conflict:
            table.objects.delete([f"{table.prefix}/{FOLDER}/{entry.name}"])
            raise
        table.files.adopt(log)
        table.packs.follow(new.packs)
        table.fresh.clear()

    def _without_digest(self, old: Refs | None, new: Refs) -> list[str]:
        """The keys, below the table, of the files behind these refs that the log does not have."""
        whole = old is not None and old.log is None
        waiting = [*self._every()] if whole else [self.at(ref) for ref in new.heads()]
        seen: set[int] = set()
        wanted: dict[str, None] = {}
        while waiting:
            commit = waiting.pop()
            if commit.version in seen or self._has_digests(commit):
                continue
            seen.add(commit.version)
            held = self._below(commit)
            parents = [] if whole else self.parents(commit)
            for parent in parents:
                # What the parent is made of has digests as the parent has; to look for each would take longer.
                held -= self._below(parent) - self._table.fresh if self._has_digests(parent) else set()
            wanted |= dict.fromkeys(held)
            waiting += parents
        below = list(wanted)
        below += [f"{PACKS}/{name}" for name in new.packs or ()]
        known = self._table.files.known(below).keys() - self._table.fresh
        return sorted(key for key in below if key not in known)

    def _below(self, commit: Commit) -> set[str]:
        """The keys, below the table, of what a commit is made of."""
        return {key.removeprefix(f"{self._table.prefix}/") for key in self._table.holds(commit.version)}

    def _has_digests(self, commit: Commit) -> bool:
        if self._table.packed(commit.version, commit.id) is not None:
            pack = self._table.packs.key_of(commit.version)
            return pack is not None and bool(self._table.files.known([pack]))
        manifest = self._table.manifest_below(commit.version)
        return manifest not in self._table.fresh and bool(self._table.files.known([manifest]))

    def _loaded(self) -> tuple[Refs, str | None]:
        refs, tag = read_refs(self._table)
        if refs is None:
            raise NotFound(
                f"There is no dataset '{self._dataset}' any more.",
                hint="Type 'tidemill data list' for all that are there.",
                code=codes.DATASET_NOT_FOUND,
            )
        return refs, tag

    def _commit(self, version: int, commit_id: str | None = None) -> Commit | None:
        """The commit that a version is; None when it is upkeep. With its id, what was read before is enough."""
        seen = self._seen.get(version)
        # A repair removes a damaged version, and the next that is made gets its number.
        if version not in self._seen or (commit_id and seen and seen.id != commit_id):
            known = self._known(version) if commit_id else None
            commit = from_properties(self._dataset, version, known) if known else None
            self._seen[version] = (
                commit if commit and commit.id == commit_id else self._read(version, commit_id)
            )
        return self._seen[version]

    def _known(self, version: int) -> dict[str, str] | None:
        """What was read of a version before, wherever that is found first."""
        known = self._table.commit_file.at_hand(version)
        if known is None:
            # A damaged pack is for who needs more of the version than what it says.
            with contextlib.suppress(StorageError):
                packed = self._table.packed(version)
                known = {PROPERTY: packed.commit} if packed else None
        return known or self._table.commit_file.get(version)

    def _read(self, version: int, commit_id: str | None = None) -> Commit | None:
        stored = self._table.properties(version, commit_id)
        commit = from_properties(self._dataset, version, stored)
        if commit:
            self._table.commit_file.put(version, stored)
        return commit
