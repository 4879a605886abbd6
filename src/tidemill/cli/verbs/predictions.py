"""Commands that use a served model: predict, feedback."""

import click

from tidemill.cli.command import State, at_least, command, pass_state
from tidemill.cli.parameters import assignments, labels_from, rows_from


@command("predict", example="tidemill predict prod rows.json --limit 10")
@click.argument("environment")
@click.argument("file")
@click.option("--limit", type=at_least(1), metavar="N", help="Only the first N rows.")
@click.option(
    "--tensor",
    "tensors",
    multiple=True,
    metavar="COLUMN=PREFIX*:SHAPE",
    help="Fold numbered columns of a CSV file into one: image=pixel*:28x28 makes 'image' of pixel1 to pixel784. What the training data folded, folds by itself.",
)
@pass_state
def predict(state: State, environment: str, file: str, limit: int | None, tensors: tuple[str, ...]) -> None:
    """Ask an environment for its answers to the rows of FILE.

    FILE is .csv, or JSON: a list of objects, {"rows": [...]}, or one object a line; '-' is JSON on standard input.
    Columns that the model does not take are left out.
    """
    rows = rows_from(file, assignments("--tensor", tensors), limit)
    from tidemill.cli.render import predictions as render  # noqa: PLC0415
    from tidemill.loop import predict as loop  # noqa: PLC0415

    with state.watch() as sink:
        predicted = loop.predict(state.workspace(), environment, rows, limit, sink=sink)
    state.show(predicted, render.predicted)


@command("feedback", example="tidemill feedback prod labels.csv --collect fashion")
@click.argument("environment")
@click.argument("file", required=False)
@click.option("--prediction", metavar="ID", help="One prediction, instead of a FILE of them.")
@click.option("--label", metavar="LABEL", help="What that prediction should have been.")
@click.option(
    "--collect", metavar="DATASET", help="Then make rows of all feedback, on a branch of this dataset."
)
@click.option("--branch", default="feedback", show_default=True, metavar="NAME", help="That branch.")
@click.option(
    "--new-class", "new_classes", is_flag=True, help="Labels may be classes that the model does not know yet."
)
@pass_state
def feedback(
    state: State,
    environment: str,
    file: str | None,
    prediction: str | None,
    label: str | None,
    collect: str | None,
    branch: str,
    new_classes: bool,  # noqa: FBT001 - click gives it by name
) -> None:
    """Tell an environment what its predictions should have been.

    FILE is CSV with the columns 'prediction' and 'label'; '-' is standard input.
    """
    items = labels_from(file, prediction, label)
    if not items and collect is None:
        raise click.UsageError("Give a FILE, or --prediction with --label, or --collect.")
    from tidemill.cli.render import predictions as render  # noqa: PLC0415
    from tidemill.loop import feedback as loop  # noqa: PLC0415

    workspace = state.workspace()
    sent = collected = None
    if items is not None:
        with state.watch() as sink:
            sent = loop.send_feedback(workspace, environment, items, new_classes=new_classes, sink=sink)
    if collect is not None:
        collected = loop.collect_feedback(workspace, environment, collect, branch)
    state.show(
        {
            "environment": environment,
            "accepted": sent.accepted if sent else 0,
            "refused": sent.refused if sent else [],
            "note": sent.note if sent else "",
            "collected": collected,
        },
        render.feedback,
    )
