"""A store's bytes and its catalog belong together: an id that was made with the store stands in both.

Beside the bytes of another store a catalog names what is not there, and takes what is there for garbage.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Conflict
from tidemill.store import layout
from tidemill.store.objects import Objects

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Catalog
    from tidemill.store.catalog.records import Pairing


def check(objects: Objects, catalog: "Catalog", mine: str) -> None:
    """Refuse a catalog that is another store's; a store's first one becomes its own.

    Args:
        objects: The store's.
        catalog: The catalog.
        mine: The store's id.

    Raises:
        Conflict: ``store-catalog-mismatch``.
    """
    theirs = catalog.paired()
    if theirs is None and catalog.is_older:
        # Of a version that knew no such id, and that is only read: it gets one with its migration.
        return
    if theirs is None:
        theirs = _paired(objects, catalog, mine)
    if theirs.id != mine:
        raise _mismatch(
            objects,
            catalog,
            f"it belongs to the store {theirs.address}",
            "Correct 'store' or 'catalog' in tidemill.toml, or TIDEMILL_STORE or TIDEMILL_CATALOG.",
        )


def check_file(objects: Objects, file: Path) -> None:
    """Refuse to begin a catalog anew in the folder of a store whose own was lost.

    Args:
        objects: The store's.
        file: Where its catalog is.

    Raises:
        Conflict: ``store-catalog-mismatch``.
    """
    # The file is looked at last, too: another process may have begun it just now.
    if _is_begun(file) or not (layout.has_catalog(objects) and _some(objects, "blobs")) or _is_begun(file):
        return
    raise Conflict(
        f"The catalog of the store {objects.address} is {'empty' if file.exists() else 'gone'}: {file}.",
        why="It names the runs, models and releases whose bytes are here: 'gc' would take them for garbage.",
        hint="Put that file back from a backup. Where there is none, move 'blobs' out of the store: "
        "datasets stay, and runs and releases begin anew.",
        code=codes.STORE_CATALOG_MISMATCH,
    )


def check_new(objects: Objects, catalog: "Catalog") -> None:
    """Refuse to make a store for a catalog that has one; where it is this one, and only its ``layout.json`` was lost, put that back.

    Raises:
        Conflict: ``store-catalog-mismatch``.
    """
    theirs, address = catalog.paired(), objects.address
    if theirs is not None and theirs.address == address and layout.has_contents(objects):
        layout.restore(objects, theirs.id)
    elif theirs is not None:
        raise Conflict(
            f"There is no store in {address}, and the catalog {catalog.database.name} belongs to the one in "
            f"{theirs.address}.",
            why="A new store beside that catalog would be without everything that the catalog names.",
            hint="Correct 'store' in tidemill.toml, or TIDEMILL_STORE.",
            code=codes.STORE_CATALOG_MISMATCH,
        )


def _paired(objects: Objects, catalog: "Catalog", mine: str) -> "Pairing":
    has_records = catalog.has_records()
    # Datasets alone are shared without a catalog, and may get one later.
    if not has_records and _some(objects, "blobs"):
        raise _mismatch(
            objects,
            catalog,
            "it is empty, and the store is not",
            "Name the catalog that the team uses; restore it from its backup if it was lost.",
        )
    if has_records and not (_some(objects, "blobs") or _some(objects, "datasets")):
        raise _mismatch(
            objects,
            catalog,
            "it names runs and models, and the store is empty",
            "Correct 'store' in tidemill.toml, or TIDEMILL_STORE.",
        )
    return catalog.pair(mine, objects.address)


def _is_begun(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _some(objects: Objects, prefix: str) -> bool:
    return next(iter(objects.list(prefix)), None) is not None


def _mismatch(objects: Objects, catalog: "Catalog", reason: str, hint: str) -> Conflict:
    return Conflict(
        f"The catalog {catalog.database.name} is not that of the store {objects.address}: {reason}.",
        why="With a catalog that does not know them, 'gc' would take models and releases for garbage.",
        hint=hint,
        code=codes.STORE_CATALOG_MISMATCH,
    )
