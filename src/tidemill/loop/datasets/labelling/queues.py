"""Queues: making one, finding it again, changing what may be changed, closing it."""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from tidemill.core.events import Note, Sink, silent
from tidemill.core.figures import counted
from tidemill.core.names import Digest, check_name, did_you_mean, listed
from tidemill.loop.datasets.labelling import classes as labels
from tidemill.loop.datasets.labelling.selection import Rows, Selection, Unsureness, select
from tidemill.loop.datasets.labelling.views import ClosedView
from tidemill.loop.datasets.references import open_reference
from tidemill.loop.guard import refuse_unreviewed
from tidemill.loop.lookup import find_model
from tidemill.loop.workspace import Workspace
from tidemill.pipeline import model as models

if TYPE_CHECKING:
    from tidemill.data import Dataset, Snapshot
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.table import Table


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a queue. None is: as it is, or what is usual.

    Attributes:
        column: The column that gets the labels.
        rows: Which rows; without a condition the unlabelled ones, else all that it holds for.
        where: A condition in SQL.
        by: What unsure means.
        limit: Only the first so many rows.
        model: ``name`` or ``name@version``: its answers are suggestions.
        labels: How many people label each row.
        branch: Where the commits go; ``labels-NAME``.
        referee: Who decides where they differ. May be changed later.
        classes: The labels that may be given. More may be added later.
    """

    column: str | None = None
    rows: Rows | None = None
    where: str | None = None
    by: Unsureness | None = None
    limit: int | None = None
    model: str | None = None
    labels: int | None = None
    branch: str | None = None
    referee: str | None = None
    classes: Sequence[str] = ()


def open_queue(
    ws: Workspace, ref: str, wish: Wish | None = None, *, name: str | None = None, sink: Sink = silent
) -> "records.LabelQueue":
    """The open queue of this name, made of the rows of ``ref`` where there is none yet.

    Args:
        ws: The project.
        ref: The dataset, or a branch or commit of it (``fashion@corrections``).
        wish: What it shall be. A queue that is there takes a new referee and more classes, nothing else.
        name: The queue's name; the dataset's if None.
        sink: Gets ``Progress`` and ``Note``.

    Raises:
        InvalidInput: ``queue-needs-column``, ``not-a-label``, ``classes-unknown``, ``nothing-to-label``,
            ``needs-model``, ``invalid-where``.
        NotAllowed: ``review-needed``, when the branch for the labels takes changes by review only.
        Conflict: ``queue-differs``, when the queue that is there is another than the wished one.
    """
    wish = wish or Wish()
    dataset, at = open_reference(ws, ref)
    name = check_name("queue", name or dataset.name)
    with ws.store.catalog.read() as read:
        there = _open_one(read, name)
    if there is None:
        _make(ws, dataset, at, name, wish, sink)
    else:
        _check_same(there, dataset.name, wish)
    return _changed(ws, name, wish)


def find_queue(ws: Workspace, name: str) -> "records.LabelQueue":
    """The newest queue of this name, open or closed.

    Raises:
        NotFound: ``queue-not-found``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        found = read.first(records.LabelQueue, {"name": name}, order=("-opened_at",))
        names = {q.name for q in read.find(records.LabelQueue)} if found is None else set[str]()
    if found is None:
        raise NotFound(
            f"There is no labelling queue '{name}'.",
            hint=did_you_mean(
                name, names, f"Type 'tidemill label {name}' to make one of the rows of a dataset."
            ),
            code=codes.QUEUE_NOT_FOUND,
        )
    return found


