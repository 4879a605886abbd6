"""Tables between steps, in chunks: what did not change is the same file, and is not written or read again."""

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import Digest
from tidemill.engine.content import json_artifact
from tidemill.engine.orders import Chunk, Saved
from tidemill.store.blobs import Blobs

if TYPE_CHECKING:
    import numpy as np

    from tidemill.store.table import Table

CHUNK_BYTES = 32 * 1024 * 1024
"""About how large a chunk is: small enough to spread over workers, large enough to cost little each."""


def write_chunk(blobs: Blobs, table: "Table") -> Chunk:
    """Store one table as one Arrow file."""
    from tidemill.store.table import write  # noqa: PLC0415

    scratch = blobs.scratch()
    try:
        write(table, scratch)
        digest = identity.file(scratch)
        if blobs.are_whole([digest]):
            scratch.unlink()
        else:
            blobs.adopt_file(scratch, digest)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return Chunk(digest=digest, rows=len(table), dropped=None)


def write_chunks(blobs: Blobs, table: "Table") -> list[Chunk]:
    """Store a table in pieces of about ``CHUNK_BYTES``; at least one, so that its columns are known."""
    from tidemill.store.table import Table  # noqa: PLC0415

    arrow = table.to_arrow()
    pieces = max(1, -(-arrow.nbytes // CHUNK_BYTES))
    rows = max(1, -(-len(table) // pieces))
    starts = range(0, max(1, len(table)), rows)
    return [write_chunk(blobs, Table(arrow.slice(start, rows))) for start in starts]


def read_chunk(blobs: Blobs, chunk: Chunk) -> "Table":
    """The live rows of a chunk, memory-mapped."""
    from tidemill.store.table import ID, read  # noqa: PLC0415

    table = read(blobs.path(Digest(chunk["digest"])))
    if chunk["dropped"] is None:
        return table
    return table.filter(~is_in(table.numpy(ID), ids_as_array(blobs, chunk["dropped"])))


def narrowed(blobs: Blobs, chunk: Chunk, keep: "np.ndarray[Any, Any]") -> Chunk:
    """Of a chunk the rows whose ``_id`` is among these, which ascend; a row that it has dropped stays dropped."""
    from tidemill.store.table import ID, read  # noqa: PLC0415

    ids = read(blobs.path(Digest(chunk["digest"]))).numpy(ID)
    there = is_in(ids, keep)
    if chunk["dropped"] is not None:
        there &= ~is_in(ids, ids_as_array(blobs, chunk["dropped"]))
    return Chunk(
        digest=chunk["digest"], rows=int(there.sum()), dropped=write_ids(blobs, ids[~there].tolist())
    )


def read_table(blobs: Blobs, meta: dict[str, Any]) -> "Table":
    """All live rows of a table artifact."""
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.pandas_frames.frames import METADATA, in_one_form, merged  # noqa: PLC0415
    from tidemill.store.table import Table  # noqa: PLC0415

    chunks: list[Chunk] = meta["content"]["chunks"]
    tables = [read_chunk(blobs, c).to_arrow() for c in chunks]
    if len(tables) == 1:
        return Table(tables[0])
    noted = merged(t.schema for t in tables)
    schema = tables[0].schema
    if all(t.schema.equals(schema, check_metadata=False) for t in tables):
        whole = pa.concat_tables([t.cast(schema) if t.schema != schema else t for t in tables])
    else:
        whole = pa.concat_tables([in_one_form(t, noted) for t in tables], promote_options="permissive")
    if noted is not None:
        whole = whole.replace_schema_metadata({**(whole.schema.metadata or {}), METADATA: noted})
    return Table(whole)


def manifest(blobs: Blobs, chunks: Sequence[Chunk], columns: list[dict[str, Any]]) -> Saved:
    """A table artifact of these chunks. Empty ones are left out where another is not empty."""
    kept = [c for c in chunks if c["rows"]] or list(chunks[:1])
    content = {"chunks": [dict(c) for c in kept], "columns": columns}
    rows = sum(c["rows"] for c in kept)
    needed = sorted({d for c in kept for d in (c["digest"], c["dropped"]) if d})
    return json_artifact(blobs, "table", content, {"rows": rows, "blobs": needed})


def columns_of(table: "Table") -> list[dict[str, Any]]:
    """Name, type and cell shape of each column."""
    schema = table.to_arrow().schema
    return [
        {"name": n, "type": str(schema.field(n).type), "shape": list(table.shape_of(n))}
        for n in table.columns
    ]


def write_ids(blobs: Blobs, ids: Iterable[int]) -> str | None:
    """Store a set of ``_id``, sorted; None for an empty one."""
    packed = array("Q", sorted(ids))
    if not packed:
        return None
    if sys.byteorder == "big":
        packed.byteswap()
    return blobs.put(packed.tobytes())


def read_ids(blobs: Blobs, digest: str | None) -> frozenset[int]:
    """The set that ``write_ids`` stored."""
    if digest is None:
        return frozenset()
    packed = array("Q")
    packed.frombytes(blobs.get(Digest(digest)))
    if sys.byteorder == "big":
        packed.byteswap()
    return frozenset(packed)


def ids_as_array(blobs: Blobs, digest: str) -> "np.ndarray[Any, Any]":
    """The same as a sorted array."""
    import numpy as np  # noqa: PLC0415

    return np.frombuffer(blobs.get(Digest(digest)), "<u8")


def is_in(ids: "np.ndarray[Any, Any]", members: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Which of ``ids`` are among the sorted ``members``."""
    import numpy as np  # noqa: PLC0415

    if not len(members):
        return np.zeros(len(ids), bool)
    places = np.searchsorted(members, ids)
    places[places == len(members)] = 0
    return members[places] == ids


def redrop(blobs: Blobs, chunk: Chunk, dropped: frozenset[int]) -> Chunk:
    """``chunk`` without those of its rows that are in ``dropped``."""
    from tidemill.store.table import ID, read  # noqa: PLC0415

    if not dropped:
        return Chunk(
            digest=chunk["digest"], rows=len(read(blobs.path(Digest(chunk["digest"])))), dropped=None
        )
    table = read(blobs.path(Digest(chunk["digest"])))
    import numpy as np  # noqa: PLC0415

    ids = table.numpy(ID)
    gone = ids[is_in(ids, np.array(sorted(dropped), np.uint64))]
    return Chunk(digest=chunk["digest"], rows=len(ids) - len(gone), dropped=write_ids(blobs, gone.tolist()))
