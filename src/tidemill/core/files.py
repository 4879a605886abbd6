"""Files that are written whole or not at all, and those of a person: where they are wanted, and in words what hinders."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, StorageError

PART = ".part"
"""How a file ends that is being written, and takes another's place when it is whole."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def whole(path: Path) -> bytes:
    """All bytes of a file that a person named, of a pipe, or of what is typed at a terminal.

    Raises:
        OSError: When it cannot be read.
        InvalidInput: ``not-a-file``, for another device: many have no end.
    """
    with path.open("rb") as file:
        kind = os.fstat(file.fileno()).st_mode
        if stat.S_ISBLK(kind) or (stat.S_ISCHR(kind) and not file.isatty()):
            raise InvalidInput(f"{path} is a device, not a file.", hint="Name a file.", code=codes.NOT_A_FILE)
        return file.read()


@contextmanager
def atomic_write(target: Path, part: Path | None = None) -> Generator[Path]:
    """A file beside ``target`` to write, which takes its place when all went well, and else is gone.

    Whoever reads sees the old bytes or the new ones. Nothing is translated: a caller knows what the file is to a person.

    Args:
        target: In a folder that is there.
        part: The file beside it; None gives it a name that no other writer has.

    Raises:
        OSError: What the system says.
    """
    part = part or target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART}")
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A file to write, which takes the place of the one at ``path`` when all went well.

    Folders that are missing are made. An older file is replaced in one step and keeps its permissions; what a link
    leads to is replaced, not the link. A device or a pipe is written to as it is.

    Raises:
        InvalidInput: ``output-is-folder``, ``output-in-file``.
        StorageError: ``disk-full``, ``output-not-writable``, ``storage``.
    """
    if path.is_dir():
        raise InvalidInput(
            f"{path} is a folder.",
            why="What is to be written is one file.",
            hint=f"Name a file in it, such as {path / 'NAME'}.",
            code=codes.OUTPUT_IS_FOLDER,
        )
    try:
        if _is_stream(path) or _is_part(path):
            yield path
            return
        target = Path(os.path.realpath(path))
        _make_folder(path, target.parent)
        with atomic_write(target, target.with_name(part_name(target, os.getpid()))) as part:
            yield part
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
    except OSError as error:
        raise fault(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; the errors are those of ``replacing``."""
    with replacing(path) as part:
        part.write_text(text, "utf-8", newline="")


def part_name(target: Path, process: int | str) -> str:
    """How the file beside ``target`` is called that a process writes; as long as no name of a file may not be."""
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}.{process}{PART}"


def fault(path: Path, error: OSError) -> StorageError:
    """The error of ours for what the system said about a file that was to be written."""
    said = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageError(
            f"The disk that holds {path} is full.",
            why="What was at this place is as it was.",
            hint="Free space, or name a file elsewhere.",
            code=codes.DISK_FULL,
        )
    if error.errno in _NOT_ALLOWED:
        return StorageError(
            f"{path} cannot be written: {said}.",
            hint="Give yourself the right to write there, or name a file elsewhere.",
            code=codes.OUTPUT_NOT_WRITABLE,
        )
    return StorageError(
        f"Cannot write {path}: {said}.", hint="Check the folder and the file's name.", code=codes.STORAGE
    )


def _make_folder(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        in_the_way = next(p for p in (folder, *folder.parents) if p.exists())
        raise InvalidInput(
            f"{path} cannot be written: {in_the_way} is a file, not a folder.",
            hint="Name another folder.",
            code=codes.OUTPUT_IN_FILE,
        ) from error


def _is_part(path: Path) -> bool:
    """Whether it is a file that another ``replacing`` of this process gave."""
    return path.name.startswith(".") and path.name.endswith(f".{os.getpid()}{PART}")


def _is_stream(path: Path) -> bool:
    """Whether there is something that is no plain file of its own: ``/dev/null``, ``/dev/stdout``, a pipe."""
    return path.exists() and (not path.is_file() or path.is_relative_to("/dev"))
