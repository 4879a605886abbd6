"""What two runs of a pipeline can differ in: data, code, settings, environment; and what a run of some of each is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.figures import counted
from tidemill.loop import origins
from tidemill.loop.lookup import steps_of
from tidemill.loop.replaying import Given
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.engine.installed import Installed
    from tidemill.store.catalog import records

FACTORS = ("data", "code", "settings", "environment")
"""In the order of the one path that is told beside the mean over all."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of one pipeline: the first, and the second."""

    a: "records.Run"
    b: "records.Run"
    models_a: dict[str, int]
    models_b: dict[str, int]

    def given(self, changed: frozenset[str]) -> Given:
        """What a run is given whose ``changed`` factors are the second's.

        A parameter that names a dataset belongs to the data. What only one of the two reads is read as that one did.
        """
        data, other = (self.b, self.a) if "data" in changed else (self.a, self.b)
        models, more = (self.models_b, self.models_a) if "data" in changed else (self.models_a, self.models_b)
        chosen = dict((self.b if "settings" in changed else self.a).parameters)
        chosen |= self._named_data(data)
        return Given(chosen, {**other.inputs, **data.inputs}, {**more, **models})

    @property
    def data_parameters(self) -> set[str]:
        """The parameters by which either run says which dataset it reads."""
        return {n for run in (self.a, self.b) for n, v in run.parameters.items() if _names_data(run, v)}

    def data(self) -> list[str]:
        """What is another in the data."""
        found = _changed(self.a.inputs, self.b.inputs)
        found += _changed(self.models_a, self.models_b, word="model ")
        if not found:
            found = _changed(self._named_data(self.a), self._named_data(self.b))
        return found

    def settings(self) -> list[str]:
        """What is another in the parameters, less those that name data."""
        return _changed(self._others(self.a), self._others(self.b))

    def _named_data(self, run: "records.Run") -> dict[str, Any]:
        return {n: v for n, v in run.parameters.items() if n in self.data_parameters}

    def _others(self, run: "records.Run") -> dict[str, Any]:
        return {n: v for n, v in run.parameters.items() if n not in self.data_parameters}


def pair_of(ws: Workspace, a: "records.Run", b: "records.Run") -> Pair:
    """Two runs, with the registered models that they took."""
    return Pair(a, b, models_of(ws, a), models_of(ws, b))


def given(ws: Workspace, run: "records.Run") -> Given:
    """What a run was given: its parameters, and the data and the models that it read."""
    return Given(run.parameters, run.inputs, models_of(ws, run))


def models_of(ws: Workspace, run: "records.Run") -> dict[str, int]:
    """The registered models that a run took, each with its version."""
    return {
        s.component.removeprefix("model:").partition("@")[0]: int(s.parts["inputs"]["version"])
        for s in steps_of(ws, run.id)
        if s.kind == "model" and s.parts
    }


def forgotten_since(ws: Workspace, run: "records.Run") -> list[str]:
    """What a run read and nobody can read any more: the rows of its commits that were forgotten after it had begun."""
    told: dict[str, None] = {}
    for reference, commit in run.inputs.items():
        name = reference.partition("@")[0]
        if ws.datasets.exists(name):
            marks = ws.datasets.open(name).resolve(commit).forgotten
            told.update(
                (
                    f"data {name}: {counted(m.rows, 'row')} forgotten on {m.time[:10]} ({m.reason})",
                    None,
                )
                for m in marks
                if m.time > run.started_at
            )
    return list(told)


def code_changes(ws: Workspace, a: "records.Run", b: "records.Run") -> list[str]:
    """The files that are others in the copies of two runs' code."""
    before, after = (origins.code_of(ws, r).files for r in (a, b))
    named = [f"{n} changed" for n in before if n in after and before[n] != after[n]]
    named += [f"{n} is gone" for n in before if n not in after]
    return named + [f"{n} is new" for n in after if n not in before]


def environment_changes(ws: Workspace, a: "records.Run", b: "records.Run") -> list[str]:
    """The packages, and what else of the environment, that are others in two runs; nothing where one says nothing."""
    if a.environment is None or b.environment is None or a.environment == b.environment:
        return []
    before, after = (_flat(origins.environment_of(ws, r)) for r in (a, b))
    return _changed(before, after)


def _flat(installed: "Installed") -> dict[str, Any]:
    facts = {
        "python": installed.python,
        "implementation": installed.implementation,
        "system": installed.system,
        "machine": installed.machine,
    }
    return {**facts, **installed.variables, **installed.packages}


def _names_data(run: "records.Run", value: Any) -> bool:
    from tidemill.pipeline.spelling import reference_in  # noqa: PLC0415

    read = {name.partition("@")[0] for name in run.inputs}
    text = reference_in(value)
    return text is not None and text.partition("@")[0] in read


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], *, word: str = "") -> list[str]:
    return [
        f"{word}{n}: {_told(before.get(n))} → {_told(after.get(n))}"
        for n in {**before, **after}
        if before.get(n) != after.get(n) or (n in before) != (n in after)
    ]


def _told(value: Any) -> str:
    return "-" if value is None else str(value)
