"""Commands that make runs again: reproduce."""

from pathlib import Path

import click

from tidemill.cli.command import State, command, pass_state


@command("reproduce", example="tidemill reproduce latest --into again")
@click.argument("ref", metavar="[RUN|RELEASE]", default="latest")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Make it in this folder, which must be empty or not there, and let that stay.",
)
@click.option("--keep", is_flag=True, help="Let the folder stay though none is named: reproduced-RUN.")
@pass_state
def reproduce(state: State, ref: str, into: Path | None, keep: bool) -> None:  # noqa: FBT001 - click's
    """Make a run again from what was kept of it, and compare every step, digest by digest.

    Code, packages, data, parameters and seed are the run's, and nothing comes from the cache. Of a release, it is
    the run that made its model. Exits 1 where a step gives something else.
    """
    from tidemill.cli.render import replays as render  # noqa: PLC0415
    from tidemill.loop import reproducing as loop  # noqa: PLC0415

    with state.watch() as sink:
        view = loop.reproduce(state.workspace(), ref, into, keep=keep, sink=sink)
    state.show(view, render.reproduced)
    state.complain(view.error)
    state.exit_unless(view.identical)
