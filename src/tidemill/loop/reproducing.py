"""A run made again from nothing but what was kept of it, and compared digest by digest."""

import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import NotAllowed
from tidemill.core.events import Sink, silent
from tidemill.loop import factors, origins, replaying, restoring
from tidemill.loop.interpreters import Interpreter, interpreter
from tidemill.loop.lookup import find_run, steps_of
from tidemill.loop.replay_views import Reproduced, StepAgain
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.engine.orders import Ref
    from tidemill.store.catalog import records
    from tidemill.store.open import Store


def reproduce(
    ws: Workspace,
    ref: str = "latest",
    into: Path | None = None,
    *,
    keep: bool = False,
    sink: Sink = silent,
) -> Reproduced:
    """Make a run again, bit by bit: its code, packages, data, parameters and seed, and an empty cache.

    It is made in a folder with a store of its own, which lies over the project's: what comes out the same is not
    written again, and nothing is written into the project's store.

    Args:
        ws: The project.
        ref: A run, or a release (``fashion/2``): the run that made its model.
        into: The folder, which stays; made if it is not there.
        keep: Keep the folder though none is named: ``reproduced-RUN`` in the project.
        sink: Gets the run's events.

    Raises:
        NotFound: ``run-not-found``, and what is gone: ``given-file-gone``, ``commit-not-found``, ``blob-not-found``.
        NotAllowed: ``run-not-succeeded``.
        Also what ``restoring.furnish``, ``interpreters.interpreter`` and ``replaying.replay`` raise.
    """
    started = time.monotonic()
    run, release = _found(ws, ref)
    if run.status != "succeeded":
        raise NotAllowed(
            f"Run {run.id} did not succeed: it is {run.status}.",
            why="Only what came to its end can be compared from end to end.",
            hint="Type 'tidemill resume' to go on with it.",
            code=codes.RUN_NOT_SUCCEEDED,
        )
    kept = into or (ws.folder / f"reproduced-{run.id}" if keep else None)
    with _folder(kept) as folder:
        room = restoring.furnish(ws, run, folder)
        python = interpreter(origins.environment_of(ws, run), folder, sink)
        with closing(_store_over(ws, folder)) as store:
            _bring_models(ws, store, run)
            place = replaying.place_of(store, None)
            (again,) = replaying.replay(
                ws,
                room,
                python,
                [factors.given(ws, run)],
                trigger=f"reproduce:{run.id}",
                store=place,
                sink=sink,
            )
            if not isinstance(again, str):
                raise again
            return _compared(ws, store, run, release, again, python, kept, time.monotonic() - started)


def _found(ws: Workspace, ref: str) -> "tuple[records.Run, str | None]":
    """A run, or the run of a release."""
    from tidemill.loop.releases import find_release  # noqa: PLC0415

    # A run's id begins with a date; a release is named, or is a small number.
    if "/" not in ref and (ref == "latest" or (ref[:8].isdigit() and len(ref) >= 8)):
        return find_run(ws, ref), None
    release = find_release(ws, ref)
    return find_run(ws, release.run), f"{release.name}/{release.number}"


@contextmanager
def _folder(kept: Path | None) -> Generator[Path]:
    with ExitStack() as stack:
        yield (
            kept.resolve()
            if kept
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemill-"))).resolve()
        )


def _store_over(ws: Workspace, folder: Path) -> "Store":
    from tidemill.core.settings import DEFAULT_STORE  # noqa: PLC0415
    from tidemill.store import overlay  # noqa: PLC0415
    from tidemill.store.open import Store  # noqa: PLC0415

    store = Store.create(folder / DEFAULT_STORE)
    below = ws.store.blobs.place
    overlay.lay(store.objects, below.address, below.local)
    return store


