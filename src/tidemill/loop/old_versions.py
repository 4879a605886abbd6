"""Old versions of a shared store's datasets: marked as its blobs are, and removed a day later beside whoever works.

The mark names a version by the key of its manifest. Whoever gives a commit a name again (a branch, a tag, a run, a
review) keeps it: what is named is looked at once more before it goes.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemill.core.events import Sink
from tidemill.loop.datasets.named import named_commits
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from datetime import datetime

    from tidemill.data import Swept

_BATCH = 200
"""Versions that go at once: so long a writer of the dataset waits."""


def old_versions(ws: Workspace) -> "tuple[dict[str, int], dict[str, datetime]]":
    """The versions that nothing needs, by the key of their manifest, and the bytes that come free with each.

    Beside them those that stay for being young, and when each was written.
    """
    from tidemill.data import unneeded  # noqa: PLC0415

    found: dict[str, int] = {}
    young: dict[str, datetime] = {}
    for name in ws.datasets.names():
        with ws.store.catalog.read() as read:
            named = named_commits(read, name)
        gone, kept = unneeded(ws.store, name, named)
        found |= gone
        young |= kept
    return found, young


def remove_overdue(ws: Workspace, before: str, *, dry_run: bool, sink: Sink) -> "list[Swept]":
    """Remove the versions that were marked before a moment, a batch at a time, and pack what old commits need; what went.

    Args:
        ws: The project.
        before: The moment (``core.clock.stamp``).
        dry_run: Only count.
        sink: Gets ``Progress``.
    """
    from tidemill.data import collect_of  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    swept: list[Swept] = []
    for name in ws.datasets.names():
        own, left = f"datasets/{name}.lance/", True

        @contextmanager
        def asked(name: str = name, own: str = own) -> Generator[tuple[Collection[str], Collection[str]]]:
            nonlocal left
            between = {"marked_at": (None, before), "digest": (own, own + "\U0010ffff")}
            with ws.store.catalog.read() if dry_run else ws.store.catalog.write() as transaction:
                due = [g.digest for g in transaction.find(records.Garbage, between=between)]
                going = due if dry_run else due[:_BATCH]
                yield named_commits(transaction, name), going
                if not dry_run:
                    transaction.remove(records.Garbage, {"digest": going})
                left = len(due) > len(going)

        while left:
            swept.append(collect_of(ws.store, name, asked, dry_run=dry_run, sink=sink))
    return swept
