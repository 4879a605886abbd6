"""Files of a dataset that is older than its log: what they were is known from another store that has them too.

They are put back before their digests are written down, or what is damaged would be taken for what was written.
"""

from tidemill.core.errors import StorageError
from tidemill.data.transfer import Copy
from tidemill.store.objects import Entry

_LENGTH = 4
"""A manifest begins with its transaction, and that with its own length in so many bytes."""


def put_back(copy: Copy, source: Copy) -> dict[str, int]:
    """Write files again that are gone, or not what the other store has; the size of each, by its key below the table.

    What is gone is known only of versions whose manifest can be read.
    """
    here, there = _files(copy), _files(source)
    theirs = {_in_any_store(key): key for key in there}
    wanted = dict.fromkeys(here, 0)
    for version in copy.table.versions():
        try:
            wanted |= {
                key.removeprefix(f"{copy.table.prefix}/"): version for key in copy.table.holds(version)
            }
        except StorageError:
            continue
    back: dict[str, int] = {}
    for key, version in sorted(wanted.items()):
        if key.startswith("_transactions/"):
            size = None if key in here else _from_manifest(copy, key, version)
        elif key.startswith(("data/", "_deletions/")):
            size = _from(source, theirs.get(_in_any_store(key)), copy, key, here.get(key))
        else:
            continue
        if size is not None:
            back[key] = size
    return back


def _files(copy: Copy) -> dict[str, Entry]:
    prefix = f"{copy.table.prefix}/"
    return {e.key.removeprefix(prefix): e for e in copy.table.objects.list(copy.table.prefix)}


def _in_any_store(key: str) -> str:
    """A data file has its name in every store; a deletion file begins with its fragment's number in this one."""
    return key.partition("-")[2] if key.startswith("_deletions/") else key


def _from(source: Copy, theirs: str | None, copy: Copy, key: str, here: Entry | None) -> int | None:
    if theirs is None:
        return None
    found = source.table.objects.read_through(f"{source.table.prefix}/{theirs}")
    known = source.table.files.known([theirs]).get(theirs)
    if found is None or (known is not None and known.digest != found[0]):
        return None
    place = f"{copy.table.prefix}/{key}"
    if here is not None and here.size_bytes == found[1].size_bytes:
        own = copy.table.objects.read_through(place)
        if own is not None and own[0] == found[0]:
            return None
    if theirs == key:
        source.table.objects.copy(place, copy.table.objects, found[0])
    elif (data := source.table.objects.get(f"{source.table.prefix}/{theirs}")) is not None:
        copy.table.objects.put(place, data[0])
    return found[1].size_bytes


def _from_manifest(copy: Copy, key: str, version: int) -> int | None:
    manifest = copy.table.objects.get(copy.table.manifest(version))
    if manifest is None:
        return None
    end = _LENGTH + int.from_bytes(manifest[0][:_LENGTH], "little")
    copy.table.objects.put(f"{copy.table.prefix}/{key}", manifest[0][_LENGTH:end])
    return end - _LENGTH
