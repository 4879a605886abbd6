"""Data: import, history, branches, merges, export. A merge fires the triggers that watch its branch."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.core.names import Reference
from tidemill.loop.views import (
    BranchView,
    CommitView,
    DatasetView,
    DataShow,
    DiffView,
    Exported,
    ImportView,
    MergeView,
    RowCounts,
    TagView,
)
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Changes, Commit, Dataset, Tensor
    from tidemill.store.table import Table

_TENSOR = re.compile(r"(?P<prefix>[^*]+)\*:(?P<shape>\d+(?:x\d+)*)")


def import_data(
    ws: Workspace,
    name: str,
    path: Path,
    *,
    branch: str = "main",
    message: str | None = None,
    tensors: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    key: Sequence[str] = (),
    label: str | None = None,
    sink: Sink = silent,
) -> ImportView:
    """Import a CSV file into a dataset: commit 1 of a new one, or the difference to what is there.

    Args:
        ws: The project.
        name: The dataset.
        path: The file.
        branch: Where the commit goes.
        message: What it is for.
        tensors: Column to what it is folded from: ``{"image": "pixel*:28x28"}`` is 784 columns ``pixel1``, ...
        types: Column to type, where the inferred one is not wanted.
        key: The columns that name a row; without one, its content does.
        label: A column that must be there.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: What is wrong with the file, naming line and column; then there is no new commit.
    """
    from tidemill.data import import_csv  # noqa: PLC0415

    imported = import_csv(
        ws.datasets,
        name,
        path,
        branch=branch,
        message=message,
        tensors={column: _tensor(text) for column, text in (tensors or {}).items()},
        types=types or {},
        key=list(key) or None,
        label=label,
        sink=sink,
    )
    commit = imported.commit
    return ImportView(
        name, commit.id, commit.number, _counts(imported.rows), commit.rows, unchanged=not imported.rows
    )


def datasets(ws: Workspace) -> list[DatasetView]:
    """Every dataset."""
    found: list[DatasetView] = []
    for name in ws.datasets.names():
        dataset = ws.datasets.open(name)
        head = dataset.resolve()
        found.append(
            DatasetView(
                name, len(dataset.branches()), len(dataset.tags()), head.rows, head.id, head.number, head.time
            )
        )
    return found


def log(ws: Workspace, ref: str, limit: int | None = None) -> list[CommitView]:
    """The commits that led to ``ref``, newest first."""
    dataset, at = _open(ws, ref)
    tags = _tags_by_commit(dataset)
    return [_commit(c, tags) for c in dataset.log(at, limit)]


def show_data(ws: Workspace, ref: str, rows: int = 5) -> DataShow:
    """A dataset's columns and its first rows at ``ref``."""
    import numpy as np  # noqa: PLC0415

    dataset, at = _open(ws, ref)
    snapshot = dataset.snapshot(at)
    table = snapshot.read()
    columns = [
        {
            "name": name,
            "type": _type_text(snapshot.schema.field(name).type, table.shape_of(name)),
            "missing": int(np.count_nonzero(table.missing(name))),
        }
        for name in snapshot.columns
    ]
    head = table.take(np.arange(min(rows, len(table))))
    return DataShow(
        dataset.name, _commit(snapshot.commit, _tags_by_commit(dataset)), columns, head.to_arrow().to_pylist()
    )


def read(ws: Workspace, ref: str) -> "Table":
    """The rows of a dataset at ``ref``."""
    dataset, at = _open(ws, ref)
    return dataset.snapshot(at).read()


def diff(ws: Workspace, a: str, b: str, limit: int = 20) -> DiffView:
    """What changed from commit ``a`` to commit ``b`` of one dataset; ``b`` may be a bare branch, tag or commit."""
    dataset, at = _open(ws, a)
    other = b.partition("@")[2] if b.startswith(f"{dataset.name}@") or b == dataset.name else b
    found = dataset.diff(at, other or None)
    cells = [
        {"id": str(i), "column": column, "old": old, "new": new} for i, column, old, new in found.cells(limit)
    ]
    return DiffView(
        a, b, added=len(found.added), changed=len(found.changed), removed=len(found.removed), cells=cells
    )


