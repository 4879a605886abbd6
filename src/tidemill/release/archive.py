"""A predictor's tar laid out as files, and nothing else: no links, no devices, no way out of the folder."""

import errno
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from tidemill.core import codes
from tidemill.core.errors import StorageError

_PIECE_BYTES = 1024 * 1024


def extract(tar: Path, folder: Path) -> None:
    """Write the files of ``tar`` below ``folder``, which is empty.

    Raises:
        StorageError: ``bundle-unsafe``, when a member is not a plain file or folder, or its path leaves
            ``folder``; ``bundle-damaged``, when it is no tar.
    """
    with _opened(tar) as archive:
        for path, file in _files(archive, tar):
            target = folder / path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    while piece := file.read(_PIECE_BYTES):
                        out.write(piece)
            except (FileExistsError, NotADirectoryError) as error:
                raise _unsafe(tar, str(path), "another member has that path") from error
            except OSError as error:
                full = error.errno == errno.ENOSPC
                raise StorageError(
                    f"The predictor cannot be unpacked into {folder}: {error.strerror}.",
                    hint="Free space, then run the same command again." if full else None,
                    code=codes.DISK_FULL if full else codes.STORAGE,
                ) from error


def is_whole(tar: Path, folder: Path) -> bool:
    """Whether every file of ``tar`` is in ``folder`` with the same bytes, and no other, which might be run."""
    if not folder.is_dir():
        return False
    others = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    with _opened(tar) as archive:
        for path, file in _files(archive, tar):
            if not _same(file, folder / path):
                return False
            others.discard(folder / path)
    return not others


@contextmanager
def _opened(tar: Path) -> Generator[tarfile.TarFile]:
    try:
        with tarfile.open(tar, "r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise StorageError(
            f"The predictor {tar} is no tar, or is cut short: {error}.",
            hint="Do not use this release.",
            code=codes.BUNDLE_DAMAGED,
        ) from error


def _files(archive: tarfile.TarFile, tar: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
            raise _unsafe(tar, member.name, "its path leaves the folder")
        if member.isdir():
            continue
        if not member.isreg():
            raise _unsafe(tar, member.name, "it is not a plain file")
        file = archive.extractfile(member)
        assert file is not None
        yield path, file


def _same(file: IO[bytes], path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as there:
        while piece := file.read(_PIECE_BYTES):
            if there.read(len(piece)) != piece:
                return False
        return not there.read(1)


def _unsafe(tar: Path, name: str, why: str) -> StorageError:
    return StorageError(
        f"The predictor {tar} holds '{name}', and {why}.",
        why="A predictor is plain files in its own folder; this one was not written by Tidemill.",
        hint="Do not use this release.",
        code=codes.BUNDLE_UNSAFE,
    )
