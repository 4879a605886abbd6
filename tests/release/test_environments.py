"""Environments with real servers: one answers at every moment, whatever fails or is killed."""

import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.release.conftest import IMAGES, Release, tar_of
from tests.services.waiting import until
from tidemill.core.errors import Conflict, Failed, InvalidInput, NotAllowed, NotFound
from tidemill.core.events import Event, Note
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.models import sample
from tidemill.release import environments, settling
from tidemill.store.catalog import records
from tidemill.store.open import Store

Promote = Callable[..., records.Deployment]


@pytest.fixture
def promote(store: Store, servers: Settings) -> Promote:
    def run(release: records.Release, environment: str = "dev", **more: Any) -> records.Deployment:
        return environments.promote(
            store, servers, release=release, environment=environment, author="ada", **more
        )

    return run


@pytest.fixture
def two(make_release: Release, predictor_tar: bytes) -> tuple[records.Release, records.Release]:
    """Two releases of one predictor."""
    return make_release("a", predictor_tar), make_release("b", predictor_tar)


def ask(address: str) -> dict[str, Any]:
    body = json.dumps({"rows": [{"image": IMAGES[0].tolist()}]}).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=180) as answer:
        return json.load(answer)


def address(store: Store, environment: str = "dev") -> str:
    running = environments.status(store, environment)
    assert running is not None
    return running.address


def statuses(store: Store, environment: str = "dev") -> list[tuple[int, str]]:
    return [(d.release_number, d.status) for d in environments.history(store, environment)]


def servers_of(store: Store) -> list[int]:
    """The processes that serve from this store."""
    listed = subprocess.run(
        ["ps", "-ww", "-e", "-o", "pid=", "-o", "args="], capture_output=True, text=True, check=True
    )
    mark = str(store.environments_folder)
    lines = (line.split(maxsplit=1) for line in listed.stdout.splitlines())
    return [int(pid) for pid, arguments in lines if "tidemill.serve" in arguments and mark in arguments]


def test_a_promoted_release_answers(store: Store, promote: Promote, two: tuple[records.Release, ...]):
    notes: list[Event] = []
    deployment = promote(two[0], reason="first", sink=notes.append)
    assert (deployment.status, deployment.author, deployment.reason) == ("live", "ada", "first")
    assert environments.current(store, "dev") == deployment
    answer = ask(address(store))
    assert (answer["number"], answer["release"]) == (1, two[0].digest)
    assert answer["predictions"][0]["label"] in ("dark", "bright")
    assert (store.environments_folder / "dev.log").stat().st_size > 0
    assert any(isinstance(n, Note) and "12 sample rows" in n.text for n in notes)


def test_a_release_goes_through_the_environments_in_their_order(
    store: Store, promote: Promote, two: tuple[records.Release, ...]
):
    with pytest.raises(NotAllowed) as caught:
        promote(two[0], "prod")
    assert caught.value.code == "promotion-order"
    assert environments.status(store, "prod") is None
    promote(two[0], "dev")
    promote(two[0], "prod")
    assert ask(address(store, "prod"))["number"] == 1


def test_promoting_what_is_live_changes_nothing(
    store: Store, promote: Promote, two: tuple[records.Release, ...]
):
    first = promote(two[0])
    before = environments.status(store, "dev")
    assert promote(two[0]) == first
    after = environments.status(store, "dev")
    assert before is not None
    assert after is not None
    assert before.pid == after.pid
    assert statuses(store) == [(1, "live")]


