"""Commands about what merges set off."""

import click

from tidemill.cli.command import Group, State, command, pass_state


@click.group(
    "triggers",
    cls=Group,
    example="tidemill triggers settle",
    sections={
        "Commands": {
            "list": "triggers:list_",
            "settle": "triggers:settle",
            "drop": "triggers:drop",
        }
    },
)
def triggers() -> None:
    """Triggers: what merges set off, and what is owed of it.

    A merge that was killed after it landed owes its triggers. The same merge again, 'refit' or 'triggers settle' runs
    them, each once.
    """


@command("list", example="tidemill triggers list")
@click.argument("trigger", required=False)
@pass_state
def list_(state: State, trigger: str | None) -> None:
    """List what fired, newest first: answered, at work, or owed."""
    from tidemill.cli.render import circle as render  # noqa: PLC0415
    from tidemill.loop import firing as loop  # noqa: PLC0415

    state.show(loop.fired(state.workspace(), trigger), render.firings)


@command("settle", example="tidemill triggers settle")
@click.argument("trigger", required=False)
@pass_state
def settle(state: State, trigger: str | None) -> None:
    """Run every trigger that is owed, or one; go on where it was cut off."""
    from tidemill.cli.render import circle as render  # noqa: PLC0415
    from tidemill.loop import firing as loop  # noqa: PLC0415

    with state.watch() as sink:
        answers = loop.settle(state.workspace(), trigger, sink=sink)
    state.show(answers, render.settled)
    state.exit_unless(not any(answer.owed for answer in answers))


@command("drop", example="tidemill triggers drop refit 2f7a --reason 'run by hand'")
@click.argument("trigger")
@click.argument("commit")
@click.option("--reason", metavar="TEXT", required=True, help="Kept with the record.")
@pass_state
def drop(state: State, trigger: str, commit: str, reason: str) -> None:
    """Leave a trigger that is owed for COMMIT unanswered, for good."""
    from tidemill.cli.render import circle as render  # noqa: PLC0415
    from tidemill.loop import firing as loop  # noqa: PLC0415

    state.show(loop.give_up(state.workspace(), trigger, commit, reason), render.firing)