def queues(ws: Workspace) -> "list[records.LabelQueue]":
    """Every queue, newest first."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        return read.find(records.LabelQueue, order=("-opened_at", "id"))


def content(ws: Workspace, queue: "records.LabelQueue") -> "Table":
    """The rows of a queue, in order: ``_id``, ``given``, ``suggestion``, ``confidence``."""
    from tidemill.store import table  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    if not ws.store.blobs.exists(Digest(queue.content)):
        # Rows of it were forgotten meanwhile; the list is another since.
        with ws.store.catalog.read() as read:
            queue = read.first(records.LabelQueue, {"id": queue.id}) or queue
    return table.read(ws.store.blobs.path(Digest(queue.content)))


def check_open(queue: "records.LabelQueue | None") -> "records.LabelQueue":
    """The queue, if it is open.

    Raises:
        NotAllowed: ``queue-closed``.
    """
    if queue is None or queue.closed_at is not None:
        raise NotAllowed(
            f"Queue '{queue.name if queue else ''}' is closed.",
            hint=f"Type 'tidemill label {queue.dataset if queue else 'NAME'}' to make a new one.",
            code=codes.QUEUE_CLOSED,
        )
    return queue


def close_queue(ws: Workspace, name: str, *, discard: bool = False) -> ClosedView:
    """End a queue: nobody gets a row of it any more, and its name is free. What it says of labels is kept.

    Args:
        ws: The project.
        name: The queue.
        discard: Also where labels are in no commit yet.

    Raises:
        NotFound: ``queue-not-found``.
        NotAllowed: ``queue-closed``, ``labels-not-committed``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    queue = check_open(find_queue(ws, name))
    with ws.store.catalog.write() as write:
        rows = write.find(records.LabelRow, {"queue": queue.id, "state": "decided"})
        lost = sum(r.commit is None for r in rows)
        if lost and not discard:
            raise NotAllowed(
                f"{lost} labels of queue '{name}' are in no commit yet.",
                hint=f"Type 'tidemill label commit {name}', or close it with --discard.",
                code=codes.LABELS_NOT_COMMITTED,
            )
        write.remove(records.LabelTurn, {"queue": queue.id, "state": "leased"})
        write.change(records.LabelQueue, {"id": queue.id}, closed_at=stamp(now()))
    return ClosedView(queue.name, queue.dataset, len(rows), lost)


def _open_one(read: "Transaction", name: str) -> "records.LabelQueue | None":
    from tidemill.store.catalog import records  # noqa: PLC0415

    return read.first(records.LabelQueue, {"name": name, "closed_at": None})


def _make(ws: Workspace, dataset: "Dataset", at: str | None, name: str, wish: Wish, sink: Sink) -> None:
    """Choose the rows and record the queue; whoever was first to make it has made it."""
    from tidemill.loop.quiet import naming  # noqa: PLC0415
    from tidemill.store import table  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    snapshot = dataset.snapshot(at)
    column = wish.column or _only_column(dataset, snapshot)
    snapshot.read([column], ids=())
    labels.check_column(snapshot.schema, column, wish.classes)
    selection = Selection(
        wish.rows or ("all" if wish.where else "unlabelled"), wish.where, wish.by or "margin", wish.limit
    )
    model = find_model(ws, wish.model) if wish.model else None
    rows, known, refused = select(ws, snapshot, column, selection, model, sink=sink)
    if not len(rows):
        raise _nothing(dataset.name, column, selection)
    if refused:
        sink(Note(f"The model refused {counted(refused, 'row; it has', 'rows; they have')} no suggestion."))
    classes = _classes(snapshot, column, known, wish)
    branch = wish.branch or f"labels-{name}"
    refuse_unreviewed(ws.settings, dataset.name, branch)
    if branch not in dataset.branches():
        check_name("branch", branch)
    with tempfile.TemporaryDirectory() as folder, naming(ws):
        table.write(rows, Path(folder) / "rows")
        digest = ws.store.blobs.put_file(Path(folder) / "rows")
        queue = records.LabelQueue(
            id=new_id(),
            name=name,
            dataset=dataset.name,
            commit=snapshot.commit.id,
            source=(at or "main") if (at or "main") in dataset.branches() else None,
            branch=branch,
            column=column,
            classes=classes,
            selection=selection.to_json(),
            model=f"{model.name}@{model.version}" if model else None,
            content=digest,
            size=len(rows),
            labels=wish.labels or 1,
            referee=None,
            author=ws.project.author,
            opened_at=stamp(now()),
        )
        with ws.store.catalog.write() as write:
            if _open_one(write, name) is None:
                write.add(queue)


