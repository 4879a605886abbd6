"""The group ``tidemill data``: where each of its commands is."""

import click

from tidemill.cli.command import Group


@click.group(
    "data",
    cls=Group,
    example="tidemill data import fashion fashion.csv --tensor image=pixel*:28x28",
    sections={
        "Commands": {
            "import": "data.importing:import_",
            "list": "data.reading:list_",
            "log": "data.history:log",
            "show": "data.reading:show",
            "profile": "data.profiling:profile",
            "diff": "data.history:diff",
            "branch": "data.history:branch",
            "merge": "data.merging:merge",
            "tag": "data.history:tag",
            "export": "data.reading:export",
        }
    },
)
def data() -> None:
    """Datasets: tables with a history.

    A reference is 'name', or 'name@' and a branch, a tag, a commit or its number.
    """
