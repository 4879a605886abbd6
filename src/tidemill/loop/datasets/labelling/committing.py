"""Labels that stand become commits on the queue's branch: one a person, so that blame names who labelled."""

from collections import defaultdict
from typing import TYPE_CHECKING

from tidemill.loop.datasets.labelling import classes as labels
from tidemill.loop.datasets.labelling.progress import progress
from tidemill.loop.datasets.labelling.queues import check_open, content, find_queue
from tidemill.loop.datasets.labelling.selection import GIVEN
from tidemill.loop.datasets.labelling.views import CommittedView, LabelCommitView
from tidemill.loop.guard import refuse_unreviewed
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Snapshot
    from tidemill.store.catalog import records


def commit_labels(ws: Workspace, name: str, message: str | None = None) -> CommittedView:
    """Commit the labels of a queue that stand and are in no commit yet.

    The branch is made where it is not there, at the commit that the rows were chosen from. A row that left the
    dataset meanwhile is left out; its label stays in the queue. A row that got another label there meanwhile is
    told, and meets it in the merge. Typed again, or after it was killed, this goes on where it was.

    Args:
        ws: The project.
        name: The queue.
        message: What the commits are for.

    Raises:
        NotFound: ``queue-not-found``.
        NotAllowed: ``queue-closed``, ``review-needed``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    queue = check_open(find_queue(ws, name))
    refuse_unreviewed(ws.settings, queue.dataset, queue.branch)
    with ws.store.locks.hold(f"labels-{queue.id}"):
        with ws.store.catalog.read() as read:
            stand = read.find(
                records.LabelRow,
                {"queue": queue.id, "state": "decided", "commit": None},
                order=("position",),
            )
        dataset = ws.datasets.open(queue.dataset)
        if stand and queue.branch not in dataset.branches():
            dataset.branch(queue.branch, queue.commit)
        there = _labels_now(dataset.snapshot(queue.source or queue.commit), queue, stand)
        present, removed = [r for r in stand if r.row in there], [r.row for r in stand if r.row not in there]
        by_author: dict[str, list[records.LabelRow]] = defaultdict(list)
        for row in present:
            by_author[str(row.decided_by)].append(row)
        made: list[LabelCommitView] = []
        for author, rows in sorted(by_author.items()):
            commit, gone = _commit(ws, queue, author, rows, message)
            made.append(commit)
            removed += gone
    view = progress(ws, queue)
    return CommittedView(
        queue=queue.name,
        dataset=queue.dataset,
        branch=queue.branch,
        commits=made,
        removed=sorted(removed, key=int),
        changed=_changed(ws, queue, present, there),
        left=view.left,
        disputed=view.disputed,
    )


def _commit(
    ws: Workspace,
    queue: "records.LabelQueue",
    author: str,
    rows: "list[records.LabelRow]",
    message: str | None,
) -> tuple[LabelCommitView, list[str]]:
    """One person's labels as a commit, and the rows that the branch does not have."""
    from tidemill.store.catalog import records  # noqa: PLC0415
    from tidemill.store.table import ID  # noqa: PLC0415

    dataset = ws.datasets_as(author).open(queue.dataset)
    wanted = {int(r.row): str(r.label) for r in rows}
    table = dataset.snapshot(queue.branch).read(ids=list(wanted))
    ids: list[int] = table.numpy(ID).tolist()
    kind = table.to_arrow().schema.field(queue.column).type
    labelled = table.with_column(queue.column, labels.cells([wanted[i] for i in ids], kind))
    commit, _ = dataset.commit(
        labelled,
        branch=queue.branch,
        message=message or f"Labels of {author} from queue {queue.name}",
    )
    found = {str(i) for i in ids}
    with ws.store.catalog.write() as write:
        for row in rows:
            if row.row in found:
                # A label that was taken back meanwhile is not this one any more: it will be committed later.
                where = {"queue": queue.id, "position": row.position, "state": "decided", "label": row.label}
                write.change(records.LabelRow, where, commit=commit.id)
    view = LabelCommitView(author, commit.id, commit.number, len(found))
    return view, [r.row for r in rows if r.row not in found]


def _labels_now(
    snapshot: "Snapshot", queue: "records.LabelQueue", rows: "list[records.LabelRow]"
) -> dict[str, str | None]:
    """The labels that the dataset has for these rows now; a row that is gone is left out."""
    from tidemill.store.table import ID  # noqa: PLC0415

    table = snapshot.read([ID, queue.column], ids=[int(r.row) for r in rows])
    return dict(
        zip(map(str, table.numpy(ID).tolist()), labels.texts(table, queue.column).tolist(), strict=True)
    )


def _changed(
    ws: Workspace,
    queue: "records.LabelQueue",
    rows: "list[records.LabelRow]",
    there: dict[str, str | None],
) -> list[dict[str, str | None]]:
    """The rows whose label in the dataset is neither what it was nor the one given here."""
    given = content(ws, queue).to_arrow().column(GIVEN)
    return [
        {"row": r.row, "label": r.label, "there": there[r.row]}
        for r in rows
        if there[r.row] not in (given[r.position - 1].as_py(), r.label)
    ]