def _changed(ws: Workspace, name: str, wish: Wish) -> "records.LabelQueue":
    """The queue after what may be changed was: its referee, and classes that come."""
    with ws.store.catalog.write() as write:
        queue = check_open(_open_one(write, name))
        changed = dataclasses.replace(
            queue,
            referee=wish.referee or queue.referee,
            classes=[*queue.classes, *(c for c in dict.fromkeys(wish.classes) if c not in queue.classes)],
        )
        if changed.classes != queue.classes:
            schema = ws.datasets.open(queue.dataset).snapshot(queue.commit).schema
            labels.check_column(schema, queue.column, changed.classes)
        if changed != queue:
            write.put(changed)
    return changed


def _check_same(queue: "records.LabelQueue", dataset: str, wish: Wish) -> None:
    had: dict[str, Any] = {
        "dataset": queue.dataset,
        "column": queue.column,
        "model": queue.model,
        "labels": queue.labels,
        "branch": queue.branch,
        **queue.selection,
    }
    wanted = {"dataset": dataset, **{n: getattr(wish, n) for n in had if n != "dataset"}}
    apart = [n for n, v in wanted.items() if v is not None and v != had[n]]
    if queue.model and wish.model:
        own, asked = models.model(queue.model), models.model(wish.model)
        # A model without its version is whichever the queue has of that name; earlier queues say 'name/version'.
        if asked in (own, dataclasses.replace(own, version=None)):
            apart = [n for n in apart if n != "model"]
    if apart:
        raise Conflict(
            f"There is a queue '{queue.name}' already, whose {apart[0]} is {had[apart[0]]}, "
            f"not {wanted[apart[0]]}.",
            why="A queue keeps the rows that it was made of; only its referee changes, and classes come.",
            hint=f"Leave the option out to go on with it, name another with --queue, "
            f"or end it: 'tidemill label close {queue.name}'.",
            code=codes.QUEUE_DIFFERS,
        )


def _only_column(dataset: "Dataset", snapshot: "Snapshot") -> str:
    """The one column that could be a label."""
    import pyarrow as pa  # noqa: PLC0415

    fit = [
        n
        for n in snapshot.columns
        if n not in (dataset.key or ())
        and (pa.types.is_string(kind := snapshot.schema.field(n).type) or pa.types.is_integer(kind))
    ]
    if len(fit) == 1:
        return fit[0]
    raise InvalidInput(
        f"Which column of dataset '{dataset.name}' gets the labels?",
        why=f"There are {listed(fit, 10)}." if fit else "None of its columns is text or a whole number.",
        hint=f"Type 'tidemill label {dataset.name} --column {fit[0] if fit else 'NAME'}'.",
        code=codes.QUEUE_NEEDS_COLUMN,
    )


def _classes(snapshot: "Snapshot", column: str, known: list[str], wish: Wish) -> list[str]:
    """The classes that were wished, else those of the model and of the labels that are there."""
    found = list(dict.fromkeys(wish.classes))
    if not found:
        present = {t for t in labels.texts(snapshot.read([column]), column) if t is not None}
        new = present - set(known) if len(present) <= labels.MOST else set[str]()
        found = [*known, *labels.ordered(new)]
    if not found:
        raise InvalidInput(
            f"Which labels may column '{column}' get?",
            why="It has no label yet, or too many different ones to be classes, and no model tells them.",
            hint="Name each with --class, such as --class cat --class dog.",
            code=codes.CLASSES_UNKNOWN,
        )
    labels.check_column(snapshot.schema, column, found)
    return found


def _nothing(dataset: str, column: str, selection: Selection) -> InvalidInput:
    unlabelled = selection.rows == "unlabelled" and selection.where is None
    return InvalidInput(
        f"Every row of dataset '{dataset}' has a label in column '{column}'."
        if unlabelled
        else f"No row of dataset '{dataset}' is such a row.",
        hint="Choose others: --rows contradicted --model NAME for labels that a model finds wrong, "
        '--rows unsure --model NAME, or --where "CONDITION".'
        if unlabelled
        else "Choose others with --rows or --where.",
        code=codes.NOTHING_TO_LABEL,
    )
