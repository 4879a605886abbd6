"""Suspected label errors of a dataset, opened as a review: a branch on which they have the labels that fit better."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, InvalidInput, NotFound, TidemillError
from tidemill.core.events import Note, Sink, silent
from tidemill.core.names import did_you_mean
from tidemill.core.percent import percent
from tidemill.loop import written
from tidemill.loop.datasets import reviewing
from tidemill.loop.datasets.references import open_reference
from tidemill.loop.datasets.views import SuspectsView, SuspectView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Dataset
    from tidemill.data.snapshot import Snapshot
    from tidemill.evaluation.suspects import Suspects
    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

MOST = 1000
"""Suspects of one review, where no limit is given: what somebody can look at."""
_DESCRIBED = 50


def suspects(
    ws: Workspace,
    ref: str,
    label: str = "label",
    *,
    columns: Sequence[str] = (),
    limit: int | None = None,
    folds: int = 5,
    trainer: str | None = None,
    branch: str | None = None,
    csv: Path | None = None,
    sink: Sink = silent,
) -> SuspectsView:
    """Find rows whose label is probably wrong, and open a review of what they should be.

    Each row is judged by a model that was trained without it and the rest of its fold.

    Args:
        ws: The project.
        ref: Which dataset; a branch of it is what the review is to be merged into, else ``main``.
        label: The column that is doubted.
        columns: What the label is judged by; all others but the key if none.
        limit: How many suspects at most; if None, as many as confident learning counts, up to 1,000.
        folds: How many models are trained, each on all rows but its fold.
        trainer: ``FILE.py:NAME`` of a model to judge with, as ``parts.judges.judge`` takes it.
        branch: What the review's branch is called; after label and commit if None.
        csv: Also write the suspects here.
        sink: Gets ``Progress``.

    Raises:
        NotFound: ``column-not-found``.
        InvalidInput: ``not-a-label``, ``no-features``, ``not-a-trainer``, ``no-rows``, ``invalid-folds``.
        AlreadyExists: ``branch-exists``, when there is a review of the same already.
    """
    from tidemill.evaluation.suspects import suspects as find  # noqa: PLC0415

    if folds < 2:
        raise InvalidInput(
            f"{folds} fold leaves no other rows to train on.",
            hint="Take 2 or more.",
            code=codes.INVALID_FOLDS,
        )
    import numpy as np  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    snapshot = dataset.snapshot(at)
    about = written.shown(ws.store, dataset.name, [snapshot.commit.id])
    branch = branch or f"suspects-{_as_name(label)}-{snapshot.commit.id[:8]}"
    _check_free(dataset, branch)
    rows = _labelled(snapshot, label)
    labels, classes = _labels(rows, label)
    probabilities = _probabilities(
        ws,
        rows,
        labels,
        classes,
        _features(snapshot, label, columns, dataset.key or ()),
        folds,
        trainer,
        sink,
    )
    index = {c: i for i, c in enumerate(classes)}
    given = np.array([index[name] for name in labels])
    found = find(probabilities, given, classes, limit=limit)
    chosen = found.ranked if limit is not None else found.ranked[:MOST]
    ids = rows.numpy("_id")
    listed = [
        SuspectView(
            str(ids[s.row]),
            s.given,
            s.suggested,
            s.given_probability,
            s.suggested_probability,
            s.confident,
            s.reason,
        )
        for s in chosen
    ]
    if csv is not None:
        with written.writing(ws.store, csv, "suspects", [about]) as part:
            _write(part, listed)
    view = SuspectsView(
        dataset=dataset.name,
        commit=snapshot.commit.id,
        label=label,
        rows=len(rows),
        agreeing=found.accuracy,
        estimated=found.estimated,
        suspects=listed,
        review=None,
        branch=None,
        path=str(csv) if csv is not None else None,
    )
    return view if not listed else _reviewed(ws, snapshot, at, branch, view, found)


def _reviewed(
    ws: Workspace,
    snapshot: "Snapshot",
    at: str | None,
    branch: str,
    view: SuspectsView,
    found: "Suspects",
) -> SuspectsView:
    import dataclasses  # noqa: PLC0415

    dataset = ws.datasets.open(view.dataset)
    into = at if at in dataset.branches() else "main"
    assert into is not None
    wanted = {int(s.id): s.suggested for s in view.suspects}
    title = f"{len(wanted):,} suspected errors in {view.label}"
    dataset.branch(branch, view.commit)
    try:
        dataset.commit(_relabelled(snapshot, view.label, wanted), branch=branch, message=title)
    except TidemillError:
        dataset.delete_branch(branch)
        raise
    review = reviewing.open_review(
        ws, view.dataset, branch, into, title=title, description=_description(view, found)
    )
    return dataclasses.replace(view, review=review.review, branch=branch)


def _check_free(dataset: "Dataset", branch: str) -> None:
    """Say before the work, not after it, that the branch is there already."""
    if branch in dataset.branches():
        raise AlreadyExists(
            f"Dataset '{dataset.name}' has a branch '{branch}' already.",
            why="It holds the suspects of an earlier search.",
            hint=f"Look at 'tidemill review list', or name another branch: --branch {branch}-2.",
            code=codes.BRANCH_EXISTS,
        )


def _labelled(snapshot: "Snapshot", label: str) -> "Table":
    rows = snapshot.read()
    if label not in snapshot.columns:
        raise NotFound(
            f"Dataset '{snapshot.dataset}' has no column '{label}'.",
            hint=did_you_mean(label, snapshot.columns),
            code=codes.COLUMN_NOT_FOUND,
        )
    missing = rows.missing(label)
    return rows.filter(~missing) if missing.ndim == 1 and missing.any() else rows


def _labels(rows: "Table", label: str) -> "tuple[Array, list[str]]":
    """Each row's label as text, and the classes."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind: Any = rows.to_arrow().schema.field(label).type
    types = pa.types
    fits = (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_boolean(kind)
        or types.is_integer(kind)
    )
    labels = np.array([str(v) for v in rows.to_arrow().column(label).to_pylist()], object) if fits else None
    classes = [] if labels is None else sorted(set(labels))
    if labels is None or not 2 <= len(classes) <= max(2, len(labels) // 2):
        raise InvalidInput(
            f"Column '{label}' is no label that can be doubted: "
            + (
                "it holds numbers or tensors."
                if labels is None
                else f"it has {len(classes):,} different values."
            ),
            why="Suspects are found among classes: texts, whole numbers or true and false, of two values or more.",
            hint="Name another column with --label.",
            code=codes.NOT_A_LABEL,
        )
    return labels, classes


def _features(snapshot: "Snapshot", label: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
    chosen = list(columns) or [c for c in snapshot.columns if c not in {label, *key}]
    for name in chosen:
        if name == label:
            raise InvalidInput(
                f"'{label}' cannot be judged by itself.",
                hint="Leave it out of --column.",
                code=codes.NO_FEATURES,
            )
    # Says which columns there are, where one of these is not.
    snapshot.read(chosen, ids=[])
    return chosen


def _probabilities(
    ws: Workspace,
    rows: "Table",
    labels: "Array",
    classes: Sequence[str],
    columns: Sequence[str],
    folds: int,
    trainer: str | None,
    sink: Sink,
) -> "Array":
    from tidemill.parts.judges import judge  # noqa: PLC0415
    from tidemill.parts.matrix import matrix  # noqa: PLC0415
    from tidemill.parts.out_of_fold import out_of_fold  # noqa: PLC0415

    features, used = matrix(rows, columns)
    if not used:
        raise InvalidInput(
            "There is no column to judge the labels by.",
            why="Each is empty, of one value, or of texts that are nearly all different.",
            hint="Name columns with --column.",
            code=codes.NO_FEATURES,
        )
    left = [c for c in columns if c not in used]
    if left:
        sink(Note(f"Not used: {', '.join(left)}"))
    if trainer is not None and len(used) == 1:
        # A model of the user's takes a tensor in its own shape.
        features = features.reshape(len(features), *(rows.shape_of(used[0]) or (-1,)))
    fit = judge(_named(trainer), classes, workers=ws.project.workers)
    return out_of_fold(features, labels, rows.numpy("_id"), fit, folds=folds, sink=sink)


def _named(trainer: str | None) -> object:
    """What ``FILE.py:NAME`` names."""
    if trainer is None:
        return None
    from tidemill.pipeline.load import load_module  # noqa: PLC0415

    file, _, name = trainer.rpartition(":")
    if not file or not name:
        raise InvalidInput(
            f"'{trainer}' names no model.",
            why="It takes a file and, after a colon, a name in it.",
            hint="Type --trainer models.py:forest.",
            code=codes.NOT_A_TRAINER,
        )
    module = load_module(Path(file))
    if not hasattr(module, name):
        raise NotFound(
            f"{file} has no '{name}'.",
            hint=did_you_mean(name, vars(module), "Name a model that the file defines."),
            code=codes.COMPONENT_NOT_FOUND,
        )
    return getattr(module, name)


def _relabelled(snapshot: "Snapshot", label: str, wanted: dict[int, str]) -> "Table":
    """The suspects' rows with the labels that are suggested."""
    import pyarrow as pa  # noqa: PLC0415

    rows = snapshot.read(ids=list(wanted))
    kind: Any = rows.to_arrow().schema.field(label).type
    texts = [wanted[i] for i in rows.numpy("_id").tolist()]
    values: list[Any] = texts
    if pa.types.is_boolean(kind):
        values = [t == "True" for t in texts]
    elif pa.types.is_integer(kind):
        values = [int(t) for t in texts]
    return rows.with_column(label, pa.array(values, kind))


def _description(view: SuspectsView, found: "Suspects") -> str:
    """What one who reviews should know, and the first suspects as a table."""
    about = (
        f"Each row of {view.dataset} at {view.commit} was judged by a model that was trained without it; "
        f"{percent(found.accuracy)} of the labels are what their model takes for most probable."
    )
    lines = [
        about,
        f"Confident learning estimates {view.estimated:,} wrong labels among {view.rows:,}.",
        "On this branch the suspects have the suggested label; the most doubtful come first.",
        "",
        f"| _id | {view.label} | suggested | probability of {view.label} | of suggested |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.id} | {s.given} | {s.suggested} | {s.given_probability:.4f} | {s.suggested_probability:.4f} |"
        for s in view.suspects[:_DESCRIBED]
    ]
    hidden = len(view.suspects) - _DESCRIBED
    return "\n".join([*lines, *([f"and {hidden:,} more"] if hidden > 0 else [])])


def _write(path: Path, listed: Sequence[SuspectView]) -> None:
    import csv  # noqa: PLC0415

    names = ("_id", "label", "suggested", "label_probability", "suggested_probability", "confident")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(
            (s.id, s.given, s.suggested, s.given_probability, s.suggested_probability, s.confident)
            for s in listed
        )


def _as_name(text: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text.lower())
    return kept.strip("-_")[:40] or "label"
