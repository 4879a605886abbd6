"""Artifacts that are JSON: small content lives in the record itself, so that it needs no file."""

import json
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import Digest
from tidemill.engine.orders import Ref, Saved
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
        return Saved(identity.blob(data), kind, len(data), {**meta, "content": content})
    return Saved(blobs.put(data), kind, len(data), meta)


def value_ref(content: Any) -> Ref:
    """A plain value as an input of steps, with its content, whatever its size: nothing is stored."""
    return Ref(identity.blob(canonical(content)), "value", {"content": content})


def content_of(blobs: Blobs, ref: "Ref | Artifact") -> Any:
    """The JSON content of a value, table or report."""
    if "content" in ref.meta:
        return ref.meta["content"]
    return json.loads(blobs.get(Digest(ref.digest)))


def blobs_of(record: "Ref | Saved | Artifact") -> list[str]:
    """Every blob that an artifact needs; what garbage collection must keep."""
    own = [] if "content" in record.meta else [record.digest]
    return [*own, *record.meta.get("blobs", ())]
