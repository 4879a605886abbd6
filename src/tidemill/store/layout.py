"""The version of the store's layout, written at its root, and the way from one version to the next."""

import json
from collections.abc import Callable
from pathlib import Path

from tidemill.core.clock import now, stamp
from tidemill.core.errors import NotFound, StorageError

FILE = "layout.json"
LAYOUT = 1
MIGRATIONS: dict[int, Callable[[Path], None]] = {}
"""From layout N: what turns it into N + 1."""


def create(folder: Path) -> None:
    """Make ``folder`` an empty store of this layout. A store that is there already is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        _write(folder, LAYOUT)


def bring_up_to_date(folder: Path) -> None:
    """Check the layout of the store in ``folder`` and migrate an older one.

    Raises:
        NotFound: ``store-not-found``, when there is none.
        StorageError: ``store-too-new`` when a newer Tidemill wrote it, ``store-damaged`` when its
            ``layout.json`` cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        raise NotFound(
            f"There is no store in {folder}.",
            hint="Type 'tidemill init' in the project.",
            code="store-not-found",
        )
    try:
        version = int(json.loads(file.read_text("utf-8"))["layout"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{file} does not name a layout version.", why=str(error), code="store-damaged"
        ) from error
    if version > LAYOUT:
        raise StorageError(
            f"The store in {folder} has layout {version}; this Tidemill knows up to {LAYOUT}.",
            why="A newer Tidemill wrote it.",
            hint="Type 'pip install --upgrade tidemill'.",
            code="store-too-new",
        )
    while version < LAYOUT:
        MIGRATIONS[version](folder)
        version += 1
        _write(folder, version)


def _write(folder: Path, version: int) -> None:
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps({"layout": version, "written_at": stamp(now())}) + "\n", "utf-8")
    part.replace(folder / FILE)
