"""The version of the store's layout, written at its root, and the way from one version to the next."""

import contextlib
import json
import uuid
from collections.abc import Callable

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, NotFound, StorageError, TidemillError
from tidemill.store import damage
from tidemill.store.objects import Objects

FILE = "layout.json"
LAYOUT = 2
_CATALOG = "catalog"
MIGRATIONS: dict[int, Callable[[Objects], None]] = {
    # Layout 2 gave each dataset a file of refs. It is written when the dataset is first looked at, by `data`:
    # only Lance can read what layout 1 says, and a store opens without it.
    1: lambda _: None,
}
"""From layout N: what turns it into N + 1."""


def is_there(objects: Objects) -> bool:
    """Whether there is a store, of whatever layout."""
    return objects.get(FILE) is not None


def create(objects: Objects) -> None:
    """Make an empty store of this layout. A store that is there already is left as it is.

    Raises:
        StorageError: ``store-damaged``, where there is what a store has, and nothing says of which layout.
    """
    if not is_there(objects):
        _check_empty(objects)
        try:
            objects.put_if(FILE, _written(LAYOUT), None)
        except Conflict:
            # Another process was quicker; it is a store now, which is all that was asked for.
            return


def restore(objects: Objects, store: str) -> None:
    """Put back the file of a store that was lost, with the id that its catalog knows; what is there by now stays.

    Args:
        objects: Everything of the store but the catalog.
        store: The id.
    """
    with contextlib.suppress(Conflict):
        objects.put_if(FILE, _written(LAYOUT, store), None)


def has_contents(objects: Objects) -> bool:
    """Whether there is what a store has, beside the file that says of which layout."""
    folder = objects.path("")
    catalog = folder / "catalog.db" if folder else None
    return (
        any(True for _ in objects.list("blobs/sha256"))
        or any(".lance/" in entry.key for entry in objects.list("datasets"))
        or (catalog is not None and catalog.is_file() and catalog.stat().st_size > 0)
    )


def identity(objects: Objects) -> str:
    """The id that was made with a store. One of an older version gets it now."""
    while True:
        there = objects.get(FILE)
        assert there is not None
        with damage.reading(f"{objects.address}/{FILE}"):
            body = json.loads(there[0])
            if "id" in body:
                return str(body["id"])
        try:
            # What else it says stays: that there is a catalog.
            made = body | {"layout": int(body["layout"]), "id": uuid.uuid4().hex}
            objects.put_if(FILE, (json.dumps(made) + "\n").encode(), there[1])
        except Conflict:
            # Another process was quicker; its id is the store's.
            continue


def has_catalog(objects: Objects) -> bool:
    """Whether a catalog was begun beside a store in a folder, as ``note_catalog`` wrote down."""
    there = objects.get(FILE)
    assert there is not None
    with damage.reading(f"{objects.address}/{FILE}"):
        return json.loads(there[0]).get(_CATALOG) is True


def note_catalog(objects: Objects) -> None:
    """Write down that a catalog was begun beside a store in a folder: one that is lost is missed then.

    Where nothing can be written, or another process just writes, that is left to whoever opens the store next.
    """
    there = objects.get(FILE)
    assert there is not None
    body = json.loads(there[0])
    if body.get(_CATALOG) is not True:
        with contextlib.suppress(TidemillError):
            objects.put_if(FILE, (json.dumps(body | {_CATALOG: True}) + "\n").encode(), there[1])


def bring_up_to_date(objects: Objects) -> str | None:
    """Check the layout of a store and migrate an older one.

    Returns:
        The store's id; None of one that has none yet.

    Raises:
        NotFound: ``store-not-found``, when there is none.
        StorageError: ``store-too-new`` when a newer Tidemill wrote it, ``store-damaged`` when its
            ``layout.json`` cannot be read, or is gone where there is what a store has.
    """
    there = objects.get(FILE)
    if there is None:
        _check_empty(objects)
        raise NotFound(
            f"There is no store in {objects.address}.",
            hint="Type 'tidemill init' in the project.",
            code=codes.STORE_NOT_FOUND,
        )
    with damage.reading(f"{objects.address}/{FILE}"):
        body = json.loads(there[0])
        version = int(body["layout"])
    if version > LAYOUT:
        raise damage.too_new(f"The store in {objects.address} has layout {version}", LAYOUT)
    while version < LAYOUT:
        MIGRATIONS[version](objects)
        version += 1
        objects.put(FILE, _written(version, body.get("id")))
    return body.get("id")


def _check_empty(objects: Objects) -> None:
    # The file is looked at last, too: another process may have made the store just now.
    if not has_contents(objects) or is_there(objects):
        return
    file = objects.path(FILE)
    known = json.dumps({"layout": LAYOUT} | ({_CATALOG: True} if file else {}))
    raise StorageError(
        f"{objects.address}/{FILE} is gone, and there is what a store has: blobs, datasets or a catalog.",
        why="It says of which layout the store is, and that it has a catalog: made anew, it would hide what is lost.",
        hint="Put it back from a backup. Where there is none, and no newer Tidemill wrote there: "
        + (f"echo '{known}' > '{file}'" if file else f"put an object there with {known}"),
        code=codes.STORE_DAMAGED,
    )


def _written(version: int, store: str | None = None) -> bytes:
    body = {"layout": version, "id": store or uuid.uuid4().hex, "written_at": stamp(now())}
    return (json.dumps(body) + "\n").encode()
