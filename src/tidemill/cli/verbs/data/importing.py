"""The way in."""

import click

from tidemill.cli.command import State, command, pass_state
from tidemill.cli.parameters import assignments
from tidemill.cli.verbs.data.options import branch_option, message_option


@command(
    "import", example="tidemill data import fashion fashion.csv --tensor image=pixel*:28x28 --label label"
)
@click.argument("name")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
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
@branch_option("Where the commit goes.")
@message_option("What the commit is for.")
@pass_state
def import_(
    state: State,
    name: str,
    files: tuple[str, ...],
    tensors: tuple[str, ...],
    types: tuple[str, ...],
    key: tuple[str, ...],
    label: str | None,
    branch: str | None,
    message: str | None,
) -> None:
    """Import files: commit 1 of a new dataset, or what differs.

    CSV or TSV, also packed with gzip, zstd or bzip2; several files, or a pattern in quotes, make one commit.
    A file that is wrong anywhere is refused, with its line and column, and makes no commit.
    """
    from tidemill.cli.render.data import importing as render  # noqa: PLC0415
    from tidemill.loop.datasets import importing as loop  # noqa: PLC0415

    folded, read_as = assignments("--tensor", tensors), assignments("--type", types)
    with state.watch() as sink:
        imported = loop.import_data(
            state.workspace(make=True),
            name,
            *files,
            branch=branch,
            message=message,
            tensors=folded,
            types=read_as,
            key=key,
            label=label,
            sink=sink,
        )
    state.show(imported, render.imported)
