"""What is gone, and what is left of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import DeletedView, ForgottenView


def forgotten(view: "ForgottenView") -> str:
    """The rows, and what was made of them."""
    if not view.rows:
        return f"{view.dataset}: no row of any commit has {view.where}."
    verb = "Would forget" if view.dry_run else "Forgot"
    rows = f"{view.rows:,} row{'s' * (view.rows != 1)}"
    commits = f"{view.commits:,} commit{'s' * (view.commits != 1)}"
    lines = [f"{verb} {rows} of {view.dataset}, which {commits} had."]
    if view.artifacts:
        lines.append(f"Removed {view.artifacts:,} outputs of runs that came from them.")
    if view.trained:
        lines.append(f"Trained on them, and kept: {', '.join(view.trained)}.")
    if view.logged:
        lines.append(f"Prediction logs that hold what they came from: {', '.join(view.logged)}.")
    if view.dry_run:
        lines.append("Nothing was changed.")
    return "\n".join(lines)


def deleted(view: "DeletedView") -> str:
    """The dataset that is gone."""
    return f"Deleted {view.dataset}: {view.commits:,} commits on main, {view.rows:,} rows."
