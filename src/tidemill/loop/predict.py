"""Predictions: ask an environment for its answers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.clock import new_id
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.events import Progress, Sink, silent
from tidemill.loop import deploy
from tidemill.loop.cells import Fold, by_signature, folded
from tidemill.loop.views import Predicted
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

    address, own = deploy.address_of(ws, environment), deploy.own_access(ws, environment)
    return Client(address, token=own.token, certificate=own.certificate)


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
        rows: Each with the model's inputs by name; tensors as nested lists; a ``Text`` is read as the signature
            says; a tensor that is lacking is folded of numbered columns as its dataset remembers. The columns that name a row are sent where they are there, so that feedback finds it. What the
            model does not take (a label, say) is left out.
        limit: Only the first so many.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: ``no-rows``, ``invalid-rows``, ``missing-column``, or what the server says of a row.
        Interrupted: ``not-serving``.
    """
    asked = list(rows if limit is None else rows[:limit])
    if not asked:
        raise InvalidInput("There are no rows to predict.", hint="Give at least one.", code=codes.NO_ROWS)
    found: list[dict[str, Any]] = []
    number, running = 0, deploy.status(ws, environment)
    name = running.name if running else ""
    with client(ws, environment) as served:
        model = served.model(name)
        tensors = [*model["inputs"], *model.get("identity", [])]
        lacking = [
            t for t in model["inputs"] if len(t["shape"]) > 1 and any(t["name"] not in row for row in asked)
        ]
        folds = _remembered(ws, running.release) if lacking and running else {}
        # All are read before any is asked: a row that cannot be asked leaves no half of them answered.
        asked = [
            by_signature(folded(row, lacking, folds, at), tensors, at) for at, row in enumerate(asked, 1)
        ]
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            for answer in served.predict(batch):
                number = answer.number
                found.append({"prediction": answer.prediction, **_best(answer.values)})
            sink(Progress("predicting", len(found), len(asked), "rows"))
    return Predicted(environment, name, number, len(found), found)


def _remembered(ws: Workspace, release: str) -> dict[str, Fold]:
    """How numbered columns fold in the datasets that a release was trained on: as their imports were told."""
    from tidemill.data.sources.layout import tensors_of  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        made = read.first(records.Release, {"digest": release})
        run = read.first(records.Run, {"id": made.run}) if made else None
    found: dict[str, Fold] = {}
    for reference, commit in (run.inputs if run else {}).items():
        try:
            schema = ws.datasets.open(reference.partition("@")[0]).snapshot(commit).schema
        except TidemillError:
            # Removed since, or not in this copy of the project.
            continue
        found |= {name: (tensor.prefix, tensor.shape) for name, tensor in tensors_of(schema).items()}
    return found


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


def _best(values: Mapping[str, Any]) -> dict[str, Any]:
    probabilities = values.get("probabilities")
    if isinstance(probabilities, dict):
        return {"label": values["label"], "probability": probabilities[values["label"]]}
    return dict(values)
