"""What is gone, and what is left of it."""

from typing import TYPE_CHECKING

from tidemill.core.figures import counted

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import DeletedView, ForgottenView


def forgotten(view: "ForgottenView") -> str:
    """The rows, and what was made of them."""
    told = _told(view)
    if not view.rows:
        return "\n".join([f"{view.dataset}: no row of any commit has {view.where}.", *told])
    verb, removed = ("Would forget", "Would remove") if view.dry_run else ("Forgot", "Removed")
    rows, commits = counted(view.rows, "row"), counted(view.commits, "commit")
    lines = [f"{verb} {rows} of {view.dataset}, which {commits} had."]
    if view.artifacts:
        lines.append(f"{removed} {counted(view.artifacts, 'output')} of runs that came from them.")
    if view.labels:
        lines.append(f"{removed} {counted(view.labels, 'label')} that people gave them.")
    if view.queues:
        queues = f"{counted(view.queues, 'labelling queue')}"
        lines.append(f"{removed} their cells from the lists of {queues}.")
    lines += told
    if view.trained:
        lines.append(f"Trained on them, and kept: {', '.join(view.trained)}.")
    if view.reviews:
        lines.append(f"Reviews with comments about them, and kept: {', '.join(view.reviews)}.")
    if view.elsewhere:
        lines += ["", "Beyond this command:", *(f"  {each}" for each in view.elsewhere)]
    if view.dry_run:
        lines.append("Nothing was changed.")
    return "\n".join(lines)


def _told(view: "ForgottenView") -> list[str]:
    """What became of predictions, files and texts."""
    lines: list[str] = []
    removed = "Would remove" if view.dry_run else "Removed"
    if view.logged:
        lines.append(f"{removed} predictions of them, in the logs of {', '.join(view.logged)}.")
    if view.samples:
        lines.append(f"{removed} them from what releases carry: {'; '.join(view.samples)}.")
    if view.rewritten:
        again = "Would write" if view.dry_run else "Wrote"
        lines.append(f"{again} without them: {', '.join(view.rewritten)}.")
    if view.deleted:
        gone = "Would delete" if view.dry_run else "Deleted"
        lines.append(f"{gone} what showed them: {', '.join(view.deleted)}.")
    if view.redacted:
        lines.append(f"{removed} the words from: {', '.join(view.redacted)}.")
    lines += [f"Not reached: {each}" for each in view.left]
    if view.mentioned:
        lines.append(f"Written about them, and kept: {', '.join(view.mentioned)}.")
        lines.append("Type the same with --redact WORD to take a word out of all but messages of commits.")
    return lines


def deleted(view: "DeletedView") -> str:
    """The dataset that is gone."""
    if not view.commits:
        return f"Deleted {view.dataset}, which was damaged."
    return f"Deleted {view.dataset}: {counted(view.commits, 'commit')} on main, {counted(view.rows, 'row')}."
