"""``tidemill data profile``: what is in a dataset."""

from pathlib import Path

import click

from tidemill.cli.command import State, command, page_option, pass_state


@command("profile", example="tidemill data profile fashion@main --html profile.html")
@click.argument("ref")
@click.option(
    "--label",
    metavar="COLUMN",
    help="Hold the other columns against this one. Without it: the column called 'label', if there is one.",
)
@page_option()
@pass_state
def profile(state: State, ref: str, label: str | None, html: Path | None) -> None:
    """Show what each column of a dataset holds, and how it hangs together with the label.

    Types, missing cells, different and most frequent values, quantiles, histograms, and the balance of the classes.
    """
    from tidemill.cli.render.data import profiling as render  # noqa: PLC0415
    from tidemill.loop.datasets import profiling as loop  # noqa: PLC0415

    with state.watch() as sink:
        found = loop.profile(state.workspace(), ref, label, html=html, sink=sink)
    state.show(found, render.profile)
