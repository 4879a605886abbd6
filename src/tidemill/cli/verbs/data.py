"""Commands about datasets. A reference is ``name``, or ``name@`` and a branch, a tag, a commit or its number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tidemill.cli.command import Group, State, command, pass_state
from tidemill.cli.parameters import assignments


@click.group(
    "data",
    cls=Group,
    example="tidemill data import fashion fashion.csv --tensor image=pixel*:28x28",
    sections={
        "Commands": {
            "import": "data:import_",
            "list": "data:list_",
            "log": "data:log",
            "show": "data:show",
            "diff": "data:diff",
            "branch": "data:branch",
            "merge": "data:merge",
            "tag": "data:tag",
            "export": "data:export",
        }
    },
)
def data() -> None:
    """Datasets: tables with a history.

    A reference is 'name', or 'name@' and a branch, a tag, a commit or its number.
    """


def _message(purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("-m", "--message", metavar="TEXT", help=purpose)


@command(
    "import", example="tidemill data import fashion fashion.csv --tensor image=pixel*:28x28 --label label"
)
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--tensor",
    "tensors",
    multiple=True,
    metavar="COLUMN=PREFIX*:SHAPE",
    help="Fold numbered columns into one: image=pixel*:28x28 makes 'image' of pixel1 to pixel784.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="COLUMN=TYPE",
    help="Read a column as this type instead of the found one.",
)
@click.option(
    "--key",
    multiple=True,
    metavar="COLUMN",
    help="A column that names a row, so that a row with new values is a change; may be given several times.",
)
@click.option("--label", metavar="COLUMN", help="Refuse the file unless it has this column.")
@click.option("--branch", default="main", show_default=True, metavar="NAME", help="Where the commit goes.")
@_message("What the commit is for.")
@pass_state
def import_(
    state: State,
    name: str,
    file: Path,
    tensors: tuple[str, ...],
    types: tuple[str, ...],
    key: tuple[str, ...],
    label: str | None,
    branch: str,
    message: str | None,
) -> None:
    """Import a CSV file: commit 1 of a new dataset, or what differs.

    A file that is wrong anywhere is refused, with its line and column, and makes no commit.
    """
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    folded, read_as = assignments("--tensor", tensors), assignments("--type", types)
    with state.watch() as sink:
        imported = loop.import_data(
            state.workspace(make=True),
            name,
            file,
            branch=branch,
            message=message,
            tensors=folded,
            types=read_as,
            key=key,
            label=label,
            sink=sink,
        )
    state.show(imported, render.imported)


@command("list", example="tidemill data list")
@pass_state
def list_(state: State) -> None:
    """List the datasets."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    state.show(loop.datasets(state.workspace()), render.datasets)


@command("log", example="tidemill data log fashion@feedback --limit 5")
@click.argument("ref")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@pass_state
def log(state: State, ref: str, limit: int | None) -> None:
    """List the commits that led to REF, newest first."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    state.show(loop.log(state.workspace(), ref, limit), render.log)


@command("show", example="tidemill data show fashion@main --rows 3")
@click.argument("ref")
@click.option("--rows", type=click.IntRange(min=0), default=5, show_default=True, help="Rows to show.")
@pass_state
def show(state: State, ref: str, rows: int) -> None:
    """Show the columns and first rows of a dataset."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    state.show(loop.show_data(state.workspace(), ref, rows), render.show)


@command("diff", example="tidemill data diff fashion@main fashion@feedback")
@click.argument("a")
@click.argument("b")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Changed cells to show at most.",
)
@pass_state
def diff(state: State, a: str, b: str, limit: int) -> None:
    """Show what changed from commit A to commit B of one dataset."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    state.show(loop.diff(state.workspace(), a, b, limit), render.diff)


@command("branch", example="tidemill data branch fashion@main corrections")
@click.argument("ref")
@click.argument("name", required=False)
@click.option("--delete", is_flag=True, help="Delete branch NAME instead of making it.")
@pass_state
def branch(state: State, ref: str, name: str | None, *, delete: bool) -> None:
    """Make branch NAME at REF; without NAME, list the branches."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    if name is None:
        if delete:
            raise click.UsageError("--delete needs the NAME of the branch.")
        state.show(loop.branches(state.workspace(), ref.partition("@")[0]), render.branches)
    else:
        made = loop.branch(state.workspace(), ref, name, delete=delete)
        state.show(made, render.branch_deleted if delete else render.branch)


@command("merge", example="tidemill data merge fashion feedback --into main")
@click.argument("name")
@click.argument("source")
@click.option(
    "--into", default="main", show_default=True, metavar="BRANCH", help="The branch that gets the changes."
)
@_message("What the merge is for.")
@click.option("--no-fire", is_flag=True, help="Do not start what a merge into this branch triggers.")
@pass_state
def merge(state: State, name: str, source: str, into: str, message: str | None, *, no_fire: bool) -> None:
    """Merge branch SOURCE of dataset NAME, and run what that triggers.

    Where both sides changed one cell differently, nothing is merged and the cells are listed.
    """
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    with state.watch() as sink:
        merged = loop.merge(state.workspace(), name, source, into, message, fire=not no_fire, sink=sink)
    state.show(merged, render.merge)


@command("tag", example="tidemill data tag fashion@main v1")
@click.argument("ref")
@click.argument("name", required=False)
@pass_state
def tag(state: State, ref: str, name: str | None) -> None:
    """Name the commit at REF for good; without NAME, list the tags."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    if name is None:
        state.show(loop.tags(state.workspace(), ref.partition("@")[0]), render.tags)
    else:
        state.show(loop.tag(state.workspace(), ref, name), render.tag)


@command("export", example="tidemill data export fashion@v1 fashion.parquet")
@click.argument("ref")
@click.argument("file", type=click.Path(path_type=Path))
@pass_state
def export(state: State, ref: str, file: Path) -> None:
    """Write a dataset to FILE, which ends in .csv or .parquet."""
    from tidemill.cli.render import data as render  # noqa: PLC0415
    from tidemill.loop import data as loop  # noqa: PLC0415

    state.show(loop.export(state.workspace(), ref, file), render.exported)
