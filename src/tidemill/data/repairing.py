"""What is not as it was written is put back: from another store that has it, or from what else the dataset has.

A data file has the same name in every store, a deletion file all but the same, and a transaction is in its version's
manifest too: these get their very bytes again. A commit of which that is not possible is made again from the other
store's, as a push makes it, and so are those that come from it; then the refs are swapped.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.core import codes, identity
from tidemill.core.errors import NotFound, StorageError
from tidemill.core.events import Progress, Sink
from tidemill.core.names import Digest
from tidemill.data import file_log, unlogged
from tidemill.data.commits import Commit
from tidemill.data.file_log import Known
from tidemill.data.packed_versions import key_of
from tidemill.data.packing import carry_out, instead
from tidemill.data.packs import FOLDER as PACKS
from tidemill.data.refs import REMOVED, Ref, Refs, from_body, refs_key
from tidemill.data.replay import Replay
from tidemill.data.transfer import Copy
from tidemill.data.turns import holding

if TYPE_CHECKING:
    from tidemill.store.open import Store

_INLINE = 4
"""Where in a manifest its transaction begins, after four bytes that say how long it is."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that is not as it was written.

    Attributes:
        file: Its key below the dataset's folder.
        lost: Whether it is gone.
        commit: The id of the newest commit that needs it; None where none is known to.
        commits: How many need it.
    """

    file: str
    lost: bool
    commit: str | None = None
    commits: int = 0


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Attributes:
        refs: Whether the file of refs was restored from the log.
        log: Whether the log was damaged: what only it had, the digests of some files, is taken from them as they are.
        begun: Whether the files of an older dataset were given digests.
        files: What has its bytes again.
        commits: The ids of the commits that were made again.
        left: What is wrong still.
        size_bytes: Of what was brought.
        damaged_there: The files of these that the other store has, and that are not as they were written there either.
    """

    refs: bool = False
    log: bool = False
    begun: bool = False
    files: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    left: tuple[Wrong, ...] = ()
    size_bytes: int = 0
    damaged_there: tuple[str, ...] = ()


def wrong_files(store: "Store", name: str, sink: Sink, *, deep: bool = False) -> list[Wrong]:
    """The files of a dataset that are not as they were written.

    Args:
        store: Where it is.
        name: The dataset.
        sink: Gets ``Progress``.
        deep: Read every file through; else those that changed since they were last looked at.

    Raises:
        StorageError: ``store-damaged``, when the refs or the log are.
    """
    copy = Copy.of(store, name)
    copy.refs()
    return _named(copy, None, _wrong(copy, sink, deep=deep))[0]


def remove_damaged_derived(store: "Store", name: str) -> list[str]:
    """Read through what is derived from a dataset's files, and remove what is damaged: it is made anew where it is needed."""
    return [file for files in Copy.of(store, name).table.derived for file in files.remove_damaged()]


def is_older(store: "Store", name: str) -> bool:
    """Whether a dataset is older than its log, so that its files have no digests."""
    return Copy.of(store, name).refs().log is None


def may_pack(store: "Store", name: str) -> bool:
    """Whether old commits of a dataset may be packed: in a bucket, only where no older Tidemill is to read it."""
    return store.objects.path("") is not None or Copy.of(store, name).refs().packs is not None


def let_pack(store: "Store", name: str) -> None:
    """From now on old commits of a dataset may be packed, and an older Tidemill cannot read it any more."""
    with holding(store, name):
        Copy.of(store, name).history.change(lambda refs: replace(refs, packs=refs.packs or ()))


def begin_log(store: "Store", name: str) -> bool:
    """Give the files of a dataset that is older than its log their digests; False where they have them."""
    with holding(store, name):
        copy = Copy.of(store, name)
        if copy.refs().log is not None:
            return False
        copy.history.keep_digests()
        return True


