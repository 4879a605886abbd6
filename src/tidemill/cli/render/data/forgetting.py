"""What is gone, and what is left of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import DeletedView, ForgottenView


def forgotten(view: "ForgottenView") -> str:
    """The rows, and what was made of them."""
    if not view.rows:
        return f"{view.dataset}: no row of any commit has {view.where}."
    verb, removed = ("Would forget", "Would remove") if view.dry_run else ("Forgot", "Removed")
    rows = f"{view.rows:,} row{'s' * (view.rows != 1)}"
    commits = f"{view.commits:,} commit{'s' * (view.commits != 1)}"
    lines = [f"{verb} {rows} of {view.dataset}, which {commits} had."]
    if view.artifacts:
        lines.append(f"{removed} {view.artifacts:,} outputs of runs that came from them.")
    if view.labels:
        lines.append(f"{removed} {view.labels:,} label{'s' * (view.labels != 1)} that people gave them.")
    if view.queues:
        queues = f"{view.queues:,} labelling queue{'s' * (view.queues != 1)}"
        lines.append(f"{removed} their cells from the lists of {queues}.")
    if view.logged:
        lines.append(f"{removed} the predictions they came from, in the logs of {', '.join(view.logged)}.")
    if view.rewritten:
        again = "Would write" if view.dry_run else "Wrote"
        lines.append(f"{again} without them: {', '.join(view.rewritten)}.")
    if view.deleted:
        gone = "Would delete" if view.dry_run else "Deleted"
        lines.append(f"{gone} what showed them: {', '.join(view.deleted)}.")
    lines += [f"Not reached: {each}" for each in view.left]
    if view.trained:
        lines.append(f"Trained on them, and kept: {', '.join(view.trained)}.")
    if view.reviews:
        lines.append(f"Reviews with comments about them, and kept: {', '.join(view.reviews)}.")
    if view.dry_run:
        lines.append("Nothing was changed.")
    return "\n".join(lines)


def deleted(view: "DeletedView") -> str:
    """The dataset that is gone."""
    return f"Deleted {view.dataset}: {view.commits:,} commits on main, {view.rows:,} rows."
