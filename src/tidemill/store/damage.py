"""What is stored and can no longer be read, told as damage: which object it is, and how it is put back."""

from collections.abc import Generator
from contextlib import contextmanager

from tidemill.core import codes
from tidemill.core.errors import StorageError, TidemillError

RESTORE = "Put it back from a backup, or from another copy of the store; 'tidemill doctor' says what else is damaged."


@contextmanager
def reading(what: str, hint: str = RESTORE, store: str | None = None) -> Generator[None]:
    """Turns what a parser says of stored bytes into an error of ours: what is parsed inside, Tidemill wrote.

    Args:
        what: The object, as the error calls it.
        hint: How it is put back.
        store: The address of the store that it is in.

    Raises:
        StorageError: ``store-damaged``.
    """
    try:
        yield
    except TidemillError:
        raise
    except Exception as error:
        raise StorageError(
            f"{what} is damaged.",
            why=f"It is not as it was written: {str(error).strip() or type(error).__name__}",
            hint=hint,
            code=codes.STORE_DAMAGED,
            details={"store": store} if store else None,
        ) from error


def too_new(said: str, known: int | str) -> StorageError:
    """The error for what a newer Tidemill wrote: ``store-too-new``.

    Args:
        said: What there is, and which layout it has.
        known: The newest layout that is known here.
    """
    return StorageError(
        f"{said}; this Tidemill knows up to {known}.",
        why="A newer Tidemill wrote it.",
        hint="Type 'pip install --upgrade tidemill'.",
        code=codes.STORE_TOO_NEW,
    )
