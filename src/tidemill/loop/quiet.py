"""A quiet store: no run is going on, and none begins."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Conflict
from tidemill.core.figures import counted
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

LOCK = "gc"
"""Held by whoever removes blobs, or puts some that no record names yet."""


@contextmanager
def naming(ws: Workspace) -> Generator[None]:
    """Hold off who removes blobs, while some are put that no record names yet."""
    with ws.store.locks.hold(LOCK):
        if ws.store.blobs.marks is not None:
            ws.store.blobs.marks.look()
        yield


@contextmanager
def no_run(ws: Workspace, *datasets: str) -> "Generator[Transaction]":
    """A write transaction during which no run is going on, and nobody writes to these datasets.

    What is done inside to a dataset, it is named here for: its lock comes before the transaction.

    Raises:
        Conflict: ``runs-in-progress``.
    """
    from tidemill.data import holding  # noqa: PLC0415
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    gone = mark_interrupted(ws.store)
    # Within the write transaction no run can begin: its first record waits. One that is on already has
    # blobs that no record names yet, and reads commits as they are.
    with holding(ws.store, *datasets), naming(ws), ws.store.catalog.write() as write:
        running = [r for r in write.find(records.Run, {"status": "running"}) if r.id not in gone]
        if running:
            raise Conflict(
                f"{counted(len(running), 'run is', 'runs are')} going on: {', '.join(r.id for r in running[:3])}.",
                why="What they have computed is not recorded yet, and what they read must stay as it is.",
                hint="Wait for them to end, then type the same command again.",
                code=codes.RUNS_IN_PROGRESS,
            )
        yield write
