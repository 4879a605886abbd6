"""Writing a page where the user wants it."""

from pathlib import Path

from tidemill.core.errors import StorageError


def write_page(path: Path, text: str) -> None:
    """Write a page; its folder is made if it is not there.

    Raises:
        StorageError: ``storage``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}.",
            hint="Check the folder and the space on its disk.",
            code="storage",
        ) from error