def branch(ws: Workspace, ref: str, name: str, *, delete: bool = False) -> BranchView:
    """Make branch ``name`` at ``ref``, or delete it."""
    dataset, at = _open(ws, ref)
    if delete:
        head = dataset.head(name)
        dataset.delete_branch(name)
    else:
        head = dataset.branch(name, at)
    return BranchView(dataset.name, name, head.id, head.number)


def branches(ws: Workspace, name: str) -> list[BranchView]:
    """The branches of a dataset."""
    found = ws.datasets.open(name).branches()
    return [BranchView(name, b, c.id, c.number) for b, c in found.items()]


def tag(ws: Workspace, ref: str, name: str) -> TagView:
    """Name the commit at ``ref``, for good."""
    dataset, at = _open(ws, ref)
    commit = dataset.tag(name, at)
    return TagView(dataset.name, name, commit.id, commit.number)


def tags(ws: Workspace, name: str) -> list[TagView]:
    """The tags of a dataset."""
    return [TagView(name, t, c.id, c.number) for t, c in ws.datasets.open(name).tags().items()]


def merge(
    ws: Workspace,
    name: str,
    source: str,
    into: str = "main",
    message: str | None = None,
    *,
    fire: bool = True,
    sink: Sink = silent,
) -> MergeView:
    """Merge branch ``source`` into ``into``, then run what watches ``into``.

    Args:
        ws: The project.
        name: The dataset.
        source: A branch, or any reference.
        into: The branch that gets the changes.
        message: What the merge is for.
        fire: Whether triggers run.
        sink: Gets the events of what was fired.

    Raises:
        Conflict: ``merge-conflict``; then nothing is changed.
    """
    from tidemill.loop.refit import fire_merge  # noqa: PLC0415 - refit merges nothing, but it runs pipelines

    merged = ws.datasets.open(name).merge(source, into=into, message=message)
    fired = fire_merge(ws, name, into, merged.commit.id, sink=sink) if fire and not merged.already else []
    return MergeView(
        name,
        source,
        into,
        merged.commit.id,
        merged.commit.number,
        _counts(merged.changes),
        merged.already,
        fired,
    )


def export(ws: Workspace, ref: str, path: Path) -> Exported:
    """Write a dataset at ``ref`` to a ``.csv`` or ``.parquet`` file.

    Raises:
        InvalidInput: ``unknown-format``.
    """
    dataset, at = _open(ws, ref)
    snapshot = dataset.snapshot(at)
    kind = path.suffix.removeprefix(".").lower()
    if kind == "csv":
        snapshot.write_csv(path)
    elif kind == "parquet":
        snapshot.write_parquet(path)
    else:
        raise InvalidInput(
            f"'{path}' does not end in .csv or .parquet.",
            why="The ending says in which format to write.",
            hint=f"Type '{path.with_suffix('.csv')}'.",
            code="unknown-format",
        )
    return Exported(dataset.name, snapshot.commit.id, str(path), snapshot.rows, kind)


def _open(ws: Workspace, ref: str) -> "tuple[Dataset, str | None]":
    reference = Reference.parse(ref)
    return ws.datasets.open(reference.name), reference.at


def _tensor(text: str) -> "Tensor":
    from tidemill.data import Tensor  # noqa: PLC0415

    match = _TENSOR.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"'{text}' does not say which columns become a tensor.",
            why="It names the columns' common beginning and the tensor's shape.",
            hint="Type --tensor image=pixel*:28x28 for pixel1 to pixel784.",
            code="invalid-tensor",
        )
    return Tensor(match["prefix"], tuple(int(n) for n in match["shape"].split("x")))


def _counts(changes: "Changes") -> RowCounts:
    return RowCounts(changes.added, changes.changed, changes.removed)


def _tags_by_commit(dataset: "Dataset") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, commit in dataset.tags().items():
        found.setdefault(commit.id, []).append(name)
    return found


def _commit(commit: "Commit", tags: Mapping[str, list[str]]) -> CommitView:
    return CommitView(
        commit.id,
        commit.number,
        commit.branch,
        commit.time,
        commit.author,
        commit.message,
        commit.rows,
        list(commit.parents),
        tags.get(commit.id, []),
    )


def _type_text(kind: Any, shape: tuple[int, ...]) -> str:
    return f"{kind.value_type}[{'x'.join(map(str, shape))}]" if shape else str(kind)
