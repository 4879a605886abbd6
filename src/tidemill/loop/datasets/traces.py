"""What was made of rows that are forgotten: what can be computed again is removed, what cannot is named.

Tables with an ``_id`` are looked into, chunk by chunk. Of what a run made without ids (arrays, values, reports,
logs), all is removed where the run read a commit that had the rows; a registered model and a release stay, since
people rely on them, and are listed. Predictions that such rows came from leave the logs of their environments.
"""

import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.names import Digest
from tidemill.loop.datasets.asked import Sought, Which
from tidemill.loop.datasets.named import commits_of
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Matches, Tombstone
    from tidemill.models.signature import Signature
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction

_LOG = ".predictions.db"
ASIDE = "aside"
"""Of an error's details: where the model is that could not be stored. The folder's name too."""


def trained_on(read: "Transaction", name: str, commits: Collection[str]) -> list[str]:
    """The models and releases whose run read one of these commits: ``model:NAME@VERSION``, ``NAME/NUMBER``."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = {run.id for run in _runs_on(read, name, commits)}
    models = [
        f"model:{m.name}@{m.version}"
        for m in read.find(records.Model, order=("name", "version"))
        if m.run in runs
    ]
    releases = [
        f"{r.name}/{r.number}" for r in read.find(records.Release, order=("name", "number")) if r.run in runs
    ]
    return [*models, *releases]


def commented(read: "Transaction", name: str, ids: Collection[int]) -> list[str]:
    """The reviews with a comment about one of these rows, as ``NAME#NUMBER``."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    rows = {str(i) for i in ids}
    found = {c.review for c in read.find(records.Comment, {"dataset": name}) if c.row in rows}
    return [f"{name}#{number}" for number in sorted(found)]


def logged(
    ws: Workspace, read: "Transaction", name: str, found: "Matches", sought: Sought
) -> dict[str, list[str]]:
    """The predictions about rows of a dataset in the logs of environments on this machine: ids, by environment.

    A key names rows of the dataset that a release was made of; of a release that is not known, of any.
    """
    from tidemill.serve import log_removal  # noqa: PLC0415
    from tidemill.serve.log_reader import LogReader  # noqa: PLC0415

    of_dataset = is_made_of(read, name)

    def among(digest: str, signature: "Signature") -> Which:
        return sought.among(signature, by_key=of_dataset(digest))

    told: dict[str, list[str]] = {}
    for place, file in logs(ws).items():
        with LogReader(file) as reader:
            known = {p.id for p in reader.predictions(sorted(found.predictions))}
        known |= set(log_removal.holding(file, among, sought.words))
        if known:
            told[place] = sorted(known)
    return told


def remove_logged(ws: Workspace, predictions: dict[str, list[str]]) -> None:
    """Remove these predictions, as ``logged`` gives them."""
    from tidemill.serve import log_removal  # noqa: PLC0415
    from tidemill.serve.log_layout import log_file  # noqa: PLC0415

    for environment, ids in predictions.items():
        log_removal.remove(log_file(ws.store.environments_folder, environment), ids)


def logs(ws: Workspace) -> dict[str, Path]:
    """The prediction logs of this machine, by environment."""
    files = sorted(ws.store.environments_folder.glob(f"*{_LOG}"))
    return {file.name.removesuffix(_LOG): file for file in files}


def is_made_of(read: "Transaction", name: str) -> Callable[[str], bool]:
    """Tells of a release's digest whether it was made of a dataset, or nobody knows of what."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = {run.id for run in read.find(records.Run) if commits_of(run, name)}
    others = {r.digest for r in read.find(records.Release) if r.run not in runs}
    return lambda digest: digest not in others


def kept_aside(ws: Workspace, read: "Transaction", runs: Collection[str]) -> list[str]:
    """Sentences about models of these runs that could not be stored and are kept aside, and about those of no known run.

    They are pickles, which nobody looks into: reading one runs what is in it.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    told: list[str] = []
    known: set[str] = set()
    for run in read.find(records.Run, order=("started_at", "id")):
        details = (run.error or {}).get("details", {})
        file = details.get(ASIDE)
        if not isinstance(file, str):
            continue
        known.add(file)
        here = run.host == socket.gethostname()
        if run.id in runs and not (here and not Path(file).exists()):
            where = "" if here else f" on {run.host}"
            told.append(
                f"{file}{where} (a model of step '{details.get('step')}' of run {run.id}, kept aside): it was trained on "
                "them; delete it when nobody needs it."
            )
    told += [
        f"{file} (a model kept aside by a run that is not known): delete it if it was trained on them."
        for file in sorted((ws.store.folder / ASIDE).glob("*.pickle"))
        if str(file) not in known
    ]
    return told


def runs_on(read: "Transaction", name: str, commits: Collection[str]) -> set[str]:
    """The ids of the runs that read one of these commits."""
    return {run.id for run in _runs_on(read, name, commits)}


