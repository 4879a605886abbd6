"""Datasets and registered models as inputs: a commit's rows as chunks, made once for each of its fragments and kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemill.core import codes, events, identity
from tidemill.core.errors import NotFound
from tidemill.core.names import Digest, Reference, did_you_mean
from tidemill.engine import cache, tables
from tidemill.engine.earlier import Earlier
from tidemill.engine.orders import Chunk, Ref, Saved
from tidemill.pipeline.model import Model
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.open import Store


@dataclass(frozen=True, slots=True)
class Read:
    """A dataset that was read.

    Attributes:
        key: The cache key of this commit's table.
        entries: What the cache is to remember besides.
        rows_read: Rows that were taken out of the dataset now; None when its table was there already.
    """

    commit: str
    table: Saved
    key: str
    entries: dict[str, dict[str, Any]]
    rows_read: int | None


def read(
    store: "Store",
    reference: Reference,
    resolve: Callable[[Reference], Any] | None,
    sink: events.Sink,
) -> Read:
    """The rows of a dataset as a table artifact.

    When the branch's head has not moved, its table is known without opening the dataset.

    Raises:
        NotFound: ``dataset-not-found`` and what else ``resolve`` raises.
    """
    head = _head_key(store, reference)
    if head is not None and (known := _known(store, head)) is not None:
        return known
    from tidemill.data import digest_of  # noqa: PLC0415 - only a run with a dataset needs it

    snapshot = _snapshot(reference, resolve)
    if store.blobs.marks is not None and store.blobs.marks.take_off(
        [snapshot.table.manifest(snapshot.commit.version)]
    ):
        # It was to be removed: whether it is there is seen once it has no mark.
        snapshot = _snapshot(reference, resolve)
    commit = _commit_key(reference.name, snapshot.commit.state)
    entries: dict[str, dict[str, Any]] = {}
    known = _known(store, commit) or _read_before(store, commit, snapshot.commit.id)
    if known is None:
        # The same rows may be those of another commit, of whatever files: after a revert, or in another dataset.
        key = _rows_key(digest_of(snapshot))
        known = _read_before(store, key, snapshot.commit.id)
        entries[commit] = {"commit": snapshot.commit.id, "key": key}
        if known is None:
            table, made, rows_read = _exported(store, reference, snapshot, sink)
            known, entries = Read(snapshot.commit.id, table, key, {}, rows_read), entries | made
    if head is not None and head == _head_key(store, reference):
        # Had the branch moved meanwhile, its former head would lead to the rows of the new one.
        entries[head] = {"commit": snapshot.commit.id, "key": known.key}
    return replace(known, entries=entries)


def look(
    store: "Store", reference: Reference, resolve: Callable[[Reference], Any] | None
) -> tuple[str, Ref | None]:
    """The commit that a reference leads to, and its table, where that was read before. Nothing is read now.

    Raises:
        NotFound: As ``read``.
    """
    head = _head_key(store, reference)
    if head is not None and (known := _known(store, head)) is not None:
        return known.commit, known.table.ref
    from tidemill.data import digest_at_hand  # noqa: PLC0415 - only a run with a dataset needs it

    snapshot = _snapshot(reference, resolve)
    commit = snapshot.commit
    key = _commit_key(reference.name, commit.state)
    known = _known(store, key) or _read_before(store, key, commit.id)
    if known is None and (digest := digest_at_hand(snapshot)) is not None:
        known = _read_before(store, _rows_key(digest), commit.id)
    return commit.id, known.table.ref if known else None


def _snapshot(reference: Reference, resolve: Callable[[Reference], Any] | None) -> Any:
    if resolve is None:
        raise NotFound(
            f"There is no dataset '{reference}' here.",
            hint="Give the run a store that has it.",
            code=codes.DATASET_NOT_FOUND,
        )
    return resolve(reference)


def registered_model(store: "Store", wanted: Model) -> tuple[int, Ref]:
    """The version and the artifact of a registered model.

    Raises:
        NotFound: ``model-not-found``.
    """
    with store.catalog.read() as transaction:
        found = transaction.find(records.Model, {"name": wanted.name}, order=("-version",))
        chosen = next((m for m in found if wanted.version in (None, m.version)), None)
        if chosen is not None:
            artifact = transaction.first(records.Artifact, {"digest": chosen.digest})
            if artifact is not None:
                return chosen.version, Ref(artifact.digest, artifact.kind, artifact.meta)
        known = {m.name for m in transaction.find(records.Model)}
    numbers = ", ".join(str(m.version) for m in found)
    raise NotFound(
        f"There is no registered model '{wanted}'.",
        hint=f"'{wanted.name}' has: {numbers}."
        if numbers
        else did_you_mean(wanted.name, known, "Type 'tidemill models' to see them."),
        code=codes.MODEL_NOT_FOUND,
    )


def _rows_key(digest: str) -> str:
    """The cache key of the table of all commits with this digest."""
    return identity.value(["dataset-rows", digest])


def _commit_key(dataset: str, commit: str) -> str:
    """Leads to the key of a commit's rows; of what was read before commits had digests, it is the key of the table."""
    return identity.step(f"dataset:{dataset}", {}, {}, {}, {"commit": commit})


