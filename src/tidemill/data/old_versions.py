"""Versions of a dataset that nothing needs, where they go later: which they are, and removing some of them."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from tidemill.core.events import Sink
from tidemill.data.sweeping import Swept, foreseen, garbage, sweep
from tidemill.data.transfer import Copy
from tidemill.data.turns import holding

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from tidemill.store.open import Store


def unneeded(
    store: "Store", name: str, named: Collection[str]
) -> tuple[dict[str, int], dict[str, "datetime"]]:
    """The versions, by the key of their manifest, that ``collect`` would remove, and the bytes that come free with each.

    What several of them have is counted with the newest. Beside them the versions that it would keep for being young,
    and when each was written.
    """
    with holding(store, name):
        copy = Copy.of(store, name)
        table = copy.table
        keep = set(copy.history.kept(copy.refs(), named))
        (gone, young), packed = garbage(table, keep), table.packs.versions()
        found: dict[str, int] = {}
        for version in table.versions():
            # One that is packed has no manifest in its place, and takes it with it when it goes.
            if version not in keep and ((key := table.manifest(version)) in gone or version in packed):
                found[key] = sum(gone.pop(each, 0) for each in table.holds(version))
        return found, {key: written for key, written in young.items() if key not in found}


def collect_of(
    store: "Store",
    name: str,
    asked: "Callable[[], AbstractContextManager[tuple[Collection[str], Collection[str]]]]",
    *,
    dry_run: bool,
    sink: Sink,
) -> Swept:
    """What ``collect`` does, where not all versions may go.

    Args:
        store: The store.
        name: The dataset.
        asked: Gives the ids of commits that are kept too, and the versions that may go, by the key of their manifest,
            and holds for as long as some are removed. What is needed since they were found stays all the same.
        dry_run: Only say what would be removed.
        sink: Gets ``Progress``.
    """
    # In the order of whoever writes to the dataset and records it: the dataset first.
    with holding(store, name), asked() as (named, going):
        copy = Copy.of(store, name)
        table = copy.table
        kept = set(copy.history.kept(copy.refs(), named))
        keep = kept | {version for version in table.versions() if table.manifest(version) not in going}
        return foreseen(copy, keep, kept, sink) if dry_run else sweep(copy, keep, sink, pack=kept)
