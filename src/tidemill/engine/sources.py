"""The text of every function, class and constant that a computed step reached: kept, so that a change can be shown.

Each is a blob whose digest is the code digest in the step's record: it is what was hashed. So it is written
once, and a run that is kept keeps it.
"""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidemill.core import identity
from tidemill.core.errors import TidemillError
from tidemill.core.names import Digest
from tidemill.engine.closure import Closure
from tidemill.engine.constants import readable

if TYPE_CHECKING:
    from tidemill.store.blobs import Blobs

LARGEST_BYTES = 256 * 1024
"""A constant that takes more (an array, a table) is not kept: nobody reads it as text."""


def keep(blobs: "Blobs", closure: Closure, known: set[str]) -> None:
    """Store the texts that are not ``known`` to be stored, and know them from then on."""
    for digest, image in closure.images.items():
        if digest not in known:
            known.add(digest)
            if len(image) <= LARGEST_BYTES:
                blobs.put(image)


def text_of(blobs: "Blobs", digest: str, images: Mapping[str, bytes]) -> str | None:
    """What was hashed, as text: from ``images``, else as it was kept; None where it was not."""
    try:
        tag, tree = identity.read_image(images.get(digest) or blobs.get(Digest(digest)))
    except TidemillError:
        return None
    if tag.startswith("code/") and isinstance(tree, list):
        return str(tree[1])
    return readable(tree)


def diff(
    blobs: "Blobs", name: str, before: str | None, after: str | None, images: Mapping[str, bytes]
) -> str | None:
    """A unified diff of two versions of one function, class or constant; None where a text was not kept."""
    old, new = ("" if digest is None else text_of(blobs, digest, images) for digest in (before, after))
    if old is None or new is None:
        return None
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"before/{name}", f"after/{name}", lineterm=""
    )
    return "\n".join(lines)
