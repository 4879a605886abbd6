"""A project folder with pipeline files, a store and datasets, for the engine's tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tidemill.core.names import Reference
from tidemill.data.datasets import Datasets
from tidemill.data.snapshot import Snapshot
from tidemill.engine.artifacts import load_value
from tidemill.engine.run import RunResult, run
from tidemill.pipeline.load import load
from tidemill.store.catalog import records
from tidemill.store.open import Store
from tidemill.store.table import Table

if TYPE_CHECKING:
    from tidemill.core.events import Event, Sink


class Project:
    """What a user has in one folder."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.folder = folder
        self.store = store or Store.create(folder / ".tidemill")
        self.datasets = Datasets(self.store, "someone")
        self.events: list[Event] = []
        self.sink: Sink = self.events.append

    def write(self, text: str, name: str = "pipeline.py") -> Path:
        """Put a file into the project."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(
        self,
        file: str = "pipeline.py",
        *,
        pipeline_name: str | None = None,
        workers: int = 1,
        executor: str = "local",
        audit: float = 0.0,
        **values: Any,
    ) -> RunResult:
        """Load the pipeline as it is now and run it."""
        pipeline = load(self.folder / file, pipeline_name)
        return run(
            self.store,
            pipeline.build(values),
            pipeline_name=pipeline.name,
            file=pipeline.file,
            parameters=values,
            sink=self.sink,
            workers=workers,
            executor=executor,
            project_folder=self.folder,
            resolve=self.resolve,
            audit=audit,
        )

    def resolve(self, reference: Reference) -> Snapshot:
        """A dataset at a point of its history."""
        return self.datasets.open(reference.name).snapshot(reference.at)

    def value(self, result: RunResult, output: str = "result") -> Any:
        """A result of a run that must have succeeded."""
        assert result.run.status == "succeeded", result.run.error
        return load_value(self.store, result.outputs[output].digest)

    def load(self, step: records.Step, output: str = "result") -> Any:
        """What a step made."""
        return load_value(self.store, step.outputs[output])


def statuses(result: RunResult) -> dict[str, str]:
    """Each step's status."""
    return {s.name: s.status for s in result.steps}


def step(result: RunResult, name: str) -> records.Step:
    """One step's record."""
    return next(s for s in result.steps if s.name == name)


def table(columns: Mapping[str, Any], ids: list[int]) -> Table:
    """A table with ``_id`` and an empty ``_prediction``."""
    made = Table(pa.table({"_id": pa.array(ids, pa.uint64())}))
    for name, values in columns.items():
        made = made.with_column(name, values)
    return made.with_column("_prediction", pa.nulls(len(ids), pa.string()))


def rows(made: Table) -> dict[int, dict[str, Any]]:
    """The rows by ``_id``, without system columns."""
    return {
        r["_id"]: {n: v for n, v in r.items() if not n.startswith("_")} for r in made.to_arrow().to_pylist()
    }


def numbers(count: int, start: int = 0) -> Table:
    """Rows with ``x`` (a number) and ``image`` (a 2x2 tensor)."""
    ids = list(range(start, start + count))
    images = np.arange(start * 4, (start + count) * 4, dtype=np.uint8).reshape(count, 2, 2)
    return table({"x": np.array(ids, np.int64), "image": images}, ids)
