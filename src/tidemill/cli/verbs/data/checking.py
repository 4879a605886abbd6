"""Checks by hand."""

import click

from tidemill.cli.command import State, command, pass_state


@command("check", example="tidemill data check fashion@corrections")
@click.argument("ref")
@click.option("--branch", default="main", show_default=True, metavar="NAME", help="Whose checks.")
@pass_state
def check(state: State, ref: str, branch: str) -> None:
    """Hold every row at REF against the checks of a branch.

    Exits 1 when a check says no.
    """
    from tidemill.cli.render.data import checking as render  # noqa: PLC0415
    from tidemill.loop.datasets import checking as loop  # noqa: PLC0415

    checked = loop.check_data(state.workspace(), ref, branch)
    state.show(checked, render.checked)
    state.exit_unless(checked.passed)
