"""What earlier runs left: whole steps by key, chunks of row-wise steps by memo key.

An entry counts only if everything it names is still stored, and as it was: what is damaged is computed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput
from tidemill.engine import tables
from tidemill.engine.content import blobs_of, content_of
from tidemill.engine.orders import Chunk, ChunkTask, Memo, Ref
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.open import Store


@dataclass(frozen=True, slots=True)
class Hit:
    """A step's stored outputs."""

    outputs: dict[str, Ref]
    rows_in: int | None
    rows_out: int | None


class Known:
    """What is likely to be asked for, looked up at once.

    Args:
        store: The store.
        keys: Of the run before.
    """

    def __init__(self, store: "Store", keys: Sequence[str]) -> None:
        self._store = store
        self._hits = lookup(store, keys) if keys else {}

    def at_hand(self, keys: Sequence[str]) -> dict[str, Hit]:
        """Those of these steps that are known to be stored."""
        return {key: self._hits[key] for key in keys if key in self._hits}

    def find(self, keys: Sequence[str]) -> dict[str, Hit]:
        """Those of these steps that are stored."""
        self._hits |= lookup(self._store, [key for key in keys if key not in self._hits])
        return self.at_hand(keys)


def lookup(store: "Store", keys: Sequence[str]) -> dict[str, Hit]:
    """The whole steps that are stored, by key."""
    if not keys:
        return {}
    with store.catalog.read() as transaction:
        return lookup_in(transaction, store, keys)


def lookup_in(transaction: "Transaction", store: "Store", keys: Sequence[str]) -> dict[str, Hit]:
    """``lookup`` in a transaction that is on its way."""
    entries = transaction.cached(keys)
    wanted = sorted({d for e in entries.values() for d in e.get("outputs", {}).values()})
    found: dict[str, records.Artifact] = {}
    for start in range(0, len(wanted), 500):
        for record in transaction.find(records.Artifact, {"digest": wanted[start : start + 500]}):
            found[record.digest] = record
    hits: dict[str, Hit] = {}
    for key, entry in entries.items():
        outputs = entry.get("outputs", {})
        if all(d in found and _stored(store, found[d]) for d in outputs.values()):
            refs = {n: Ref(d, found[d].kind, found[d].meta) for n, d in outputs.items()}
            hits[key] = Hit(refs, entry.get("rows_in"), entry.get("rows_out"))
    return hits


def _stored(store: "Store", record: records.Artifact) -> bool:
    return store.blobs.are_whole(blobs_of(record))


def entry_of(outputs: Mapping[str, str], rows_in: int | None, rows_out: int | None) -> dict[str, Any]:
    """What is remembered for a whole step."""
    return {"outputs": dict(outputs), "rows_in": rows_in, "rows_out": rows_out}


@dataclass(slots=True)
class ChunkPlan:
    """How a row-wise step gets its output: what is there already, and what is to be computed.

    Attributes:
        keys: Each chunk's memo key.
        done: By chunk index, its outputs as stored.
        memos: By chunk index, the memo that was found usable.
        tasks: The rest.
    """

    keys: list[str]
    chunks: list[Chunk]
    done: dict[int, dict[str, Chunk]]
    memos: dict[int, Memo]
    tasks: list[ChunkTask]


def plan_chunks(store: "Store", base: str, table: Any) -> ChunkPlan:
    """Which chunks of ``table`` a row-wise step must compute.

    A memo serves when the rows that it was computed without are all dropped now too; rows dropped since
    are then dropped from its output.

    Raises:
        InvalidInput: ``wrong-input-kind``, when it is no table.
    """
    if not isinstance(table, Ref) or table.kind != "table":
        raise InvalidInput(
            f"A step that maps over rows wants a table, but gets a {table.kind if isinstance(table, Ref) else 'list'}.",
            hint="Pass it a table; make a step of whole inputs a @tm.step.",
            code=codes.WRONG_INPUT_KIND,
        )
    chunks = cast("list[Chunk]", content_of(store.blobs, table)["chunks"])
    keys: list[str] = [identity.chunk(base, c["digest"]) for c in chunks]
    with store.catalog.read() as transaction:
        memos = cast("dict[str, Memo]", transaction.cached(list(dict.fromkeys(keys))))
    plan = ChunkPlan(keys, chunks, {}, {}, [])
    for index, (key, chunk) in enumerate(zip(keys, chunks, strict=True)):
        memo = memos.get(key)
        if memo is None or not _memo_stored(store, memo):
            plan.tasks.append(ChunkTask(index, chunk))
        elif memo["without"] == chunk["dropped"]:
            plan.done[index], plan.memos[index] = memo["outputs"], memo
        elif _has_ids(memo) and tables.read_ids(store.blobs, memo["without"]) <= tables.read_ids(
            store.blobs, chunk["dropped"]
        ):
            plan.memos[index] = memo
            plan.tasks.append(ChunkTask(index, chunk, memo))
        else:
            plan.tasks.append(ChunkTask(index, chunk))
    return plan


def _has_ids(memo: Memo) -> bool:
    """Whether rows can be taken out of what was made; new rows do not say which they came from."""
    return all(any(c["name"] == "_id" for c in columns) for columns in memo["columns"].values())


def _memo_stored(store: "Store", memo: Memo) -> bool:
    named = [d for c in memo["outputs"].values() for d in (c["digest"], c["dropped"]) if d]
    return store.blobs.are_whole([*named, *([memo["without"]] if memo["without"] else [])])
