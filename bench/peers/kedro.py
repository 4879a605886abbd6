"""Kedro, in one process: each result is pickled to a file, as its catalog says. It has no cache."""

from pathlib import Path

from helper import more
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.pickle import PickleDataset

HERE = Path(__file__).parent


def chain(steps: int, start: int) -> int:
    kept = {f"x{n}": PickleDataset(filepath=str(HERE / f"x{n}.pkl")) for n in range(1, steps + 1)}
    catalog = DataCatalog({"x0": MemoryDataset(start), **kept})
    added = pipeline([node(more, f"x{n}", f"x{n + 1}", name=f"add_{n}") for n in range(steps)])
    SequentialRunner().run(added, catalog)
    return catalog.load(f"x{steps}")
