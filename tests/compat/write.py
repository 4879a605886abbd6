"""Writes a store of today's layout to tests/compat/layout-N, once, when N is new.

What is there already is never written again: it is what users have.

    python tests/compat/write.py
"""

import sys
import tempfile
from pathlib import Path

from tidemill.core.names import Digest
from tidemill.data import Datasets, Tensor, import_files
from tidemill.store.catalog import records
from tidemill.store.layout import LAYOUT
from tidemill.store.open import Store

HERE = Path(__file__).parent
AT = "2026-11-24T10:59:04.000000Z"
RUN = "20261124-105904-7f3a9c"


def write(folder: Path) -> None:
    """A dataset with a history, one record of each kind, and the blobs that they name."""
    store = Store.create(folder)
    model, manifest = store.blobs.put(b"a model"), store.blobs.put(b'{"layout": 1, "name": "fashion"}')
    log = store.blobs.put(b"what the step printed\n")
    with store.catalog.write() as t:
        t.add(*everything(model, manifest, log))
        t.remember({"sha256:" + "1" * 64: {"model": model}}, AT)
    write_dataset(Datasets(store, "Ada"))
    store.close()


def write_dataset(datasets: Datasets) -> None:
    """``fashion``: three commits, the first of them tagged ``v1``."""
    header, rows = "label,pixel1,pixel2,pixel3,pixel4", ["shirt,0,1,2,255", "coat,7,,9,8", "bag,5,5,5,5"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fashion.csv"
        tensors = {"image": Tensor("pixel", (2, 2))}

        def add(count: int) -> None:
            file.write_text("\n".join([header, *rows[:count]]) + "\n", "utf-8")
            import_files(datasets, "fashion", file, tensors=tensors, label="label")

        add(1)
        datasets.open("fashion").tag("v1")
        add(2)
        add(3)


def everything(model: Digest, manifest: Digest, log: Digest) -> list[object]:
    """One record of each kind."""
    return [
        records.Run(
            id=RUN,
            pipeline="fashion",
            file="pipeline.py",
            parameters={"epochs": 10, "name": "é"},
            trigger="person",
            status="succeeded",
            started_at=AT,
            finished_at=AT,
            host="here",
            pid=1,
            inputs={"fashion": "0123456789ab"},
            outputs={"model": model},
        ),
        records.Step(
            run=RUN,
            name="train",
            position=0,
            component="pipeline:train",
            kind="trainer",
            status="computed",
            key="sha256:" + "1" * 64,
            parts={"settings": {"epochs": 10}},
            outputs={"model": model},
            why="it never ran before",
            seconds=1.5,
            finished_at=AT,
            log=log,
        ),
        records.Artifact(model, "model", 7, {"framework": "keras"}, AT),
        records.Model("fashion", 1, model, RUN, "keras", {"inputs": []}, {"accuracy": 0.9}, AT),
        records.Verdict(RUN, passed=True, against=None, rules=[{"rule": "accuracy >= 0.87"}], decided_at=AT),
        records.Release("fashion", 1, manifest, RUN, "Ada", AT),
        records.Deployment("d1", "prod", "fashion", 1, manifest, "live", "Ada", AT, None, "promoted"),
        records.Firing("refit", "0123456789ab", RUN, "succeeded", AT),
    ]


if __name__ == "__main__":
    target = HERE / f"layout-{LAYOUT}"
    if target.exists():
        sys.exit(f"{target} is there already; it stays as it is.")
    write(target)
    print(target)
