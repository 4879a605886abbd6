"""Commands about the store itself."""

import click

from tidemill.cli.command import Group, State, command, pass_state


@click.group(
    "store", cls=Group, example="tidemill store migrate", sections={"Commands": {"migrate": "store:migrate"}}
)
def store() -> None:
    """The store itself: what it was written with."""


@command("migrate", example="tidemill store migrate --yes")
@click.option(
    "--yes", is_flag=True, help="Do it, instead of only saying what it changes and who is concerned."
)
@pass_state
def migrate(state: State, *, yes: bool) -> None:
    """Bring a team's catalog up to this version of Tidemill, and give its datasets' files digests.

    Until then a newer Tidemill reads it as it is. After that, whoever has an older one cannot open it.
    """
    from tidemill.cli.render import store as render  # noqa: PLC0415
    from tidemill.loop import migrating as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.migrate(state.workspace(), really=yes, sink=sink)
    state.show(done, render.migration)