def _head_key(store: "Store", reference: Reference) -> str | None:
    from tidemill.data.heads import head_token  # noqa: PLC0415 - only a run with a dataset needs it

    token = head_token(store.objects, reference.name, reference.at)
    return None if token is None else identity.value(["dataset-head", reference.name, reference.at, token])


def _known(store: "Store", head: str) -> Read | None:
    with store.catalog.read() as transaction:
        entry = transaction.cached([head]).get(head)
    if entry is None:
        return None
    return _read_before(store, str(entry["key"]), str(entry["commit"])) if "key" in entry else None


def _read_before(store: "Store", key: str, commit: str) -> Read | None:
    """What was read under this key, as a commit's rows; None where that is not stored."""
    hit = cache.lookup(store, [key]).get(key)
    # An entry that leads to another has no outputs.
    return Read(commit, _saved(hit.outputs["result"]), key, {}, None) if hit and hit.outputs else None


def _saved(ref: Ref) -> Saved:
    return Saved(ref.digest, ref.kind, 0, ref.meta)


def _exported(
    store: "Store", reference: Reference, snapshot: Any, sink: events.Sink
) -> tuple[Saved, dict[str, dict[str, Any]], int]:
    """The snapshot's chunks: of a fragment seen before, the ones made then; of a new one, made now.

    A fragment that is new may have rows of before: small files become one. Then these rows' chunks are the ones that
    the nearest commit before has them in.
    """
    entries: dict[str, dict[str, Any]] = {}
    chunks: list[Chunk] = []
    columns: list[dict[str, Any]] = []
    earlier = Earlier(store, snapshot, lambda commits: _nearest(store, reference.name, commits))
    rows_read, done = 0, 0
    for fragment in snapshot.fragments():
        key = identity.value(["fragment", fragment.digest])
        made = _reused(store, key, fragment)
        if made is None:
            made, table = earlier.split(fragment)
            if table is not None:
                rows_read += len(table)
                columns = columns or tables.columns_of(table)
                made = [*made, *tables.write_chunks(store.blobs, table)]
            columns = columns or _columns_of_chunk(store, made[0])
            entries[key] = {"chunks": [dict(c) for c in made], "columns": columns}
        done += fragment.rows
        sink(events.Progress(f"reading {snapshot.dataset}", done, snapshot.rows, "rows"))
        chunks += made
    if not chunks:
        empty = snapshot.read()
        chunks, columns = tables.write_chunks(store.blobs, empty), tables.columns_of(empty)
    columns = columns or _columns_of_chunk(store, chunks[0])
    return tables.manifest(store.blobs, chunks, columns), entries, rows_read


def _nearest(store: "Store", dataset: str, commits: Sequence[Any]) -> tuple[Any, Ref] | None:
    """The first of some commits whose table was read and is stored, and the table."""
    keys = {_commit_key(dataset, commit.state): commit for commit in commits}
    with store.catalog.read() as transaction:
        there = transaction.cached(list(keys))
    for key, commit in keys.items():
        if key in there and (known := _known(store, key) or _read_before(store, key, commit.id)):
            return commit, known.table.ref
    return None


def _columns_of_chunk(store: "Store", chunk: Chunk) -> list[dict[str, Any]]:
    from tidemill.store.table import read as read_file  # noqa: PLC0415

    return tables.columns_of(read_file(store.blobs.path(Digest(chunk["digest"]))))


def _reused(store: "Store", key: str, fragment: Any) -> list[Chunk] | None:
    """The chunks that this fragment was exported to, less the rows deleted since; None if they lack rows."""
    import numpy as np  # noqa: PLC0415

    with store.catalog.read() as transaction:
        entry = transaction.cached([key]).get(key)
    if entry is None or not store.blobs.are_whole(
        d for c in entry["chunks"] for d in (c["digest"], c["dropped"]) if d
    ):
        return None
    live = np.sort(fragment.ids())
    made = [tables.narrowed(store.blobs, chunk, live) for chunk in entry["chunks"]]
    return made if sum(chunk["rows"] for chunk in made) == len(live) else None