def repair(store: "Store", name: str, source: "Store | None", sink: Sink) -> Repaired:
    """Put back what of a dataset is not as it was written.

    Killed at any moment, it has put back some of it; the same command goes on.

    Args:
        store: Where it is.
        name: The dataset.
        source: Another store that has it; None takes what this one has.
        sink: Gets ``Progress``.

    Raises:
        StorageError: ``store-damaged``, when the refs are damaged and the log has nothing in their place.
    """
    refs = restore_refs(store, name)
    log = _restore_log(store, name)
    older = _mend_older(store, name, source, sink) if source else Repaired()
    begun = begin_log(store, name)
    with holding(store, name):
        copy, other = Copy.of(store, name), Copy.of(source, name) if source else None
        copy.refs()
        if other is not None and not other.refs().branches:
            raise _not_there(other)
        wrong = _wrong(copy, sink, deep=True)
        back = _put_back_entries(copy, wrong)
        # An entry that the log goes over no more has nothing that newer ones do not have: `mend` lets go of it.
        done = mend(copy, other, {key: lost for key, lost in wrong.items() if key not in back}, sink)
    remove_damaged_derived(store, name)
    return replace(
        done,
        refs=refs,
        log=log,
        begun=begun,
        files=(*older.files, *back, *done.files),
        commits=(*older.commits, *done.commits),
        size_bytes=older.size_bytes + done.size_bytes,
    )


def _mend_older(store: "Store", name: str, source: "Store", sink: Sink) -> Repaired:
    """Put back what of a dataset without a log is not as another store has it: it has no digests of its own."""
    with holding(store, name):
        copy, other = Copy.of(store, name), Copy.of(source, name)
        if copy.refs().log is not None or not other.refs().branches:
            return Repaired()
        files = unlogged.put_back(copy, other)
        commits = _made_again(copy, other, {}, sink)
    return Repaired(files=tuple(files), commits=tuple(commits), size_bytes=sum(files.values()))


def restore_refs(store: "Store", name: str) -> bool:
    """Write the file of refs again, as the newest entry of the log has it, where it cannot be read.

    Returns:
        Whether it had to.

    Raises:
        StorageError: ``store-damaged``, when the log has no whole entry.
    """
    try:
        Copy.of(store, name).refs()
    except StorageError as error:
        if error.code != codes.STORE_DAMAGED:
            raise
        with holding(store, name):
            entry = next(file_log.whole_entries(store.objects, f"datasets/{name}.lance"), None)
            if entry is None:
                raise
            store.objects.put(refs_key(name), from_body(entry.refs, entry.name).to_bytes())
        return True
    return False


def clear_for(store: "Store", name: str, source: "Store") -> bool:
    """Where a dataset's refs and its log are lost, make way for what ``fetch`` brings; nothing whole is deleted.

    Returns:
        Whether that is so: then the other store has to be fetched from.
    """
    try:
        restore_refs(store, name)
    except StorageError as error:
        if error.code != codes.STORE_DAMAGED:
            raise
    else:
        return False
    with holding(store, name):
        other, table = Copy.of(source, name), Copy.of(store, name).table
        if not other.refs().branches:
            raise _not_there(other)
        known, there = other.table.files.log.files(), {f"data/{file}" for file in table.data_files()}
        # A file of the right size would be taken for the one that it was.
        wrong = table.files.wrong(
            {key: replace(known[key], etag=None) for key in there & known.keys()}, again=True
        )
        table.objects.delete([f"{table.prefix}/{key}" for key in wrong])
        store.objects.put(refs_key(name), REMOVED)
    return True


def _not_there(other: Copy) -> NotFound:
    return NotFound(
        f"There is no dataset '{other.table.dataset}' in {other.table.objects.address}.",
        hint="Name a remote that has it.",
        code=codes.DATASET_NOT_FOUND,
    )


