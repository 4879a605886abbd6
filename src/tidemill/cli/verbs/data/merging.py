"""Merging."""

import click

from tidemill.cli.command import State, command, pass_state
from tidemill.cli.verbs.data.options import message_option


@command("merge", example="tidemill data merge fashion feedback --into main")
@click.argument("name")
@click.argument("source")
@click.option(
    "--into", default="main", show_default=True, metavar="BRANCH", help="The branch that gets the changes."
)
@message_option("What the merge is for.")
@click.option("--no-fire", is_flag=True, help="Do not start what a merge into this branch triggers.")
@pass_state
def merge(state: State, name: str, source: str, into: str, message: str | None, *, no_fire: bool) -> None:
    """Merge branch SOURCE of dataset NAME, and run what that triggers.

    Where both sides changed one cell differently, nothing is merged and the cells are listed.
    """
    from tidemill.cli.render.data import merging as render  # noqa: PLC0415
    from tidemill.loop.datasets import merging as loop  # noqa: PLC0415

    with state.watch() as sink:
        merged = loop.merge(state.workspace(), name, source, into, message, fire=not no_fire, sink=sink)
    state.show(merged, render.merge)
