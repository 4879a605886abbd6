"""Commands about runs: run, resume, runs, show, why, report."""

from pathlib import Path

import click

from tidemill.cli.command import OutputFile, State, at_least, command, pass_state
from tidemill.cli.parameters import file_and_name, given


@command("run", example="tidemill run pipeline.py -p epochs=3 -p data=fashion@main")
@click.argument("file", metavar="FILE[:NAME]")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the pipeline, read by its annotation; NAME:=JSON for JSON. May be given several times.",
)
@click.option(
    "--explain", is_flag=True, help="Only say which steps would be computed, and why; nothing is computed."
)
@click.option(
    "--audit",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    metavar="SHARE",
    help="Compute this share of the cached steps again, at least one; fail where a result differs.",
)
@click.option("--on", metavar="EXECUTOR", help="Who computes the steps: local, process, or an installed one.")
@pass_state
def run(
    state: State,
    file: str,
    parameters: tuple[str, ...],
    explain: bool,  # noqa: FBT001 - click's
    audit: float | None,
    on: str | None,
) -> None:
    """Run a pipeline; what did not change is not computed again.

    NAME picks one of several pipelines in FILE. Exits 1 when the run failed; every finished step is kept.
    """
    from tidemill.cli.render import runs as render  # noqa: PLC0415
    from tidemill.cli.render.why import forecast  # noqa: PLC0415
    from tidemill.loop import runs as loop  # noqa: PLC0415

    values = given(parameters)
    path, name = file_and_name(file)
    with state.watch() as sink:
        if explain:
            found = loop.forecast(state.workspace(make=True), path, values, name=name, sink=sink)
            state.show(found, forecast)
            return
        view = loop.run(
            state.workspace(make=True),
            path,
            values,
            name=name,
            executor=on,
            audit=audit or 0.0,
            sink=sink,
        )
    state.show(view, render.run)
    state.complain(view.error)
    state.exit_unless(view.status == "succeeded")


@command("resume", example="tidemill resume latest")
@click.argument("run_id", metavar="[RUN]", default="latest")
@pass_state
def resume(state: State, run_id: str) -> None:
    """Go on with a run that was interrupted or failed: the same parameters and data, and what it finished."""
    from tidemill.cli.render import runs as render  # noqa: PLC0415
    from tidemill.loop import resuming as loop  # noqa: PLC0415

    with state.watch() as sink:
        view = loop.resume(state.workspace(), run_id, sink=sink)
    state.show(view, render.run)
    state.complain(view.error)
    state.exit_unless(view.status == "succeeded")


@command("runs", example="tidemill runs --pipeline fashion --limit 5")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--where",
    metavar="CONDITION",
    help='Only runs that this holds for: metrics, parameters and facts compared with numbers and "texts".',
)
@click.option("--limit", type=at_least(1), default=20, show_default=True, help="Only the newest.")
@pass_state
def runs(state: State, pipeline: str | None, where: str | None, limit: int) -> None:
    """List the runs, newest first.

    A condition compares metrics, parameters, and run, pipeline, status, started, seconds and trigger; metric.NAME,
    param.NAME and input.DATASET (the commit that was read) say which is meant. Comparisons go together with and,
    or, not and brackets.
    """
    from tidemill.cli.render import runs as render  # noqa: PLC0415
    from tidemill.loop import listing as loop  # noqa: PLC0415

    state.show_all(
        loop.runs(state.workspace(), pipeline, limit, where=where), lambda v: render.runs(v, where)
    )


@command("show", example="tidemill show latest")
@click.argument("run", default="latest")
@pass_state
def show(state: State, run: str) -> None:
    """Show a run: its steps, outputs, parameters and verdict.

    RUN is an id, the beginning of one, or 'latest'.
    """
    from tidemill.cli.render import runs as render  # noqa: PLC0415
    from tidemill.loop import runs as loop  # noqa: PLC0415

    view = loop.show_run(state.workspace(), run)
    state.show(view, render.run_in_full)
    state.complain(view.error)


@command("why", example="tidemill why latest train")
@click.argument("run")
@click.argument("step")
@pass_state
def why(state: State, run: str, step: str) -> None:
    """Say why a step was computed, or was not: what changed since the run before.

    Code is shown with its difference, data with the rows that came, changed and went. RUN is an id, the beginning
    of one, or 'latest'.
    """
    from tidemill.cli.render import why as render  # noqa: PLC0415
    from tidemill.loop import why as loop  # noqa: PLC0415

    state.show(loop.why(state.workspace(), run, step), render.why)


@command("report", example="tidemill report latest --output report.html")
@click.argument("run", default="latest")
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    metavar="FILE",
    help="Where to write it; without it, into the project.",
)
@pass_state
def report(state: State, run: str, output: Path | None) -> None:
    """Write a run's report as one HTML page that needs nothing else.

    RUN is an id, the beginning of one, or 'latest'.
    """
    from tidemill.cli.render import runs as render  # noqa: PLC0415
    from tidemill.loop import runs as loop  # noqa: PLC0415

    state.show(loop.report(state.workspace(), run, output), render.report)