def _restore_log(store: "Store", name: str) -> bool:
    """Let a log that cannot be read go on from the newest of its entries that can."""
    with holding(store, name):
        copy = Copy.of(store, name)
        copy.refs()
        files = copy.table.files
        try:
            files.log.entries  # noqa: B018 - it is read when it is asked for
        except StorageError as error:
            if error.code != codes.STORE_DAMAGED:
                raise
        else:
            return False
        for entry in file_log.whole_entries(store.objects, copy.table.prefix):
            files.follow(entry.name)
            with contextlib.suppress(StorageError):
                files.log.entries  # noqa: B018
                break
        else:
            files.follow(None)
        copy.history.keep_digests(log=files.head or "")
        return True


def mend(copy: Copy, source: Copy | None, wrong: Mapping[str, bool], sink: Sink) -> Repaired:
    """Put back these files; the caller holds the dataset's lock.

    Args:
        copy: The dataset.
        source: The same in another store.
        wrong: The files, and whether each is gone.
        sink: Gets ``Progress``.
    """
    known = copy.table.files.log.files()
    files: list[str] = []
    size = 0
    copy.table.objects.delete([f"{copy.table.prefix}/{key}" for key in wrong if key not in known])
    wrong = {key: lost for key, lost in wrong.items() if key in known}
    for number, key in enumerate(wrong):
        if _is_restored(copy, source, key, known[key]):
            files.append(key)
            size += known[key].size_bytes
        sink(Progress("restoring", number + 1, len(wrong), "files"))
    left = {key: lost for key, lost in wrong.items() if key not in files}
    made = _made_again(copy, source, left, sink) if left and source else {}
    packs = _packed_again(copy, left)
    files += packs
    if made or packs:
        # A commit that was made again may have got the number of a damaged version that was removed for it.
        anew = {copy.table.manifest_below(version) for version in made.values()}
        left = {key: lost for key, lost in left.items() if key not in anew and copy.table.files.known([key])}
    named, complete = _named(copy, source, left)
    # Of a version that no ref leads to and that nobody can open, such as one that was made again, nothing is left to keep.
    # An older entry of the log may have packs that others took the place of, and the transactions of packed versions.
    needed = {f"{PACKS}/{name}" for name in copy.table.packs.names or ()}
    needless = {
        each.file
        for each in named
        if complete
        and each.commit is None
        and each.file not in needed
        and each.file.startswith(("_versions/", f"{PACKS}/", "_transactions/"))
    }
    if needless:
        _let_go(copy, needless)
    rest = tuple(each for each in named if each.file not in needless)
    there = tuple(each.file for each in rest if source is not None and _is_damaged(source, each.file))
    return Repaired(files=tuple(files), commits=tuple(made), left=rest, size_bytes=size, damaged_there=there)


def _is_damaged(source: Copy, key: str) -> bool:
    """Whether a store has a file, by the same name, and it is not as it was written."""
    return bool(source.table.files.wrong(source.table.files.known([key]), again=True))


def wrong_there(copy: Copy, sink: Sink) -> dict[str, bool]:
    """The files of a far side's log that are gone or of another size; where it is verified always, what is damaged too.

    Else nothing is read through: a push would read all that the other store has.
    """
    table = copy.table
    if table.files.always:
        return _wrong(copy, sink, deep=False)
    there = {e.key.removeprefix(f"{table.prefix}/"): e.size_bytes for e in table.objects.list(table.prefix)}
    return {
        key: key not in there
        for key, known in table.files.log.files().items()
        if there.get(key) != known.size_bytes
    }


def _wrong(copy: Copy, sink: Sink, *, deep: bool) -> dict[str, bool]:
    known = copy.table.files.log.files()
    found: dict[str, bool] = {}
    newest = copy.table.unpacked()[:1]
    if newest and not copy.table.files.known([copy.table.manifest_below(newest[0])]):
        # What a killed writer left is no history, but Lance counts on from it.
        try:
            copy.table.open(newest[0])
        except StorageError:
            found[copy.table.manifest_below(newest[0])] = False
    if deep:
        found |= _wrong_entries(copy)
    done, total = 0, sum(each.size_bytes for each in known.values())
    for some in _batches(known):
        found |= copy.table.files.wrong(some, again=deep)
        done += sum(each.size_bytes for each in some.values())
        sink(Progress("checking files", done, total, "bytes"))
    return found


