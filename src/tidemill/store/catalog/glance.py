"""One look into a catalog that is a file, by the standard library: SQLAlchemy alone takes longer to load than it takes."""

import sqlite3
from contextlib import closing
from pathlib import Path


def may_owe(file: Path) -> bool:
    """Whether a trigger without an outcome is recorded; False where that cannot be told so."""
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as catalog:
            query = "SELECT 1 FROM firings WHERE outcome IS NULL LIMIT 1"
            return catalog.execute(query).fetchone() is not None
    except sqlite3.Error:
        return False
