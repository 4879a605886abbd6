"""Lineage: from a prediction, a release, a run, a model or a dataset back to the rows behind it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.clock import stamp
from tidemill.core.errors import InvalidInput, NotFound, StorageError, TidemillError
from tidemill.loop import registry
from tidemill.loop.datasets.traces import logs
from tidemill.loop.unreadable import error_of_one
from tidemill.loop.views import Lineage
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.serve.log_pruning import Pruned
    from tidemill.store.catalog import records

Node = dict[str, Any]


def lineage(ws: Workspace, ref: str) -> Lineage:
    """Where a thing comes from.

    Args:
        ws: The project.
        ref: A prediction's id, a release (``fashion/2``), a run's id, ``model:NAME@VERSION``, or a dataset
            (``fashion@main``).

    Returns:
        What is known of it; a node whose bytes cannot be read has ``error``, which says why.

    Raises:
        NotFound: ``nothing-of-that-name``; ``prediction-pruned``, of a prediction that was in a log.
        StorageError: ``log-damaged``, where nothing else has this name and a log cannot be read.
    """
    for find in (_prediction, _run, _model, _release, _dataset):
        nodes = find(ws, ref)
        if nodes:
            return Lineage(ref, nodes)
    pruned = [(place, gone) for place, log in sorted(logs(ws).items()) if (gone := _left(log))]
    _refuse_pruned(ws, ref, pruned)
    raise NotFound(
        f"'{ref}' is no prediction, release, run, model or dataset of this project.",
        why=f"If it was a prediction, it may have left the log of {' or '.join(repr(p) for p, _ in pruned)}."
        if pruned and _may_be_a_clients(ref)
        else None,
        hint="Type 'tidemill runs', 'tidemill release list' or 'tidemill data list' to see what there is.",
        code=codes.NOTHING_OF_THAT_NAME,
    )


def _prediction(ws: Workspace, ref: str) -> list[Node]:
    from tidemill.serve.log_reader import LogReader  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    for place, file in sorted(logs(ws).items()):
        try:
            with LogReader(file) as reader:
                answers = list(reader.predictions([ref]))
        except StorageError as error:
            error_of_one(error)
            continue
        if not answers:
            continue
        found = answers[0]
        with ws.store.catalog.read() as read:
            release = read.first(records.Release, {"digest": found.release})
        outputs = {n: _cell(a) for n, a in found.outputs.items()}
        node: Node = {
            "kind": "prediction",
            "id": ref,
            "text": f"answered {outputs.get('label', outputs.get('value'))} at {found.time}",
            "environment": place,
            "outputs": outputs,
        }
        return [node, *(_of_release(ws, release) if release else [])]
    return []


def _left(log: Path) -> "list[Pruned]":
    from tidemill.serve.log_reader import LogReader  # noqa: PLC0415

    with LogReader(log) as reader:
        return reader.pruned()


def _may_be_a_clients(ref: str) -> bool:
    """Whether it could be a prediction's id that a client chose: it has no form of another thing, nor of our own ids."""
    from tidemill.serve import ids  # noqa: PLC0415

    other = re.fullmatch(r"model:.*|[^@]+@.*|[^/]+/\d+", ref, re.DOTALL)
    return other is None and ids.made_at(ref) is None


def _refuse_pruned(ws: Workspace, ref: str, pruned: "list[tuple[str, list[Pruned]]]") -> None:
    from tidemill.serve import ids  # noqa: PLC0415

    made = ids.made_at(ref)
    if made is None:
        return
    for place, gone in pruned:
        when = next((g for g in gone if g.until >= stamp(made)), None)
        if when is not None:
            raise NotFound(
                f"The prediction '{ref}' is in no log any more: the log of '{place}' was pruned on {when.day}.",
                why=f"It was asked for at {stamp(made)}. Predictions without feedback leave the log by 'keep_days' and "
                "'keep_bytes' of the environment.",
                hint=_keep_longer(ws, place),
                code=codes.PREDICTION_PRUNED,
            )


def _keep_longer(ws: Workspace, place: str) -> str:
    """What to change so that later predictions stay: only what is set lets them go."""
    settings = ws.settings.environments.get(place)
    names = [
        n for n in ("keep_days", "keep_bytes") if settings is not None and getattr(settings, n) is not None
    ]
    if not names:
        return (
            f"Neither 'keep_days' nor 'keep_bytes' of '{place}' is set in tidemill.toml now: later ones stay."
        )
    which = " and ".join(f"'environments.{place}.{name}'" for name in names)
    return f"To keep later ones for longer, raise {which} in tidemill.toml."


