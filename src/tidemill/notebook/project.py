"""``tm.open()``: a project whose methods are the loop's use cases, one to one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.notebook.data import DataMethods
from tidemill.notebook.options import RunOptions, options_of, parameters_of, told
from tidemill.notebook.team import TeamMethods

if TYPE_CHECKING:
    from tidemill.loop import views
    from tidemill.loop.replay_views import Explanation, Reproduced
    from tidemill.loop.serving import Serving

# The loop's rooms load when a method is first called, so that ``tm.open()`` costs nothing.
# ruff: noqa: PLC0415


class Project(DataMethods, TeamMethods):
    """An open project. What a method returns, raises and takes is told by the function of ``loop`` it calls."""

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

    def _found(self, pipeline: Any) -> Any:
        """A pipeline's file: as it is named from the working directory, else from the project's folder."""
        if not isinstance(pipeline, (str, Path)) or Path(pipeline).exists():
            return pipeline
        inside = self._ws.folder / pipeline
        return inside if inside.is_file() else pipeline

    # -- runs and models

    def run(
        self,
        pipeline: Any,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        options: RunOptions | Mapping[str, Any] | None = None,
        **more: Any,
    ) -> "views.RunView":
        """Run a pipeline. A failed run is returned, not raised.

        Steps of files are computed by the ``executor`` of the options or the settings, those of a notebook in the
        notebook.

        Args:
            pipeline: A file's path, or what ``@tm.pipeline`` made.
            parameters: The pipeline's parameters by name. A value stays what it is: text is not read as a number.
            options: How it is run: ``tm.RunOptions``, or a dict of the same names.
            **more: Parameters too. Every keyword but ``options`` is the pipeline's.

        Raises:
            InvalidInput: ``unknown-parameter``, ``parameter-given-twice``, ``wrong-option``; and as
                ``loop.runs.run``.
        """
        from tidemill.loop import runs

        how, given = options_of(options), parameters_of(parameters, more)
        try:
            return runs.run(
                self._ws,
                self._found(pipeline),
                given,
                name=how.name,
                executor=how.executor,
                commits=how.commits,
                audit=how.audit,
                sink=how.sink,
            )
        except InvalidInput as error:
            raise told(error) from error.__cause__

    def reproduce(
        self, ref: str = "latest", into: str | Path | None = None, *, keep: bool = False, sink: Sink = silent
    ) -> "Reproduced":
        """Make a run, or that of a release, again from what was kept of it, and compare every step's digests."""
        from tidemill.loop import reproducing

        return reproducing.reproduce(self._ws, ref, Path(into) if into else None, keep=keep, sink=sink)

    def forecast(
        self,
        pipeline: Any,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        options: RunOptions | Mapping[str, Any] | None = None,
        **more: Any,
    ) -> "views.Forecast":
        """What ``run`` would compute, what it would take from the cache, and why; nothing is computed.

        The arguments are those of ``run``; of the options, ``name``, ``commits`` and ``sink`` matter.
        """
        from tidemill.loop import runs

        how, given = options_of(options), parameters_of(parameters, more)
        try:
            return runs.forecast(
                self._ws, self._found(pipeline), given, name=how.name, commits=how.commits, sink=how.sink
            )
        except InvalidInput as error:
            raise told(error) from error.__cause__

    def resume(
        self, run: str = "latest", *, options: RunOptions | Mapping[str, Any] | None = None
    ) -> "views.RunView":
        """Go on with a run that was interrupted or failed: the same parameters and data, and what it finished.

        Of the options, ``name`` and ``commits`` are the run's own.
        """
        from tidemill.loop import resuming

        taken = ("executor", "audit", "sink")
        how = options_of(options, taken=taken, why="pipeline and data are those of the run")
        return resuming.resume(self._ws, run, executor=how.executor, audit=how.audit, sink=how.sink)

    def explain(
        self,
        a: str,
        b: str = "latest",
        path: str | Path | None = None,
        *,
        dry_run: bool = False,
        sink: Sink = silent,
    ) -> "Explanation":
        """Why the metrics moved from one run to another, by data, code, settings and environment."""
        from tidemill.loop import explaining

        return explaining.explain(self._ws, a, b, Path(path) if path else None, dry_run=dry_run, sink=sink)

    def runs(
        self, pipeline: str | None = None, limit: int | None = 20, *, where: str | None = None
    ) -> "list[views.RunSummary]":
        """The latest runs; those that a condition holds for, such as ``accuracy > 0.88``."""
        from tidemill.loop import listing

        return listing.runs(self._ws, pipeline, limit, where=where)

    def show(self, run: str = "latest") -> "views.RunView":
        """One run, whole."""
        from tidemill.loop import runs

        return runs.show_run(self._ws, run)

    def value(self, run: str = "latest", output: str = "result") -> Any:
        """What a run returned: a number, an array, a table, a model, a report."""
        from tidemill.loop import runs

        return runs.value(self._ws, run, output)

    def why(self, run: str, step: str) -> "views.WhyView":
        """Why a step was computed, or was not: each thing that changed, code with its diff."""
        from tidemill.loop import why

        return why.why(self._ws, run, step)

    def compare(self, a: str, b: str = "latest", path: str | Path | None = None) -> "views.Comparison":
        """Two runs side by side; as a page too, where ``path`` says."""
        from tidemill.loop import comparing

        return comparing.compare(self._ws, a, b, Path(path) if path else None)

    def logs(
        self,
        run: str = "latest",
        step: str | None = None,
        *,
        grep: str | None = None,
        limit: int | None = 1000,
    ) -> "views.LogView":
        """What the steps of a run, or one of them, printed; of it the lines that hold a text."""
        from tidemill.loop import logs

        return logs.logs(self._ws, run, step, grep=grep, limit=limit)

    def report(self, run: str = "latest", path: str | Path | None = None) -> "views.ReportFile":
        """Write a run's report as one HTML page."""
        from tidemill.loop import runs

        return runs.report(self._ws, run, Path(path) if path else None)

    def models(self, name: str | None = None) -> "list[views.ModelView]":
        """The registered models."""
        from tidemill.loop import registry

        return registry.models(self._ws, name)

    # -- releases and environments

    def release(self, run: str = "latest") -> "views.CreatedRelease":
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
        from tidemill.loop import environments

        return environments.environments(self._ws)

    def serve(self, environment: str, port: int | None = None) -> "Serving":
        """Start an environment's server, or find it running. It outlives this process; ``stop`` ends it."""
        from tidemill.loop import serving

        return serving.serve(self._ws, environment, told={} if port is None else {"port": port})

    def stop(self, environment: str) -> bool:
        """Let an environment's server finish what it has and end."""
        from tidemill.loop import deploy

        return deploy.stop(self._ws, environment).stopped

    # -- what comes back

    def predict(self, environment: str, rows: Sequence[Mapping[str, Any]]) -> "views.Predicted":
        """Ask an environment for its answers to rows of plain values."""
        from tidemill.loop import predict

        return predict.predict(self._ws, environment, rows)

    def feedback(
        self, environment: str, labels: Mapping[str, str], *, new_classes: bool = False
    ) -> "views.FeedbackSent":
        """Send labels by prediction id; a label that is no class of the model only with ``new_classes``."""
        from tidemill.loop import feedback

        return feedback.send_feedback(self._ws, environment, list(labels.items()), new_classes=new_classes)

    def collect(self, environment: str, dataset: str, branch: str = "feedback") -> "views.Collected":
        """Make rows of the feedback, on a branch of a dataset."""
        from tidemill.loop import feedback

        return feedback.collect_feedback(self._ws, environment, dataset, branch)

    def refit(
        self,
        pipeline: str | None = None,
        *,
        environment: str | None = None,
        force: bool = False,
        sink: Sink = silent,
    ) -> "views.RefitView":
        """Train again on today's data; replace the running model if the gate agrees."""
        from tidemill.loop import refit

        return refit.refit(self._ws, pipeline, environment=environment, force=force, sink=sink)

    def triggers(self, trigger: str | None = None) -> "list[views.FiringView]":
        """What fired, newest first: answered, at work, or owed by a merge that was cut off."""
        from tidemill.loop import firing

        return firing.fired(self._ws, trigger)

    def settle_triggers(self, trigger: str | None = None, *, sink: Sink = silent) -> "list[views.RefitView]":
        """Run every trigger that is owed, or one; go on where it was cut off."""
        from tidemill.loop import firing

        return firing.settle(self._ws, trigger, sink=sink)

    def lineage(self, ref: str) -> "views.Lineage":
        """Trace a thing back to the data it came from."""
        from tidemill.loop import lineage

        return lineage.lineage(self._ws, ref)

    def gc(self, *, dry_run: bool = False, now: bool = False, everything: bool = False) -> "views.Freed":
        """Remove what no commit, run or release needs; of a shared store after a day, or ``now``.

        With ``everything`` also where that is most of what runs and releases once named.
        """
        from tidemill.loop import gc

        return gc.gc(self._ws, dry_run=dry_run, now=now, everything=everything)


def open_project(folder: str | Path | None = None) -> Project:
    """Open the project that ``folder`` lies in; ``folder`` itself if in none.

    Without it, that of the script that Python was started with, wherever it was started; else, and in a notebook,
    that of the working directory.

    Raises:
        InvalidInput: ``invalid-settings``.
    """
    from tidemill.loop import workspace

    return Project(workspace.open_workspace(Path(folder) if folder else workspace.of_script(), make=True))


def run(
    pipeline: Any,
    parameters: Mapping[str, Any] | None = None,
    /,
    *,
    options: RunOptions | Mapping[str, Any] | None = None,
    **more: Any,
) -> "views.RunView":
    """Run a pipeline in its project: ``tm.run(quadruple, n=3).outputs["result"]``. As ``Project.run``."""
    with open_project() as project:
        return project.run(pipeline, parameters, options=options, **more)
