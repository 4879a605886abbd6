"""Looking at datasets: which there are, their rows, and the way out."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.loop import written
from tidemill.loop.datasets.references import commit_view, open_reference, row_counts, tags_by_commit
from tidemill.loop.datasets.switching import current
from tidemill.loop.datasets.views import DatasetView, DataShow, Exported
from tidemill.loop.unreadable import Unreadable, error_of_one
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.table import Table


def datasets(ws: Workspace) -> list[DatasetView | Unreadable]:
    """Every dataset."""
    found: list[DatasetView | Unreadable] = []
    for name in ws.datasets.names():
        try:
            found.append(_dataset(ws, name))
        except TidemillError as error:
            found.append(Unreadable(name, error_of_one(error)))
    return found


def _dataset(ws: Workspace, name: str) -> DatasetView:
    dataset = ws.datasets.open(name)
    branch = current(ws, name)
    branches, tags = dataset.branches(), dataset.tags()
    # Of a branch that is gone, its name is told all the same: something has to be done about it.
    head = branches.get(branch) or dataset.resolve()
    return DatasetView(name, branch, len(branches), len(tags), head.rows, head.id, head.number, head.time)


def show_data(ws: Workspace, ref: str, rows: int = 5) -> DataShow:
    """A dataset's columns and its first rows at ``ref``; nothing else of it is read."""
    from tidemill.data import cell_values as values  # noqa: PLC0415
    from tidemill.data.cell_types import shown_type  # noqa: PLC0415
    from tidemill.data.profile import type_text  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    snapshot = dataset.snapshot(at)
    head = snapshot.first(rows)
    columns = [
        {"name": name, "type": type_text(shown_type(snapshot.schema.field(name)), head.shape_of(name))}
        for name in snapshot.columns
    ]
    parents, commit = snapshot.commit.parents, snapshot.commit.id
    return DataShow(
        dataset.name,
        commit_view(snapshot.commit, tags_by_commit(dataset)),
        columns,
        values.rows(head.to_arrow()),
        row_counts(dataset.diff(parents[0], commit).counts) if parents else None,
    )


def read(ws: Workspace, ref: str) -> "Table":
    """The rows of a dataset at ``ref``."""
    dataset, at = open_reference(ws, ref)
    return dataset.snapshot(at).read()


def export(ws: Workspace, ref: str, path: Path) -> Exported:
    """Write a dataset at ``ref`` to a file; its ending says as what: ``.csv``, ``.jsonl``, ``.parquet`` or ``.arrow``.

    Importing the file again changes nothing: CSV and JSON lines have ``_id`` too, where content names the rows and some were
    changed since they came, or came by feedback.

    Raises:
        InvalidInput: ``unknown-format``; and what ``core.files.replacing`` raises.
    """
    from tidemill.data import names_itself  # noqa: PLC0415
    from tidemill.data.cell_text import text_form  # noqa: PLC0415
    from tidemill.data.nested import cell_type  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    snapshot = dataset.snapshot(at)
    kind = path.suffix.removeprefix(".").lower()
    ways = {
        "csv": partial(snapshot.write_csv, ids=True),
        "jsonl": partial(snapshot.write_json_lines, ids=True),
        "parquet": snapshot.write_parquet,
        "arrow": snapshot.write_arrow,
    }
    by_id = kind in ways and (kind in ("parquet", "arrow") or not names_itself(snapshot))
    if not by_id:
        ways |= {"csv": snapshot.write_csv, "jsonl": snapshot.write_json_lines}
    if kind not in ways:
        raise InvalidInput(
            f"'{path}' does not end in .csv, .jsonl, .parquet or .arrow.",
            why="The ending says in which format to write.",
            hint=f"Type '{path.with_suffix('.csv') if path.name else path / f'{dataset.name}.csv'}'.",
            code=codes.UNKNOWN_FORMAT,
        )
    about = written.shown(ws.store, dataset.name, [snapshot.commit.id])
    with written.writing(ws.store, path, "export", [about]) as part:
        ways[kind](part)
    said: dict[str, str] = {}
    if kind in ("csv", "jsonl"):
        own = {name: text_form(cell_type(snapshot.schema.field(name).type)) for name in snapshot.columns}
        plain = {"JSON", "text"} if kind == "jsonl" else {"text"}
        said = {name: way for name, way in own.items() if way and way not in plain}
    return Exported(dataset.name, snapshot.commit.id, str(path), snapshot.rows, kind, said, by_id=by_id)
