"""Looking at datasets, and the way out. A reference is ``name``, or ``name@`` and a branch, a tag, a commit or its number."""

from pathlib import Path

import click

from tidemill.cli.command import OutputFile, State, at_least, command, pass_state


@command("list", example="tidemill data list")
@pass_state
def list_(state: State) -> None:
    """List the datasets.

    Exits 1 when one of them cannot be read.
    """
    from tidemill.cli.render.data import reading as render  # noqa: PLC0415
    from tidemill.loop.datasets import reading as loop  # noqa: PLC0415

    state.show_all(loop.datasets(state.workspace()), render.datasets)


@command("show", example="tidemill data show fashion@main --rows 3")
@click.argument("ref")
@click.option("--rows", type=at_least(0), default=5, show_default=True, help="Rows to show.")
@pass_state
def show(state: State, ref: str, rows: int) -> None:
    """Show the columns and first rows of a dataset."""
    from tidemill.cli.render.data import reading as render  # noqa: PLC0415
    from tidemill.loop.datasets import reading as loop  # noqa: PLC0415

    state.show(loop.show_data(state.workspace(), ref, rows), render.show)


@command("export", example="tidemill data export fashion@v1 fashion.parquet")
@click.argument("ref")
@click.argument("file", type=OutputFile())
@pass_state
def export(state: State, ref: str, file: Path) -> None:
    """Write a dataset to FILE, which ends in .csv, .jsonl, .parquet or .arrow."""
    from tidemill.cli.render.data import reading as render  # noqa: PLC0415
    from tidemill.loop.datasets import reading as loop  # noqa: PLC0415

    state.show(loop.export(state.workspace(), ref, file), render.exported)
