"""The tables of a prediction log, and how a row's arrays become bytes in it and arrays again.

One SQLite file an environment, ``<environment>.predictions.db``, whose layout version is SQLite's own
``user_version``. Several processes may have it open: a server, its successor, and whoever reads.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import NotFound, StorageError
from tidemill.core.words import found
from tidemill.models.signature import DATATYPES, Tensor

if TYPE_CHECKING:
    import numpy as np

LAYOUT = 2
_BUSY_SECONDS = 30.0
_LEAST_BYTES = 64 * 1024
_TABLES = """
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    number INTEGER NOT NULL,
    signature TEXT NOT NULL,
    UNIQUE (digest, number, signature)
);
CREATE TABLE predictions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    release INTEGER NOT NULL REFERENCES releases (id),
    checking INTEGER NOT NULL,
    inputs BLOB NOT NULL,
    outputs BLOB NOT NULL
);
CREATE TABLE feedback (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    prediction TEXT NOT NULL,
    label NOT NULL,
    time TEXT NOT NULL
);
CREATE INDEX feedback_by_prediction ON feedback (prediction, sequence);
"""
_PRUNINGS = "CREATE TABLE prunings (day TEXT PRIMARY KEY, predictions INTEGER NOT NULL, until TEXT NOT NULL)"
"""Since layout 2: what left the log, by day."""
_NO_ROOM = ("SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMOPEN", "SQLITE_IOERR_SHMMAP")


def log_file(folder: Path, environment: str) -> Path:
    """Where an environment's log is."""
    return folder / f"{environment}.predictions.db"


def open_to_write(file: Path) -> sqlite3.Connection:
    """A connection of which every commit is on the disk when it returns; makes the log if there is none.

    Raises:
        StorageError: ``log-too-new``, ``log-damaged``, ``disk-full`` or ``storage``.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        database = _connect(f"file:{_quoted(file)}?mode=rwc")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        version = _version(database, file)
        if version < LAYOUT:
            for statement in (*(_TABLES.split(";") if version == 0 else ()), _PRUNINGS):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {LAYOUT}")
        database.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise storage_error(file, error) from error
    return database


def open_to_read(file: Path) -> sqlite3.Connection:
    """A connection that changes nothing.

    Raises:
        NotFound: ``log-not-found``, when the environment has never answered anything.
        StorageError: As ``open_to_write``.
    """
    if not file.is_file():
        raise NotFound(
            f"There is no prediction log {file}.",
            why="Nothing was served in that environment yet.",
            hint="Type 'tidemill promote' first.",
            code=codes.LOG_NOT_FOUND,
        )
    try:
        try:
            return _read_only(file)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in _NO_ROOM:
                raise
            # No room for the file in which processes share what is in the log; whoever is alone needs none.
            return _read_only(file, "locking_mode=exclusive")
    except sqlite3.Error as error:
        raise storage_error(file, error) from error


def _read_only(file: Path, *settings: str) -> sqlite3.Connection:
    database = _connect(f"file:{_quoted(file)}?mode=rw")
    with contextlib.ExitStack() as undo:
        undo.callback(database.close)
        for setting in (*settings, "query_only=1"):
            database.execute(f"PRAGMA {setting}")
        if _version(database, file) == 0:
            raise _damaged(file, "It has no tables.")
        undo.pop_all()
    return database


def storage_error(file: Path, error: Exception) -> StorageError:
    """What an error of SQLite or the disk means to a person."""
    text = str(error)
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return _damaged(file, text)
    if "full" in text or "No space left" in text or disk_is_full(file):
        return StorageError(
            f"The disk that holds {file} is full.",
            why="A prediction is written to the log before it is answered, so none can be answered.",
            hint="Free space; the server answers again without a restart.",
            code=codes.DISK_FULL,
        )
    return StorageError(
        f"Cannot use the prediction log {file}: {text}.",
        hint="Check the disk and the rights of that file.",
        code=codes.STORAGE,
    )


def which(file: Path) -> tuple[int, int] | None:
    """Which file it is that has this name; None where none has."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def replaced(file: Path) -> StorageError:
    """What whoever writes to a log is told that was removed, or put back from a backup, meanwhile."""
    environment = file.name.removesuffix(".predictions.db")
    return StorageError(
        f"The prediction log {file} {'is another file' if file.exists() else 'is gone'} since the server opened it.",
        why="What is answered would be in no log: nobody could find the file that it is written to.",
        hint=f"Type 'tidemill stop {environment}' (or end its process), then 'tidemill serve {environment}'.",
        code=codes.LOG_REPLACED,
    )


