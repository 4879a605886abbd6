"""Commands about reviews. One is named by its dataset and its number, as in ``fashion#3``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidemill.cli.command import Group, State, at_least, command, page_option, pass_state
from tidemill.cli.verbs.data.merging import conflicts_drawn
from tidemill.cli.verbs.data.options import decision_options, message_option

if TYPE_CHECKING:
    from tidemill.loop.datasets.choices import Decisions


@click.group(
    "review",
    cls=Group,
    example='tidemill review open fashion corrections --title "Shirts that are coats"',
    sections={
        "Commands": {
            "open": "review:open_",
            "list": "review:list_",
            "show": "review:show",
            "comment": "review:comment",
            "approve": "review:approve",
            "merge": "review:merge",
            "close": "review:close",
        }
    },
)
def review() -> None:
    """Reviews: requests to merge a branch of a dataset, with what it changes.

    One is named by its dataset and its number: 'fashion#3'.
    """


@command("open", example='tidemill review open fashion corrections --title "Shirts that are coats"')
@click.argument("name")
@click.argument("source")
@click.option(
    "--into",
    default="main",
    show_default=True,
    metavar="BRANCH",
    help="The branch that shall get the changes.",
)
@click.option(
    "--title", metavar="TEXT", help="What it is about; without it, the message of SOURCE's newest commit."
)
@click.option("--description", default="", metavar="TEXT", help="What the one who looks should know.")
@pass_state
def open_(state: State, name: str, source: str, into: str, title: str | None, description: str) -> None:
    """Ask for branch SOURCE of dataset NAME to be merged."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import reviewing as loop  # noqa: PLC0415

    opened = loop.open_review(state.workspace(), name, source, into, title, description)
    state.show(opened, render.opened)


@command("list", example="tidemill review list fashion")
@click.argument("name", required=False)
@click.option(
    "--state",
    "wanted",
    type=click.Choice(["open", "merged", "closed", "all"]),
    default="open",
    show_default=True,
    help="Which to list.",
)
@pass_state
def list_(state: State, name: str | None, wanted: str) -> None:
    """List the reviews of dataset NAME, or of all."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import review_showing as loop  # noqa: PLC0415

    found = loop.reviews(state.workspace(), name, None if wanted == "all" else wanted)
    state.show(found, render.reviews)


@command("show", example="tidemill review show fashion#1 --html review.html")
@click.argument("ref")
@click.option(
    "--limit",
    type=at_least(0),
    metavar="N",
    help="Changed cells, rows and conflicts to show at most; 20, and 200 on a page.",
)
@page_option(", with images")
@pass_state
def show(state: State, ref: str, limit: int | None, html: Path | None) -> None:
    """Show what a review changes, what was said, and what it lacks."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import review_showing as loop  # noqa: PLC0415

    state.show(loop.show_review(state.workspace(), ref, limit, html=html), render.show)


@command("comment", example='tidemill review comment fashion#1 "Row 7 is a coat."')
@click.argument("ref")
@click.argument("text")
@click.option("--row", metavar="ID", help="The _id of the row that it is about.")
@pass_state
def comment(state: State, ref: str, text: str, row: str | None) -> None:
    """Write TEXT under a review."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import reviewing as loop  # noqa: PLC0415

    state.show(loop.comment(state.workspace(), ref, text, row), render.commented)


@command("approve", example="tidemill review approve fashion#1")
@click.argument("ref")
@pass_state
def approve(state: State, ref: str) -> None:
    """Approve what a review would merge as it is now."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import reviewing as loop  # noqa: PLC0415

    state.show(loop.approve(state.workspace(), ref), render.approved)


@command("merge", example="tidemill review merge fashion#1")
@click.argument("ref")
@message_option("What the merge is for.")
@decision_options
@click.option("--no-fire", is_flag=True, help="Do not start what a merge into this branch triggers.")
@pass_state
def merge(state: State, ref: str, message: str | None, decisions: "Decisions", *, no_fire: bool) -> None:
    """Merge what a review asks for, and run what that triggers.

    Refused until enough people have approved the branch as it is now. Where both branches changed one cell
    differently, say which to take, as for 'data merge'.
    """
    from tidemill.cli.render.data import merging as render  # noqa: PLC0415
    from tidemill.loop.datasets import reviewing as loop  # noqa: PLC0415

    with state.watch() as sink, conflicts_drawn(state):
        merged = loop.merge_review(
            state.workspace(), ref, message, decisions=decisions, fire=not no_fire, sink=sink
        )
    state.show(merged, render.merge)
    state.exit_unless(not any(answer.owed for answer in merged.fired))


@command("close", example="tidemill review close fashion#1")
@click.argument("ref")
@pass_state
def close(state: State, ref: str) -> None:
    """End a review without merging it. Its branch stays."""
    from tidemill.cli.render import review as render  # noqa: PLC0415
    from tidemill.loop.datasets import reviewing as loop  # noqa: PLC0415

    state.show(loop.close(state.workspace(), ref), render.closed)