def remove_unnamed(ws: Workspace) -> None:
    """Remove the blobs that no record names: among them what a removal that was killed has left.

    Raises:
        Conflict: ``runs-in-progress``.
    """
    from tidemill.loop.needed import named  # noqa: PLC0415
    from tidemill.loop.quiet import no_run  # noqa: PLC0415

    with no_run(ws) as write:
        known = named(ws, write)
        for digest in ws.store.blobs.all():
            if digest not in known:
                ws.store.blobs.delete(digest)


def purge(
    ws: Workspace, write: "Transaction", name: str, tombstone: "Tombstone", commits: Collection[str]
) -> int:
    """Remove what was derived from a tombstone's rows; how many artifacts.

    Args:
        ws: The project.
        write: An open transaction, in which no run is going on.
        name: The dataset.
        tombstone: Whose rows.
        commits: The commits that had them.
    """
    import numpy as np  # noqa: PLC0415

    from tidemill.engine.content import blobs_of, digests_in  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    ids = np.unique(np.array(tombstone.ids, np.uint64))
    runs = _runs_on(write, name, commits)
    steps = [step for run in runs for step in write.find(records.Step, {"run": run.id})]
    made = {d for step in steps for d in step.outputs.values()} | {
        d for r in runs for d in r.outputs.values()
    }
    artifacts = write.find(records.Artifact)
    # Of what runs made whose records are gone, as those of an explanation are, nobody knows what they read.
    made |= {a.digest for a in artifacts} - _recorded(write)
    relied_on = _relied_on(ws, write)
    seen: dict[str, bool] = {}
    gone = [
        a
        for a in artifacts
        if a.digest not in relied_on and (_holds(ws, a, ids, seen) if _has_ids(a) else a.digest in made)
    ]
    kept = {d for a in artifacts if a not in gone for d in blobs_of(a)} | relied_on
    blobs = {d for a in gone for d in blobs_of(a)}
    chunks = {c["digest"] for _, entry in write.cache_entries() for c in entry.get("chunks", ())}
    blobs |= {d for d in chunks if _chunk_holds(ws, d, ids, seen)}
    blobs |= {step.log for step in steps if step.log}
    names = {a.digest for a in gone} | blobs
    write.forget([key for key, entry in write.cache_entries() if names & set(digests_in(entry))])
    for artifact in gone:
        write.remove(records.Artifact, {"digest": artifact.digest})
    for step in steps:
        if step.log or step.error:
            write.change(
                records.Step, {"run": step.run, "name": step.name}, log=None, error=_silenced(step.error)
            )
    for run in runs:
        if run.error:
            write.change(records.Run, {"id": run.id}, error=_silenced(run.error))
    for digest in blobs - kept:
        ws.store.blobs.delete(Digest(digest))
    return len(gone)


def _silenced(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """An error without its words, which may repeat cells, in whatever form; its code, its step and its file stay."""
    if error is None:
        return None
    details = error.get("details", {})
    kept = {name: details[name] for name in ("step", ASIDE) if isinstance(details.get(name), str)}
    return {
        "code": error.get("code", codes.ERROR),
        "message": "What it said was removed: it may have repeated rows that were forgotten since.",
        **({"details": kept} if kept else {}),
    }


def _runs_on(read: "Transaction", name: str, commits: Collection[str]) -> "list[records.Run]":
    from tidemill.store.catalog import records  # noqa: PLC0415

    return [run for run in read.find(records.Run) if commits_of(run, name) & set(commits)]


def _recorded(read: "Transaction") -> set[str]:
    """The artifacts that some run's record names."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    named = (*read.find(records.Step), *read.find(records.Run))
    return {digest for record in named for digest in record.outputs.values()}


def _relied_on(ws: Workspace, read: "Transaction") -> set[str]:
    """The artifacts of registered models and releases, and the blobs that these are made of."""
    from tidemill.engine.artifacts import blobs_of  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    found: set[str] = {m.digest for m in read.find(records.Model)}
    for release in read.find(records.Release):
        found |= {release.digest, *bundle.holds(ws.store, release)}
    return found | {d for a in read.find(records.Artifact) if a.digest in found for d in blobs_of(a)}


def _has_ids(artifact: "records.Artifact") -> bool:
    columns: list[dict[str, Any]] = (
        artifact.meta.get("content", {}).get("columns", []) if artifact.kind == "table" else []
    )
    return any(column["name"] == "_id" for column in columns)


def _holds(
    ws: Workspace, artifact: "records.Artifact", ids: "np.ndarray[Any, Any]", seen: dict[str, bool]
) -> bool:
    return any(_chunk_holds(ws, c["digest"], ids, seen) for c in artifact.meta["content"]["chunks"])


def _chunk_holds(ws: Workspace, digest: str, ids: "np.ndarray[Any, Any]", seen: dict[str, bool]) -> bool:
    """Whether a chunk's file has one of these rows; a row that was dropped from it is in its bytes still."""
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import ID  # noqa: PLC0415
    from tidemill.store.table import read as read_file  # noqa: PLC0415

    if digest not in seen:
        blobs = ws.store.blobs
        table = read_file(blobs.path(Digest(digest))) if blobs.exists(Digest(digest)) else None
        seen[digest] = bool(table is not None and ID in table.columns and np.isin(table.numpy(ID), ids).any())
    return seen[digest]
