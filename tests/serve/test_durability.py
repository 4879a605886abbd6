"""What was acknowledged is in the log: after ``kill -9``, on a full disk, beside a second writer."""

import contextlib
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.serve.bundles import Bundle, Deploy, images, run_server
from tests.serve.load import load
from tidemill.core.errors import StorageError
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader
from tidemill.serve.prediction_log import PredictionLog


@pytest.mark.parametrize(("after", "connections"), [(50, 16), (400, 16), (400, 1)])
def test_kill_9_under_load_loses_no_acknowledged_prediction(
    deploy: Deploy, tmp_path: Path, after: int, connections: int
) -> None:
    live = deploy()
    with load(live.address, connections, fails=True) as seen:
        seen.wait_for(after)
        os.kill(live.pid, signal.SIGKILL)
    assert len(seen.acknowledged) >= after
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        logged = {p.id for p in log.predictions()}
    assert not seen.acknowledged.keys() - logged


def test_after_kill_9_the_environment_is_served_again(deploy: Deploy, tmp_path: Path) -> None:
    first = deploy()
    with Client(first.address) as client:
        client.predict([{"image": images(1)[0].tolist()}])
    os.kill(first.pid, signal.SIGKILL)
    port = int(first.address.rpartition(":")[2])
    second = deploy(number=2, port=port)
    assert second.address == first.address and second.pid != first.pid
    with Client(second.address) as client:
        client.predict([{"image": images(1)[0].tolist()}])
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert [p.number for p in log.predictions()] == [1, 2]


def test_a_full_disk_is_503_and_nothing_is_acknowledged(small_disk: Path, deploy: Deploy) -> None:
    live = deploy(folder=small_disk)
    reserve = small_disk / "reserve"
    reserve.write_bytes(bytes(300_000))
    rows = [{"image": image.tolist()} for image in images(40)]
    acknowledged: list[str] = []
    with Client(live.address) as client:
        with pytest.raises(StorageError) as caught:
            for _ in range(200):
                acknowledged += [a.prediction for a in client.predict(rows)]
        assert caught.value.code == "disk-full"
        filler = small_disk / "filler"
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert not client.ready()
        # The log's own files may have room left for a few more, which are then as durable as any.
        with pytest.raises(StorageError):
            for _ in range(200):
                acknowledged += [a.prediction for a in client.predict(rows)]
        recorded = 0
        with contextlib.suppress(StorageError):
            recorded = client.feedback(dict.fromkeys(acknowledged, "a"))
        with LogReader(small_disk / "prod.predictions.db") as log:
            assert [p.id for p in log.predictions()] == acknowledged
            assert len(log.feedback()) == recorded
        # Space comes back: the server answers again, without a restart.
        reserve.unlink()
        assert client.ready()
        acknowledged += [a.prediction for a in client.predict(rows[:1])]
    with LogReader(small_disk / "prod.predictions.db") as log:
        assert [p.id for p in log.predictions()] == acknowledged


def test_a_log_that_another_process_holds_is_waited_for(deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    file = tmp_path / "environments" / "prod.predictions.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answers: list[object] = []

    def ask() -> None:
        with Client(live.address) as client:
            answers.append(client.predict([{"image": images(1)[0].tolist()}]))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive() and not answers
    holder.execute("COMMIT")
    holder.close()
    thread.join(30)
    assert len(answers) == 1


def test_a_log_of_a_newer_tidemill_is_not_touched(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "prod.predictions.db"
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()
    ended = run_server(bundle=bundle, folder=tmp_path)
    assert ended.returncode == 1 and '"log-too-new"' in ended.stdout
    with pytest.raises(StorageError) as caught:
        PredictionLog.open_reading(file)
    assert caught.value.code == "log-too-new"


def test_a_file_that_is_no_log_is_said_so(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "prod.predictions.db").write_bytes(
        b"not a database, but long enough to be taken for one" * 40
    )
    ended = run_server(bundle=bundle, folder=tmp_path)
    assert ended.returncode == 1 and '"log-damaged"' in ended.stdout
