"""Releases, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import exact, facts, heading, short, stack, table, when, written
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import CreatedRelease, ReleaseView, Verified


def created(view: "CreatedRelease") -> str:
    """The new release, or the one that is there, and what to type next."""
    there = "is there already" if view.already else "is made"
    return (
        f"Release {view.name}/{view.number} {there}, of run {view.run}: {view.digest}\n"
        f"Next: tidemill promote {view.name}/{view.number} dev"
    )


def releases(views: Sequence["ReleaseView"]) -> "RenderableType":
    """One line a release."""
    return table(
        ["release", "digest", "run", "created (UTC)", "author", "live in"],
        [
            (
                f"{v.name}/{v.number}",
                short(v.digest),
                v.run,
                when(v.created_at),
                v.author,
                ", ".join(v.environments) or None,
            )
            for v in views
        ],
        empty="There are no releases. Type: tidemill release create",
    )


def release(view: Mapping[str, Any]) -> "RenderableType":
    """All that a release is made of: what is short first, then each part of the manifest."""
    manifest = view.get("manifest")
    if isinstance(manifest, Mapping):
        view = {**manifest, **{name: value for name, value in view.items() if name != "manifest"}}
    plain = [(name, value) for name, value in view.items() if not isinstance(value, Mapping | list)]
    parts = [(name, value) for name, value in view.items() if isinstance(value, Mapping | list) and value]
    return stack(
        facts((name, exact(value)) for name, value in plain),
        *(heading(name, _part(value)) for name, value in parts),
    )


def _part(value: Any) -> "RenderableType":
    if isinstance(value, Mapping):
        return facts((f"  {name}", _leaf(member)) for name, member in value.items())
    return "\n".join(f"  {_leaf(member)}" for member in value)


def _leaf(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(member, Mapping | list) for member in value):
        # Such as the rules of a gate: one a line.
        return "\n".join(written(member, limit=None) for member in value)
    return exact(value) if isinstance(value, str | int | float | None) else written(value, limit=None)


def verified(view: "Verified") -> str:
    """Whether every byte is what it was."""
    name = f"{view.name}/{view.number}"
    if view.ok:
        return f"Release {name} is whole: {counted(view.checked, 'digest agrees', 'digests agree')} ({view.digest})."
    return "\n".join(
        [f"Release {name} is NOT what was released:", *(f"  {problem}" for problem in view.problems)]
    )
