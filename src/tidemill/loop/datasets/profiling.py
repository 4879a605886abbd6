"""The profile of a dataset: what each column holds and how it hangs together with the label, as facts and as a page."""

from pathlib import Path

from tidemill.core.events import Sink, silent
from tidemill.loop import written
from tidemill.loop.datasets.references import open_reference
from tidemill.loop.datasets.views import ClassView, ProfileView
from tidemill.loop.workspace import Workspace

USUAL_LABEL = "label"
"""The label where none is named and a column is called so."""


def profile(
    ws: Workspace, ref: str, label: str | None = None, *, html: Path | None = None, sink: Sink = silent
) -> ProfileView:
    """Profile a dataset at ``ref``.

    Args:
        ws: The project.
        ref: Which dataset, and where in its history.
        label: The column to hold the others against; if None, the one called ``label``, where there is one.
        html: Also write a page here.
        sink: Gets ``Progress``.

    Raises:
        NotFound: ``column-not-found``.
    """
    from tidemill.data.profile import profile as measure  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    snapshot = dataset.snapshot(at)
    about = written.shown(ws.store, dataset.name, [snapshot.commit.id])
    if label is None and USUAL_LABEL in snapshot.columns:
        label = USUAL_LABEL
    found = measure(snapshot, label, sink=sink)
    labelled = sum(n for _, n in found.classes)
    view = ProfileView(
        dataset.name,
        snapshot.commit.id,
        found.rows,
        label,
        [ClassView(c, n, n / labelled, [str(i) for i in found.samples.get(c, [])]) for c, n in found.classes],
        found.unlabelled,
        found.evenness,
        found.columns,
        str(html) if html is not None else None,
    )
    if html is not None:
        from tidemill.loop.datasets.pages import profile as page  # noqa: PLC0415

        written.write_page(ws.store, html, "profile", [about], page.render(snapshot, found, view))
    return view
