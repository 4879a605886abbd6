"""The rows of a source become a dataset's next commit, or its first. Refused as a whole, or in as a whole."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, Conflict, InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.core.names import check_name, did_you_mean
from tidemill.data.cell_types import shown_type
from tidemill.data.commits import Changes, Commit
from tidemill.data.dataset import Dataset
from tidemill.data.datasets import Datasets
from tidemill.data.proposal import Proposal
from tidemill.data.refs import MAIN
from tidemill.data.schema_change import SchemaChange, refused, schema_change
from tidemill.data.sources.folding import folded, schema_of
from tidemill.data.sources.layout import GIVEN, Column, Tensor, holds_numbers, layout, not_own
from tidemill.data.sources.opening import open_files
from tidemill.data.sources.source import Group, Note, Source
from tidemill.store.table import ID, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ImportedColumn:
    """A column that came in.

    Attributes:
        name: Its name.
        type: Its type; a tensor's is the Arrow list of its cells.
        shape: Of one cell; empty for a plain column.
        how: How the type is known, for a person: ``given``, ``of the dataset``, ``found in the cells``.
    """

    name: str
    type: "pa.DataType"
    shape: tuple[int, ...]
    how: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        dataset: The dataset.
        commit: The new commit, or the present head when nothing changed.
        rows: The counts.
        columns: What came in, in the source's order.
        change: What became of the dataset's columns.
        notes: What a person should know of how the rows were read.
        trial: Whether nothing was committed, since it was a dry run.
    """

    dataset: str
    commit: Commit | None
    rows: Changes
    columns: tuple[ImportedColumn, ...]
    change: SchemaChange
    notes: tuple[Note, ...] = ()
    trial: bool = False


def import_files(
    datasets: Datasets, name: str, *paths: str | Path, sink: Sink = silent, **options: Any
) -> Imported:
    """``import_rows`` from files that are alike: paths, or patterns such as ``part-*.csv``; one commit for all."""
    return import_rows(datasets, name, open_files(paths, sink=sink), **options)


def import_rows(
    datasets: Datasets,
    name: str,
    source: Source,
    *,
    branch: str = MAIN,
    message: str | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    types: Mapping[str, str] | None = None,
    key: Sequence[str] | None = None,
    label: str | None = None,
    sync: bool = False,
    allow_schema_change: bool = False,
    dry_run: bool = False,
    left_out: "set[int] | None" = None,
) -> Imported:
    """Import the rows of a source into a dataset; make the dataset if it is not there.

    What it says is added or changed (see ``Dataset.commit``); nothing is removed unless ``sync``.

    Args:
        datasets: Where.
        name: The dataset.
        source: The rows.
        branch: The branch to commit to; a new dataset has only ``main``.
        message: The commit's message.
        tensors: Name of a new column to the columns that fold into it; remembered by the dataset.
        types: Type names by column, where the found one would be wrong; remembered by the dataset.
        key: The columns that name a row; remembered by the dataset. Without them, content does.
        label: A column that must be there.
        sync: Also remove the rows that the source does not have.
        allow_schema_change: Let columns come, go and change their type, where the source has it so.
        dry_run: Do all but the last step: find types and counts, ask the guards, and make no commit.
        left_out: Gets the ``_id`` of each row that is not taken since it was forgotten.

    Raises:
        NotFound: ``branch-not-found``, ``column-not-found``.
        Conflict: ``file-changed``.
        InvalidInput: With file, line or row, and column, what the source, ``sources.layout.layout`` and
            ``Dataset.commit`` raise; ``label-not-found``, ``new-dataset``.
    """
    check_name("dataset", name)
    there = datasets.open(name) if datasets.exists(name) else None
    _check_branch(there, name, branch)
    fields = source.fields()
    while True:
        there = datasets.open(name) if datasets.exists(name) else None
        schema = there.snapshot(branch).schema if there else None
        columns = layout(
            source.head,
            fields,
            source.how,
            tensors=tensors or {},
            types=types or {},
            schema=schema,
            may_change=allow_schema_change,
        )
        _check_label(source, label, columns)
        if schema is not None:
            columns = _with_lacking(source, columns, schema)
            if not allow_schema_change:
                _check_columns(source, columns, schema, name)
        kinds = _types(source, columns)
        arriving = schema_of(columns, kinds, source.spellings)
        change = schema_change(schema, arriving) if schema is not None else SchemaChange()
        rows = _pieces(source, columns, kinds, arriving)
        into = datasets.guarded(_end_of_trial) if dry_run else datasets
        text = message or f"Import {_readable(source.name)}"
        try:
            if there:
                commit, changes = into.open(name).commit(
                    rows,
                    branch=branch,
                    message=text,
                    key=key,
                    replace=sync,
                    allow_schema_change=allow_schema_change,
                    left_out=left_out,
                )
            else:
                commit, changes = into.create(name, rows, message=text, key=key)
        except AlreadyExists:
            # Another import made it meanwhile; its types hold now.
            continue
        except Conflict as error:
            # Another import moved the branch while the rows came; they can be read once more.
            if error.code != codes.OBJECT_CHANGED:
                raise
            continue
        except _TrialEnded as trial:
            commit, changes = (there.head(branch) if there else None), trial.changes
        except InvalidInput as error:
            told = _of_own(_placed(source, error) or error)
            if told is error:
                raise
            raise told from error
        notes = (*source.notes, *_of_identities(columns, changes))
        return Imported(name, commit, changes, _described(columns, arriving), change, notes, trial=dry_run)