def _bring_models(ws: Workspace, store: "Store", run: "records.Run") -> None:
    """The records of the registered models that the run took, for the store that it is made in."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    for name, version in factors.models_of(ws, run).items():
        with ws.store.catalog.read() as read:
            model = read.first(records.Model, {"name": name, "version": version})
            maker = read.first(records.Run, {"id": model.run}) if model else None
            artifact = read.first(records.Artifact, {"digest": model.digest}) if model else None
        with store.catalog.write() as write:
            write.add_new(*(r for r in (maker, model, artifact) if r is not None))


def _compared(
    ws: Workspace,
    store: "Store",
    run: "records.Run",
    release: str | None,
    again: str,
    python: Interpreter,
    kept: Path | None,
    seconds: float,
) -> Reproduced:
    from tidemill.store.catalog import records  # noqa: PLC0415

    with store.catalog.read() as read:
        made = {s.name: s for s in read.find(records.Step, {"run": again})}
        record = read.first(records.Run, {"id": again})
    assert record is not None
    # Not those of branches that were not taken; nor exit steps, which have no key and are not made again.
    then = [s for s in steps_of(ws, run.id) if s.outputs and s.key]
    steps = [_step(ws, store, old, made.get(old.name)) for old in then]
    first = next((old for old, s in zip(then, steps, strict=True) if not s.good), None)
    return Reproduced(
        run.id,
        run.pipeline,
        release,
        first is None and record.status == "succeeded",
        steps,
        first.name if first else None,
        _reasons(ws, run, first, made.get(first.name)) if first else [],
        list(python.built),
        list(python.lacking),
        seconds,
        str(kept.resolve()) if kept else None,
        record.error,
    )


def _step(ws: Workspace, store: "Store", old: "records.Step", new: "records.Step | None") -> StepAgain:
    if new is None or not new.outputs:
        return StepAgain(old.name, old.outputs, {}, "not reached")
    if new.outputs == old.outputs:
        result = "identical"
    else:
        result = "same rows" if _same_rows(ws, store, old.outputs, new.outputs) else "different"
    return StepAgain(old.name, old.outputs, new.outputs, result)


def _same_rows(ws: Workspace, store: "Store", old: dict[str, str], new: dict[str, str]) -> bool:
    """Whether what differs is tables of the same rows, in chunks that grew otherwise."""
    from tidemill.engine.audit import same_rows  # noqa: PLC0415

    if set(old) != set(new):
        return False
    for name, digest in old.items():
        then, now = _artifact(ws.store, digest), _artifact(store, new[name])
        if digest != new[name] and not (then and now and same_rows(store.blobs, then, now)):
            return False
    return True


def _artifact(store: "Store", digest: str) -> "Ref | None":
    from tidemill.engine.content import blobs_of  # noqa: PLC0415
    from tidemill.engine.orders import Ref  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with store.catalog.read() as read:
        found = read.first(records.Artifact, {"digest": digest})
    if found is None or not store.blobs.are_whole(blobs_of(found)):
        return None
    return Ref(found.digest, found.kind, found.meta)


def _reasons(ws: Workspace, run: "records.Run", old: "records.Step", new: "records.Step | None") -> list[str]:
    """What was another for a step, all before it having been the same."""
    from tidemill.engine.why import compare  # noqa: PLC0415

    forgotten = factors.forgotten_since(ws, run)
    if new is None or not new.parts:
        return forgotten
    given = {f"file {n}" for n in old.parts.get("settings", {})} & set(old.parts.get("inputs", {}))
    changes = compare(old.parts, new.parts)
    # The room is another folder: of a file that a step is given, the content counts.
    told = [str(c) for c in changes if c.kind != "setting" or f"file {c.name}" not in given]
    threads = [s.parts.get("threads") for s in (old, new)]
    if None not in threads and threads[0] != threads[1]:
        told.append(f"threads {threads[0]} -> {threads[1]}")
    if old.host and new.host and old.host != new.host:
        told.append(f"machine {old.host} -> {new.host}")
    if old.kind == "dataset" and not forgotten:
        # A dataset has no code that could give something else: the commit itself is not as it was.
        told.insert(
            0, f"data {old.component.removeprefix('dataset:')}: its rows are not those that were read then"
        )
    return [*forgotten, *told]
