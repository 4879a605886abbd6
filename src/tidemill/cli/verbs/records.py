"""Commands about what runs left: compare, logs."""

from pathlib import Path

import click

from tidemill.cli.command import State, at_least, command, page_option, pass_state


@command("compare", example="tidemill compare 20261124-105904-7f3a9c latest --html comparison.html")
@click.argument("a", metavar="RUN")
@click.argument("b", metavar="RUN", default="latest")
@page_option(", with the curves of both runs")
@pass_state
def compare(state: State, a: str, b: str, html: Path | None) -> None:
    """Show two runs side by side: parameters, data, code, packages, settings, metrics, results.

    RUN is an id, the beginning of one, or 'latest'; the second one is the latest unless it is named.
    """
    from tidemill.cli.render import records as render  # noqa: PLC0415
    from tidemill.loop import comparing as loop  # noqa: PLC0415

    state.show(loop.compare(state.workspace(), a, b, html), render.comparison)


@command("logs", example="tidemill logs latest train --grep warning")
@click.argument("run", default="latest")
@click.argument("step", required=False)
@click.option("--grep", metavar="TEXT", help="Only lines that hold this text, in small or capital letters.")
@click.option(
    "--limit",
    type=at_least(1),
    default=1000,
    show_default=True,
    help="Only the last so many lines.",
)
@pass_state
def logs(state: State, run: str, step: str | None, grep: str | None, limit: int) -> None:
    """Show what the steps of a run printed, each line with its step.

    RUN is an id, the beginning of one, or 'latest'; with STEP, only what that step printed. Of a step that was
    taken from the cache, what it printed when it was computed.
    """
    from tidemill.cli.render import records as render  # noqa: PLC0415
    from tidemill.loop import logs as loop  # noqa: PLC0415

    state.show(loop.logs(state.workspace(), run, step, grep=grep, limit=limit), render.logs)
