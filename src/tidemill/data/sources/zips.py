"""Zip archives that people bring: what Python's reader raises of a damaged one, as one error in words."""

import struct
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.kinds import reason

FAULTS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    # A password is asked for; or (NotImplementedError) a version or a packing that Python does not know.
    RuntimeError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    # Names that are no text, and sizes and moments that cannot be.
    ValueError,
)


@contextmanager
def readable(path: Path, what: str, hint: str, *more: type[Exception]) -> Generator[None]:
    """Inside the block an archive is read; what its damage raises there is told in words.

    Args:
        path: The file.
        what: What is wrong with it, for a person.
        hint: What to do about it.
        more: What else a reader raises of damaged content.

    Raises:
        InvalidInput: ``unreadable-file``.
    """
    try:
        yield
    except TidemillError:
        raise
    except (*FAULTS, *more) as error:
        raise InvalidInput(
            f"{path.name}: {what}.",
            why=reason(error),
            hint=hint,
            code=codes.UNREADABLE_FILE,
            details={"file": path.name},
        ) from error
