"""Feedback: labels are sent to an environment, and become rows of a dataset. A row keeps its one key."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes, identity
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, InvalidInput, NotFound, TidemillError
from tidemill.core.events import Progress, Sink, silent
from tidemill.core.names import nearest
from tidemill.loop.datasets import reviewing
from tidemill.loop.predict import client
from tidemill.loop.views import Collected, FeedbackSent, LeftOut, RowCounts
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.data import Dataset
    from tidemill.store.table import Table
    from tidemill.watch.feedback import Correction

_BATCH = 100
_MAIN = "main"
_SHOWN = 20


def send_feedback(
    ws: Workspace,
    environment: str,
    items: Sequence[tuple[str, str]],
    *,
    new_classes: bool = False,
    sink: Sink = silent,
) -> FeedbackSent:
    """Tell an environment what its predictions should have been; durable before it answers.

    Args:
        ws: The project.
        environment: Which.
        items: Prediction id and label of each; of several for one prediction the last counts.
        new_classes: Whether a label may be a class that the model does not know yet.
        sink: Gets ``Progress``.

    Raises:
        NotFound: ``prediction-not-found``, when no label was taken and that is why the first was not.
        InvalidInput: ``unknown-class``, ``label-not-a-number``, likewise. What is refused beside labels that are
            taken is in the answer.
        Interrupted: ``not-serving``.
    """
    accepted = 0
    refused: list[LeftOut] = []
    errors: list[TidemillError] = []
    note = ""
    with client(ws, environment) as served:
        for start in range(0, len(items), _BATCH):
            some = items[start : start + _BATCH]
            found = served.send_labels(some, new_classes=new_classes)
            accepted += found.recorded
            note = found.note
            errors += found.refused
            for error in found.refused:
                row = error.details.get("row")
                prediction = some[row][0] if isinstance(row, int) and row < len(some) else ""
                refused.append(LeftOut(prediction, error.code, error.message))
            sink(Progress("feedback", min(start + _BATCH, len(items)), len(items), "labels"))
    if errors and not accepted:
        raise errors[0]
    return FeedbackSent(environment, accepted, refused, note)


def collect_feedback(ws: Workspace, environment: str, dataset: str, branch: str = "feedback") -> Collected:
    """Make rows of the labels that came back since the last time, as one commit on a branch of a dataset.

    The branch is made where it is not there. A row's ``_prediction`` names the prediction that it corrects. Where the
    dataset has a key, a correction is of the row with the key that the request had: its label changes, and nothing
    else does. A correction whose request had another cell than the row waits in a review of the branch
    ``BRANCH-differs``. What cannot be a row is left out, with the reason; the log keeps it.

    Raises:
        NotFound: ``dataset-not-found``; ``nothing-deployed``; ``log-not-found``; ``column-not-found``.
    """
    from tidemill.watch import feedback  # noqa: PLC0415

    opened = ws.datasets.open(dataset)
    mark = identity.value(["collected", environment, dataset, branch])
    with ws.store.catalog.read() as read:
        after = int(read.cached([mark]).get(mark, {}).get("sequence", 0))
    corrections = feedback.harvest(ws.store, environment, after=after)
    if branch not in opened.branches():
        opened.branch(branch)
    head = opened.head(branch)
    if not corrections:
        return Collected(dataset, branch, head.id, head.number, RowCounts(0, 0, 0))
    column = _filled(ws, environment, opened, corrections)
    collected = make_rows(ws, opened, branch, column, corrections, source=environment)
    with ws.store.catalog.write() as write:
        # A crash before this line collects the same labels again, which changes nothing.
        write.remember({mark: {"sequence": corrections[-1].sequence}}, stamp(now()))
    return collected


def make_rows(
    ws: Workspace,
    dataset: "Dataset",
    branch: str,
    column: str,
    corrections: "list[Correction]",
    *,
    source: str,
) -> Collected:
    """Commit corrections to a branch, and open a review of those that do not agree with their rows.

    Done twice, it changes nothing the second time.

    Args:
        ws: The project.
        dataset: Which dataset.
        branch: The branch, which must be there.
        column: The column that the labels fill.
        corrections: In the order in which they came; the last one of a row counts.
        source: Where they come from, for messages.
    """
    made = _Collecting(ws, dataset, branch, column)
    rows, differing = made.rows(corrections)
    head = dataset.head(branch)
    changes = RowCounts(0, 0, 0)
    if len(rows):
        head, done = dataset.commit(rows, branch=branch, message=f"feedback from {source}")
        changes = RowCounts(done.added, done.changed, done.removed)
    review = made.ask(differing, source) if len(differing) else None
    return Collected(
        dataset.name,
        branch,
        head.id,
        head.number,
        changes,
        waiting=len(differing),
        review=review,
        left=made.left,
    )


class _Collecting:
    """Corrections on their way to a branch of a dataset."""

    def __init__(self, ws: Workspace, dataset: "Dataset", branch: str, column: str) -> None:
        self._ws, self._dataset, self._branch, self._column = ws, dataset, branch, column
        self.left: list[LeftOut] = []

    def rows(self, corrections: "list[Correction]") -> "tuple[Table, Table]":
        """The rows to commit, and those that wait for a person."""
        from tidemill.data.columns import conform  # noqa: PLC0415
        from tidemill.store.table import Table  # noqa: PLC0415
        from tidemill.watch import feedback, settling  # noqa: PLC0415

        key = self._dataset.key
        before = self._dataset.head(self._branch)
        if key is not None:
            self._bring_main()
        schema = self._dataset.snapshot(self._branch).schema
        fit = self._fitting(corrections, schema)
        if key is None or not fit:
            none = Table(schema.empty_table())
            return (feedback.as_rows(fit, schema, label=self._column) if fit else none), none
        fit, given = self._keyed(fit, feedback.as_rows(fit, schema, label=self._column), key)
        known = self._known(given, schema)
        gone = self._gone(fit, given, known, before.id)
        keep = ~gone
        fit = [c for c, k in zip(fit, keep, strict=True) if k]
        given = given.filter(keep)
        asked = {name: _asked(fit, name) for name in schema.names}
        found = settling.settle(
            conform(given.to_arrow(), schema), known.to_arrow(), label=self._column, key=key, asked=asked
        )
        return found.rows, found.differing

    def ask(self, rows: "Table", environment: str) -> str:
        """Open a review of rows that are not as they were asked, or add to the one that is open; what it is called."""
        from tidemill.store.catalog import records  # noqa: PLC0415

        source = f"{self._branch}-differs"
        name = self._dataset.name
        with self._ws.store.catalog.read() as read:
            review = read.first(
                records.Review,
                {"dataset": name, "source": source, "target": self._branch, "state": "open"},
            )
        if review is None:
            if source in self._dataset.branches():
                # What an earlier review decided is not asked again.
                self._dataset.delete_branch(source)
            self._dataset.branch(source, self._branch)
        text = f"feedback from {environment} for rows that were asked with other cells"
        self._dataset.commit(rows, branch=source, message=text)
        if review is not None:
            return f"{name}#{review.number}"
        predictions = ", ".join(rows.to_arrow().column("_prediction").to_pylist()[:_SHOWN])
        return reviewing.open_review(
            self._ws,
            name,
            source,
            self._branch,
            f"{len(rows)} corrected rows were asked with other cells than they have",
            f"The row as it is, and as the request had it, with the label that came back. Predictions: {predictions}. "
            "Merge to take the request's cells; close to keep the row's.",
        ).review

    def _bring_main(self) -> None:
        """Rows that came to ``main`` since are known on the branch; where both changed one cell, later, by a person."""
        if self._branch == _MAIN:
            return
        try:
            self._dataset.merge(_MAIN, into=self._branch, message=f"what {_MAIN} has")
        except Conflict as error:
            if error.code != codes.MERGE_CONFLICT:
                raise

    def _fitting(self, corrections: "list[Correction]", schema: "pa.Schema") -> "list[Correction]":
        """Those that are rows of the dataset; one that is none does not hold up the others."""
        from tidemill.watch import feedback  # noqa: PLC0415

        try:
            feedback.as_rows(corrections, schema, label=self._column)
        except InvalidInput as error:
            if error.code != codes.FEEDBACK_DOES_NOT_FIT:
                raise
        else:
            return corrections
        fit: list[Correction] = []
        for correction in corrections:
            try:
                feedback.as_rows([correction], schema, label=self._column)
            except InvalidInput as error:
                self._leave(correction, error.code, error.message)
            else:
                fit.append(correction)
        return fit

    def _keyed(
        self, corrections: "list[Correction]", given: "Table", key: Sequence[str]
    ) -> "tuple[list[Correction], Table]":
        """Those whose request said the whole key, with the ``_id`` that it names."""
        import numpy as np  # noqa: PLC0415

        from tidemill.store.table import ID  # noqa: PLC0415

        lacking = np.zeros(len(given), bool)
        for name in key:
            lacking |= given.missing(name).reshape(len(given), -1).any(axis=1)
        for correction, lacks in zip(corrections, lacking, strict=True):
            if lacks:
                named = ", ".join(f"'{name}'" for name in key)
                self._leave(
                    correction,
                    "no-key",
                    f"Its request did not have {named}, by which dataset '{self._dataset.name}' knows its rows.",
                )
        kept = [c for c, lacks in zip(corrections, lacking, strict=True) if not lacks]
        given = given.filter(~lacking)
        cells = [tuple(row.values()) for row in given.select(list(key)).to_arrow().to_pylist()]
        first: dict[tuple[Any, ...], int] = {}
        for at, row in enumerate(cells):
            first.setdefault(row, at)
        distinct = given.select(list(key)).take(list(first.values()))
        named_by = dict(zip(first, self._dataset.ids_of(distinct).tolist(), strict=True))
        ids = np.array([named_by[row] for row in cells], np.uint64)
        return kept, given.with_column(ID, ids)

    def _known(self, given: "Table", schema: "pa.Schema") -> "Table":
        """The rows of the corrections, as the branch has them; those that only ``main`` has, as they are there."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        from tidemill.data.columns import conform  # noqa: PLC0415
        from tidemill.store.table import ID, Table  # noqa: PLC0415

        ids = np.unique(given.numpy(ID))
        parts: list[pa.Table] = [schema.empty_table()]
        for at in (self._branch, _MAIN):
            rows = self._dataset.snapshot(at).read(ids=ids)
            parts.append(conform(rows.to_arrow(), schema))
            ids = np.setdiff1d(ids, rows.numpy(ID))
        return Table(pa.concat_tables(parts))

    def _gone(
        self, corrections: "list[Correction]", given: "Table", known: "Table", before: str
    ) -> "np.ndarray[Any, Any]":
        """Which are of rows that are not there any more: removed, or forgotten. They do not come back by feedback."""
        import numpy as np  # noqa: PLC0415

        from tidemill.store.table import ID  # noqa: PLC0415

        ids = given.numpy(ID)
        forgotten = self._dataset.is_forgotten(ids)
        once = np.zeros(len(ids), bool)
        absent = ~np.isin(ids, known.numpy(ID)) & ~forgotten
        if absent.any():
            wanted = np.unique(ids[absent])
            for commit in {before, *self._trained_on(corrections)}:
                try:
                    there = wanted[self._dataset.snapshot(commit).has(wanted)]
                except NotFound:
                    # A commit that was collected; what it had cannot be known.
                    continue
                once |= np.isin(ids, there)
        once &= absent
        for correction, lost, removed in zip(corrections, forgotten, once, strict=True):
            if lost:
                self._leave(correction, "row-forgotten", "Its row was forgotten.")
            elif removed:
                self._leave(correction, "row-removed", "Its row was removed from the dataset since.")
        return forgotten | once

    def _trained_on(self, corrections: "list[Correction]") -> list[str]:
        """The commits of the dataset that the releases behind these predictions were made of."""
        from tidemill.store.catalog import records  # noqa: PLC0415

        digests = sorted({c.release for c in corrections})
        with self._ws.store.catalog.read() as read:
            made = read.find(records.Release, {"digest": digests})
            runs = read.find(records.Run, {"id": [r.run for r in made]})
        name = self._dataset.name
        return [c for run in runs for ref, c in run.inputs.items() if ref.partition("@")[0] == name]

    def _leave(self, correction: "Correction", reason: str, message: str) -> None:
        self.left.append(LeftOut(correction.prediction, reason, message))


