"""Commands about the project itself: init, demo, doctor, gc."""

from functools import partial
from pathlib import Path

import click

from tidemill.cli.command import State, command, pass_state
from tidemill.cli.streams import program


@command("init", example="tidemill init my-project")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--name", metavar="NAME", help="Name of the first pipeline; without it, the folder's name.")
@pass_state
def init(state: State, folder: Path | None, name: str | None) -> None:
    """Make a folder a project: settings, a first pipeline, a store.

    What is there already stays as it is.
    """
    from tidemill.cli.render import project as render  # noqa: PLC0415
    from tidemill.loop import workspace  # noqa: PLC0415

    base = state.folder or Path()
    state.show(workspace.init(base / folder if folder else base, name), render.initialised)


@command("demo", example="tidemill demo --data digits --framework sklearn")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("tidemill-demo"))
@click.option(
    "--data",
    type=click.Choice(["fashion", "digits"]),
    default="fashion",
    show_default=True,
    help="70,000 images of clothes (downloaded once), or 1,797 handwritten digits (no download).",
)
@click.option(
    "--framework",
    type=click.Choice(["keras", "sklearn"]),
    help="What the model is made with. Default: keras for fashion, sklearn for digits.",
)
@pass_state
def demo(state: State, folder: Path, data: str, framework: str | None) -> None:
    """Turn the whole loop once on real data, in FOLDER (tidemill-demo).

    Import, train, report, gate, release, promote, predict, feed back, refit, trace. Killed at any moment, it goes
    on where it was when typed again.
    """
    from tidemill.cli.render import project as render  # noqa: PLC0415
    from tidemill.loop import demo as loop  # noqa: PLC0415

    with state.watch() as sink:
        summary = loop.demo((state.folder or Path()) / folder, data=data, framework=framework, sink=sink)
    state.show(summary, partial(render.demo, program=program()))


@command("doctor", example="tidemill doctor")
@click.option(
    "--deep", is_flag=True, help="Read every stored byte through, not only what changed since the last look."
)
@pass_state
def doctor(state: State, *, deep: bool) -> None:
    """Check the installation, the project and its store.

    Exits 1 when a check fails.
    """
    from tidemill.cli.render import project as render  # noqa: PLC0415
    from tidemill.loop import doctor as loop  # noqa: PLC0415

    with state.watch() as sink:
        findings = loop.doctor(state.folder, deep=deep, sink=sink)
    state.show(findings, render.doctor)
    state.exit_unless(all(finding.ok for finding in findings))


@command("gc", example="tidemill gc --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--now", is_flag=True, help="Of a shared store too, remove at once instead of after a day.")
@click.option("--undo", is_flag=True, help="Remove nothing, and keep what a shared store was to lose.")
@click.option(
    "--all", "everything", is_flag=True, help="Also where it is most of what runs and releases once named."
)
@pass_state
def gc(state: State, *, dry_run: bool, now: bool, undo: bool, everything: bool) -> None:
    """Remove what no commit, run or release holds.

    A store in a folder loses it at once. What a shared store is to lose is removed by the first 'gc' after a day,
    unless a run uses it until then.
    """
    from tidemill.cli.render import project as render  # noqa: PLC0415
    from tidemill.loop import gc as loop  # noqa: PLC0415

    if undo:
        if dry_run or now or everything:
            raise click.UsageError("--undo stands alone.")
        state.show({"kept": loop.undo(state.workspace())}, render.undone)
        return
    with state.watch() as sink:
        freed = loop.gc(state.workspace(), dry_run=dry_run, now=now, everything=everything, sink=sink)
    state.show(freed, render.gc)
