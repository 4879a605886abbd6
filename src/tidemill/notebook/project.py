"""``tm.open()``: a project whose methods are the loop's use cases, one to one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tidemill.core.events import Sink, silent

if TYPE_CHECKING:
    from tidemill.loop import views
    from tidemill.loop.datasets import views as data_views
    from tidemill.loop.datasets.choices import Decisions
    from tidemill.loop.datasets.labelling.turns import Labeller
    from tidemill.loop.datasets.labelling.views import CommittedView
    from tidemill.loop.deploy import Serving
    from tidemill.loop.workspace import Workspace

# The loop's rooms load when a method is first called, so that ``tm.open()`` costs nothing.
# ruff: noqa: PLC0415


class Project:
    """An open project. What a method returns, raises and takes is told by the function of ``loop`` it calls."""

    def __init__(self, workspace: "Workspace") -> None:
        self._ws = workspace

    def __repr__(self) -> str:
        return f"Project({str(self._ws.folder)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self._ws.close()

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self._ws.folder

    # -- data

    def import_data(
        self, name: str, *data: Any, sink: Sink = silent, **options: Any
    ) -> "data_views.ImportView":
        """Import files or a frame; see ``loop.datasets.importing.import_data`` for the options (``tensors``, ``types``, ``key``...)."""
        from tidemill.loop.datasets import importing

        return importing.import_data(self._ws, name, *data, sink=sink, **options)

    def datasets(self) -> "list[data_views.DatasetView]":
        """Every dataset."""
        from tidemill.loop.datasets import reading

        return reading.datasets(self._ws)

    def log(self, ref: str, limit: int | None = None) -> "list[data_views.CommitView]":
        """The commits that led to ``ref``, newest first."""
        from tidemill.loop.datasets import history

        return history.log(self._ws, ref, limit)

    def read(self, ref: str) -> Any:
        """The rows of a dataset at ``ref``, as a ``tm.Table`` (``to_polars()``, ``to_pandas()``, ``numpy(column)``)."""
        from tidemill.loop.datasets import reading

        return reading.read(self._ws, ref)

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

    def suspects(
        self, ref: str, label: str = "label", *, limit: int | None = None, sink: Sink = silent
    ) -> "data_views.SuspectsView":
        """Find rows whose label is probably wrong, and open a review of what they should be."""
        from tidemill.loop.datasets import suspects

        return suspects.suspects(self._ws, ref, label, limit=limit, sink=sink)

    def export(self, ref: str, path: str | Path) -> "data_views.Exported":
        """Write a dataset to a ``.csv`` or ``.parquet`` file."""
        from tidemill.loop.datasets import reading

        return reading.export(self._ws, ref, Path(path))

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

    def label_queue(self, ref: str, *, queue: str | None = None, **wish: Any) -> "Labeller":
        """A session at the queue of a dataset: ``take``, ``answer``, ``skip``, ``undo``, ``leave``, ``progress``.

        See ``loop.datasets.labelling.queues.Wish`` for what may be wished of a new one (``column``, ``rows``...).
        """
        from tidemill.loop.datasets.labelling import queues, turns

        found = queues.open_queue(self._ws, ref, queues.Wish(**wish), name=queue)
        return turns.Labeller(self._ws, found)

    def commit_labels(self, queue: str, message: str | None = None) -> "CommittedView":
        """Commit the labels of a queue, each person's by itself."""
        from tidemill.loop.datasets.labelling import committing

        return committing.commit_labels(self._ws, queue, message)

    def forget(
        self, name: str, where: str, reason: str, *, dry_run: bool = False, sink: Sink = silent
    ) -> "data_views.ForgottenView":
        """Remove rows from all of a dataset's history."""
        from tidemill.loop.datasets import forgetting

        return forgetting.forget(self._ws, name, where, reason, dry_run=dry_run, sink=sink)

    def delete(self, name: str, *, force: bool = False) -> "data_views.DeletedView":
        """Delete a dataset that no release depends on."""
        from tidemill.loop.datasets import forgetting

        return forgetting.delete(self._ws, name, yes=True, force=force)

    # -- runs and models

    def run(self, pipeline: Any, *, sink: Sink = silent, **parameters: Any) -> "views.RunView":
        """Run a pipeline: a file's path, or what ``@tm.pipeline`` made. A failed run is returned, not raised."""
        from tidemill.loop import runs

        return runs.run(self._ws, pipeline, parameters, sink=sink)

    def runs(self, pipeline: str | None = None, limit: int | None = 20) -> "list[views.RunSummary]":
        """The latest runs."""
        from tidemill.loop import runs

        return runs.runs(self._ws, pipeline, limit)

    def show(self, run: str = "latest") -> "views.RunView":
        """One run, whole."""
        from tidemill.loop import runs

        return runs.show_run(self._ws, run)

    def value(self, run: str = "latest", output: str = "result") -> Any:
        """What a run returned: a number, an array, a table, a model, a report."""
        from tidemill.loop import runs

        return runs.value(self._ws, run, output)

    def why(self, run: str, step: str) -> "views.WhyView":
        """Why a step was computed, or was not."""
        from tidemill.loop import runs

        return runs.why(self._ws, run, step)

    def report(self, run: str = "latest", path: str | Path | None = None) -> "views.ReportFile":
        """Write a run's report as one HTML page."""
        from tidemill.loop import runs

        return runs.report(self._ws, run, Path(path) if path else None)

    def models(self, name: str | None = None) -> "list[views.ModelView]":
        """The registered models."""
        from tidemill.loop import registry

        return registry.models(self._ws, name)

    # -- releases and environments

    def release(self, run: str = "latest") -> "views.ReleaseView":
        """Make the release of a run that passed its gate."""
        from tidemill.loop import releases

        return releases.create_release(self._ws, run)

    def releases(self, name: str | None = None) -> "list[views.ReleaseView]":
        """The releases, newest first."""
        from tidemill.loop import releases

        return releases.releases(self._ws, name)

    def verify(self, release: str = "latest") -> "views.Verified":
        """Hash every byte of a release again."""
        from tidemill.loop import releases

        return releases.verify_release(self._ws, release)

    def promote(self, release: str, environment: str, *, sink: Sink = silent) -> "views.DeploymentView":
        """Let a release take over an environment."""
        from tidemill.loop import deploy

        return deploy.promote(self._ws, release, environment, sink=sink)

    def rollback(self, environment: str, *, sink: Sink = silent) -> "views.DeploymentView":
        """Bring back the release that was live before."""
        from tidemill.loop import deploy

        return deploy.rollback(self._ws, environment, sink=sink)

    def environments(self) -> "list[views.EnvironmentView]":
        """What runs where."""
        from tidemill.loop import deploy

        return deploy.environments(self._ws)

    def serve(self, environment: str, port: int | None = None) -> "Serving":
        """Start an environment's server, or find it running. It outlives this process; ``stop`` ends it."""
        from tidemill.loop import deploy

        return deploy.serve(self._ws, environment, port)

    def stop(self, environment: str) -> bool:
        """Let an environment's server finish what it has and end."""
        from tidemill.loop import deploy

        return deploy.stop(self._ws, environment)

    # -- what comes back

    def predict(self, environment: str, rows: Sequence[Mapping[str, Any]]) -> "views.Predicted":
        """Ask an environment for its answers to rows of plain values."""
        from tidemill.loop import predict

        return predict.predict(self._ws, environment, rows)

    def feedback(self, environment: str, labels: Mapping[str, str]) -> "views.FeedbackSent":
        """Send labels by prediction id."""
        from tidemill.loop import predict

        return predict.send_feedback(self._ws, environment, list(labels.items()))

    def collect(self, environment: str, dataset: str, branch: str = "feedback") -> "views.Collected":
        """Make rows of the feedback, on a branch of a dataset."""
        from tidemill.loop import predict

        return predict.collect_feedback(self._ws, environment, dataset, branch)

    def refit(
        self, pipeline: str | None = None, *, force: bool = False, sink: Sink = silent
    ) -> "views.RefitView":
        """Train again on today's data; replace the running model if the gate agrees."""
        from tidemill.loop import refit

        return refit.refit(self._ws, pipeline, force=force, sink=sink)

    def lineage(self, ref: str) -> "views.Lineage":
        """Trace a thing back to the data it came from."""
        from tidemill.loop import lineage

        return lineage.lineage(self._ws, ref)

    def gc(self, *, dry_run: bool = False) -> "views.Freed":
        """Remove what no commit, run or release needs."""
        from tidemill.loop import gc

        return gc.gc(self._ws, dry_run=dry_run)


def open_project(folder: str | Path | None = None) -> Project:
    """Open the project that ``folder`` (default: the working directory) lies in; ``folder`` itself if in none.

    Raises:
        InvalidInput: ``invalid-settings``.
    """
    from tidemill.loop import workspace

    return Project(workspace.open_workspace(Path(folder) if folder else None, make=True))


def run(pipeline: Any, **parameters: Any) -> "views.RunView":
    """Run a pipeline in the project of the working directory: ``tm.run(quadruple, n=3).outputs["result"]``."""
    with open_project() as project:
        return project.run(pipeline, **parameters)
