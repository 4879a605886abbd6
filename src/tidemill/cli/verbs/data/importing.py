"""The way in."""

import click

from tidemill.cli.command import State, command, pass_state
from tidemill.cli.parameters import assignments
from tidemill.cli.verbs.data.options import branch_option, message_option


@command(
    "import", example="tidemill data import fashion fashion.csv --tensor image=pixel*:28x28 --label label"
)
@click.argument("name")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--sql", metavar="QUERY", help="Import what a query gives, instead of files.")
@click.option(
    "--from",
    "address",
    metavar="ADDRESS",
    help="The query's database: sqlite:///file.db, 'postgresql://ada:${PASSWORD}@host/sales'.",
)
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
    help="Read a column as this type instead of the found one: price=float64, day=date, zip=string.",
)
@click.option(
    "--key",
    multiple=True,
    metavar="COLUMN",
    help="A column that names a row, so that a row with new values is a change; may be given several times.",
)
@click.option("--resize", metavar="HEIGHTxWIDTH", help="Bring images to one size, such as 28x28.")
@click.option(
    "--sheet", metavar="NAME", help="A sheet of an Excel workbook. Default: the only one with a cell in it."
)
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    help="What separates the cells of a CSV or TSV file: ';', '|' or tab. Default: found in its first lines.",
)
@click.option(
    "--missing",
    multiple=True,
    metavar="[COLUMN=]WORD",
    help="A word that means a missing cell in a CSV or TSV file, such as NA. Default: the empty cell alone.",
)
@click.option("--sync", is_flag=True, help="Also remove the rows that the data does not have.")
@click.option(
    "--allow-schema-change",
    is_flag=True,
    help="Let the dataset's columns come, go and change their type, where the data has it so.",
)
@click.option("--dry-run", is_flag=True, help="Show types and counts, and make no commit.")
@click.option("--label", metavar="COLUMN", help="Refuse the file unless it has this column.")
@branch_option("Where the commit goes.")
@message_option("What the commit is for.")
@click.option(
    "--quarantine",
    is_flag=True,
    help="Put the rows that the branch's checks say no to on a branch 'quarantine-N', and commit the others.",
)
@pass_state
def import_(
    state: State,
    name: str,
    files: tuple[str, ...],
    *,
    sql: str | None,
    address: str | None,
    tensors: tuple[str, ...],
    types: tuple[str, ...],
    key: tuple[str, ...],
    resize: str | None,
    sheet: str | None,
    delimiter: str | None,
    missing: tuple[str, ...],
    sync: bool,
    allow_schema_change: bool,
    dry_run: bool,
    label: str | None,
    branch: str | None,
    message: str | None,
    quarantine: bool,
) -> None:
    """Import files, images or a query's rows: commit 1 of a new dataset, or what differs.

    Files are CSV, TSV, JSON lines, Parquet, Arrow or Excel (.xlsx), also packed (gzip, zstd, bzip2); several, or a
    pattern in quotes, make one commit. A folder holds images: the class is the folder, or labels.csv in it says it. What is
    wrong anywhere is refused, with its line and column, and makes no commit.
    """
    from tidemill.cli.render.data import importing as render  # noqa: PLC0415
    from tidemill.loop.datasets import importing as loop  # noqa: PLC0415

    folded, read_as = assignments("--tensor", tensors), assignments("--type", types)
    with state.watch() as sink:
        imported = loop.import_data(
            state.workspace(make=True),
            name,
            *files,
            sql=sql,
            address=address,
            branch=branch,
            message=message,
            tensors=folded,
            types=read_as,
            key=key,
            label=label,
            resize=resize,
            sheet=sheet,
            delimiter=delimiter,
            missing=missing,
            sync=sync,
            allow_schema_change=allow_schema_change,
            dry_run=dry_run,
            quarantine=quarantine,
            sink=sink,
        )
    state.show(imported, render.imported)
