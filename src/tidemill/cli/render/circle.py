"""What closes the loop, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import short, table
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import FiringView, Lineage, RefitView


def refit(view: "RefitView") -> str:
    """What a refit did, and the rules that said no."""
    lines = [f"{view.reason} ({view.cause})" if view.cause else view.reason]
    if view.hint is not None:
        lines.append(f"  hint: {view.hint}")
    if view.run is not None:
        computed = "" if view.rows_computed is None else f", {counted(view.rows_computed, 'row')} prepared"
        lines.append(f"  run {view.run}{computed}")
    if view.release is not None:
        lines.append(f"  release {view.release}, {'deployed' if view.deployed else 'not deployed'}")
    if view.verdict is not None:
        lines.append(f"  gate {'passed' if view.verdict.passed else 'not passed'}")
        lines += [
            f"    {'ok' if rule['passed'] else 'no'}  {rule['name']}: {rule['reason']}"
            for rule in view.verdict.rules
        ]
    return "\n".join(lines)


def settled(views: "Sequence[RefitView]") -> str:
    """What came of what was owed."""
    if not views:
        return "Nothing was owed."
    return "\n".join(map(answered, views))


def answered(view: "RefitView") -> str:
    """What came of a trigger, by the name that the settings give it."""
    return f"{view.trigger.removeprefix('trigger:')}: {refit(view)}"


def firing(view: "FiringView") -> str:
    """One trigger that fired."""
    return f"{view.trigger} for commit {view.cause}: {view.outcome or view.state}."


def firings(views: "Sequence[FiringView]") -> "RenderableType":
    """One line a trigger that fired."""
    return table(
        ["trigger", "commit", "of", "fired (UTC)", "state", "run", "outcome"],
        [
            (
                v.trigger,
                v.cause,
                v.dataset and f"{v.dataset}@{v.branch}",
                v.fired_at[:19].replace("T", " "),
                v.state,
                v.run,
                v.outcome,
            )
            for v in views
        ],
        empty="No trigger has fired yet.",
    )


def lineage(view: "Lineage") -> str:
    """From the thing asked about back to the data, one thing a line."""
    if not view.nodes:
        return f"Nothing is known about where {view.of} comes from."
    return nodes(view.nodes)


def nodes(found: Sequence[Mapping[str, Any]]) -> str:
    """Nodes of a lineage, one a line."""
    width = max(len(str(node.get("kind", ""))) for node in found)
    return "\n".join(_node(node, width) for node in found)


def _node(node: Mapping[str, Any], width: int) -> str:
    name, text = str(node.get("id", "")), str(node.get("text") or "")
    words = [str(node.get("kind", "")).ljust(width)]
    if name and name not in text and not text.startswith(name):
        words.append(short(name) if name.startswith("sha256:") else name)
    words += [text] if text else []
    digest = node.get("digest")
    return "  ".join([*words, short(str(digest))] if digest else words)
