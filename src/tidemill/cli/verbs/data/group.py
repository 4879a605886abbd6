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
            "suspects": "data.suspects:suspects",
            "diff": "data.history:diff",
            "blame": "data.history:blame",
            "branch": "data.history:branch",
            "switch": "data.history:switch",
            "merge": "data.merging:merge",
            "tag": "data.history:tag",
            "revert": "data.merging:revert",
            "check": "data.checking:check",
            "export": "data.reading:export",
            "push": "data.sharing:push",
            "fetch": "data.sharing:fetch",
            "pull": "data.sharing:pull",
            "clone": "data.sharing:clone",
            "repair": "data.sharing:repair",
            "forget": "data.forgetting:forget",
            "delete": "data.forgetting:delete",
        }
    },
)
def data() -> None:
    """Datasets: tables with a history.

    A reference is 'name', or 'name@' and a branch, a tag, a commit or its number, or a time; 'name@main~2' is
    two commits before.
    """
