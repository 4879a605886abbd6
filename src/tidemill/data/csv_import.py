"""A CSV file becomes a dataset's next commit, or its first. Refused as a whole, or in as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.errors import AlreadyExists, InvalidInput
from tidemill.core.events import Note, Sink, silent
from tidemill.core.names import check_name, nearest
from tidemill.data import csv_faults, csv_reading
from tidemill.data.columns import arrange
from tidemill.data.commits import Changes, Commit
from tidemill.data.csv_layout import Column, Tensor, layout
from tidemill.data.datasets import Dataset, Datasets
from tidemill.data.refs import MAIN
from tidemill.store.table import SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        dataset: The dataset.
        commit: The new commit, or the present head when the file changed nothing.
        rows: The counts.
    """

    dataset: str
    commit: Commit
    rows: Changes


def import_csv(
    datasets: Datasets,
    name: str,
    path: Path,
    *,
    branch: str = MAIN,
    message: str | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    types: Mapping[str, str] | None = None,
    key: Sequence[str] | None = None,
    label: str | None = None,
    replace: bool = False,
    sink: Sink = silent,
) -> Imported:
    """Import a CSV file (UTF-8, commas, a header) into a dataset; make the dataset if it is not there.

    The file is held in memory as a whole while it is read. What it says is added or changed (see
    ``Dataset.commit``); nothing is removed unless ``replace``.

    Args:
        datasets: Where.
        name: The dataset.
        path: The file.
        branch: The branch to commit to; a new dataset has only ``main``.
        message: The commit's message.
        tensors: Name of a new column to the columns that fold into it; remembered by the dataset.
        types: Type names by column, where the inferred one would be wrong; remembered by the dataset.
        key: The columns that name a row; remembered by the dataset. Without them, content does.
        label: A column that must be there.
        replace: Also remove the rows that the file does not have.
        sink: Is told how far it is.

    Raises:
        NotFound: ``file-not-found``, ``branch-not-found``, ``column-not-found``.
        Conflict: ``file-changed``.
        InvalidInput: With file, line and column: ``empty-file``, ``not-utf8``, ``ragged-row``,
            ``duplicated-column``, ``wrong-type``, ``columns-differ``, ``label-not-found``, and what
            ``csv_layout.layout`` and ``Dataset.commit`` raise.
    """
    check_name("dataset", name)
    there = datasets.open(name) if datasets.exists(name) else None
    _check_branch(there, name, branch)
    data = csv_reading.read_unchanging(path, sink)
    csv_faults.check_text(path.name, data)
    header = csv_faults.header(path.name, data)
    while True:
        there = datasets.open(name) if datasets.exists(name) else None
        schema = there.schema if there else None
        columns = layout(path.name, header, tensors=tensors or {}, types=types or {}, schema=schema)
        _check_label(path.name, label, columns)
        if schema is not None:
            _check_columns(path.name, columns, schema, name)
        sink(Note(f"Parsing {path.name}"))
        table = csv_reading.parse(path.name, data, header, columns)
        text = message or f"Import {path.name}"
        if there:
            commit, changes = there.commit(table, branch=branch, message=text, key=key, replace=replace)
            return Imported(name, commit, changes)
        try:
            commit, changes = datasets.create(name, table, message=text, key=key)
        except AlreadyExists:
            # Another import made it meanwhile; its types hold now.
            continue
        return Imported(name, commit, changes)


def _check_branch(there: Dataset | None, name: str, branch: str) -> None:
    if there:
        there.head(branch)
    elif branch != MAIN:
        raise InvalidInput(
            f"Dataset '{name}' is new; its first commit cannot go to branch '{branch}'.",
            why="A branch starts from a commit, and there is none.",
            hint=f"Import to main, then type 'tidemill data branch {name} {branch}'.",
            code="new-dataset",
        )


def _check_label(file: str, label: str | None, columns: Sequence[Column]) -> None:
    names = [c.name for c in columns if c.name not in SYSTEM_COLUMNS]
    if label is not None and label not in names:
        close = nearest(label, names)
        raise InvalidInput(
            f"{file}, line 1: there is no column '{label}' to be the label.",
            hint=f"Did you mean '{close}'?" if close else f"There are: {', '.join(names[:20])}.",
            code="label-not-found",
            details={"file": file, "line": 1, "column": label},
        )


def _check_columns(file: str, columns: Sequence[Column], schema: "pa.Schema", name: str) -> None:
    """Say so before the file is parsed, when its columns are not the dataset's."""
    import pyarrow as pa  # noqa: PLC0415

    have = [pa.field(c.name, pa.null()) for c in columns]
    try:
        arrange(Table(pa.schema(have).empty_table()), schema, name)
    except InvalidInput as error:
        raise InvalidInput(
            f"{file}, line 1: {error.message}",
            why=error.why,
            hint=error.hint,
            code=error.code,
            details={**error.details, "file": file, "line": 1, "column": str(_first(error.details))},
        ) from error


def _first(details: Mapping[str, object]) -> object:
    for name in ("extra", "lacking"):
        found = details.get(name)
        if isinstance(found, list) and found:
            return found[0]
    return ""
