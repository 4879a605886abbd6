"""The command about registered models."""

import click

from tidemill.cli.command import State, command, pass_state


@command("models", example="tidemill models fashion")
@click.argument("name", required=False)
@pass_state
def models(state: State, name: str | None) -> None:
    """List the models, or the versions of one."""
    from tidemill.cli.render import models as render  # noqa: PLC0415
    from tidemill.loop import registry as loop  # noqa: PLC0415

    state.show(loop.models(state.workspace(), name), render.models)
