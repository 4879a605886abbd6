"""One step while it is computed: its orders, what came of them, and what to record of it."""

import functools
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.core.events import Progress
from tidemill.core.names import Digest
from tidemill.engine import cache, plan, project_files, tables
from tidemill.engine.closure import Closure
from tidemill.engine.executors import environment
from tidemill.engine.orders import Memo, Order, Outcome, Saved
from tidemill.pipeline import load, values
from tidemill.pipeline.component import Component
from tidemill.pipeline.graph import Node
from tidemill.pipeline.parameters import EMPTY
from tidemill.pipeline.secret import Secret, replaced
from tidemill.store.blobs import Blobs, Place


@dataclass(slots=True)
class Job:
    """A node that is being computed: its key, its lock, and the orders it was parted into.

    Attributes:
        pending: Orders whose outcome is not here yet.
        attempts: How often the order that was tried most was tried.
    """

    node: Node
    parts: plan.Parts
    key: str
    inputs: plan.Inputs
    why: str
    lock: ExitStack
    started: float
    chunks: cache.ChunkPlan | None = None
    pending: int = 0
    attempts: int = 1
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def order(
        self,
        closure: Closure,
        files: dict[str, tuple[int, int]],
        *,
        seed: int,
        blobs: Place,
        tasks: tuple[Any, ...] = (),
    ) -> Order:
        """What a worker needs to compute this node, or these of its chunks."""
        node = self.node
        component = node.component
        assert component is not None
        file = component.file
        folder = None if file is None else _folder(component.module, str(file))
        by_chunk = node.role in ("rows", "apply")
        return Order(
            step=node.name,
            role=node.role,
            module=component.module,
            variable=component.variable,
            file=project_files.name_in(folder, str(file)) if folder is not None else None,
            folder=folder,
            files={
                project_files.name_in(folder, f) if folder is not None else f: project_files.digest(
                    f, files[f]
                )
                for f in closure.files
                if f in files
            },
            packages=closure.packages,
            environment=environment.variables(),
            settings=_with_whole_paths(component, node.settings),
            inputs={n: s for n, s in self.inputs.items() if not (by_chunk and n == node.table)},
            outputs=node.outputs,
            table=node.table,
            tasks=tasks,
            seed=seed,
            blobs=blobs,
            timeout_seconds=component.options.get("timeout_seconds"),
            resources=node.resources,
        )

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.perf_counter() - self.started

    @property
    def error(self) -> dict[str, Any] | None:
        """The first error among its orders, with the step named."""
        found = next((o.error for o in self.outcomes if o.error is not None), None)
        return None if found is None else self.named(found)

    def named(self, error: dict[str, Any]) -> dict[str, Any]:
        """``error`` with the step in its message and details."""
        message = str(error["message"])
        if self.node.name not in message:
            message = f"Step '{self.node.name}': {message}"
        return {**error, "message": message, "details": {**error.get("details", {}), "step": self.node.name}}

    @property
    def is_complete(self) -> bool:
        """Whether all of it was computed; not so when the run failed before its orders were begun."""
        if self.chunks is None:
            return bool(self.outcomes)
        return len(self.chunks.tasks) == sum(len(o.chunks) for o in self.outcomes)

    def progress(self) -> Progress | None:
        """How many of its rows are done, where it is computed in several chunks."""
        if self.chunks is None or len(self.chunks.tasks) < 2:
            return None
        ended = [i for o in self.outcomes for i in o.chunks]
        done = sum(self.chunks.chunks[i]["rows"] for i in ended)
        return Progress(self.node.name, done, sum(t.chunk["rows"] for t in self.chunks.tasks), "rows")

    def saved(self, blobs: Blobs) -> dict[str, Saved]:
        """Its artifacts; the tables of a row-wise step are put together from old and new chunks."""
        if self.chunks is None:
            return self.outcomes[0].saved
        done = dict(self.chunks.done)
        columns: dict[str, list[dict[str, Any]]] = {}
        for memo in self.chunks.memos.values():
            columns.update(memo["columns"])
        for outcome in self.outcomes:
            done.update(outcome.chunks)
            for memo in outcome.memos.values():
                columns.update(memo["columns"])
        ordered = [done[i] for i in range(len(self.chunks.chunks))]
        return {n: tables.manifest(blobs, [c[n] for c in ordered], columns[n]) for n in self.node.outputs}

    def memos(self) -> dict[str, Memo]:
        """What the cache is to remember of its chunks."""
        if self.chunks is None:
            return {}
        return {self.chunks.keys[i]: memo for o in self.outcomes for i, memo in o.memos.items()}

    @property
    def rows_in(self) -> int | None:
        """Rows of the tables that it takes."""
        if self.chunks is not None:
            return sum(c["rows"] for c in self.chunks.chunks)
        return self.outcomes[0].rows_in if self.outcomes else None

    @property
    def rows_computed(self) -> int | None:
        """Rows that were really computed."""
        counts = [o.rows_computed for o in self.outcomes if o.rows_computed is not None]
        if counts:
            return sum(counts)
        return 0 if self.chunks is not None and not self.outcomes else None

    def measured(self, blobs: Blobs) -> dict[str, Any]:
        """What whoever carried out its orders says of it, by the names of its record; what nobody said is left out."""
        outcomes = self.outcomes
        peaks = [o.peak_bytes for o in outcomes if o.peak_bytes is not None]
        said = {
            "host": next((o.host for o in outcomes if o.host), None),
            "peak_bytes": max(peaks, default=None),
            "read_bytes": sum(o.read_bytes or 0 for o in outcomes) if outcomes else None,
            "written_bytes": sum(o.written_bytes or 0 for o in outcomes) if outcomes else None,
            "log": self._log(blobs),
        }
        return {name: value for name, value in said.items() if value is not None}

    def _log(self, blobs: Blobs) -> str | None:
        """The blob with what it printed: of all its orders."""
        logs = [Digest(o.log) for o in self.outcomes if o.log]
        if len(logs) < 2:
            return logs[0] if logs else None
        return blobs.put(b"".join(blobs.get(d) for d in logs))


def rows_of(saved: dict[str, Saved]) -> int | None:
    """Rows of all tables among these artifacts; None where there is none."""
    counts = [int(s.meta["rows"]) for s in saved.values() if s.kind == "table"]
    return sum(counts) if counts else None


def _with_whole_paths(component: Component[..., Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with paths as they are from any working directory: the step has one of its own."""
    wanted = {p.name: p.annotation for p in component.parameters}
    return {
        n: replaced(values.with_paths(v, wanted.get(n, EMPTY), Path.absolute), Secret.from_anywhere)
        for n, v in settings.items()
    }


@functools.lru_cache(maxsize=4096)
def _folder(module: str, path: str) -> str | None:
    """The folder that a module was imported from, for ``sys.path``; None where it is installed."""
    if module.startswith("tidemill.") or load.installed(path):
        return None
    file = Path(path)
    depth = module.count(".") + (1 if file.name == "__init__.py" else 0)
    folder = file.parent
    for _ in range(depth):
        folder = folder.parent
    return str(folder)
