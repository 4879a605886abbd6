"""Labelling: the row that is to be labelled, and how far a queue is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.pictures import Picture
from tidemill.cli.render.shapes import facts, heading, stack, table, when, written
from tidemill.core.figures import counted
from tidemill.core.percent import percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.labelling.views import (
        ClosedView,
        CommittedView,
        QueueView,
        Task,
    )


def card(
    task: "Task", view: "QueueView", *, lines: int, keys: bool, typed: str = "", said: str = ""
) -> "RenderableType":
    """The row, what may be answered, and what was typed so far.

    Args:
        task: The row.
        view: The queue, as it was when the row was given.
        lines: How many lines there are for all of it.
        keys: Whether one key answers, or a line does.
        typed: What was typed so far.
        said: What the last key led to.
    """
    from rich.text import Text  # noqa: PLC0415

    taken = 12 + len(task.cells) + len(task.votes)
    picture = None if task.picture is None else Picture(task.picture.pixels, lines - taken)
    return stack(
        _head(task, view),
        picture,
        facts(
            [
                *task.cells.items(),
                *((f"{v['author']} said", v["label"]) for v in task.votes),
                (f"{view.column} now", task.given),
            ]
        )
        if task.cells or task.votes or task.given
        else None,
        _choices(task, view, keys=keys),
        Text(f"> {typed}") if typed or not said else Text(said, style="yellow"),
    )


def _head(task: "Task", view: "QueueView") -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    done = view.size - view.left
    people = ", ".join(f"{p.author} {p.labels + p.decided:,}" for p in view.people if p.labels or p.decided)
    words = f"  row {task.row} · {done:,} of {view.size:,} done{f' · {people}' if people else ''}"
    role = "  disputed: you decide" if task.role == "referee" else ""
    return Text.assemble((f"{view.dataset} · {view.column}", "bold"), (words, "dim"), (role, "bold yellow"))


def _choices(task: "Task", view: "QueueView", *, keys: bool) -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    line = Text()
    for choice in view.classes:
        line.append(f" {choice.key} " if choice.key else " · ", "reverse" if choice.key else "dim")
        line.append(f" {choice.name}   ", "bold green" if choice.name == task.suggestion else "")
    line.append("\n")
    if task.suggestion is not None and task.confidence is not None:
        line.append(f"{percent(task.confidence, 0)} {task.suggestion}: Enter takes it · ", "green")
    others = "Space skips · Backspace takes back · Esc quits" if keys else "skip · undo · quit"
    line.append(f"or type a name · {others}", "dim")
    return line


def status(view: "QueueView") -> "RenderableType":
    """One queue."""
    agreement = view.agreement
    about = facts(
        [
            ("queue", view.queue + (f", closed {when(view.closed_at)} UTC" if view.closed_at else "")),
            ("labels for", f"column {view.column} of {view.dataset}, commit {view.commit}"),
            ("rows", f"{view.size:,}: {view.rows}"),
            ("labels a row", view.labels),
            ("referee", view.referee),
            ("model", view.model),
            ("branch", view.branch),
            ("decided", f"{view.decided:,} ({view.committed:,} in commits)"),
            ("disputed", view.disputed or None),
            ("left", view.left),
            ("agreement", None if agreement is None else _agreement(agreement.rows, agreement.observed)),
            ("Krippendorff's alpha", None if agreement is None else _number(agreement.alpha)),
        ]
    )
    people = table(
        ["person", "labels", "decided", "skipped", "suggestions taken"],
        [
            (
                p.author,
                p.labels,
                p.decided,
                p.skipped,
                f"{p.taken:,} of {p.suggested:,}" if p.suggested else "-",
            )
            for p in view.people
        ],
        empty="Nobody has labelled a row yet.",
    )
    kappas = table(
        ["people", "rows", "Cohen's kappa"],
        [
            (" and ".join(k["people"]), k["rows"], _number(k["kappa"]))
            for k in (agreement.kappas if agreement else [])
        ],
        empty="",
    )
    leases = table(
        ["has a row now", "row", "until (UTC)"],
        [(lease.author, lease.row, when(lease.until)) for lease in view.leases],
        empty="",
    )
    return stack(
        about,
        people,
        kappas if agreement else None,
        leases if view.leases else None,
        "\n".join(view.notes) if view.notes else None,
    )


def _agreement(rows: int, observed: float | None) -> str:
    share = "-" if observed is None else percent(observed)
    return f"{share} of the pairs of labels of {counted(rows, 'row')}"


def _number(value: float | None) -> str:
    return "- (only one label was given)" if value is None else f"{value:.3f}"


def queues(views: Sequence["QueueView"]) -> "RenderableType":
    """One line a queue."""
    return table(
        ["queue", "dataset", "column", "rows", "decided", "left", "disputed", "people", "opened (UTC)"],
        [
            (
                v.queue + (" (closed)" if v.closed_at else ""),
                v.dataset,
                v.column,
                v.size,
                written(v.decided),
                written(v.left),
                written(v.disputed),
                ", ".join(p.author for p in v.people),
                when(v.opened_at),
            )
            for v in views
        ],
        empty="There are no queues. Type: tidemill label NAME --column COLUMN",
    )


def committed(view: "CommittedView") -> "RenderableType":
    """The commits, and what did not go into one."""
    if view.commits:
        total = sum(c.labels for c in view.commits)
        lines = [f"{view.dataset}@{view.branch}: {counted(total, 'label')}."]
        lines += [f"  {c.labels:,} of {c.author}, commit {c.number} ({c.commit})" for c in view.commits]
    else:
        lines = [f"{view.dataset}@{view.branch}: no new labels to commit."]
    if view.disputed:
        lines.append(f"{counted(view.disputed, 'row is', 'rows are')} disputed.")
    if view.left:
        lines.append(f"{counted(view.left, 'row still needs', 'rows still need')} a label.")
    if view.removed:
        lines.append(
            f"{len(view.removed):,} labelled rows are not in the dataset any more; "
            f"their labels stay in the queue: {_first(view.removed)}."
        )
    if not view.changed:
        return "\n".join(lines)
    changed = table(
        ["row", "label", "there"],
        [(c["row"], c["label"], written(c["there"])) for c in view.changed[:20]],
        empty="",
    )
    words = (
        f"{counted(len(view.changed), 'row')} got another label in the dataset meanwhile; the merge will ask:"
    )
    return stack("\n".join(lines), heading(words, changed))


def _first(rows: Sequence[str]) -> str:
    return ", ".join(rows[:5]) + (f" and {len(rows) - 5:,} more" if len(rows) > 5 else "")


def closed(view: "ClosedView") -> str:
    """The queue that ended."""
    lost = f" {view.discarded:,} of them are in no commit." if view.discarded else ""
    return f"Closed queue {view.queue} of {view.dataset}: {counted(view.labels, 'row was', 'rows were')} labelled.{lost}"