def _asked(corrections: "list[Correction]", name: str) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.array([name in c.inputs for c in corrections], bool)


def _filled(ws: Workspace, environment: str, dataset: "Dataset", corrections: "list[Correction]") -> str:
    """The column that feedback for the environment's model fills: what it answers, or what that is made from."""
    from tidemill.engine.artifacts import artifact  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import live_of  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    live = live_of(places.seen(ws.store, ws.settings, environment))
    if live is None:
        raise NotFound(
            f"No release has entered '{environment}' yet.",
            hint=f"Type 'tidemill promote latest {environment}'.",
            code=codes.NOTHING_DEPLOYED,
        )
    with ws.store.catalog.read() as read:
        release = read.find(records.Release, {"digest": live.release_digest})[0]
        run = read.find(records.Run, {"id": release.run})[0]
    label = str(artifact(ws.store, run.outputs["model"]).meta["label"])
    if label in dataset.schema.names:
        return label
    targets = list(dict.fromkeys(c.target for c in reversed(corrections) if c.target))
    found = next((target for target in targets if target in dataset.schema.names), None)
    if found is not None:
        return found
    made = (
        f"made from '{targets[0]}'"
        if targets
        else "made by its steps of several columns or of whole rows, of which none is what a correction would change"
    )
    near = nearest(label, dataset.schema.names)
    raise NotFound(
        f"Dataset '{dataset.name}' has no column for labels of '{label}', which the model in '{environment}' answers.",
        why=f"'{label}' is {made}, and this dataset has neither. The labels stay in the log."
        if targets
        else f"It is no column of its data, or it is {made}. The labels stay in the log.",
        hint=(f"Did you mean a dataset with '{label}'? This one has '{near}'. " if near else "")
        + f"Collect into a dataset with a column '{label}', or correct the columns that it is made of by an import.",
        code=codes.COLUMN_NOT_FOUND,
    )