def rows_as(source: Source, schema: "pa.Schema") -> Iterator[Table]:
    """The rows of a source with their cells read as a dataset's, and columns that it does not have as they look."""
    columns = layout(
        source.head, source.fields(), source.how, tensors={}, types={}, schema=schema, may_change=True
    )
    kinds = _types(source, columns)
    yield from _pieces(source, columns, kinds, schema_of(columns, kinds, source.spellings))


class _TrialEnded(Exception):
    """A dry run came to its last step."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(changes)
        self.changes = changes


def _end_of_trial(proposal: Proposal) -> None:
    raise _TrialEnded(proposal.changes)


def _of_identities(columns: Sequence[Column], changes: Changes) -> list[Note]:
    """What to say of rows that are new by an ``_id`` of the source: it may be another program's."""
    own = [c.name for c in columns if c.name in SYSTEM_COLUMNS]
    if ID not in own or not changes.added:
        return []
    names = " and ".join(f"'{name}'" for name in own)
    are = "is taken as Tidemill's own column" if len(own) == 1 else "are taken as Tidemill's own columns"
    text = f"{names} {are}: '_id' is the identity of a row, as exports have it, and no column of the data. If it is yours, rename it."
    return [Note("own-columns", ID, text)]


def _readable(name: str) -> str:
    """A file's name as a text that can be stored: on Linux, a name is any bytes."""
    return os.fsencode(name).decode("utf-8", "replace")


def _types(source: Source, columns: Sequence[Column]) -> "dict[str, pa.DataType]":
    """The type of each column of the source."""
    fixed = {s: c.type for c in columns if c.type is not None for s in c.sources}
    groups = [Group(c.sources, c.tensor is not None, c.known) for c in columns if c.type is None]
    kinds = fixed | source.types(groups, fixed) if groups else fixed
    for column in columns:
        if column.tensor and not holds_numbers(kinds[column.sources[0]]):
            raise InvalidInput(
                f"{source.head}: the columns of tensor '{column.name}' are {kinds[column.sources[0]]}.",
                why="The cells of a tensor are numbers, or true and false.",
                hint=f"Correct the cells, or say that only their value counts: --type {column.name}=float64.",
                code=codes.TENSOR_COLUMNS,
                details=source.head.details(column.name),
            )
    return kinds


