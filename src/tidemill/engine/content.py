"""Artifacts that are JSON: small content lives in the record itself, so that it needs no file."""

import copy
import json
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import Digest
from tidemill.engine.orders import Ref, Saved
from tidemill.store import values
from tidemill.store.blobs import Blobs

if TYPE_CHECKING:
    from tidemill.store.catalog.records import Artifact

INLINE_BYTES = 64 * 1024
"""JSON content up to this size travels in the record; above it is a blob."""


def canonical(content: Any) -> bytes:
    """JSON with one spelling for one value."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def json_artifact(blobs: Blobs, kind: str, content: Any, meta: dict[str, Any]) -> Saved:
    """An artifact whose digest is that of its canonical JSON."""
    data = canonical(content)
    if len(data) <= INLINE_BYTES:
        # What the bytes say, not the objects that they were made of: the next step gets no other ones than a run
        # that finds this in the cache.
        # In the order that they were given in, which the bytes do not have: a report's metrics are shown in it.
        in_order = json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False))
        return Saved(identity.blob(data), kind, len(data), {**meta, "content": in_order})
    return Saved(blobs.put(data), kind, len(data), meta)


def value_artifact(blobs: Blobs | None, value: Any) -> Saved:
    """A Python value as an artifact, with its types and the order of its dicts.

    ``content`` in its facts is the nearest that JSON has, for whoever shows or compares it; where that is not the
    value itself, ``typed`` is, or the blob.

    Args:
        blobs: Where a large one is put; None: it is only told, whatever its size.
        value: The value.

    Raises:
        NoSpelling: For what would not be read back as it is.
    """
    tree = values.encode(value)
    data = json.dumps(tree, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    is_plain = values.is_plain(tree)
    if blobs is None or len(data) <= INLINE_BYTES:
        meta = {"content": tree} if is_plain else {"content": values.plain(tree), "typed": tree}
        return Saved(identity.blob(data), "value", len(data), meta)
    return Saved(blobs.put(data), "value", len(data), {} if is_plain else {"typed": None})


def value_of(blobs: Blobs, ref: "Ref | Artifact") -> Any:
    """The Python value of a ``value`` artifact; every list and dict in it is a new one."""
    if ref.meta.get("typed") is not None:
        return values.decode(ref.meta["typed"])
    if "typed" in ref.meta:
        return values.decode(json.loads(blobs.get(Digest(ref.digest))))
    return copy.deepcopy(content_of(blobs, ref))


def value_ref(content: Any) -> Ref:
    """A plain value as an input of steps, with its content, whatever its size: nothing is stored."""
    return Ref(identity.blob(canonical(content)), "value", {"content": content})


def content_of(blobs: Blobs, ref: "Ref | Artifact") -> Any:
    """The JSON content of a table or report; of a value, the nearest that JSON has (see ``value_of``)."""
    if "content" in ref.meta:
        return ref.meta["content"]
    content = json.loads(blobs.get(Digest(ref.digest)))
    return values.plain(content) if "typed" in ref.meta else content


def blobs_of(record: "Ref | Saved | Artifact") -> list[str]:
    """Every blob that an artifact needs; what garbage collection must keep."""
    own = [] if "content" in record.meta else [record.digest]
    return [*own, *record.meta.get("blobs", ())]


def digests_in(tree: object) -> list[str]:
    """Every digest that JSON holds."""
    if isinstance(tree, str):
        return [tree] if tree.startswith("sha256:") else []
    if isinstance(tree, dict):
        return [d for v in tree.values() for d in digests_in(v)]
    if isinstance(tree, list):
        return [d for v in tree for d in digests_in(v)]
    return []
