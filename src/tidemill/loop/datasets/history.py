"""A dataset's history: its commits, what differs between them, branches and tags."""

from tidemill.loop.datasets.references import commit_view, open_reference, tags_by_commit
from tidemill.loop.datasets.views import BranchView, CommitView, DiffView, TagView
from tidemill.loop.workspace import Workspace


def log(ws: Workspace, ref: str, limit: int | None = None) -> list[CommitView]:
    """The commits that led to ``ref``, newest first."""
    dataset, at = open_reference(ws, ref)
    tags = tags_by_commit(dataset)
    return [commit_view(c, tags) for c in dataset.log(at, limit)]


def diff(ws: Workspace, a: str, b: str, limit: int = 20) -> DiffView:
    """What changed from commit ``a`` to commit ``b`` of one dataset; ``b`` may be a bare branch, tag or commit."""
    dataset, at = open_reference(ws, a)
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
    dataset, at = open_reference(ws, ref)
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
    dataset, at = open_reference(ws, ref)
    commit = dataset.tag(name, at)
    return TagView(dataset.name, name, commit.id, commit.number)


def tags(ws: Workspace, name: str) -> list[TagView]:
    """The tags of a dataset."""
    return [TagView(name, t, c.id, c.number) for t, c in ws.datasets.open(name).tags().items()]
