"""The program ``tidemill``: the root of the commands, and the one place where it ends.

A command's module is imported when that command is typed, or when all of them are listed.
"""

from pathlib import Path
from typing import Any, NoReturn

import click

from tidemill import __version__
from tidemill.cli import ending, faults, streams
from tidemill.cli.command import Group, State
from tidemill.core import config

_SECTIONS = {
    "Begin": {
        "demo": "project:demo",
        "init": "project:init",
        "doctor": "project:doctor",
    },
    "Data": {
        "data": "data.group:data",
        "review": "review:review",
        "label": "label:label",
    },
    "Pipelines and models": {
        "run": "runs:run",
        "resume": "runs:resume",
        "runs": "runs:runs",
        "show": "runs:show",
        "why": "runs:why",
        "compare": "records:compare",
        "logs": "records:logs",
        "report": "runs:report",
        "reproduce": "replays:reproduce",
        "explain": "replays:explain",
        "models": "models:models",
    },
    "Release and serve": {
        "release": "releases:release",
        "promote": "environments:promote",
        "rollback": "environments:rollback",
        "serve": "environments:serve",
        "stop": "environments:stop",
        "status": "environments:status",
        "token": "tokens:token",
    },
    "Close the loop": {
        "predict": "predictions:predict",
        "feedback": "predictions:feedback",
        "refit": "circle:refit",
        "triggers": "triggers:triggers",
        "lineage": "circle:lineage",
        "gc": "project:gc",
        "store": "store:store",
    },
}
"""Heading in ``tidemill --help`` to name of a command to where it is, in ``tidemill.cli.verbs``."""


class Root(Group):
    """The root group: runs a command, and turns whatever it raises into a text and an exit status."""

    def main(self, args: Any = None, prog_name: str | None = None, **extra: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - it always ends here
        """Run one command line, and exit.

        Raises:
            SystemExit: Always; 0 done, 1 a run or a gate said no, 2 the user's mistake, 70 a bug,
                130 interrupted, 141 the reader of the output went away.
        """
        words = faults.typed(args)
        name = prog_name or "tidemill"
        streams.make_writable()
        self._main_shell_completion(extra, name)
        try:
            with self.make_context(name, list(words)) as context:
                self.invoke(context)
            streams.flush()
        except click.exceptions.Exit as end:
            status = end.exit_code
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - this is where every error is given its words
            status = faults.report(error, words)
        else:
            status = 0
        raise SystemExit(status)


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    del parameter
    if value:
        streams.write(__version__)
        context.exit()


@click.group(cls=Root, sections=_SECTIONS, example="tidemill demo --data digits")
@click.option(
    "-C",
    "--project",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Work on the project in this folder instead of the one around the working directory.",
)
@click.option(
    "--log",
    type=click.Choice(["auto", "lines", "json", "off"]),
    default="auto",
    show_default=True,
    help="How progress appears on standard error: a live view on a terminal and lines elsewhere, "
    "always lines, one JSON object a line, or not at all.",
)
@click.option(
    "--verify",
    type=click.Choice(["never", "first", "always"]),
    help="When what is read from the store is held against its SHA-256: never, once on this machine and again when "
    "it changed, or once in each process. Without it, as the setting 'verify' says.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(context: click.Context, project: Path | None, log: str, verify: str | None, *, debug: bool) -> None:
    """The whole AI delivery loop on one store: data, pipelines, models, releases, serving, feedback."""
    state = context.ensure_object(State)
    state.folder, state.log, state.debug = project, log, debug
    if verify is not None:
        config.choose_verify(verify)


def run() -> NoReturn:
    """The process ``tidemill``: one command line, and the end of the process."""
    streams.open_closed()
    status = 1
    try:
        main(prog_name="tidemill")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    ending.leave(status)
