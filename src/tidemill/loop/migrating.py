"""Bringing a team's catalog up to date: what changes, who is concerned, and doing it."""

from datetime import timedelta

from tidemill.core.clock import now, stamp
from tidemill.loop.views import Migration
from tidemill.loop.workspace import Workspace

_SEEN = timedelta(days=30)


def migrate(ws: Workspace, *, really: bool) -> Migration:
    """Bring the catalog's tables up to this version of Tidemill; ``really`` false only says what that changes.

    Whoever has an older version cannot open the store after that. Killed amid it, nothing is changed.

    Raises:
        StorageError: As ``Catalog.write``.
    """
    from tidemill.store.catalog.database import HEAD  # noqa: PLC0415
    from tidemill.store.catalog.older import changes  # noqa: PLC0415

    catalog = ws.store.catalog
    before = catalog.version or HEAD
    told = Migration(catalog.database.name, before, HEAD, changes(before), _people(ws), done=False)
    if not really or not catalog.is_older:
        return told
    catalog.migrate()
    ws.store.pair()
    return Migration(told.catalog, before, HEAD, told.changes, told.people, done=True)


def _people(ws: Workspace) -> list[str]:
    from tidemill.store.catalog import records  # noqa: PLC0415

    since = (stamp(now() - _SEEN), None)
    with ws.store.catalog.read() as read:
        named = {d.author for d in read.find(records.Deployment, between={"started_at": since})}
        named |= {r.author for r in read.find(records.Release, between={"created_at": since})}
        named |= {r.author for r in read.find(records.Review, between={"opened_at": since})}
        hosts = {r.host for r in read.find(records.Run, between={"started_at": since})}
    return [*sorted(named), *(f"runs on {host}" for host in sorted(hosts))]
