"""Commands that close the loop: refit, lineage."""

import click

from tidemill.cli.command import State, command, pass_state


@command("refit", example="tidemill refit fashion --environment prod")
@click.argument("pipeline", required=False)
@click.option(
    "--environment",
    metavar="NAME",
    help="Where the running model is met, and replaced; without it, the last one in the settings.",
)
@click.option("--force", is_flag=True, help="Also when nothing changed since the running release.")
@pass_state
def refit(state: State, pipeline: str | None, environment: str | None, *, force: bool) -> None:
    """Train again on today's data; replace the running model if the gate agrees.

    Exits 1 when the gate says no, and names the rule.
    """
    from tidemill.cli.render import circle as render  # noqa: PLC0415
    from tidemill.loop import refit as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.refit(state.workspace(), pipeline, environment=environment, force=force, sink=sink)
    state.show(done, render.refit)
    state.exit_unless(done.verdict is None or done.verdict.passed)


@command("lineage", example="tidemill lineage fashion/1")
@click.argument("ref")
@pass_state
def lineage(state: State, ref: str) -> None:
    """Trace a thing back to the data it came from.

    REF is the id of a prediction or a run, a release, a model, or a dataset.
    """
    from tidemill.cli.render import circle as render  # noqa: PLC0415
    from tidemill.loop import lineage as loop  # noqa: PLC0415

    view = loop.lineage(state.workspace(), ref)
    state.show(view, render.lineage)
    state.exit_unless(not state.complain_of(node.get("error") for node in view.nodes))
