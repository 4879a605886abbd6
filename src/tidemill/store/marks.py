"""Marks: which blobs of a shared store, and versions of its datasets, nothing needs, and are removed after a grace time.

A blob is marked while no run is going on, and removed later beside those that are. So whoever uses a blob that is there
already takes its mark off first, and looks whether it is there after that; whoever removes some does so in the
transaction that takes their marks off. Of two at once one comes first: the blob stays, or is seen to be gone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tidemill.core.names import Digest
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Catalog

_BATCH = 500
_ARE_BLOBS = ("sha256:", "sha256;")
"""The marks of blobs lie between these; that of a version of a dataset is the key of its manifest."""


class Marks:
    """The marks of one store.

    Args:
        catalog: Opens the store's catalog.
    """

    def __init__(self, catalog: "Callable[[], Catalog]") -> None:
        self._catalog = catalog
        self._known: frozenset[str] = frozenset()

    def look(self) -> None:
        """See what is marked. New marks come only while nobody is at work, so whoever begins looks once."""
        with self._catalog().read() as read:
            # Those of before too: another run of this process may be about to name what was removed meanwhile.
            self._known |= frozenset(read.values(records.Garbage, "digest", {}))

    def take_off(self, digests: Iterable[str]) -> list[Digest]:
        """Take these marks off; those of the blobs that had one when last looked."""
        used = [Digest(d) for d in digests if d in self._known]
        if used:
            with self._catalog().joined() as write:
                write.remove(records.Garbage, {"digest": used})
        return used

    def remove(
        self, before: str, delete: Callable[[Sequence[Digest]], None]
    ) -> Iterator[list[records.Garbage]]:
        """Remove the blobs that were marked until ``before`` (``core.clock.stamp``), a batch at a time.

        Killed amid a batch, its marks are there still, and it is removed again.

        Args:
            before: The latest time of a mark.
            delete: Deletes blobs; those that are not there too.
        """
        while True:
            with self._catalog().write() as write:
                batch = write.find(
                    records.Garbage,
                    between={"marked_at": (None, before), "digest": _ARE_BLOBS},
                    order=("marked_at", "digest"),
                    limit=_BATCH,
                )
                if not batch:
                    return
                delete([Digest(g.digest) for g in batch])
                write.remove(records.Garbage, {"digest": [g.digest for g in batch]})
            yield batch
