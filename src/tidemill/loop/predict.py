"""Predictions and what comes back for them: ask an environment, send labels, make rows of the labels."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.events import Progress, Sink, silent
from tidemill.loop import deploy
from tidemill.loop.views import Collected, FeedbackSent, Predicted, RowCounts
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.serve.http_client import Client

_BATCH = 100


def client(ws: Workspace, environment: str) -> "Client":
    """A client of a served environment.

    Raises:
        NotFound: ``environment-not-found``.
        Interrupted: ``not-serving``.
    """
    from tidemill.serve.http_client import Client  # noqa: PLC0415

    return Client(deploy.address_of(ws, environment))


def predict(
    ws: Workspace,
    environment: str,
    rows: Sequence[Mapping[str, Any]],
    limit: int | None = None,
    *,
    sink: Sink = silent,
) -> Predicted:
    """Ask an environment for its answers to rows of plain values.

    Args:
        ws: The project.
        environment: Which.
        rows: Each with the model's inputs by name; tensors as nested lists. What the model does not take
            (a label, say) is left out.
        limit: Only the first so many.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: ``no-rows``, or what the server says of a row.
        Interrupted: ``not-serving``.
    """
    asked = list(rows if limit is None else rows[:limit])
    if not asked:
        raise InvalidInput("There are no rows to predict.", hint="Give at least one.", code="no-rows")
    found: list[dict[str, Any]] = []
    number, running = 0, deploy.status(ws, environment)
    name = running.name if running else ""
    with client(ws, environment) as served:
        inputs = [t["name"] for t in served.model(name)["inputs"]]
        for start in range(0, len(asked), _BATCH):
            batch = [_only(row, inputs) for row in asked[start : start + _BATCH]]
            for answer in served.predict(batch):
                number = answer.number
                found.append({"prediction": answer.prediction, **_best(answer.values)})
            sink(Progress("predicting", len(found), len(asked), "rows"))
    return Predicted(environment, name, number, len(found), found)


def ask(
    served: "Client",
    model: str,
    columns: "Mapping[str, np.ndarray[Any, Any]]",
    id: str | None = None,  # noqa: A002 - the protocol's own word
    *,
    protocol: bool = True,
) -> list[Any]:
    """The labels (or values) for columns, over the Open Inference Protocol, or over plain ``/predict``."""
    if protocol:
        outputs = served.infer(model, columns, id=id).outputs
        return list(outputs["label"] if "label" in outputs else outputs["value"])
    cells = {name: values.tolist() for name, values in columns.items()}
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    answers = [a.values for a in served.predict(rows, id=id or new_id())]
    return [a["label"] if "label" in a else a["value"] for a in answers]


def send_feedback(
    ws: Workspace, environment: str, items: Sequence[tuple[str, str]], *, sink: Sink = silent
) -> FeedbackSent:
    """Tell an environment what its predictions should have been; durable before it answers.

    Raises:
        NotFound: ``prediction-not-found``; then none of that request's labels is kept.
        Interrupted: ``not-serving``.
    """
    accepted = 0
    with client(ws, environment) as served:
        for start in range(0, len(items), _BATCH):
            accepted += served.feedback(dict(items[start : start + _BATCH]))
            sink(Progress("feedback", min(start + _BATCH, len(items)), len(items), "labels"))
    return FeedbackSent(environment, accepted)


def collect_feedback(ws: Workspace, environment: str, dataset: str, branch: str = "feedback") -> Collected:
    """Make rows of the labels that came back since the last time, as one commit on a branch of a dataset.

    The branch is made where it is not there. A row's ``_prediction`` names the prediction that it corrects.

    Raises:
        NotFound: ``dataset-not-found``; ``nothing-deployed``; ``log-not-found``.
        InvalidInput: ``feedback-does-not-fit``.
    """
    from tidemill.watch import feedback  # noqa: PLC0415

    opened = ws.datasets.open(dataset)
    mark = identity.value(["collected", environment, dataset, branch])
    with ws.store.catalog.read() as read:
        after = int(read.cached([mark]).get(mark, {}).get("sequence", 0))
    corrections = feedback.harvest(ws.store, environment, after=after)
    if branch not in opened.branches():
        opened.branch(branch)
    if not corrections:
        head = opened.resolve(branch)
        return Collected(dataset, branch, head.id, head.number, RowCounts(0, 0, 0))
    rows = feedback.as_rows(corrections, opened.schema, label=_label(ws, environment))
    commit, changes = opened.commit(rows, branch=branch, message=f"feedback from {environment}")
    with ws.store.catalog.write() as write:
        # A crash before this line collects the same labels again, which changes nothing.
        write.remember({mark: {"sequence": corrections[-1].sequence}}, stamp(now()))
    counts = RowCounts(changes.added, changes.changed, changes.removed)
    return Collected(dataset, branch, commit.id, commit.number, counts)


def _label(ws: Workspace, environment: str) -> str:
    """The column that the environment's model answers."""
    from tidemill.engine.artifacts import artifact  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    live = places.current(ws.store, environment)
    if live is None:
        raise NotFound(
            f"No release has entered '{environment}' yet.",
            hint=f"Type 'tidemill promote latest {environment}'.",
            code="nothing-deployed",
        )
    with ws.store.catalog.read() as read:
        release = read.find(records.Release, {"digest": live.release_digest})[0]
        run = read.find(records.Run, {"id": release.run})[0]
    return str(artifact(ws.store, run.outputs["model"]).meta["label"])


def _only(row: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in inputs if name in row}


def _best(values: Mapping[str, Any]) -> dict[str, Any]:
    probabilities = values.get("probabilities")
    if isinstance(probabilities, dict):
        return {"label": values["label"], "probability": probabilities[values["label"]]}
    return dict(values)
