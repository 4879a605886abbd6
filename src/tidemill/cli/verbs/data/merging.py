"""Merging, and undoing."""

import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidemill.cli import resolving, streams
from tidemill.cli.command import OutputFile, State, command, pass_state
from tidemill.cli.verbs.data.options import branch_option, decision_options, message_option
from tidemill.core.errors import Conflict

if TYPE_CHECKING:
    from tidemill.loop.datasets.choices import Decisions


@command("merge", example="tidemill data merge fashion feedback --into main")
@click.argument("name")
@click.argument("source")
@branch_option("The branch that gets the changes.", "--into")
@message_option("What the merge is for.")
@decision_options
@click.option(
    "--conflicts",
    "listed",
    type=OutputFile(),
    metavar="FILE",
    help="Merge nothing; write what cannot be decided to a CSV file, for --choices.",
)
@click.option(
    "--interactive", is_flag=True, help="Ask for each conflict, one at a time; leaving changes nothing."
)
@click.option("--no-fire", is_flag=True, help="Do not start what a merge into this branch triggers.")
@pass_state
def merge(
    state: State,
    name: str,
    source: str,
    into: str | None,
    message: str | None,
    decisions: "Decisions",
    listed: Path | None,
    *,
    interactive: bool,
    no_fire: bool,
) -> None:
    """Merge branch SOURCE of dataset NAME, and run what that triggers.

    Where both sides changed one cell differently, and nothing says which to take, nothing is merged and the
    cells are listed.
    """
    from tidemill.cli.render.data import merging as render  # noqa: PLC0415
    from tidemill.loop.datasets import merging as loop  # noqa: PLC0415

    workspace = state.workspace()
    if listed is not None:
        state.show(loop.conflicts_file(workspace, name, source, listed, into), render.conflicts_file)
        return
    if interactive:
        if decisions.side or decisions.file:
            raise click.UsageError(
                "--interactive asks for each conflict; leave --ours, --theirs, --choices out."
            )
        answers = resolving.ask(loop.conflicts(workspace, name, source, into), decisions.columns)
        if answers is None:
            streams.note("Left; nothing was changed.")
            raise click.exceptions.Exit(1)
        decisions = dataclasses.replace(decisions, cells=answers)
    with state.watch() as sink, conflicts_drawn(state):
        merged = loop.merge(
            workspace, name, source, into, message, decisions=decisions, fire=not no_fire, sink=sink
        )
    state.show(merged, render.merge)
    state.exit_unless(not any(answer.owed for answer in merged.fired))


@command("revert", example="tidemill data revert fashion@main~1")
@click.argument("ref")
@branch_option("The branch that gets the commit.")
@message_option("What the commit is for.")
@decision_options
@click.option("--no-fire", is_flag=True, help="Do not start what a commit to this branch triggers.")
@pass_state
def revert(
    state: State,
    ref: str,
    branch: str | None,
    message: str | None,
    decisions: "Decisions",
    *,
    no_fire: bool,
) -> None:
    """Undo what the commit at REF changed, by a new commit; what came after it stays.

    Where it was changed again since, 'ours' is what the branch has now, and 'theirs' what was before.
    """
    from tidemill.cli.render.data import merging as render  # noqa: PLC0415
    from tidemill.loop.datasets import merging as loop  # noqa: PLC0415

    with state.watch() as sink, conflicts_drawn(state):
        done = loop.revert(
            state.workspace(), ref, branch, message, decisions=decisions, fire=not no_fire, sink=sink
        )
    state.show(done, render.revert)
    state.exit_unless(not any(answer.owed for answer in done.fired))


@contextmanager
def conflicts_drawn(state: State) -> Generator[None]:
    """List what could not be decided above the error that says so."""
    try:
        yield
    except Conflict as error:
        listed = error.details.get("conflicts")
        if isinstance(listed, list) and not state.as_json:
            import sys  # noqa: PLC0415

            from tidemill.cli.render.data import merging as render  # noqa: PLC0415

            streams.note(streams.text(render.conflicts(listed), sys.stderr))
        raise