def disk_is_full(file: Path) -> bool:
    """Whether there is no room left to write answers to the log."""
    try:
        space = os.statvfs(file.parent)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < _LEAST_BYTES


def encode_rows(columns: "Mapping[str, np.ndarray[Any, Any]]", tensors: Sequence[Tensor]) -> list[bytes]:
    """Each row of the columns as bytes: a MessagePack list, one member a tensor.

    A member is the row's raw little-endian bytes in the tensor's datatype; text as text (a list of
    texts for a text tensor); ``[bytes, mask]`` where cells are missing, one byte of mask a cell.
    """
    import msgspec  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    members: list[list[Any]] = []
    for tensor in tensors:
        array = columns[tensor.name]
        mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
        data: Any = array if mask is None else np.ma.getdata(array)
        if tensor.datatype == "BYTES":
            cells: list[Any] = [str(t) for t in data] if data.ndim == 1 else data.tolist()
        else:
            # A client may send a narrower datatype than the signature's; the log has one form.
            cells = _pieces(data.astype(DATATYPES[tensor.datatype], copy=False))
        if mask is not None:
            cells = [[c, m] if any(m) else c for c, m in zip(cells, _pieces(mask), strict=True)]
        members.append(cells)
    encode = msgspec.msgpack.encode
    return [encode(row) for row in zip(*members, strict=True)]


def decode_rows(rows: Sequence[bytes], tensors: Sequence[Tensor]) -> "dict[str, np.ndarray[Any, Any]]":
    """The columns that ``encode_rows`` wrote; one with missing cells is a ``numpy.ma.MaskedArray``."""
    import msgspec  # noqa: PLC0415

    decoded: list[Any] = [msgspec.msgpack.decode(row) for row in rows]
    return {t.name: _column([row[at] for row in decoded], t) for at, t in enumerate(tensors)}


def says(row: bytes, words: Collection[str]) -> bool:
    """Whether a text of a row, as ``encode_rows`` gives it, has one of these words, whole."""
    import msgspec  # noqa: PLC0415

    there = [word for word in words if word.encode() in row]
    return bool(there) and any(found(text, there) for text in _texts(msgspec.msgpack.decode(row)))


def _texts(cell: Any) -> Iterator[str]:
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, list):
        for each in cast("list[Any]", cell):
            yield from _texts(each)


def _pieces(array: "np.ndarray[Any, Any]") -> list[bytes]:
    whole = array.tobytes()
    rows = len(array)
    if rows == 1:
        return [whole]
    size = len(whole) // rows
    return [whole[at : at + size] for at in range(0, rows * size, size)]


def _column(cells: list[Any], tensor: Tensor) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    text = tensor.datatype == "BYTES"
    masks = [c[1] if _is_masked(c) else None for c in cells]
    plain = [c[0] if _is_masked(c) else c for c in cells]
    shape = (len(cells), *tensor.cell)
    if text:
        column: Any = np.empty(shape, dtype=object)
        column[...] = np.array(plain, dtype=object).reshape(shape)
    else:
        column = np.frombuffer(bytearray(b"".join(plain)), dtype=DATATYPES[tensor.datatype]).reshape(shape)
    if not any(m is not None for m in masks):
        return column
    size = column[0].size if tensor.cell else 1
    mask = b"".join(bytes(size) if m is None else m for m in masks)
    return np.ma.MaskedArray(column, mask=np.frombuffer(mask, dtype=bool).reshape(shape))


def _is_masked(cell: Any) -> bool:
    return isinstance(cell, list) and len(cell) == 2 and isinstance(cell[1], bytes)


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _quoted(file: Path) -> str:
    return str(file.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _version(database: sqlite3.Connection, file: Path) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > LAYOUT:
        database.close()
        raise StorageError(
            f"The prediction log {file} has layout {version}; this Tidemill knows up to {LAYOUT}.",
            why="A newer Tidemill wrote it.",
            hint="Type 'pip install --upgrade tidemill'.",
            code=codes.LOG_TOO_NEW,
        )
    return version


def _damaged(file: Path, why: str) -> StorageError:
    return StorageError(
        f"{file} is not a prediction log, or is damaged.",
        why=why,
        hint="Move it away; the server then starts a new one.",
        code=codes.LOG_DAMAGED,
    )