def _release(ws: Workspace, ref: str) -> list[Node]:
    from tidemill.loop.releases import find_release  # noqa: PLC0415

    try:
        found = find_release(ws, ref)
    except (NotFound, InvalidInput):
        return []
    return _of_release(ws, found)


def _run(ws: Workspace, ref: str) -> list[Node]:
    from tidemill.loop.lookup import find_run  # noqa: PLC0415

    if not ref[:1].isdigit() or len(ref) < 8:
        return []
    try:
        return _of_run(ws, find_run(ws, ref))
    except TidemillError:
        return []


def _model(ws: Workspace, ref: str) -> list[Node]:
    from tidemill.loop.lookup import find_model, find_run  # noqa: PLC0415

    if not ref.startswith("model:"):
        return []
    try:
        return _of_run(ws, find_run(ws, find_model(ws, ref.removeprefix("model:")).run))
    except (NotFound, InvalidInput):
        return []


def _dataset(ws: Workspace, ref: str) -> list[Node]:
    from tidemill.core.names import Reference  # noqa: PLC0415

    try:
        reference = Reference.parse(ref)
        commits = ws.datasets.open(reference.name).log(reference.at)
    except (NotFound, InvalidInput):
        return []
    except StorageError as error:
        return [{"kind": "dataset", "id": ref, "text": "damaged", "error": error_of_one(error)}]
    return [
        {
            "kind": "commit",
            "id": c.id,
            "text": f"{reference.name}, commit {c.number}: {c.message} ({c.rows} rows, {c.author}, {c.time})",
            "rows": c.rows,
            "number": c.number,
        }
        for c in commits
    ]


def _of_release(ws: Workspace, release: "records.Release") -> list[Node]:
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    wrong: dict[str, Any] = {}
    code: dict[str, str] = {}
    try:
        code = bundle.manifest(ws.store, release)["code"]
    except TidemillError as error:
        wrong = {"error": error_of_one(error)}
    with ws.store.catalog.read() as read:
        run = read.first(records.Run, {"id": release.run})
    nodes: list[Node] = [
        {
            "kind": "release",
            "id": f"{release.name}/{release.number}",
            "text": f"release {release.number} of {release.name}, made by {release.author} at {release.created_at}",
            "digest": release.digest,
            **wrong,
        }
    ]
    if run is not None:
        nodes += _of_run(ws, run)
    nodes += [{"kind": "code", "id": digest, "text": path, "path": path} for path, digest in code.items()]
    return nodes


def _of_run(ws: Workspace, run: "records.Run") -> list[Node]:
    from tidemill.loop.lookup import steps_of  # noqa: PLC0415

    nodes: list[Node] = [
        {
            "kind": "run",
            "id": run.id,
            "text": f"run {run.id} of {run.pipeline} ({run.status}), started by {run.trigger}",
            "parameters": run.parameters,
        }
    ]
    model = registry.model_of(ws, run)
    if model is not None:
        nodes.append(
            {
                "kind": "model",
                "id": f"model:{model['name']}@{model['version']}",
                "text": f"model {model['name']} version {model['version']}",
                "digest": run.outputs["model"],
            }
        )
    for ref, commit in run.inputs.items():
        name = ref.partition("@")[0]
        try:
            found = ws.datasets.open(name).resolve(commit)
            text = f"{name}, commit {found.number}: {found.message} ({found.rows} rows)"
            node: Node = {
                "kind": "commit",
                "id": commit,
                "text": text,
                "rows": found.rows,
                "number": found.number,
            }
        except NotFound:
            node = {"kind": "commit", "id": commit, "text": f"{name}, a commit that is not there any more"}
        except StorageError as error:
            wrong = error_of_one(error)
            node = {"kind": "commit", "id": commit, "text": f"{name}, which is damaged", "error": wrong}
        nodes.append(node)
    nodes += [
        {
            "kind": "rows",
            "id": step.name,
            "text": f"{step.name}: {step.rows_in} rows in, {step.rows_out} out, "
            f"{step.rows_computed or 0} computed in this run",
            "rows_in": step.rows_in,
            "rows_out": step.rows_out,
            "rows_computed": step.rows_computed,
        }
        for step in steps_of(ws, run.id)
        if step.rows_out is not None
    ]
    return nodes


def _cell(array: Any) -> Any:
    return array.tolist() if hasattr(array, "tolist") else array
