"""Whether a dataset's files are all known by their digests, and as they were written."""

from dataclasses import replace

from tidemill.core.events import silent
from tidemill.data import wrong_files
from tidemill.data.file_log import FOLDER
from tidemill.data.refs import refs_key
from tidemill.data.transfer import Copy
from tidemill.store.open import Store


def check_whole(store: Store, name: str) -> None:
    """Every file of the dataset's history has a digest, and has the bytes of it."""
    copy = Copy.of(store, name)
    known = copy.history.reachable(copy.refs())
    below = {k.removeprefix(f"{copy.table.prefix}/") for version in known for k in copy.table.holds(version)}
    assert below <= copy.table.files.log.files().keys()
    assert wrong_files(store, name, silent, deep=True) == []


def keys_of(store: Store, name: str, folder: str) -> list[str]:
    """The keys of the objects in one of the dataset's folders, the newest version first."""
    return [
        e.key for e in store.objects.list(f"datasets/{name}.lance/{folder}") if not e.key.endswith(".json")
    ]


def flip(store: Store, key: str) -> None:
    """One bit of an object turns."""
    found = store.objects.get(key)
    assert found
    at = len(found[0]) // 2
    store.objects.put(key, found[0][:at] + bytes([found[0][at] ^ 1]) + found[0][at + 1 :])


def older(store: Store, name: str) -> None:
    """Make a dataset one of layout 2: refs without a log."""
    store.objects.put(refs_key(name), replace(Copy.of(store, name).refs(), log=None, packs=None).to_bytes())
    store.objects.delete(keys_of(store, name, FOLDER))
