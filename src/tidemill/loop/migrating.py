"""Bringing a team's catalog and datasets up to date: what changes, who is concerned, and doing it."""

from dataclasses import replace
from datetime import timedelta

from tidemill.core.clock import now, stamp
from tidemill.core.events import Progress, Sink, silent
from tidemill.loop.views import Migration
from tidemill.loop.workspace import Workspace

_SEEN = timedelta(days=30)


def migrate(ws: Workspace, *, really: bool, sink: Sink = silent) -> Migration:
    """Bring the catalog's tables up to this version of Tidemill, and each dataset: its files get digests, old commits may be packed.

    Whoever has an older version cannot open the store after that. Killed amid it, the catalog is as it was or changed,
    and so is each dataset; the same command goes on.

    Args:
        ws: The project.
        really: False only says what that changes.
        sink: Gets ``Progress``.

    Raises:
        StorageError: As ``Catalog.write``.
    """
    from tidemill.data import begin_log, is_older, let_pack, may_pack  # noqa: PLC0415
    from tidemill.store.catalog.database import HEAD  # noqa: PLC0415
    from tidemill.store.catalog.older import changes  # noqa: PLC0415

    catalog = ws.store.catalog
    before = catalog.version or HEAD
    told = Migration(catalog.database.name, before, HEAD, changes(before), _people(ws), done=False)
    older = [name for name in ws.datasets.names() if is_older(ws.store, name)]
    unpacked = [name for name in ws.datasets.names() if not may_pack(ws.store, name)]
    told = replace(told, datasets=older, unpacked=unpacked)
    if not really or not (catalog.is_older or older or unpacked):
        return told
    if catalog.is_older:
        catalog.migrate()
        ws.store.pair()
    for number, name in enumerate(older):
        begin_log(ws.store, name)
        sink(Progress("giving digests", number + 1, len(older), "datasets"))
    for name in unpacked:
        let_pack(ws.store, name)
    return replace(told, done=True)


def _people(ws: Workspace) -> list[str]:
    from tidemill.store.catalog import records  # noqa: PLC0415

    since = (stamp(now() - _SEEN), None)
    with ws.store.catalog.read() as read:
        named = {d.author for d in read.find(records.Deployment, between={"started_at": since})}
        named |= {r.author for r in read.find(records.Release, between={"created_at": since})}
        named |= {r.author for r in read.find(records.Review, between={"opened_at": since})}
        hosts = {r.host for r in read.find(records.Run, between={"started_at": since})}
    return [*sorted(named), *(f"runs on {host}" for host in sorted(hosts))]
