"""A project's methods for people who work on a dataset together: labels, reviews, other stores."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.events import Sink, silent
from tidemill.notebook.opened import Opened

if TYPE_CHECKING:
    from tidemill.loop.datasets import review_views
    from tidemill.loop.datasets import views as data_views
    from tidemill.loop.datasets.choices import Decisions
    from tidemill.loop.datasets.labelling.turns import Labeller
    from tidemill.loop.datasets.labelling.views import CommittedView

# The loop's rooms load when a method is first called, so that ``tm.open()`` costs nothing.
# ruff: noqa: PLC0415


class TeamMethods(Opened):
    """Labels, reviews and sharing."""

    def label_queue(
        self, ref: str, *, queue: str | None = None, sink: Sink = silent, **wish: Any
    ) -> "Labeller":
        """A session at the queue of a dataset, to iterate over: ``for row in rows: rows.answer("coat")``.

        Beside ``answer`` there are ``take``, ``skip``, ``undo``, ``leave`` and ``progress``. See
        ``loop.datasets.labelling.queues.Wish`` for what may be wished of a new one (``column``, ``rows``...).
        """
        from tidemill.loop.datasets.labelling import queues, turns

        found = queues.open_queue(self._ws, ref, queues.Wish(**wish), name=queue, sink=sink)
        return turns.Labeller(self._ws, found)

    def commit_labels(self, queue: str, message: str | None = None) -> "CommittedView":
        """Commit the labels of a queue, each person's by itself."""
        from tidemill.loop.datasets.labelling import committing

        return committing.commit_labels(self._ws, queue, message)

    def suspects(
        self, ref: str, label: str = "label", *, limit: int | None = None, sink: Sink = silent
    ) -> "data_views.SuspectsView":
        """Find rows whose label is probably wrong, and open a review of what they should be."""
        from tidemill.loop.datasets import suspects

        return suspects.suspects(self._ws, ref, label, limit=limit, sink=sink)

    def open_review(
        self, name: str, source: str, into: str = "main", title: str | None = None, description: str = ""
    ) -> "review_views.ReviewView":
        """Ask for a branch to be merged."""
        from tidemill.loop.datasets import reviewing

        return reviewing.open_review(self._ws, name, source, into, title, description)

    def reviews(self, name: str | None = None, state: str | None = "open") -> "list[review_views.ReviewView]":
        """The reviews of a dataset, or of all, newest first; of one state, or (None) of each."""
        from tidemill.loop.datasets import review_showing

        return review_showing.reviews(self._ws, name, state)

    def show_review(
        self, ref: str, limit: int | None = None, *, html: str | Path | None = None
    ) -> "review_views.ReviewShow":
        """What a review (``fashion#3``) changes and lacks; write it as a page where ``html`` says."""
        from tidemill.loop.datasets import review_showing

        return review_showing.show_review(self._ws, ref, limit, html=Path(html) if html else None)

    def comment(self, ref: str, text: str, row: str | None = None) -> "review_views.CommentView":
        """Write something under a review; ``row`` is the ``_id`` that it is about."""
        from tidemill.loop.datasets import reviewing

        return reviewing.comment(self._ws, ref, text, row)

    def approve(self, ref: str) -> "review_views.ApprovalView":
        """Approve what a review would merge as it is now."""
        from tidemill.loop.datasets import reviewing

        return reviewing.approve(self._ws, ref)

    def merge_review(
        self,
        ref: str,
        message: str | None = None,
        *,
        decisions: "Decisions | None" = None,
        fire: bool = True,
        sink: Sink = silent,
    ) -> "data_views.MergeView":
        """Merge what a review asks for, then run what watches its target."""
        from tidemill.loop.datasets import reviewing

        return reviewing.merge_review(self._ws, ref, message, decisions=decisions, fire=fire, sink=sink)

    def close_review(self, ref: str) -> "review_views.ReviewView":
        """End a review without merging it."""
        from tidemill.loop.datasets import reviewing

        return reviewing.close(self._ws, ref)

    def push(
        self, name: str, remote: str = "origin", branches: Sequence[str] = (), *, sink: Sink = silent
    ) -> "data_views.SharedView":
        """Send a dataset to another store."""
        from tidemill.loop.datasets import sharing

        return sharing.push(self._ws, name, remote, branches, sink=sink)

    def fetch(self, name: str, remote: str = "origin", *, sink: Sink = silent) -> "data_views.SharedView":
        """Get what another store has of a dataset, as ``REMOTE/BRANCH``."""
        from tidemill.loop.datasets import sharing

        return sharing.fetch(self._ws, name, remote, sink=sink)

    def pull(
        self, name: str, remote: str = "origin", branch: str | None = None, *, sink: Sink = silent
    ) -> "data_views.PullView":
        """Fetch a dataset, and merge what is new."""
        from tidemill.loop.datasets import sharing

        return sharing.pull(self._ws, name, remote, branch, sink=sink)

    def clone(self, address: str, name: str, *, sink: Sink = silent) -> "data_views.SharedView":
        """Get a dataset with all its history from another store."""
        from tidemill.loop.datasets import sharing

        return sharing.clone(self._ws, address, name, sink=sink)