def _pieces(
    source: Source, columns: Sequence[Column], kinds: "Mapping[str, pa.DataType]", schema: "pa.Schema"
) -> Iterator[Table]:
    given = {s for c in columns if c.how == GIVEN for s in c.sources}
    for piece in source.pieces(kinds, given):
        yield folded(piece, columns, schema)


def _described(columns: Sequence[Column], schema: "pa.Schema") -> tuple[ImportedColumn, ...]:
    empty = Table(schema.empty_table())
    return tuple(
        ImportedColumn(c.name, shown_type(schema.field(c.name)), empty.shape_of(c.name), c.how)
        for c in columns
    )


def _of_own(error: InvalidInput) -> InvalidInput:
    """A cell that does not fit a column of Tidemill's own is most likely a column of the user's."""
    facts = cast("Mapping[str, Any]", error.details)
    name = facts.get("column")
    if name not in SYSTEM_COLUMNS or error.code not in (
        codes.WRONG_TYPE,
        codes.MIXED_TYPES,
        codes.MISSING_CELLS,
    ):
        return error
    place, _, _ = error.message.partition(", column '")
    return not_own(place, name, facts)


def _placed(source: Source, error: InvalidInput) -> InvalidInput | None:
    """An error about rows, with the places of the first two in the source; None for one that needs no place."""
    facts = cast("Mapping[str, Any]", error.details)
    if "file" in facts:
        return None
    rows: list[int] = facts.get("rows") or [row for row in [facts.get("row")] if row is not None]
    if not rows:
        return None
    places = [source.place(row - 1) for row in rows[:2]]
    column = facts.get("column") or ", ".join(facts.get("key", []))
    return InvalidInput(
        f"{' and '.join(map(str, places))}: {error.message}",
        why=error.why,
        hint=error.hint,
        code=error.code,
        details={**facts, **places[-1].details(column)},
    )


def _check_branch(there: Dataset | None, name: str, branch: str) -> None:
    if there:
        there.head(branch)
    elif branch != MAIN:
        raise InvalidInput(
            f"Dataset '{name}' is new; its first commit cannot go to branch '{branch}'.",
            why="A branch starts from a commit, and there is none.",
            hint=f"Import to main, then type 'tidemill data branch {name} {branch}'.",
            code=codes.NEW_DATASET,
        )


def _check_label(source: Source, label: str | None, columns: Sequence[Column]) -> None:
    names = [c.name for c in columns if c.name not in SYSTEM_COLUMNS]
    if label is not None and label not in names:
        raise InvalidInput(
            f"{source.head}: there is no column '{label}' to be the label.",
            hint=did_you_mean(label, names),
            code=codes.LABEL_NOT_FOUND,
            details=source.head.details(label),
        )


def _with_lacking(source: Source, columns: list[Column], schema: "pa.Schema") -> list[Column]:
    """The columns, and those of the dataset that a sparse source does not name: their cells are missing."""
    have = {*SYSTEM_COLUMNS, *(c.name for c in columns)}
    lacking = [f for f in schema if f.name not in have] if source.sparse else []
    return columns + [
        Column(f.name, (f.name,), None, f.type, "of the dataset", metadata=f.metadata) for f in lacking
    ]


def _check_columns(source: Source, columns: Sequence[Column], schema: "pa.Schema", name: str) -> None:
    """Say so before the rows are read, when the columns are not the dataset's."""
    import pyarrow as pa  # noqa: PLC0415

    kinds = {f.name: f.type for f in schema}
    have = pa.schema([pa.field(c.name, kinds.get(c.name, pa.null())) for c in columns])
    change = schema_change(schema, have)
    if change:
        error = refused(name, change)
        column = (change.added or change.dropped)[0].name
        raise InvalidInput(
            f"{source.head}: {error.message}",
            why=error.why,
            hint=error.hint,
            code=error.code,
            details={**error.details, **source.head.details(column)},
        )
