"""The store itself, drawn."""

from typing import TYPE_CHECKING

from tidemill.core.names import listed

if TYPE_CHECKING:
    from tidemill.loop.views import Migration


def migration(view: "Migration") -> str:
    """What changes, who is concerned, and what to type."""
    if view.before == view.after and not (view.datasets or view.unpacked):
        return f"The catalog {view.catalog} has version {view.after}, which is this Tidemill's."
    if view.datasets:
        what = "have" if view.done else "would get"
        digests = [
            f"The files of {listed(view.datasets)} {what} digests, which are checked when they are read."
        ]
    else:
        digests = []
    if view.unpacked:
        may = "may" if view.done else "might"
        digests.append(
            f"'gc' {may} pack the old commits of {listed(view.unpacked)}, which takes much less room."
        )
    people = ", ".join(view.people) or "nobody"
    lines = [
        f"The catalog {view.catalog} "
        + (
            f"has version {view.after}, which is this Tidemill's."
            if view.before == view.after
            else f"had version {view.before} and has {view.after}."
            if view.done
            else f"has version {view.before}, and would have {view.after}:"
        ),
        *(f"  {change}" for change in view.changes),
        *digests,
        f"Who has an older Tidemill cannot open it {'any more' if view.done else 'after that'}. It was used in the last 30 days by: {people}.",
    ]
    return "\n".join(
        [
            *lines,
            *(() if view.done else ["Nothing was changed. Type 'tidemill store migrate --yes' to do it."]),
        ]
    )
