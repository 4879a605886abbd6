"""Merging branches and undoing commits. Either fires the triggers that watch the branch."""

from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.core.names import Reference
from tidemill.loop import written
from tidemill.loop.datasets.choices import Decisions, as_choices, write_conflicts
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.switching import chosen
from tidemill.loop.datasets.views import ConflictsFile, ConflictView, MergeView, RevertView, WhoView
from tidemill.loop.guard import refuse_unreviewed
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Clash, Commit, Merged
    from tidemill.loop.views import RefitView


def merge(
    ws: Workspace,
    name: str,
    source: str,
    into: str | None = None,
    message: str | None = None,
    *,
    decisions: Decisions | None = None,
    fire: bool = True,
    sink: Sink = silent,
) -> MergeView:
    """Merge branch ``source`` into ``into``, then run what watches ``into``.

    A merge that was cut off before it had run that is finished by the same merge again.

    Args:
        ws: The project.
        name: The dataset.
        source: A branch, or any reference to this dataset.
        into: The branch that gets the changes; the one that was switched to if None.
        message: What the merge is for.
        decisions: What to do where both changed the same.
        fire: Whether triggers run.
        sink: Gets the events of what was fired.

    Raises:
        Conflict: ``merge-conflict``, ``unrelated-datasets``; then nothing is changed.
        NotAllowed: ``review-needed``.
        InvalidInput: What ``choices.as_choices`` raises; ``unknown-conflict``, ``no-base``.
    """
    from tidemill.loop.firing import commit_and_fire  # noqa: PLC0415 - it runs pipelines

    target = into or chosen(ws, name)
    choices = as_choices(decisions) if decisions else None
    refuse_unreviewed(ws.settings, name, target, _at(name, source))
    merged, fired = commit_and_fire(
        ws,
        name,
        target,
        lambda d: d.merge(_at(name, source), into=target, message=message, choices=choices),
        fire=fire,
        sink=sink,
    )
    return merge_view(name, source, target, merged, fired)


def merge_view(name: str, source: str, target: str, merged: "Merged", fired: "list[RefitView]") -> MergeView:
    """What a merge did, as a view."""
    return MergeView(
        name,
        source,
        target,
        merged.commit.id,
        merged.commit.number,
        row_counts(merged.changes),
        merged.already,
        fired,
    )


def revert(
    ws: Workspace,
    ref: str,
    branch: str | None = None,
    message: str | None = None,
    *,
    decisions: Decisions | None = None,
    fire: bool = True,
    sink: Sink = silent,
) -> RevertView:
    """Undo what the commit at ``ref`` changed, by a new commit on ``branch``; then run what watches that.

    Args:
        ws: The project.
        ref: The commit.
        branch: Where to undo it; the branch that was switched to if None.
        message: What the commit is for.
        decisions: What to do where it was changed again since.
        fire: Whether triggers run.
        sink: Gets the events of what was fired.

    Raises:
        Conflict: ``merge-conflict``; then nothing is changed.
        NotAllowed: ``review-needed``.
        InvalidInput: ``cannot-revert``, and what ``merge`` raises.
    """
    from tidemill.loop.firing import commit_and_fire  # noqa: PLC0415 - it runs pipelines

    reference = Reference.parse(ref)
    name, target = reference.name, branch or chosen(ws, reference.name)
    dataset = ws.datasets.open(name)
    undone = dataset.resolve(reference.at or target)
    choices = as_choices(decisions) if decisions else None
    refuse_unreviewed(ws.settings, name, target)
    done, fired = commit_and_fire(
        ws,
        name,
        target,
        lambda d: d.revert(undone.id, branch=target, message=message, choices=choices),
        fire=fire,
        sink=sink,
    )
    return RevertView(
        name,
        target,
        undone.id,
        done.commit.id,
        done.commit.number,
        row_counts(done.changes),
        done.already,
        fired,
    )


def conflicts(ws: Workspace, name: str, source: str, into: str | None = None) -> list[ConflictView]:
    """What a merge could not decide; nothing is changed."""
    dataset = ws.datasets.open(name)
    table = dataset.snapshot().read(ids=[])
    return [
        _view(c, list(table.shape_of(c.column)) if c.column in table.columns else [])
        for c in dataset.conflicts(_at(name, source), into=into or chosen(ws, name))
    ]


def conflicts_file(
    ws: Workspace, name: str, source: str, path: Path, into: str | None = None
) -> ConflictsFile:
    """Write what a merge could not decide to a CSV file whose last column is to be filled in.

    Raises:
        What ``core.files.replacing`` raises.
    """
    dataset, target = ws.datasets.open(name), into or chosen(ws, name)
    base = dataset.base(_at(name, source), target)
    sides = [dataset.resolve(_at(name, source)).id, dataset.resolve(target).id, *([base.id] if base else [])]
    about = written.shown(ws.store, name, sides)
    found = conflicts(ws, name, source, into)
    with written.writing(ws.store, path, "conflicts", [about]) as part:
        write_conflicts(part, found)
    return ConflictsFile(name, source, target, str(path), len(found))


def _at(name: str, source: str) -> str:
    """What is meant by a branch, or by a whole reference to this dataset.

    Raises:
        InvalidInput: ``unrelated-datasets``.
    """
    other, separator, at = source.partition("@")
    if not separator:
        return source
    if other != name:
        raise InvalidInput(
            f"'{source}' is of another dataset than '{name}'.",
            why="Only branches of one dataset come from a common commit, and can be merged.",
            hint=f"Export {other} and import the file into a branch of {name}.",
            code=codes.UNRELATED_DATASETS,
        )
    return at


def _view(clash: "Clash", shape: list[int]) -> ConflictView:
    assert clash.ours_by is not None
    assert clash.theirs_by is not None
    return ConflictView(
        str(clash.id),
        clash.column,
        clash.kind,
        clash.base,
        clash.ours,
        clash.theirs,
        clash.has_base,
        _who(clash.ours_by),
        _who(clash.theirs_by),
        shape,
    )


def _who(commit: "Commit") -> WhoView:
    return WhoView(commit.id, commit.author, commit.time)
