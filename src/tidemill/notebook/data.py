"""A project's methods about datasets: what is in them, what changed, what is merged."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.events import Sink, silent
from tidemill.notebook.opened import Opened

if TYPE_CHECKING:
    from tidemill.loop.datasets import check_views
    from tidemill.loop.datasets import views as data_views
    from tidemill.loop.datasets.choices import Decisions
    from tidemill.loop.unreadable import Unreadable

# The loop's rooms load when a method is first called, so that ``tm.open()`` costs nothing.
# ruff: noqa: PLC0415


class DataMethods(Opened):
    """Datasets and their history."""

    def import_data(
        self, name: str, *data: Any, sink: Sink = silent, **options: Any
    ) -> "data_views.ImportView":
        """Import files or a frame; see ``loop.datasets.importing.import_data`` for the options (``tensors``, ``types``, ``key``...)."""
        from tidemill.loop.datasets import importing

        return importing.import_data(self._ws, name, *data, sink=sink, **options)

    def datasets(self) -> "list[data_views.DatasetView | Unreadable]":
        """Every dataset; one that is damaged as its name and the error."""
        from tidemill.loop.datasets import reading

        return reading.datasets(self._ws)

    def log(self, ref: str, limit: int | None = None) -> "list[data_views.CommitView]":
        """The commits that led to ``ref``, newest first."""
        from tidemill.loop.datasets import history

        return history.log(self._ws, ref, limit)

    def read(self, ref: str) -> Any:
        """The rows of a dataset at ``ref``, as a ``tm.Table`` (``to_polars()``, ``to_pandas()``, ``numpy(column)``).

        The identity of the rows is beside the columns: ``table.ids``, and the index ``_id`` of ``to_pandas()``.
        ``table.whole()`` has it, and the predictions that rows correct, as columns.
        """
        from tidemill.loop.datasets import reading

        return reading.read(self._ws, ref).apart()

    def diff(self, a: str, b: str, limit: int = 20) -> "data_views.DiffView":
        """What changed from one commit to another."""
        from tidemill.loop.datasets import diffing

        return diffing.diff(self._ws, a, b, limit)

    def branch(self, ref: str, name: str) -> "data_views.BranchView":
        """Make a branch at ``ref``."""
        from tidemill.loop.datasets import history

        return history.branch(self._ws, ref, name)

    def tag(self, ref: str, name: str) -> "data_views.TagView":
        """Name the commit at ``ref``, for good."""
        from tidemill.loop.datasets import history

        return history.tag(self._ws, ref, name)

    def merge(
        self,
        name: str,
        source: str,
        into: str | None = None,
        *,
        decisions: "Decisions | None" = None,
        fire: bool = True,
        sink: Sink = silent,
    ) -> "data_views.MergeView":
        """Merge a branch, with what to do about conflicts (``loop.datasets.choices.Decisions``), then run what watches the other."""
        from tidemill.loop.datasets import merging

        return merging.merge(self._ws, name, source, into, decisions=decisions, fire=fire, sink=sink)

    def conflicts(self, name: str, source: str, into: str | None = None) -> "list[data_views.ConflictView]":
        """What a merge could not decide; nothing is changed."""
        from tidemill.loop.datasets import merging

        return merging.conflicts(self._ws, name, source, into)

    def revert(
        self,
        ref: str,
        branch: str | None = None,
        *,
        decisions: "Decisions | None" = None,
        sink: Sink = silent,
    ) -> "data_views.RevertView":
        """Undo one commit by a new one."""
        from tidemill.loop.datasets import merging

        return merging.revert(self._ws, ref, branch, decisions=decisions, sink=sink)

    def blame(self, ref: str, **options: Any) -> "data_views.BlameView":
        """Who last changed each cell; see ``loop.datasets.history.blame`` for the options (``where``, ``row``, ``column``, ``limit``)."""
        from tidemill.loop.datasets import history

        return history.blame(self._ws, ref, **options)

    def switch(self, name: str, branch: str, *, create: bool = False) -> "data_views.BranchView":
        """Let a name without an ``@`` mean a branch, in this project."""
        from tidemill.loop.datasets import switching

        return switching.switch(self._ws, name, branch, create=create)

    def profile(
        self, ref: str, label: str | None = None, *, html: str | Path | None = None
    ) -> "data_views.ProfileView":
        """Say what each column of a dataset holds; write it as a page where ``html`` says."""
        from tidemill.loop.datasets import profiling

        return profiling.profile(self._ws, ref, label, html=Path(html) if html else None)

    def check(self, ref: str, branch: str = "main") -> "check_views.CheckedView":
        """Hold every row against what the settings ask of a branch."""
        from tidemill.loop.datasets import checking

        return checking.check_data(self._ws, ref, branch)

    def export(self, ref: str, path: str | Path) -> "data_views.Exported":
        """Write a dataset to a ``.csv`` or ``.parquet`` file."""
        from tidemill.loop.datasets import reading

        return reading.export(self._ws, ref, Path(path))

    def forget(
        self,
        name: str,
        where: str,
        reason: str,
        *,
        redact: Sequence[str] = (),
        dry_run: bool = False,
        sink: Sink = silent,
    ) -> "data_views.ForgottenView":
        """Remove rows from all of a dataset's history."""
        from tidemill.loop.datasets import forgetting

        return forgetting.forget(self._ws, name, where, reason, redact=redact, dry_run=dry_run, sink=sink)

    def delete(self, name: str, *, force: bool = False) -> "data_views.DeletedView":
        """Delete a dataset that no release depends on."""
        from tidemill.loop.datasets import forgetting

        return forgetting.delete(self._ws, name, yes=True, force=force)
