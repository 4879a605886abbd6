"""Commands about a dataset's history."""

import sys
from pathlib import Path

import click

from tidemill.cli import streams
from tidemill.cli.command import State, at_least, command, pass_state


@command("log", example="tidemill data log fashion@feedback --limit 5")
@click.argument("ref")
@click.option("--limit", type=at_least(1), metavar="N", help="Only the newest N.")
@click.option("--graph", is_flag=True, help="Also what merges brought, with lines from commit to commit.")
@click.option("--author", metavar="TEXT", help="Only commits of an author whose name has this in it.")
@click.option("--branch", metavar="NAME", help="Only commits that were made on this branch.")
@pass_state
def log(
    state: State, ref: str, limit: int | None, author: str | None, branch: str | None, *, graph: bool
) -> None:
    """List the commits that led to REF, newest first."""
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import history as loop  # noqa: PLC0415

    found = loop.log(state.workspace(), ref, limit, every=graph, author=author, branch=branch)
    state.show(found, render.graph if graph else render.log)


@command("diff", example="tidemill data diff fashion@main fashion@feedback --output changes.html")
@click.argument("a")
@click.argument("b")
@click.option(
    "--limit",
    type=at_least(0),
    metavar="N",
    help="Changed cells, added and removed rows to show at most; 20 in a table or JSON, 200 in HTML, else all.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "json", "csv", "html"]),
    help="How to show it; HTML draws images, old and new. The output's ending says it else.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to a file instead; '-' is standard output, as without it.",
)
@click.option("--stat", is_flag=True, help="How much changed in each column, and for each label.")
@click.option(
    "--label", default="label", show_default=True, metavar="COLUMN", help="The labels' column, for --stat."
)
@pass_state
def diff(
    state: State,
    a: str,
    b: str,
    limit: int | None,
    kind: str | None,
    output: Path | None,
    label: str,
    *,
    stat: bool,
) -> None:
    """Show what changed from commit A to commit B of one dataset."""
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import diffing as loop  # noqa: PLC0415
    from tidemill.loop.datasets.views import DiffStat  # noqa: PLC0415

    output = None if output == Path("-") else output
    kind = kind or (output.suffix.removeprefix(".") if output else "table")
    if kind not in ("table", "json", "csv", "html", "txt"):
        raise click.UsageError(
            f"--output takes a name that ends in .csv, .json, .html or .txt, not '{output}'."
        )
    if stat and kind in ("csv", "html"):
        raise click.UsageError(f"--stat is a table or JSON, not {kind.upper()}.")
    if state.as_json and output is None and kind in ("csv", "html"):
        raise click.UsageError(
            f"Standard output cannot be both JSON and {kind.upper()}: name a file by --output."
        )
    workspace = state.workspace()
    about = loop.shown(workspace, a, b) if output else None
    if kind == "csv":
        text = loop.as_csv(workspace, a, b, limit).rstrip("\n")
    elif kind == "html":
        text = loop.as_page(workspace, a, b, 200 if limit is None else limit).rstrip("\n")
    else:
        found = (
            loop.stat(workspace, a, b, label)
            if stat
            else loop.diff(workspace, a, b, 20 if limit is None else limit)
        )
        if kind == "json" or state.as_json:
            text = streams.to_json(found)
        else:
            drawn = render.diff_stat(found) if isinstance(found, DiffStat) else render.diff(found)
            text = drawn if isinstance(drawn, str) else streams.text(drawn, sys.stdout)
    if output is None or about is None:
        streams.write(text)
        return
    loop.write(workspace, output, about, text + "\n")
    said = f"{output}: what changed from {a} to {b}."
    streams.write(streams.to_json({"path": str(output), "a": a, "b": b}) if state.as_json else said)


@command("blame", example="tidemill data blame fashion --where \"label = 'coat'\" --column label")
@click.argument("ref")
@click.option("--where", metavar="SQL", help="Only rows that this condition holds for.")
@click.option(
    "--id", "row", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Only the row with this _id."
)
@click.option("--column", metavar="NAME", help="Only this column.")
@click.option("--limit", type=at_least(1), default=20, show_default=True, help="Rows to show at most.")
@pass_state
def blame(state: State, ref: str, where: str | None, row: int | None, column: str | None, limit: int) -> None:
    """Show which commit last changed each cell of the rows at REF, and who made it."""
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import history as loop  # noqa: PLC0415

    found = loop.blame(state.workspace(), ref, where=where, row=row, column=column, limit=limit)
    state.show(found, render.blame)


@command("switch", example="tidemill data switch fashion corrections")
@click.argument("name")
@click.argument("branch")
@click.option("--create", is_flag=True, help="Make the branch first.")
@pass_state
def switch(state: State, name: str, branch: str, *, create: bool) -> None:
    """Work on BRANCH of dataset NAME: what NAME without an @ means from now on, in this project.

    Pipelines stay on main: they mean the same for everybody.
    """
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import switching as loop  # noqa: PLC0415

    state.show(loop.switch(state.workspace(), name, branch, create=create), render.switched)


@command("branch", example="tidemill data branch fashion@main corrections")
@click.argument("ref")
@click.argument("name", required=False)
@click.option("--delete", is_flag=True, help="Delete branch NAME instead of making it.")
@pass_state
def branch(state: State, ref: str, name: str | None, *, delete: bool) -> None:
    """Make branch NAME at REF; without NAME, list the branches."""
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import history as loop  # noqa: PLC0415

    if name is None:
        if delete:
            raise click.UsageError("--delete needs the NAME of the branch.")
        state.show(loop.branches(state.workspace(), ref.partition("@")[0]), render.branches)
    else:
        made = loop.branch(state.workspace(), ref, name, delete=delete)
        state.show(made, render.branch_deleted if delete else render.branch)


@command("tag", example="tidemill data tag fashion@main v1")
@click.argument("ref")
@click.argument("name", required=False)
@pass_state
def tag(state: State, ref: str, name: str | None) -> None:
    """Name the commit at REF for good; without NAME, list the tags."""
    from tidemill.cli.render.data import history as render  # noqa: PLC0415
    from tidemill.loop.datasets import history as loop  # noqa: PLC0415

    if name is None:
        state.show(loop.tags(state.workspace(), ref.partition("@")[0]), render.tags)
    else:
        state.show(loop.tag(state.workspace(), ref, name), render.tag)
