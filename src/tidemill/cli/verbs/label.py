"""The group ``tidemill label``: people give labels to rows, one row at a time."""

from collections.abc import Callable
from typing import Any

import click

from tidemill.cli.command import Group, State, at_least, command, pass_state


class _Labelling(Group):
    """``tidemill label NAME`` is ``tidemill label start NAME``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a first word that is no command as what to start with."""
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            args = ["start", *args]
        return super().resolve_command(ctx, args)


@click.group(
    "label",
    cls=_Labelling,
    example="tidemill label fashion --column label",
    sections={
        "Commands": {
            "start": "label:start",
            "page": "label:page",
            "status": "label:status",
            "commit": "label:commit",
            "close": "label:close",
        }
    },
)
def label() -> None:
    """Give labels to rows, alone or with others.

    'tidemill label NAME' is 'tidemill label start NAME': it goes on with the queue of that dataset, or makes it.
    """


def _queue_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a queue is made of."""
    options = [
        click.option("--column", metavar="COLUMN", help="The column that gets the labels."),
        click.option(
            "--rows",
            type=click.Choice(["unlabelled", "unsure", "contradicted", "all"]),
            help="Rows without a label (usual without --where); those the model is least sure of first; "
            "those whose label it finds wrong, the surest first; or all.",
        ),
        click.option("--where", metavar="CONDITION", help="Only rows that this SQL condition holds for."),
        click.option(
            "--by",
            type=click.Choice(["margin", "entropy"]),
            help="What unsure means: a small distance between the two likeliest classes (usual), "
            "or a great entropy of all.",
        ),
        click.option("--limit", type=at_least(1), metavar="N", help="Only the first N such rows."),
        click.option(
            "--model", metavar="NAME[@VERSION]", help="A registered model: it suggests a label for each row."
        ),
        click.option(
            "--labels",
            type=click.IntRange(1, 9),
            metavar="N",
            help="How many people label each row; 1 without it.",
        ),
        click.option("--referee", metavar="NAME", help="Who decides the rows on which people differ."),
        click.option(
            "--class", "classes", multiple=True, metavar="NAME", help="A label that may be given; one more."
        ),
        click.option(
            "--branch", metavar="NAME", help="Where the labels are committed; labels-QUEUE without it."
        ),
        click.option("--queue", "name", metavar="NAME", help="The queue; named as the dataset without it."),
        click.option("--skipped", is_flag=True, help="Also the rows that you skipped."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command("start", example="tidemill label start fashion --rows contradicted --model fashion")
@click.argument("ref")
@_queue_options
@pass_state
def start(state: State, ref: str, *, name: str | None, skipped: bool, **wish: Any) -> None:
    """Label the rows of REF, a dataset or a branch of it.

    One key answers, or a class's name and Enter. Enter alone takes the model's suggestion, Space skips, Backspace
    takes the last label back, Esc quits. Where there is no terminal, each line of standard input is an answer,
    'skip', 'undo' or 'quit'. A row is nobody else's while you have it.
    """
    from tidemill.cli import labelling, signals  # noqa: PLC0415
    from tidemill.cli.render import label as render  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.queues import Wish, open_queue  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.turns import Labeller  # noqa: PLC0415

    workspace = state.workspace()
    with state.watch() as sink:
        queue = open_queue(workspace, ref, Wish(**wish), name=name, sink=sink)
    with signals.ending_is_interrupt():
        view = labelling.label(Labeller(workspace, queue, skipped=skipped))
    state.show(view, render.status)


@command("page", example="tidemill label page fashion --column label")
@click.argument("ref")
@_queue_options
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Of this machine; a free one without it."
)
@pass_state
def page(state: State, ref: str, *, name: str | None, skipped: bool, port: int, **wish: Any) -> None:
    """Label the rows of REF in a browser on this machine, until Ctrl-C.

    Prints the page's address, which nobody can guess.
    """
    from tidemill.cli import signals, streams  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.queues import Wish, open_queue  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.turns import Labeller  # noqa: PLC0415
    from tidemill.loop.datasets.pages.label_server import LabelServer  # noqa: PLC0415

    workspace = state.workspace()
    with state.watch() as sink:
        queue = open_queue(workspace, ref, Wish(**wish), name=name, sink=sink)
    with (
        signals.ending_is_interrupt(),
        LabelServer(Labeller(workspace, queue, skipped=skipped), port) as served,
    ):
        state.show({"address": served.address}, lambda view: view["address"])
        streams.note("Open it in a browser; Ctrl-C ends it.")
        served.run()


@command("status", example="tidemill label status fashion")
@click.argument("queue", required=False)
@pass_state
def status(state: State, queue: str | None) -> None:
    """Show how far QUEUE is: who did what, and how far they agree; without it, list the queues."""
    from tidemill.cli.render import label as render  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.progress import progress  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.queues import find_queue, queues  # noqa: PLC0415

    workspace = state.workspace()
    if queue is None:
        state.show([progress(workspace, q) for q in queues(workspace)], render.queues)
    else:
        state.show(progress(workspace, find_queue(workspace, queue)), render.status)


@command("commit", example="tidemill label commit fashion")
@click.argument("queue")
@click.option("-m", "--message", metavar="TEXT", help="What the commits are for.")
@pass_state
def commit(state: State, queue: str, message: str | None) -> None:
    """Commit the labels of QUEUE to its branch: one commit for each person who labelled."""
    from tidemill.cli.render import label as render  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.committing import commit_labels  # noqa: PLC0415

    state.show(commit_labels(state.workspace(), queue, message), render.committed)


@command("close", example="tidemill label close fashion")
@click.argument("queue")
@click.option("--discard", is_flag=True, help="Also where labels are in no commit yet.")
@pass_state
def close(state: State, queue: str, *, discard: bool) -> None:
    """End QUEUE: nobody gets a row of it any more, and its name is free."""
    from tidemill.cli.render import label as render  # noqa: PLC0415
    from tidemill.loop.datasets.labelling.queues import close_queue  # noqa: PLC0415

    state.show(close_queue(state.workspace(), queue, discard=discard), render.closed)
