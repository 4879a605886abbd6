"""Commands that make runs again: reproduce, explain."""

from pathlib import Path

import click

from tidemill.cli.command import State, command, page_option, pass_state


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


@command("explain", example="tidemill explain 20261124-105904-7f3a9c latest --html why.html")
@click.argument("a", metavar="RUN")
@click.argument("b", metavar="RUN", default="latest")
@page_option(", with a bar for each part")
@click.option("--dry-run", is_flag=True, help="Only say which runs would be made.")
@pass_state
def explain(state: State, a: str, b: str, html: Path | None, dry_run: bool) -> None:  # noqa: FBT001 - click's
    """Say why the metrics moved from one run to another: by data, code, settings and environment.

    Runs between the two are made, in which a part of what changed has changed; only what a change reaches is
    computed. A share is the mean over all orders of the changes, and all shares add up to the difference. What no run
    can show is told as not replayed.
    """
    from tidemill.cli.render import replays as render  # noqa: PLC0415
    from tidemill.loop import explaining as loop  # noqa: PLC0415

    with state.watch() as sink:
        view = loop.explain(state.workspace(), a, b, html, dry_run=dry_run, sink=sink)
    state.show(view, render.explanation)
