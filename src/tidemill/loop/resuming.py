"""A run that did not come to its end is gone on with: the same parameters, the same data, and what it finished."""

from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import NotAllowed, NotFound
from tidemill.core.events import Sink, silent
from tidemill.loop import origins, runs
from tidemill.loop.lookup import find_run
from tidemill.loop.views import RunView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records


def resume(
    ws: Workspace,
    run: str = "latest",
    *,
    executor: str | None = None,
    audit: float = 0.0,
    sink: Sink = silent,
) -> RunView:
    """Go on with a run that was interrupted or failed, as a new run.

    It reads each dataset at the commit that the run had read, though its branch may have moved since, and computes
    no step again that the run had finished, unless its code changed.

    Args:
        ws: The project.
        run: Which run; ``latest``, or the start of an id.
        executor: Who computes the steps; None: as the settings say.
        audit: The share of cache hits that is computed again; the run fails where the result differs.
        sink: Gets the steps' events.

    Raises:
        NotFound: ``run-not-found``; ``file-not-found``, when its pipeline is gone.
        NotAllowed: ``run-finished``, ``run-is-going-on``.
        InvalidInput: ``run-without-file``, when it was started from Python; and what ``runs.run`` raises.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    mark_interrupted(ws.store)
    record = find_run(ws, run)
    _refuse(record)
    file = ws.folder / origins.file_of(record)
    if not file.is_file():
        raise NotFound(
            f"The pipeline of run {record.id} was in {record.file}, which is gone.",
            hint="Bring the file back, or run another one.",
            code=codes.FILE_NOT_FOUND,
        )
    return runs.run(
        ws,
        file,
        runs.as_recorded(record.parameters),
        name=record.pipeline,
        executor=executor,
        trigger=record.trigger,
        audit=audit,
        sink=sink,
        commits=record.inputs,
    )


def _refuse(record: "records.Run") -> None:
    if record.status == "succeeded":
        raise NotAllowed(
            f"Run {record.id} came to its end.",
            why="There is nothing left of it to compute.",
            hint=f"Type 'tidemill run {record.file or 'FILE'}' for a new run.",
            code=codes.RUN_FINISHED,
        )
    if record.status == "running":
        raise NotAllowed(
            f"Run {record.id} is going on, as process {record.pid} on {record.host}.",
            hint="Wait for its end, or stop it by Ctrl-C first.",
            code=codes.RUN_IS_GOING_ON,
        )