def _wrong_entries(copy: Copy) -> dict[str, bool]:
    """The entries of the log that are not what their names say; of a remote log not as this machine keeps them."""
    objects, prefix = copy.table.objects, copy.table.prefix
    there = {entry.key.removeprefix(f"{prefix}/") for entry in objects.list(f"{prefix}/{file_log.FOLDER}")}
    found = dict.fromkeys(sorted(copy.table.files.log.keys - there), True)
    for key in sorted(there):
        read = objects.read_through(f"{prefix}/{key}")
        if read is not None and read[0] != f"sha256:{key.rpartition('-')[2]}":
            found[key] = False
    return found


def _put_back_entries(copy: Copy, wrong: Mapping[str, bool]) -> list[str]:
    """Write entries again that the log goes over and that were read from elsewhere."""
    entries = {f"{file_log.FOLDER}/{entry.name}": entry for entry in copy.table.files.log.entries}
    back = [key for key in wrong if key in entries]
    for key in back:
        copy.table.objects.put(f"{copy.table.prefix}/{key}", bytes(entries[key].data))
    return back


def _batches(known: Mapping[str, Known]) -> Iterator[dict[str, Known]]:
    keys = sorted(known)
    for start in range(0, len(keys), 100):
        yield {key: known[key] for key in keys[start : start + 100]}


def _is_restored(copy: Copy, source: Copy | None, key: str, known: Known) -> bool:
    if key.startswith("_transactions/"):
        return _is_restored_from_manifest(copy, key, known)
    if source is None:
        return False
    if key.startswith("data/"):
        try:
            objects = source.table.objects
            return objects.copy(f"{copy.table.prefix}/{key}", copy.table.objects, known.digest)
        except NotFound:
            return False
    if key.startswith("_deletions/"):
        # In each table such a file has the number of its fragment there.
        end = key.partition("-")[2]
        for entry in source.table.objects.list(f"{source.table.prefix}/_deletions"):
            found = (
                source.table.objects.get(entry.key)
                if entry.key.partition("_deletions/")[2].partition("-")[2] == end
                else None
            )
            if found is not None and _put(copy, key, found[0], known.digest):
                return True
    return False


def _is_restored_from_manifest(copy: Copy, key: str, known: Known) -> bool:
    table = copy.table
    read = key.rpartition("/")[2].partition("-")[0]
    first = table.manifest(int(read) + 1)
    for manifest in [
        first,
        *(e.key for e in table.objects.list(f"{table.prefix}/_versions") if e.key != first),
    ]:
        found = table.objects.get(manifest)
        if found is not None and _put(
            copy, key, found[0][_INLINE : _INLINE + known.size_bytes], known.digest
        ):
            return True
    return False


def _put(copy: Copy, key: str, data: bytes, digest: Digest) -> bool:
    whole = identity.blob(data) == digest
    if whole:
        copy.table.objects.put(f"{copy.table.prefix}/{key}", data)
    return whole


