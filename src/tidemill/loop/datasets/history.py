"""A dataset's history: its commits, who changed what, branches and tags."""

from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import NotAllowed, NotFound
from tidemill.loop.datasets.references import commit_view, open_reference, tags_by_commit
from tidemill.loop.datasets.switching import MAIN, current
from tidemill.loop.datasets.views import BlameLine, BlameView, BranchView, CommitView, TagView
from tidemill.loop.workspace import Workspace
from tidemill.store.table import ID

if TYPE_CHECKING:
    from tidemill.data import Commit


def log(
    ws: Workspace,
    ref: str,
    limit: int | None = None,
    *,
    every: bool = False,
    author: str | None = None,
    branch: str | None = None,
) -> list[CommitView]:
    """The commits that led to ``ref``, newest first.

    Args:
        ws: The project.
        ref: Where to look back from.
        limit: How many at most.
        every: Also those that merges brought.
        author: Only commits of an author whose name has this in it.
        branch: Only commits that were made on this branch.
    """
    dataset, at = open_reference(ws, ref)
    tags = tags_by_commit(dataset)
    found: list[CommitView] = []
    for commit in dataset.ancestry(at) if every else dataset.log(at):
        if limit is not None and len(found) >= limit:
            break
        if (author is None or author in commit.author) and branch in (None, commit.branch):
            found.append(commit_view(commit, tags))
    return found


def branch(ws: Workspace, ref: str, name: str, *, delete: bool = False) -> BranchView:
    """Make branch ``name`` at ``ref``, or delete it."""
    dataset, at = open_reference(ws, ref)
    if delete:
        head = dataset.head(name)
        if name == current(ws, dataset.name) != MAIN:
            raise NotAllowed(
                f"This project works on branch '{name}' of dataset '{dataset.name}'.",
                hint=f"Type 'tidemill data switch {dataset.name} main' first.",
                code=codes.BRANCH_IN_USE,
            )
        dataset.delete_branch(name)
    else:
        head = dataset.branch(name, at)
    return BranchView(dataset.name, name, head.id, head.number)


def branches(ws: Workspace, name: str) -> list[BranchView]:
    """The branches of a dataset."""
    found = ws.datasets.open(name).branches()
    return [BranchView(name, b, c.id, c.number) for b, c in found.items()]


def blame(
    ws: Workspace,
    ref: str,
    *,
    where: str | None = None,
    row: int | None = None,
    column: str | None = None,
    limit: int | None = 20,
) -> BlameView:
    """The commit that last changed each cell of some rows; a line for cells of one row that one commit changed.

    Args:
        ws: The project.
        ref: Where to look back from.
        where: Only rows that this SQL condition holds for.
        row: Only the row with this ``_id``.
        column: Only this column.
        limit: How many rows at most.

    Raises:
        NotFound: ``row-not-found``, ``column-not-found``.
        InvalidInput: ``invalid-where``.
    """
    import numpy as np  # noqa: PLC0415

    from tidemill.data import cell_values  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    snapshot = dataset.snapshot(at)
    ids = snapshot.where(where) if where is not None else snapshot.read([ID]).numpy(ID)
    if row is not None:
        ids = ids[ids == row]
        if not len(ids):
            raise NotFound(
                f"Dataset '{dataset.name}' has no row {row} at commit {snapshot.commit.id}.",
                hint=f"Type 'tidemill data show {dataset.name}' to see some rows.",
                code=codes.ROW_NOT_FOUND,
            )
    chosen_ids = np.sort(ids[:limit])
    table = snapshot.read([ID, *([column] if column else snapshot.columns)], ids=chosen_ids)
    found = dataset.blame(snapshot.commit.id, dict.fromkeys(table.columns[1:], chosen_ids))
    lines = [_blamed(cells, found) for cells in cell_values.rows(table.to_arrow())]
    return BlameView(
        dataset.name, snapshot.commit.id, len(ids), len(chosen_ids), [line for row in lines for line in row]
    )


def _blamed(cells: dict[str, Any], found: "dict[str | None, dict[int, Commit]]") -> list[BlameLine]:
    row = cells[ID]
    by_commit: dict[str, BlameLine] = {}
    for column in found:
        if column is None:
            continue
        c = found[column][row]
        line = by_commit.setdefault(
            c.id, BlameLine(str(row), {}, c.id, c.number, c.author, c.time, c.message)
        )
        line.values[column] = cells[column]
    return list(by_commit.values())


def tag(ws: Workspace, ref: str, name: str) -> TagView:
    """Name the commit at ``ref``, for good."""
    dataset, at = open_reference(ws, ref)
    commit = dataset.tag(name, at)
    return TagView(dataset.name, name, commit.id, commit.number)


def tags(ws: Workspace, name: str) -> list[TagView]:
    """The tags of a dataset."""
    return [TagView(name, t, c.id, c.number) for t, c in ws.datasets.open(name).tags().items()]
