"""What no kept commit of a dataset needs: versions, data files, deletion files; and removing it."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidemill.core.events import Progress, Sink
from tidemill.data.lance_table import LanceTable
from tidemill.data.landing import lock_name
from tidemill.data.pieces import place
from tidemill.data.transfer import Copy
from tidemill.store.objects import Entry

if TYPE_CHECKING:
    from tidemill.store.open import Store

_SPARED = timedelta(hours=24)
"""Where no lock reaches every writer (a bucket): what is younger may belong to a push that is going on."""
_AT_ONCE = 500


def collect(
    store: "Store", name: str, named: Collection[str], *, dry_run: bool, sink: Sink
) -> dict[str, int]:
    """Remove what no branch, tag or fetched branch of a dataset needs, nor a commit of the ids ``named``.

    Waits for a writer of the dataset to end, and lets none begin.

    Returns:
        Key and size in bytes of what was removed, or would be.
    """
    with store.locks.hold(lock_name(name)):
        copy = Copy.of(store, name)
        keep = set(copy.history.kept(copy.refs(), named))
        return garbage(copy.table, keep) if dry_run else sweep(copy.table, keep, sink)


def garbage(table: LanceTable, keep: Collection[int]) -> dict[str, int]:
    """Key and size in bytes of each object that these versions do not need.

    The newest version stays as well, for Lance counts on from it: as it is if it is empty, else as an empty one
    that ``sweep`` makes.
    """
    needed: set[str] = set()
    newest = table.versions()[:1]
    for version in {*keep, *(newest if newest and _is_empty(table, newest[0]) else ())}:
        needed |= table.holds(version)
    files = {key.rpartition("/")[2].rpartition(".")[0] for key in needed if "/data/" in key}
    younger = datetime.now(UTC) - _SPARED if table.objects.path("") is None else None
    return {
        entry.key: entry.size_bytes
        for entry in table.objects.list(table.prefix)
        if entry.key not in needed
        and _is_of_a_version(table, entry, files)
        and (younger is None or entry.modified < younger)
    }


def sweep(table: LanceTable, keep: Collection[int], sink: Sink) -> dict[str, int]:
    """Remove what these versions do not need; what was removed, by key, in bytes.

    The caller holds the dataset's lock. Versions go before their files: killed in the middle, it leaves no
    version without what it is made of.
    """
    versions = table.versions()
    if versions and versions[0] not in keep and not _is_empty(table, versions[0]):
        place(table, table.open(versions[0]).lance_schema, [], {})
    found = garbage(table, keep)
    ordered = sorted(found, key=lambda key: "/_versions/" not in key)
    for start in range(0, len(ordered), _AT_ONCE):
        table.objects.delete(ordered[start : start + _AT_ONCE])
        sink(Progress("sweeping", min(start + _AT_ONCE, len(ordered)), len(ordered), "files"))
    return found


def _is_empty(table: LanceTable, version: int) -> bool:
    return not any("/data/" in key for key in table.holds(version))


def _is_of_a_version(table: LanceTable, entry: Entry, files: set[str]) -> bool:
    folder, _, name = entry.key.removeprefix(f"{table.prefix}/").rpartition("/")
    if folder == "_versions":
        return name.endswith(".manifest")
    if folder == "_tidemill/ids":
        return name.rpartition(".")[0] not in files
    return folder in {"_transactions", "_deletions"} or folder.split("/")[0] == "data"
