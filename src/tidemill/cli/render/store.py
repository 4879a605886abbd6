"""The store itself, drawn."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.loop.views import Migration


def migration(view: "Migration") -> str:
    """What changes, who is concerned, and what to type."""
    if view.before == view.after:
        return f"The catalog {view.catalog} has version {view.after}, which is this Tidemill's."
    people = ", ".join(view.people) or "nobody"
    lines = [
        f"The catalog {view.catalog} "
        + (
            f"had version {view.before} and has {view.after}."
            if view.done
            else f"has version {view.before}, and would have {view.after}:"
        ),
        *(f"  {change}" for change in view.changes),
        f"Who has an older Tidemill cannot open it {'any more' if view.done else 'after that'}. It was used in the last 30 days by: {people}.",
    ]
    return "\n".join(
        [
            *lines,
            *(() if view.done else ["Nothing was changed. Type 'tidemill store migrate --yes' to do it."]),
        ]
    )
