"""Writes a store of today's layout to tests/compat/layout-N, once, when N is new.

What is there already is never written again: it is what users have.

    python tests/compat/write.py
"""

import sys
from pathlib import Path

from tidemill.core.names import Digest
from tidemill.store.catalog import records
from tidemill.store.layout import LAYOUT
from tidemill.store.open import Store

HERE = Path(__file__).parent
AT = "2026-11-24T10:59:04.000000Z"
RUN = "20261124-105904-7f3a9c"


def write(folder: Path) -> None:
    """One record of each kind, and the blobs that they name."""
    store = Store.create(folder)
    model, manifest = store.blobs.put(b"a model"), store.blobs.put(b'{"layout": 1, "name": "fashion"}')
    log = store.blobs.put(b"what the step printed\n")
    with store.catalog.write() as t:
        t.add(*everything(model, manifest, log))
        t.remember("sha256:" + "1" * 64, {"model": model}, AT)
    store.close()


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
