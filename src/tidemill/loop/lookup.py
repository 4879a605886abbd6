"""Finding a run or a model by what a person types; a run's steps, and how long it took."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tidemill.core import clock, codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.names import did_you_mean, listed
from tidemill.loop.workspace import Workspace
from tidemill.pipeline import model as models

if TYPE_CHECKING:
    from tidemill.store.catalog import records

_NOT_FOUND = {
    "release": codes.RELEASE_NOT_FOUND,
    "model": codes.MODEL_NOT_FOUND,
    "pipeline": codes.PIPELINE_NOT_FOUND,
}


def check_listed(ws: Workspace, kind: str, name: str, names: Iterable[str]) -> None:
    """Refuse a name of which nothing can be listed because it is a slip: others have something, and it is no pipeline.

    Args:
        ws: The project.
        kind: ``release``, ``model`` or ``pipeline``: of what.
        name: As it was typed.
        names: Those that have something.

    Raises:
        NotFound: ``release-not-found``, ``model-not-found``, ``pipeline-not-found``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    others = set(names)
    if not others or name in others or name in ws.settings.pipelines:
        return
    with ws.store.catalog.read() as read:
        if kind != "pipeline" and read.first(records.Run, {"pipeline": name}) is not None:
            return
    raise NotFound(
        f"There is no {kind} of the name '{name}'.",
        hint=did_you_mean(name, sorted(others | set(ws.settings.pipelines))),
        code=_NOT_FOUND[kind],
    )


def find_model(ws: Workspace, text: str) -> "records.Model":
    """The registered model that ``name`` (its newest version) or ``name@version`` names.

    Raises:
        NotFound: ``model-not-found``.
        InvalidInput: ``invalid-reference`` or ``invalid-name``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    asked = models.model(text)
    with ws.store.catalog.read() as read:
        found = read.find(records.Model, {"name": asked.name}, order=("-version",))
        names = {m.name for m in read.find(records.Model)}
    wanted = [m for m in found if asked.version in (None, m.version)]
    if not wanted:
        raise NotFound(
            f"There is no model '{asked}'.",
            hint=did_you_mean(
                asked.name, () if found else names, "Type 'tidemill models' to see what there is."
            ),
            code=codes.MODEL_NOT_FOUND,
        )
    return wanted[0]


def find_run(ws: Workspace, run: str, *, with_report: bool = False) -> "records.Run":
    """A run by id, by the start of one, or ``latest`` (the latest that made a report, if asked)."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        every = read.find(records.Run, order=("-started_at", "-id"))
    if run == "latest":
        fit = [r for r in every if "report" in r.outputs] if with_report else every
        if fit:
            return fit[0]
        raise NotFound(
            "There is no run yet." if not every else "No run has made a report yet.",
            hint="Type 'tidemill run pipeline.py'.",
            code=codes.RUN_NOT_FOUND,
        )
    found = [r for r in every if r.id == run] or [r for r in every if r.id.startswith(run)]
    if not found:
        raise NotFound(
            f"There is no run '{run}'.", hint="Type 'tidemill runs' to see them.", code=codes.RUN_NOT_FOUND
        )
    if len(found) > 1:
        raise InvalidInput(
            f"'{run}' is the start of {len(found)} runs.",
            hint=f"They are: {listed((r.id for r in found), 5)}.",
            code=codes.AMBIGUOUS_RUN,
        )
    return found[0]


def steps_of(ws: Workspace, run: str) -> "list[records.Step]":
    """A run's steps, in order."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        return read.find(records.Step, {"run": run}, order=("position",))


def seconds_of(run: "records.Run") -> float | None:
    """How long a run took; None while it goes on."""
    if run.finished_at is None:
        return None
    return (clock.parse(run.finished_at) - clock.parse(run.started_at)).total_seconds()
