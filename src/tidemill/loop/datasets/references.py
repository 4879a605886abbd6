"""What the data use cases share: opening a reference, and a commit as a view."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidemill.core.names import Reference
from tidemill.loop.datasets.switching import chosen
from tidemill.loop.datasets.views import CommitView
from tidemill.loop.view_of import view_of
from tidemill.loop.views import RowCounts
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Changes, Commit, Dataset


def open_reference(ws: Workspace, ref: str) -> "tuple[Dataset, str | None]":
    """The dataset that a typed reference names, and what follows its ``@``: else the branch that was switched to."""
    reference = Reference.parse(ref)
    return ws.datasets.open(reference.name), reference.at or chosen(ws, reference.name)


def row_counts(changes: "Changes") -> RowCounts:
    """The counts of a change, as a view."""
    return RowCounts(changes.added, changes.changed, changes.removed)


def tags_by_commit(dataset: "Dataset") -> dict[str, list[str]]:
    """Commit id to the tags that name it."""
    found: dict[str, list[str]] = {}
    for name, commit in dataset.tags().items():
        found.setdefault(commit.id, []).append(name)
    return found


def commit_view(commit: "Commit", tags: Mapping[str, list[str]]) -> CommitView:
    """A commit, as a view."""
    return view_of(CommitView, commit, parents=list(commit.parents), tags=tags.get(commit.id, []))
