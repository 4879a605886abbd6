"""Two runs side by side: what they were given, what they were made of, and what came of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import TidemillError
from tidemill.loop import registry, written
from tidemill.loop.listing import summaries
from tidemill.loop.lookup import find_run, steps_of
from tidemill.loop.views import CodeSides, Comparison, DataSides, MetricSides, RowCounts, Sides, StepSides
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.evaluation import Report
    from tidemill.store.catalog import records


def compare(ws: Workspace, a: str, b: str = "latest", path: Path | None = None) -> Comparison:
    """Compare two runs, of one pipeline or of two.

    Args:
        ws: The project.
        a: The one on the left, usually the older: an id, the beginning of one, or ``latest``.
        b: The one on the right.
        path: Where to write it as an HTML page too, if at all.

    Raises:
        NotFound: ``run-not-found``.
        InvalidInput: ``ambiguous-run``.
        StorageError: ``storage``, when the page cannot be written.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    mark_interrupted(ws.store)
    old, new = find_run(ws, a), find_run(ws, b)
    before, after = ({s.name: s for s in steps_of(ws, r.id)} for r in (old, new))
    one, other = summaries(ws, [old, new])
    comparison = Comparison(
        a=one,
        b=other,
        parameters=_sides(old.parameters, new.parameters),
        data=[_data(ws, s) for s in _sides(old.inputs, new.inputs)],
        code=[_code(ws, s) for s in _reached("code", before, after)],
        packages=_reached("packages", before, after),
        settings=_settings(before, after),
        metrics=[_metric(s) for s in _sides(one.metrics, other.metrics)],
        artifacts=_artifacts(ws, old, new),
        steps=[_step(n, before.get(n), after.get(n)) for n in {**before, **after}],
        path=None if path is None else str(path),
    )
    if path is not None:
        from tidemill.loop import comparison_page  # noqa: PLC0415

        about = written.shown_by_runs(ws.store, [old.inputs, new.inputs])
        text = comparison_page.render(comparison, _report(ws, old), _report(ws, new))
        written.write_page(ws.store, path, "comparison", about, text)
    return comparison


def _sides(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Sides]:
    return [Sides(n, a.get(n), b.get(n), n in a and n in b and a[n] == b[n]) for n in {**a, **b}]


def _data(ws: Workspace, sides: Sides) -> DataSides:
    rows: RowCounts | None = None
    if sides.equal:
        rows = RowCounts(0, 0, 0)
    elif sides.a is not None and sides.b is not None:
        try:
            counts = ws.datasets.open(sides.name.partition("@")[0]).diff(sides.a, sides.b).counts
            rows = RowCounts(counts.added, counts.changed, counts.removed)
        except TidemillError:
            # A commit that was collected or forgotten has no rows to compare; that it is another one still holds.
            rows = None
    return DataSides(sides.name, sides.a, sides.b, sides.equal, rows)


def _artifacts(ws: Workspace, a: "records.Run", b: "records.Run") -> list[Sides]:
    """The outputs: what is small as it is, anything else as its digest."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    digests = list({*a.outputs.values(), *b.outputs.values()})
    with ws.store.catalog.read() as read:
        found = read.find(records.Artifact, {"digest": digests, "kind": "value"})
    small = {artifact.digest: artifact.meta["content"] for artifact in found if "content" in artifact.meta}
    return [replace(s, a=small.get(s.a, s.a), b=small.get(s.b, s.b)) for s in _sides(a.outputs, b.outputs)]


def _metric(sides: Sides) -> MetricSides:
    a, b = sides.a, sides.b
    return MetricSides(sides.name, a, b, None if a is None or b is None else b - a)


def _different(sides: Iterable[Sides]) -> list[Sides]:
    return sorted((s for s in sides if not s.equal), key=lambda s: s.name)


def _reached(kind: str, before: "dict[str, records.Step]", after: "dict[str, records.Step]") -> list[Sides]:
    """What differs in the code or the packages that the steps of two runs reach.

    A step that one of the two never got to says nothing about its code: it is told by the steps alone.
    """
    known: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
    steps: dict[str, list[str]] = {}
    for name in {**before, **after}:
        pair = {"a": before.get(name), "b": after.get(name)}
        if any(step is not None and not step.parts for step in pair.values()):
            continue
        for side, step in pair.items():
            for part, value in (step.parts.get(kind, {}) if step else {}).items():
                known[side][part] = value
                if name not in steps.setdefault(part, []):
                    steps[part].append(name)
    return [replace(s, steps=steps[s.name]) for s in _different(_sides(known["a"], known["b"]))]


def _code(ws: Workspace, sides: Sides) -> CodeSides:
    from tidemill.engine import sources  # noqa: PLC0415

    diff = sources.diff(ws.store.blobs, sides.name, sides.a, sides.b, {})
    return CodeSides(sides.name, sides.a, sides.b, sides.steps, diff)


def _settings(before: "dict[str, records.Step]", after: "dict[str, records.Step]") -> list[Sides]:
    """The settings that differ of the steps that both runs got to."""
    found: list[Sides] = []
    for name, old in before.items():
        new = after.get(name)
        if new is not None and old.parts and new.parts:
            pair = (old.parts.get("settings", {}), new.parts.get("settings", {}))
            found += [replace(s, name=f"{name}.{s.name}", steps=[name]) for s in _sides(*pair)]
    return _different(found)


def _step(name: str, a: "records.Step | None", b: "records.Step | None") -> StepSides:
    results = None
    if a is not None and b is not None and a.outputs and b.outputs:
        results = "equal" if a.outputs == b.outputs else "different"
    return StepSides(
        name,
        a.status if a else None,
        b.status if b else None,
        a.seconds if a else None,
        b.seconds if b else None,
        results,
    )


def _report(ws: Workspace, run: "records.Run") -> "Report | None":
    from tidemill.engine.artifacts import load_value  # noqa: PLC0415

    digest = registry.digest_of_kind(ws, run, registry.REPORT)
    return None if digest is None else load_value(ws.store, digest)