class _Graph:
    """A dataset's commits by id, though some cannot be read: of these the other store's are taken."""

    def __init__(self, copy: Copy, source: Copy | None, wrong: Mapping[str, bool]) -> None:
        self._copy = copy
        self._wrong = wrong
        self.theirs = _readable(source) if source else {}
        self.ours: dict[str, Commit] = {}
        self.places: dict[str, int] = {}
        self.complete = True
        """Whether it is known what each commit comes from."""
        refs = copy.refs()
        self.heads = [ref.id for ref in refs.heads()]
        self._walk([(ref.id, ref.version) for ref in refs.heads()])

    def _walk(self, waiting: list[tuple[str, int]]) -> None:
        """Find where each commit lies, by the refs and by what comes from it: another version of its id is garbage."""
        unplaced: list[str] = []
        while waiting or unplaced:
            if not waiting:
                one = unplaced.pop()
                if one in self.places or one in self.ours:
                    continue
                # Only commits that cannot be read come from it: any version of its id will do.
                found = _readable(self._copy).get(one)
                if found is None:
                    unplaced += self._parents_there(one)
                    continue
                waiting.append((one, found.version))
            one, version = waiting.pop()
            if one in self.places:
                continue
            self.places[one] = version
            try:
                commit = self._copy.history.at(Ref(one, version))
            except StorageError:
                unplaced += self._parents_there(one)
                continue
            self.ours[one] = commit
            if commit.parent_versions:
                waiting += zip(commit.parents, commit.parent_versions, strict=True)
            else:
                unplaced += commit.parents

    def _parents_there(self, commit_id: str) -> tuple[str, ...]:
        theirs = self.theirs.get(commit_id)
        self.complete = self.complete and theirs is not None
        return theirs.parents if theirs else ()

    def ids(self) -> list[str]:
        """What the heads lead to, parents first."""
        found: dict[str, None] = {}
        waiting = [(head, False) for head in self.heads]
        while waiting:
            one, ready = waiting.pop()
            if one in found:
                continue
            commit = self.ours.get(one) or self.theirs.get(one)
            if ready or commit is None:
                found[one] = None
            else:
                waiting.append((one, True))
                waiting += [(parent, False) for parent in commit.parents if parent not in found]
        return list(found)

    def needs(self, commit_id: str) -> set[str]:
        """Which of the wrong files a commit is made of."""
        table = self._copy.table
        manifest = table.manifest(self.places[commit_id]) if commit_id in self.places else ""
        if not (own := manifest.removeprefix(f"{table.prefix}/")):
            return {own}
        try:
            if own in self._wrong and table.packed(self.places[commit_id]) is None:
                return {own}
            held = {key.removeprefix(f"{table.prefix}/") for key in table.holds(self.places[commit_id])}
        except StorageError as error:
            return {str(error.details.get("file") or own)}
        # Of a pack only some may be damaged, and this commit was read from it.
        return {key for key in held & self._wrong.keys() if not key.startswith(f"{PACKS}/")}


def _readable(copy: Copy) -> dict[str, Commit]:
    """Every commit whose version can be read, by id; of two that are one, the newer."""
    found: dict[str, Commit] = {}
    packs = copy.table.packs
    packed = {each.version for pack in packs.packs for each in packs.whole(pack)}
    for version in sorted({*copy.table.unpacked(), *packed}, reverse=True):
        try:
            commit = copy.history.of_version(version)
        except StorageError:
            continue
        if commit is not None:
            found.setdefault(commit.id, commit)
    return found


def _made_again(copy: Copy, source: Copy | None, left: Mapping[str, bool], sink: Sink) -> dict[str, int]:
    """Make commits again that need files which are wrong still, and what comes from them; version by id."""
    assert source is not None
    graph = _Graph(copy, source, left)
    refs = copy.refs()
    own = Replay(copy.table, copy.table, refs.forgotten)
    brought = Replay(source.table, copy.table, refs.forgotten)
    made: dict[str, int] = {}
    replaced: set[str] = set()
    ids = graph.ids()
    needed = {one: graph.needs(one) for one in ids}
    for one in ids:
        # A table whose newest manifest cannot be read takes no new version.
        if (
            one in graph.places
            and copy.table.manifest_below(graph.places[one]) in needed[one]
            and one in graph.theirs
        ):
            copy.table.objects.delete([copy.table.manifest(graph.places[one])])
    for number, one in enumerate(ids):
        needs = needed[one]
        theirs, ours = graph.theirs.get(one), graph.ours.get(one)
        commit = theirs if needs else ours
        if commit is None or not (needs or made.keys() & set(commit.parents)):
            continue
        if needs and not _is_brought(brought, source, copy, commit, left):
            continue
        parents = [made.get(p, graph.places.get(p, 0)) for p in commit.parents]
        made[one] = (brought if needs else own).make(commit, parents)
        if one in graph.places:
            replaced.add(copy.table.manifest(graph.places[one]))
        sink(Progress("making again", number + 1, len(ids), "commits"))
    if not made:
        return {}

    def turned(now: Refs) -> Refs:
        def new(names: Mapping[str, Ref]) -> dict[str, Ref]:
            return {n: Ref(r.id, made.get(r.id, r.version)) for n, r in names.items()}

        return replace(now, branches=new(now.branches), tags=new(now.tags), remotes=new(now.remotes))

    kept = {copy.table.manifest(version) for version in made.values()}
    copy.history.change(turned)
    _dropped(copy, left, replaced - kept)
    return made


