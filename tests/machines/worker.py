"""A process that changes a dataset as it is told, line by line, until it is killed in the middle of it."""

import json
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from tests.services.again import opened_again
from tidemill.core.events import silent
from tidemill.data import Choices, Dataset, Datasets, Tombstone, collect, forget
from tidemill.store.open import Store
from tidemill.store.table import Table


def as_table(content: dict[int, Any]) -> Table:
    return Table(
        pa.table(
            {
                "_id": np.array(list(content), np.uint64),
                "a": pa.array([a for a, _ in content.values()], pa.string()),
                "b": pa.array([b for _, b in content.values()], pa.int64()),
            }
        )
    )


def perform(store: Store, dataset: Dataset, order: dict[str, Any]) -> None:
    match order["do"]:
        case "commit":
            rows = {int(i): tuple(row) for i, row in order["rows"].items()}
            dataset.commit(as_table(rows), branch=order["branch"], message="Killed", replace=True)
        case "merge":
            dataset.merge(order["source"], into=order["into"], choices=Choices(order["side"]))
        case "branch":
            dataset.branch(order["name"], order["at"])
        case "tag":
            dataset.tag(order["name"], order["at"])
        case "gc":
            collect(store, "d", (), dry_run=False, sink=silent)
        case "forget":
            told = Tombstone(tuple(order["ids"]), order["author"], order["time"], order["reason"])
            forget(store, "d", told, (), silent)
        case other:
            raise ValueError(other)


def main() -> None:
    # Before it is told what to do, so that the kill hits the work and not the import.
    import_module("lance")
    for line in sys.stdin:
        order = json.loads(line)
        store = opened_again(order["store"])
        dataset = Datasets(store, "worker").open("d")
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        perform(store, dataset, order)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