def test_one_release_replaces_another_under_load_without_a_failed_request(
    store: Store, promote: Promote, two: tuple[records.Release, ...]
):
    promote(two[0])
    place = address(store)
    answers: list[int] = []
    failures: list[str] = []
    stopping = threading.Event()

    def load() -> None:
        while not stopping.is_set():
            try:
                answers.append(ask(place)["number"])
            except (OSError, urllib.error.URLError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        promote(two[1])
        asked = len(answers)
        until(lambda: len(answers) > asked + 20, "requests go on")
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(answers) == {1, 2}
    assert address(store) == place
    assert statuses(store) == [(2, "live"), (1, "retired")]
    until(lambda: len(servers_of(store)) == 1, "the old server ends")


def changed(tar: bytes, folder: Path, name: str, content: bytes) -> bytes:
    """The tar with one file's content replaced."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        files = {m.name: content if m.name == name else archive.extractfile(m).read() for m in archive}  # pyright: ignore[reportOptionalMemberAccess]
    return tar_of(files)


def wrong_sample(folder: Path) -> bytes:
    wrong = np.tile(np.array([[0.3, 0.7]], np.float32), (len(IMAGES), 1))
    sample.write(folder, {"image": IMAGES}, wrong, ("dark", "bright"))
    return (folder / sample.FILE).read_bytes()


def test_a_server_that_answers_wrongly_does_not_take_over(
    store: Store,
    promote: Promote,
    two: tuple[records.Release, ...],
    make_release: Release,
    predictor_tar: bytes,
    tmp_path: Path,
):
    promote(two[0])
    bad = make_release("c", changed(predictor_tar, tmp_path, sample.FILE, wrong_sample(tmp_path)))
    with pytest.raises(Failed) as caught:
        promote(bad)
    assert caught.value.code == "deployment-failed"
    assert "of 12 sample rows" in caught.value.message
    assert caught.value.details["log"]
    assert ask(address(store))["number"] == 1
    assert statuses(store) == [(3, "failed"), (1, "live")]
    promote(two[1])
    assert statuses(store) == [(2, "live"), (3, "failed"), (1, "retired")]


def test_a_server_that_does_not_start_says_its_last_words(
    store: Store,
    promote: Promote,
    two: tuple[records.Release, ...],
    make_release: Release,
    predictor_tar: bytes,
    tmp_path: Path,
):
    promote(two[0])
    bad = make_release("c", changed(predictor_tar, tmp_path, "predictor.json", b"not json"))
    with pytest.raises(Failed) as caught:
        promote(bad)
    assert caught.value.code == "deployment-failed"
    assert "predictor.json" in str(caught.value.details["log"])
    assert f"{caught.value.message} {caught.value.why}".count("not json") <= 1
    assert ask(address(store))["number"] == 1
    assert statuses(store) == [(3, "failed"), (1, "live")]


def test_a_taken_port_is_a_failed_deployment(
    store: Store, promote: Promote, two: tuple[records.Release, ...]
):
    promote(two[0])
    port = int(address(store).rpartition(":")[2])
    settings = Settings(environments={"other": EnvironmentSettings(port=port)})
    with pytest.raises(Failed) as caught:
        environments.promote(store, settings, release=two[1], environment="other", author="ada")
    assert caught.value.code == "deployment-failed"
    assert statuses(store, "other") == [(2, "failed")]
    # In words, and once: what the server logged meanwhile is in the details.
    assert "last words" not in (caught.value.why or "")
    assert environments.status(store, "other") is None


def test_rollback_brings_the_release_before_back(
    store: Store, servers: Settings, promote: Promote, two: tuple[records.Release, ...]
):
    with pytest.raises(NotAllowed) as caught:
        environments.rollback(store, servers, environment="dev", author="ada")
    assert caught.value.code == "nothing-to-roll-back-to"
    promote(two[0])
    promote(two[1])
    back = environments.rollback(store, servers, environment="dev", author="grace", reason="too many coats")
    assert (back.release_number, back.author, back.reason) == (1, "grace", "too many coats")
    assert ask(address(store))["number"] == 1
    assert statuses(store) == [(1, "live"), (2, "retired"), (1, "retired")]
    with pytest.raises(NotAllowed) as caught:
        environments.rollback(store, servers, environment="dev", author="ada")
    assert caught.value.why is not None
    assert "rolled back from since the last promotion" in caught.value.why
    assert caught.value.hint == f"Type 'tidemill promote {two[1].name}/2 dev' to bring another release there."


def test_stop_and_serve_again(
    store: Store, servers: Settings, promote: Promote, two: tuple[records.Release, ...], tmp_path: Path
):
    with pytest.raises(NotFound) as caught:
        environments.serve_again(store, servers, environment="dev", author="ada")
    assert caught.value.code == "nothing-deployed"
    live = promote(two[0])
    assert environments.stop(store, servers, environment="dev", author="ada", reason="a new belt")
    assert environments.status(store, "dev") is None
    with store.catalog.read() as read:
        [_, stopped] = read.find(records.DeploymentChange, {"deployment": live.id}, order=("position",))
    assert (stopped.status, stopped.author, stopped.reason) == ("stopped", "ada", "a new belt")
    assert not environments.stop(store, servers, environment="dev", author="ada")
    assert environments.current(store, "dev") == live
    for wrong, code in (
        ({"tls_cert": __file__, "tls_key": __file__}, "tls-not-usable"),
        ({"trusted_proxies": ("nonsense",)}, "invalid-proxy"),
    ):
        with pytest.raises(InvalidInput) as refused:
            environments.serve_again(store, servers, environment="dev", author="ada", told=wrong)
        assert refused.value.code == code
    running = environments.serve_again(store, servers, environment="dev", author="ada")
    assert (running.release, running.number) == (two[0].digest, 1)
    # A copy of the folder serves what it carried along, and says that the original goes on.
    shutil.copytree(store.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))
    copy = Store.open(tmp_path / "copy")
    said = settling.carry_along(copy, servers, "ada")
    copy.close()
    assert f"goes on by itself at {running.address} (process {running.pid})" in (said or "")
    assert ask(running.address)["number"] == 1
    assert environments.serve_again(store, servers, environment="dev", author="ada").pid == running.pid
    told = {"port": 0, "no_auth": False}
    assert (
        environments.serve_again(store, servers, environment="dev", author="ada", told=told).pid
        == running.pid
    )
    with pytest.raises(Conflict) as differs:
        environments.serve_again(
            store, servers, environment="dev", author="ada", told={"host": "127.0.0.2", "port": 1}
        )
    assert differs.value.code == "served-already"
    assert f"by process {running.pid} at {running.address}" in differs.value.message
    assert differs.value.details["differs"] == ["host", "port"]
    assert statuses(store) == [(1, "live")]


def test_a_killed_server_is_served_again(
    store: Store, servers: Settings, promote: Promote, two: tuple[records.Release, ...]
):
    promote(two[0])
    running = environments.status(store, "dev")
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: environments.status(store, "dev") is None, "the server is gone")
    assert environments.recover(store, servers, "grace") == []
    # Promoting what should be live brings it back as well.
    promote(two[0])
    assert ask(address(store))["number"] == 1
    assert statuses(store) == [(1, "live")]


def test_what_answers_is_what_is_live_whatever_the_record_says(
    store: Store, servers: Settings, promote: Promote, two: tuple[records.Release, ...]
):
    promote(two[0])
    second = promote(two[1])
    first = environments.history(store, "dev")[1]
    with store.catalog.write() as write:
        settling.change(write, store, first, "live", "ada", "")
        settling.change(write, store, second, "starting", "ada", "")
    settled = environments.recover(store, servers, "grace")
    assert {(d.release_number, d.status) for d in settled} == {(1, "retired"), (2, "live")}
    with store.catalog.write() as write:
        settling.change(write, store, first, "live", "ada", "")
        settling.change(write, store, second, "failed", "ada", "")
    environments.recover(store, servers, "grace")
    assert statuses(store) == [(2, "live"), (2, "failed"), (1, "retired")]
    # Nobody's name stands under what somebody else found.
    found = environments.history(store, "dev")[0]
    assert (found.author, found.kind) == ("grace", "found")
    assert environments.recover(store, servers, "grace") == []


PROMOTE = """
import sys
from pathlib import Path
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.release import bundle, environments
from tidemill.store.open import Store
store = Store.open(Path(sys.argv[1]))
settings = Settings(environments={"dev": EnvironmentSettings(), "prod": EnvironmentSettings(after="dev")})
release = bundle.find(store, "fashion", sys.argv[2])
print("begin", flush=True)
environments.promote(store, settings, release=release, environment="dev", author="ada")
print("promoted", flush=True)
"""


@pytest.mark.parametrize("moment", [0.2, 0.6, 1.0, "starting", "answered"])
def test_kill_9_of_the_promoter_leaves_one_release_serving_and_a_true_record(
    store: Store,
    servers: Settings,
    promote: Promote,
    two: tuple[records.Release, ...],
    moment: float | str,
):
    promote(two[0])
    place = address(store)
    command = [sys.executable, "-c", PROMOTE, str(store.folder), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        if moment == "starting":
            until(lambda: statuses(store)[0] == (2, "starting"), "a promotion begins")
        elif moment == "answered":
            until(
                lambda: environments.status(store, "dev") is not None and ask(place)["number"] == 2,
                "it is swapped",
            )
        else:
            assert isinstance(moment, float)
            time.sleep(moment + random.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
    assert ask(place)["number"] in (1, 2)
    environments.recover(store, servers, "grace")
    running, live = environments.status(store, "dev"), environments.current(store, "dev")
    assert running is not None
    assert live is not None
    assert live.release_digest == running.release
    assert [s for _, s in statuses(store)].count("live") == 1
    assert "starting" not in [s for _, s in statuses(store)]
    assert ask(place)["number"] == live.release_number
    # Typing it again finishes the work.
    promote(two[1])
    assert ask(place)["number"] == 2
    assert statuses(store)[0] == (2, "live")
    until(lambda: len(servers_of(store)) == 1, "every other server ends")


def test_the_port_is_chosen_once_and_kept_and_what_serve_was_told_holds_for_what_is_promoted(
    store: Store, servers: Settings, promote: Promote, two: tuple[records.Release, ...]
):
    promote(two[0])
    first = address(store)
    environments.stop(store, servers, environment="dev", author="ada")
    assert environments.serve_again(store, servers, environment="dev", author="ada").address == first
    environments.stop(store, servers, environment="dev", author="ada")
    port = int(first.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        moved = environments.serve_again(store, servers, environment="dev", author="ada").address
        assert moved != first
        environments.stop(store, servers, environment="dev", author="ada")
    # It is free again, but the new one has been told to clients since.
    told: dict[str, Any] = {"host": "0.0.0.0"}  # noqa: S104
    with pytest.raises(NotAllowed) as caught:
        environments.serve_again(store, servers, environment="dev", author="ada", told=told)
    assert caught.value.code == "tokens-needed"
    assert "'tidemill serve dev --host 0.0.0.0 --no-auth'" in (caught.value.hint or "")
    told["no_auth"] = True
    open_to_all = environments.serve_again(store, servers, environment="dev", author="ada", told=told).address
    assert open_to_all == moved.replace("127.0.0.1", "0.0.0.0")  # noqa: S104
    promote(two[1])
    assert address(store) == open_to_all
    assert ask(open_to_all)["number"] == 2
    environments.stop(store, servers, environment="dev", author="ada")
    assert environments.serve_again(store, servers, environment="dev", author="ada").address == moved
