"""Predictions that leave a log: by age, by size, never one with feedback, and never with a label that is lost."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.serve.bundles import Bundle, Deploy
from tidemill.core.clock import now, stamp
from tidemill.models.signature import Signature, Tensor
from tidemill.serve import ids, log_layout, log_pruning
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader
from tidemill.serve.options import Keep
from tidemill.serve.prediction_log import Entry, PredictionLog

SIGNATURE = Signature("m", (Tensor("x", "BYTES", (-1,)),), (Tensor("value", "FP64", (-1,)),))
OLD, RECENT = "2026-01-01T00:00:00.000000Z", stamp(now())
ANSWER = log_layout.encode_rows({"value": np.array([0.5])}, SIGNATURE.outputs)[0]


def asked(text: str) -> bytes:
    return log_layout.encode_rows({"x": np.array([text], object)}, SIGNATURE.inputs)[0]


def made(file: Path, rows: dict[str, str], *, with_feedback: tuple[str, ...] = (), text: str = "") -> Path:
    """A log with predictions by id, each with the time of its answer."""

    async def main() -> None:
        log = PredictionLog(file, release="sha256:1", number=1, signature=SIGNATURE)
        entry = Entry(
            asyncio.get_running_loop().create_future(), [(name, asked(name + text), ANSWER) for name in rows]
        )
        log.write(entry)
        await entry.done
        await log.close()

    asyncio.run(main())
    with closing(sqlite3.connect(file)) as database, database:
        database.executemany(
            "UPDATE predictions SET time = ? WHERE id = ?", [(t, n) for n, t in rows.items()]
        )
        database.executemany("INSERT INTO feedback VALUES (NULL, ?, 1, '')", [(n,) for n in with_feedback])
    return file


def names(file: Path) -> list[str]:
    with LogReader(file) as log:
        return [p.id for p in log.predictions()]


def test_what_is_old_leaves_and_what_has_feedback_stays(tmp_path: Path) -> None:
    rows = {"a": OLD, "b": OLD, "c": "2026-01-02T00:00:00.000000Z", "d": RECENT}
    file = made(tmp_path / "log.db", rows, with_feedback=("b",), text=" is Ada Lovelace's")
    assert log_pruning.prune(file, Keep()) == 0
    assert log_pruning.would_go(file, Keep(days=30))[0] == 2
    # Whoever has it open keeps the write-ahead file.
    with closing(log_layout.open_to_write(file)) as other:
        other.execute("UPDATE predictions SET checking = 1")
        other.execute("UPDATE predictions SET checking = 0")
        assert b"c is Ada Lovelace's" in Path(f"{file}-wal").read_bytes()
        assert log_pruning.prune(file, Keep(days=30)) == 2
        assert b"Lovelace" not in Path(f"{file}-wal").read_bytes()
    assert names(file) == ["b", "d"]
    with LogReader(file) as log:
        assert log.pruned() == [log_pruning.Pruned(stamp(now())[:10], 2, rows["c"])]
    assert b"c is Ada Lovelace's" not in file.read_bytes(), "its bytes are left in the free room of the file"


def test_a_log_that_is_too_large_lets_the_oldest_go(tmp_path: Path) -> None:
    rows = {f"{n:04d}": RECENT for n in range(3000)}
    file = made(tmp_path / "log.db", rows, with_feedback=("0007",), text="x" * 300)
    size = file.stat().st_size
    would, freed = log_pruning.would_go(file, Keep(size=size // 2))
    assert 1000 < would < 2000
    assert freed == pytest.approx(size / 2, rel=0.1)
    gone = log_pruning.prune(file, Keep(size=size // 2))
    left = names(file)
    assert left == ["0007", *sorted(rows)[gone + 1 :]]
    assert 1000 < gone <= 2000
    assert file.stat().st_size >= size
    assert log_pruning.prune(file, Keep(size=1)) == len(left) - 1
    assert names(file) == ["0007"]
    assert log_pruning.shrink(file) > size // 2
    assert names(file) == ["0007"]


@pytest.mark.parametrize(
    ("rows", "old", "keep"),
    [
        pytest.param(3000, 1000, Keep(days=30), id="a third"),
        pytest.param(3000, 2999, Keep(days=30), id="nearly all"),
        pytest.param(3000, 100, Keep(days=30), id="too little to write the file again"),
        pytest.param(3000, 0, Keep(size=700_000), id="too large"),
        pytest.param(2, 2, Keep(days=30), id="a small log"),
    ],
)
def test_what_would_go_is_about_what_goes(tmp_path: Path, rows: int, old: int, keep: Keep) -> None:
    every = {f"{n:04d}": OLD if n < old else RECENT for n in range(rows)}
    file = made(tmp_path / "log.db", every, text="x" * 300)
    for _ in range(2):
        would, freed = log_pruning.would_go(file, keep)
        assert log_pruning.prune(file, keep) == pytest.approx(would, abs=500)
        assert log_pruning.shrink(file) == pytest.approx(freed, rel=0.1, abs=30_000)
        # Now there is nothing more to go; nor was the free room that stays told twice.
        assert would or not freed


def test_a_label_for_what_left_meanwhile_is_refused_and_not_lost(tmp_path: Path) -> None:
    """The server has looked for the prediction; it leaves the log before the label is written."""
    file = made(tmp_path / "log.db", {"old": OLD, "new": RECENT})

    async def main() -> tuple[set[str], list[str]]:
        log = PredictionLog(file, release="sha256:1", number=1, signature=SIGNATURE)
        assert log.missing(["old", "new"]) == set()
        log_pruning.prune(file, Keep(days=30))
        entry = Entry(asyncio.get_running_loop().create_future(), feedback=[("old", 1.0), ("new", 2.0)])
        log.write(entry)
        await entry.done
        await log.close()
        with LogReader(file) as reader:
            return set(entry.gone), [f.prediction for f in reader.feedback()]

    assert asyncio.run(main()) == ({"old"}, ["new"])


def test_a_live_server_prunes_by_itself(deploy: Deploy, other_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    with Client(deploy().address) as client:
        answers = client.predict([{"image": np.zeros((28, 28), np.uint8).tolist()}] * 3)
        client.feedback({answers[1].prediction: answers[1].values["label"]})
    file = log_layout.log_file(folder, "prod")
    assert len(names(file)) == 3
    deploy(other_bundle, 2, keep=Keep(days=1e-9))
    deadline = time.monotonic() + 20
    while len(names(file)) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert names(file) == [answers[1].prediction]


def test_a_log_of_the_layout_before_is_read_and_gains_the_table(tmp_path: Path) -> None:
    file = made(tmp_path / "log.db", {"a": OLD})
    with closing(sqlite3.connect(file)) as database:
        database.executescript("DROP TABLE prunings; PRAGMA user_version = 1")
    with LogReader(file) as log:
        assert log.pruned() == []
    assert names(file) == ["a"]
    assert log_pruning.prune(file, Keep(days=30)) == 1
    with LogReader(file) as log:
        assert [p.predictions for p in log.pruned()] == [1]


@pytest.mark.parametrize("name", ["mine", "", "f" * 32, "0" * 12 + "g" * 20])
def test_the_time_of_an_id_is_known_of_those_that_a_server_made(name: str) -> None:
    found = ids.made_at(name)
    assert found is None, found
    made = ids.made_at(ids.new_id() + "/3")
    assert made is not None
    assert abs((now() - made).total_seconds()) < 60
