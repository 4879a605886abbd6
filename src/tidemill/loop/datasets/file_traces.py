"""Files outside the store that show forgotten rows: written anew without them, or deleted, or named to the user."""

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tidemill.core.errors import TidemillError
from tidemill.loop import written
from tidemill.loop.written import Written

if TYPE_CHECKING:
    from tidemill.loop.workspace import Workspace
    from tidemill.store.table import Table

_BY_LINE = ("refused rows", "conflicts", "suspects")
"""CSV files with a column ``_id``: a line is about one row."""


@dataclass(frozen=True, slots=True)
class FileTraces:
    """What became of files that showed forgotten rows, or would.

    Attributes:
        rewritten: Paths of files that are there without these rows.
        deleted: Paths of files that are gone.
        left: Sentences about files that could not be cleared: which, why, and what to do.
    """

    rewritten: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Due:
    """A file that may show rows which were forgotten since; ``affected``: it shows a commit that had some."""

    record: Written
    ids: Collection[int]
    affected: bool


@dataclass(frozen=True, slots=True)
class _Clearing:
    """What is to be done about a file: ``none``, ``rewrite``, ``delete``, or ``leave``, and then what to say."""

    way: Literal["none", "rewrite", "delete", "leave"]
    why: str = ""


def refused_rows(ws: "Workspace", name: str, condition: str) -> "tuple[list[Table], list[str]]":
    """Rows that were refused and are in no commit, as files on this machine have them.

    Returns:
        The rows that a condition holds for, with their ``_id``; and sentences about files that cannot be asked here.
    """
    from tidemill.data import matching_in_file  # noqa: PLC0415

    found: list[Table] = []
    told: list[str] = []
    for record in written.records(ws.store):
        if record.kind != "refused rows" or all(s.dataset != name for s in record.shown):
            continue
        path = Path(record.path)
        if record.host != socket.gethostname():
            told.append(
                f"{path} (refused rows) is on {record.host}: type this command there, in a project of this store, for rows "
                "that no commit had."
            )
        elif path.is_file():
            try:
                rows = matching_in_file(path, ws.datasets.open(name).schema, condition)
            except (OSError, TidemillError) as error:
                told.append(
                    f"{path} (refused rows) cannot be read ({error}): look for rows there that no commit had."
                )
            else:
                found += [] if rows is None else [rows]
    return found, told


def would_forget_files(
    ws: "Workspace", name: str, ids: Collection[int], commits: Collection[str]
) -> FileTraces:
    """What forgetting these rows, which these commits have, would do to files."""
    due = [
        _Due(record, ids, not _commits(record, name).isdisjoint(commits))
        for record in written.records(ws.store)
        if any(s.dataset == name for s in record.shown)
    ]
    return _told([(each, _clearing(each)) for each in due])


def forget_files(ws: "Workspace", name: str, named: Callable[[], Collection[str]]) -> FileTraces:
    """Clear the files that were written before rows of a dataset were forgotten. Doing it again does no harm.

    Args:
        ws: The project.
        name: The dataset.
        named: Gives the ids of commits beside the refs that are kept.
    """
    from tidemill.data import that_lost, tombstones  # noqa: PLC0415

    count = len(tombstones(ws.store.objects, name))
    done: list[tuple[_Due, _Clearing]] = []
    for record in written.records(ws.store):
        since = min((s.forgotten for s in record.shown if s.dataset == name), default=count)
        if since < count:
            ids, lost, there = that_lost(ws.store, name, named(), since)
            shows = _commits(record, name)
            # Of a commit that is gone nobody knows whether it had them.
            due = _Due(record, ids, not shows.isdisjoint(lost) or not shows <= there)
            done.append((due, _clear(ws, name, due, count)))
    return _told(done)


def _commits(record: Written, name: str) -> set[str]:
    return {c for s in record.shown if s.dataset == name for c in s.commits}


def _clearing(due: _Due) -> _Clearing:
    record, path = due.record, Path(due.record.path)
    by_line = record.kind in _BY_LINE
    if not by_line and not due.affected:
        return _Clearing("none")
    if record.host != socket.gethostname():
        return _Clearing(
            "leave", f"it is on {record.host}; type 'tidemill gc' in a project of this store there"
        )
    try:
        if not path.is_file():
            return _Clearing("leave", "it is not there any more; if it was moved or copied, delete it there")
        has = _has_line(path, due.ids) if by_line else True
        if has and written.digest_of(path) not in record.digests:
            return _Clearing("leave", "it was changed since; delete it, or take the rows out of it")
    except (OSError, ValueError) as error:
        return _Clearing("leave", f"it cannot be read ({error}); delete it")
    if not has:
        return _Clearing("none")
    return _Clearing("rewrite" if by_line or record.kind == "export" else "delete")


def _clear(ws: "Workspace", name: str, due: _Due, count: int) -> _Clearing:
    record, path = due.record, Path(due.record.path)
    here = record.host == socket.gethostname()
    if here:
        written.remove_unfinished(path)
    chosen = _clearing(due)
    try:
        match chosen.way:
            case "none":
                written.record_cleared(ws.store, record, name, count)
            case "rewrite" if record.kind == "export":
                _export_again(ws, name, record, path)
            case "rewrite":
                with path.open("rb") as file:
                    new = written.rewrite(ws.store, record, written.lines_without(file, due.ids))
                written.record_cleared(ws.store, new, name, count)
            case "delete":
                path.unlink(missing_ok=True)
                written.drop(ws.store, record)
            case "leave" if here:
                # It was told; there is nothing of ours at this place.
                written.drop(ws.store, record)
            case "leave":
                pass
    except (OSError, TidemillError) as error:
        return _Clearing("leave", f"it could not be written anew ({error}); delete it")
    return chosen


def _export_again(ws: "Workspace", name: str, record: Written, path: Path) -> None:
    from tidemill.loop.datasets.reading import export  # noqa: PLC0415

    # Two where it was being replaced when the process ended; the last is what was meant to be there.
    [*_, about] = record.shown
    export(ws, f"{name}@{about.commits[0]}", path)


def _has_line(path: Path, ids: Collection[int]) -> bool:
    with path.open("rb") as file:
        kept = sum(1 for _ in written.lines_without(file, ids))
    with path.open("rb") as file:
        return kept < sum(1 for _ in written.lines_without(file, ()))


def _told(done: list[tuple[_Due, _Clearing]]) -> FileTraces:
    def paths(way: str) -> tuple[str, ...]:
        return tuple(sorted(due.record.path for due, clearing in done if clearing.way == way))

    left = sorted(f"{d.record.path} ({d.record.kind}): {c.why}." for d, c in done if c.way == "leave")
    return FileTraces(paths("rewrite"), paths("delete"), tuple(left))
