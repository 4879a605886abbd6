"""Removing for good."""

import click

from tidemill.cli.command import State, command, pass_state


@command("forget", example='tidemill data forget people --where "customer_id = 7" --reason "asked on 3 May"')
@click.argument("name")
@click.option(
    "--where", required=True, metavar="SQL", help="The rows: a condition over the columns, in any commit."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the place of the rows.")
@click.option(
    "--redact",
    multiple=True,
    metavar="WORD",
    help="Take this word out of titles, comments and what else people wrote; may be given again.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@pass_state
def forget(
    state: State, name: str, where: str, reason: str, redact: tuple[str, ...], *, dry_run: bool
) -> None:
    """Remove rows from every commit of dataset NAME.

    What was computed from them is removed too, the labels that people gave them, predictions of them, and files that
    Tidemill wrote beside the store. The models and releases that were trained on them are listed, and where people
    wrote of them. They do not come back by import, push or fetch.
    """
    from tidemill.cli.render.data import forgetting as render  # noqa: PLC0415
    from tidemill.loop.datasets import forgetting as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.forget(state.workspace(), name, where, reason, redact=redact, dry_run=dry_run, sink=sink)
    state.show(done, render.forgotten)


@command("delete", example="tidemill data delete old --yes")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Delete it; without this, only say what would be lost.")
@click.option("--force", is_flag=True, help="Also where releases depend on it, of which none is live.")
@pass_state
def delete(state: State, name: str, *, yes: bool, force: bool) -> None:
    """Delete dataset NAME with all its history."""
    from tidemill.cli.render.data import forgetting as render  # noqa: PLC0415
    from tidemill.loop.datasets import forgetting as loop  # noqa: PLC0415

    state.show(loop.delete(state.workspace(), name, yes=yes, force=force), render.deleted)
