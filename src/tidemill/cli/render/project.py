"""The project itself, drawn."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.circle import nodes as lineage
from tidemill.cli.render.shapes import facts, heading, mark, seconds, size, stack, table
from tidemill.core.figures import counted, figure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import DemoSummary, Finding, Freed, Initialised, Marked, Young

_KINDS = {
    "dataset versions": ("dataset version", "dataset versions"),
    "packed commits": ("packed commit", "packed commits"),
    "blobs": ("blob", "blobs"),
    "cache entries": ("cache entry", "cache entries"),
    "unpacked predictors": ("unpacked predictor", "unpacked predictors"),
    "predictions": ("prediction", "predictions"),
}


def initialised(view: "Initialised") -> str:
    """What was made, and what to type next."""
    if not view.files:
        return f"{view.folder} is a project already; nothing was changed."
    made = ", ".join(view.files)
    lines = [f"{view.folder} is a project now: {made}, and a store in {view.store}."]
    if "pipeline.py" in view.files:
        lines.append("Next: tidemill run pipeline.py -p n=3")
    return "\n".join(lines)


def demo(view: "DemoSummary", program: str = "tidemill") -> "RenderableType":
    """Every stage, what it made, and what to type next, with the program as it can be typed here."""
    stages = table(
        ["stage", "seconds", "result"],
        [(s.name, f"{s.seconds:.1f}", s.result) for s in view.stages],
        empty="No stage was run.",
    )
    made = facts(
        [("folder", view.folder), *(_fact(n, v) for n, v in view.facts.items() if not isinstance(v, list))]
    )
    nodes = view.facts.get("lineage")
    traced = heading("Where one prediction comes from:", lineage(nodes)) if nodes else None
    typed = [re.sub(r"^tidemill\b", lambda _: program, line) for line in view.next]
    worth = heading("Worth typing next:", "\n".join(f"  {line}" for line in typed))
    return stack(stages, made, traced, worth)


def _fact(name: str, value: object) -> tuple[str, object]:
    if isinstance(value, float):
        value = seconds(value) if name.endswith("_seconds") else figure(value)
    return name.removesuffix("_seconds").replace("_", " "), value


def doctor(findings: Sequence["Finding"]) -> "RenderableType":
    """Each check, and what to do about those that fail."""
    rows = [
        (
            mark(good=f.ok),
            f.check,
            f"{f.message.removesuffix('.')}. Try: {f.hint}" if f.hint and not f.ok else f.message,
        )
        for f in findings
    ]
    failed = sum(not f.ok for f in findings)
    summary = "All is well." if not failed else f"{failed} of {counted(len(findings), 'check')} failed."
    return stack(table(["", "check", "found"], rows, empty="Nothing was checked."), summary)


def gc(view: "Freed") -> str:
    """What was removed, or would be."""
    verb = "Would free" if view.dry_run else "Freed"
    parts = [
        counted(k.count, *_KINDS.get(k.kind, (k.kind, k.kind))) + (f" ({size(k.bytes)})" if k.bytes else "")
        for k in view.kinds
        if k.count or k.bytes
    ]
    kept = [*([_marked(view.marked, dry_run=view.dry_run)] if view.marked else []), *_young(view.young)]
    rest = f": {', '.join(parts)}." if parts else "." if kept else "; nothing is left over."
    return "\n".join([f"{verb} {size(view.bytes)}{rest}", *kept])


def _marked(marked: "Marked", *, dry_run: bool) -> str:
    what = [counted(n, one) for n, one in ((marked.count, "blob"), (marked.versions, "dataset version")) if n]
    are = "would be" if dry_run else "is" if marked.count + marked.versions == 1 else "are"
    it = "it" if marked.count + marked.versions == 1 else "them"
    return (
        f"{' and '.join(what)} ({size(marked.bytes)}) {are} marked: the first 'tidemill gc' after {_minute(marked.first)} UTC "
        f"begins to remove {it}, 'tidemill gc --now' does at once, 'tidemill gc --undo' keeps {it}."
    )


def _young(young: "Young | None") -> list[str]:
    if young is None:
        return []
    what = counted(
        young.count, "dataset version that nothing needs is", "dataset versions that nothing needs are"
    )
    return [
        f"{what} younger than a day: kept until {_minute(young.until)} UTC, with '--now' too, for a push that may be going on."
    ]


def _minute(stamp: str) -> str:
    return stamp[:16].replace("T", " ")


def undone(view: "Mapping[str, int]") -> str:
    """How much stays."""
    if not view["kept"]:
        return "Nothing was marked."
    return f"{counted(view['kept'], 'blob or dataset version that was marked stays', 'blobs and dataset versions that were marked stay')}."
