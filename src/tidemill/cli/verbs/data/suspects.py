"""``tidemill data suspects``: labels that are probably wrong."""

from pathlib import Path

import click

from tidemill.cli.command import OutputFile, State, at_least, command, pass_state


@command("suspects", example="tidemill data suspects fashion@main --label label --limit 200")
@click.argument("ref")
@click.option(
    "--label", default="label", show_default=True, metavar="COLUMN", help="The column that is doubted."
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="COLUMN",
    help="Judge by this column; may be given several times. Without it: all but the label and the key.",
)
@click.option(
    "--limit",
    type=at_least(1),
    metavar="N",
    help="Suspects at most. Without it: as many as confident learning counts, up to 1,000.",
)
@click.option("--folds", type=at_least(2), default=5, show_default=True, help="How many models are trained.")
@click.option(
    "--trainer",
    metavar="FILE.py:NAME",
    help="Judge with this model: a scikit-learn classifier, a compiled Keras model, or a function from features "
    "and labels to a trained model. Without it: trees and small networks of scikit-learn.",
)
@click.option("--branch", metavar="NAME", help="What the review's branch is called.")
@click.option("--csv", type=OutputFile(), metavar="FILE", help="Also write the suspects as CSV.")
@pass_state
def suspects(
    state: State,
    ref: str,
    label: str,
    columns: tuple[str, ...],
    limit: int | None,
    folds: int,
    trainer: str | None,
    branch: str | None,
    csv: Path | None,
) -> None:
    """Find labels that are probably wrong, and open a review of what they should be.

    Each row is judged by a model that was trained without it. On the review's branch the suspects have the labels
    that fit better; merging it corrects them.
    """
    from tidemill.cli.render.data import suspects as render  # noqa: PLC0415
    from tidemill.loop.datasets import suspects as loop  # noqa: PLC0415

    with state.watch() as sink:
        found = loop.suspects(
            state.workspace(),
            ref,
            label,
            columns=columns,
            limit=limit,
            folds=folds,
            trainer=trainer,
            branch=branch,
            csv=csv,
            sink=sink,
        )
    state.show(found, render.suspects)