def _packed_again(copy: Copy, left: Mapping[str, bool]) -> list[str]:
    """Put new packs, of what can be read of them, in the place of damaged ones that nothing else needs; these."""
    table, refs = copy.table, copy.refs()
    packs = [pack for pack in table.packs.packs if key_of(pack) in left]
    if not packs:
        return []
    lacking: set[str] = set()
    for commit in copy.history.reachable(refs).values():
        try:
            table.holds(commit.version)
        except StorageError as error:
            lacking.add(str(error.details.get("file")))
    done = [pack for pack in packs if key_of(pack) not in lacking]
    if done:
        entries = sorted((e for p in done for e in table.packs.whole(p)), key=lambda each: each.version)
        carry_out(table, copy.history, refs, instead(refs, done, entries))
        _let_go(copy, {key_of(pack) for pack in done})
    return [key_of(pack) for pack in done]


def _is_brought(replay: Replay, source: Copy, copy: Copy, commit: Commit, left: Mapping[str, bool]) -> bool:
    """Bring what a commit is made of in the other store; False where that is damaged there too, or gone."""
    there = copy.table.data_files()
    try:
        needs = replay.needs(commit)
        # A file of the same name was to be had there, had it been whole.
        if any(f"data/{name}" in left for name in needs):
            return False
        for name, size in needs.items():
            if there.get(name) != size:
                source.table.copy_data_file(name, copy.table)
    except NotFound:
        return False
    except StorageError as error:
        if error.code != codes.STORE_DAMAGED:
            raise
        return False
    return True


def _dropped(copy: Copy, left: Mapping[str, bool], replaced: set[str]) -> None:
    """Let go of versions that were made again, and of files that only they needed."""
    table = copy.table
    gone = {key.removeprefix(f"{table.prefix}/") for key in replaced}
    for commit in copy.history.reachable(copy.refs()).values():
        left = {
            key: lost
            for key, lost in left.items()
            if f"{table.prefix}/{key}" not in table.holds(commit.version)
        }
    _let_go(copy, gone | left.keys())


def _let_go(copy: Copy, keys: set[str]) -> None:
    if copy.refs().log is not None:
        copy.history.keep_digests(copy.table.files.log.files().keys() - keys)
    copy.table.objects.delete([f"{copy.table.prefix}/{key}" for key in keys])


def _named(copy: Copy, source: Copy | None, wrong: Mapping[str, bool]) -> tuple[list[Wrong], bool]:
    """These files, each with the newest commit that needs it; and whether all that could need one is known."""
    if not wrong:
        return [], True
    graph = _Graph(copy, source, wrong)
    needing: dict[str, list[str]] = {}
    for one in graph.ids():
        for key in graph.needs(one):
            needing.setdefault(key, []).append(one)
    named = [
        Wrong(key, lost, (needing.get(key) or [None])[-1], len(needing.get(key, ())))
        for key, lost in wrong.items()
    ]
    return named, graph.complete
