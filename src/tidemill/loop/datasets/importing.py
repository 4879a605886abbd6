"""The way in: files, a frame or a query become commit 1 of a dataset, or the difference to what is there."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.core.figures import counted
from tidemill.loop.datasets.checking import or_quarantine
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.switching import chosen
from tidemill.loop.datasets.views import ColumnChange, ColumnView, ImportNote, ImportView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from tidemill.data import Datasets, Imported, Tensor
    from tidemill.data.schema_change import SchemaChange
    from tidemill.data.sources.source import Source

_PASSWORD = re.compile(r"://[^/@]*:(?!\$\{\w+\}@)[^/@]+@")
"""A password that stands there as it is, not as a reference."""
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")
_TENSOR = re.compile(r"(?P<prefix>[^*]+)\*:(?P<shape>\d+(?:x\d+)*)")


def import_data(
    ws: Workspace,
    name: str,
    *data: object,
    sql: str | None = None,
    address: str | None = None,
    branch: str | None = None,
    message: str | None = None,
    tensors: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    key: str | Sequence[str] = (),
    label: str | None = None,
    resize: str | None = None,
    sheet: str | None = None,
    delimiter: str | None = None,
    missing: Sequence[str] = (),
    sync: bool = False,
    allow_schema_change: bool = False,
    dry_run: bool = False,
    quarantine: bool = False,
    sink: Sink = silent,
) -> ImportView:
    """Import rows into a dataset: commit 1 of a new one, or the difference to what is there.

    Args:
        ws: The project.
        name: The dataset.
        data: Files that are alike, or patterns such as ``part-*.csv``, or a folder of images: one commit for all
            of them. Or one frame: pandas, Polars, Arrow, a ``Table``, a dict of columns.
        sql: Instead of data, a query.
        address: Where the query is asked: ``sqlite:///file.db``, ``postgresql://ada:${PASSWORD}@host/sales``. What
            stands in ``${}`` is taken from the environment; a password must.
        branch: Where the commit goes; the branch that was switched to if None.
        message: What it is for.
        tensors: Column to what it is folded from: ``{"image": "pixel*:28x28"}`` is 784 columns ``pixel1``, ...
        types: Column to type, where the found one is not wanted.
        key: The column, or the columns, that name a row; without one, its content does.
        label: A column that must be there.
        resize: Height and width that images get: ``28x28``.
        sheet: Of an Excel workbook; None is the only one with a cell in it.
        delimiter: What stands between the cells of CSV and TSV: one character, or its name (``tab``). None is found.
        missing: Words that mean a missing cell in CSV and TSV, beside the empty cell and the words of the setting
            ``imports.missing``: ``NA`` in each column, ``country=NA`` in one.
        sync: Also remove the rows that the data does not have.
        allow_schema_change: Let the dataset's columns come, go and change their type.
        dry_run: Find types and counts, and make no commit.
        quarantine: Put rows that the branch's checks say no to on a branch of their own, and commit the others.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: What is wrong with the data, naming line or row, and column; then there is no new commit.
        Failed: ``commit-refused``: the branch's checks say no.
    """
    from tidemill.data import import_rows  # noqa: PLC0415
    from tidemill.data.profile import type_text  # noqa: PLC0415

    files = _files(ws, resize, sheet, delimiter, missing)
    left_out: set[int] = set()

    def put(datasets: "Datasets") -> "Imported":
        return import_rows(
            datasets,
            name,
            _source(data, sql, address, files, sink),
            branch=branch or chosen(ws, name),
            message=message,
            tensors={column: _tensor(text) for column, text in (tensors or {}).items()},
            types=types or {},
            key=([key] if isinstance(key, str) else list(key)) or None,
            label=label,
            sync=sync,
            allow_schema_change=allow_schema_change,
            dry_run=dry_run,
            left_out=left_out,
        )

    done, separated = or_quarantine(ws, put) if quarantine else (put(ws.datasets), None)
    if separated:
        made, rows, held = separated
        return ImportView(
            name,
            made.id,
            made.number,
            row_counts(rows),
            made.rows,
            unchanged=not rows,
            columns=[],
            changes=[],
            dry_run=False,
            quarantine=held,
            notes=_left_out(ws, name, left_out),
        )
    assert done
    commit, rows = done.commit, done.rows
    total = commit.rows if commit else 0
    return ImportView(
        name,
        commit.id if commit else None,
        commit.number if commit else 0,
        row_counts(rows),
        total + rows.added - rows.removed if dry_run else total,
        unchanged=not rows and not done.change,
        columns=[ColumnView(c.name, type_text(c.type, c.shape), c.how) for c in done.columns],
        changes=_changes(done.change),
        dry_run=dry_run,
        notes=[
            *(ImportNote(note.code, note.column, note.text) for note in done.notes),
            *_left_out(ws, name, left_out),
        ],
    )


def _left_out(ws: Workspace, name: str, ids: Collection[int]) -> list[ImportNote]:
    """What to say of rows that did not come in since they were forgotten: a note for each time."""
    from tidemill.data import tombstones  # noqa: PLC0415

    left, notes = set(ids), list[ImportNote]()
    for tombstone in tombstones(ws.store.objects, name) if left else ():
        here = left.intersection(tombstone.ids)
        left -= here
        if here:
            rows = f"{counted(len(here), 'row')}"
            text = f"{rows} left out: forgotten on {tombstone.time[:10]} ({tombstone.reason})."
            notes.append(ImportNote("forgotten-rows", None, text))
    return notes


def _files(
    ws: Workspace, resize: str | None, sheet: str | None, delimiter: str | None, words: Sequence[str]
) -> Mapping[str, Any]:
    """How files are read."""
    from tidemill.data.sources.dialect import delimiter_given  # noqa: PLC0415
    from tidemill.data.sources.missing import missing  # noqa: PLC0415

    return {
        "resize": _size(resize) if resize else None,
        "sheet": sheet,
        "delimiter": delimiter_given(delimiter) if delimiter else None,
        "missing": missing(words, ws.project.settings.imports.missing),
    }


def _source(
    data: Sequence[object], sql: str | None, address: str | None, files: Mapping[str, Any], sink: Sink
) -> "Source":
    from tidemill.data.sources.opening import open_files  # noqa: PLC0415

    if sql is not None or address is not None:
        if sql is None or address is None or data:
            raise InvalidInput(
                "A query and the address of its database go together, without files.",
                hint="Type --sql 'select ...' --from sqlite:///file.db.",
                code=codes.USAGE,
            )
        return _query(sql, address, sink)
    if len(data) == 1 and not isinstance(data[0], (str, Path)):
        from tidemill.data.sources.frames import frame  # noqa: PLC0415

        return frame(data[0])
    paths = [item for item in data if isinstance(item, (str, Path))]
    if not paths or len(paths) < len(data):
        raise InvalidInput(
            "There is nothing to import.",
            why="It is files, one frame, or a query.",
            hint="Name a file, or type --sql 'select ...' --from sqlite:///file.db.",
            code=codes.USAGE,
        )
    return open_files(paths, sink=sink, **files)


def _query(sql: str, address: str, sink: Sink) -> "Source":
    from tidemill.core.config import with_references  # noqa: PLC0415
    from tidemill.data.sources.sql import Query  # noqa: PLC0415

    if _PASSWORD.search(address):
        raise InvalidInput(
            "The address has a password in it.",
            why="What is typed stays in the shell's history.",
            hint="Put it into a variable, and type 'postgresql://user:${PASSWORD}@host/database' in single quotes.",
            code=codes.PASSWORD_IN_ADDRESS,
        )
    return Query(sql, with_references(address), sink)


def _changes(change: "SchemaChange") -> list[ColumnChange]:
    from tidemill.data.profile import type_text  # noqa: PLC0415

    def text(field: "pa.Field") -> str:
        return type_text(field.type, _shape(field))

    return [
        *(ColumnChange(f.name, None, text(f)) for f in change.added),
        *(ColumnChange(f.name, text(f), None) for f in change.dropped),
        *(ColumnChange(old.name, text(old), text(new)) for old, new in change.retyped),
    ]


def _shape(field: "pa.Field") -> tuple[int, ...]:
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import Table  # noqa: PLC0415

    return Table(pa.schema([field]).empty_table()).shape_of(field.name)


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"'{text}' is no size of an image.",
            why="It is a height and a width in pixels.",
            hint="Type it like 28x28.",
            code=codes.INVALID_SIZE,
        )
    return int(match[1]), int(match[2])


def _tensor(text: str) -> "Tensor":
    from tidemill.data import Tensor  # noqa: PLC0415

    match = _TENSOR.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"'{text}' does not say which columns become a tensor.",
            why="It names the columns' common beginning and the tensor's shape.",
            hint="Type --tensor image=pixel*:28x28 for pixel1 to pixel784.",
            code=codes.INVALID_TENSOR,
        )
    return Tensor(match["prefix"], tuple(int(n) for n in match["shape"].split("x")))
