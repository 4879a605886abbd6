"""One server replaces another while requests go on: none fails, none is unlogged."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.bundles import Bundle, Deploy, Start, digest, images, run_server
from tests.serve.load import load
from tests.services.waiting import until
from tidemill.core.errors import Conflict, Failed
from tidemill.serve import client, control
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader
from tidemill.store.locks import Locks

BODY = {"rows": [{"image": images(1)[0].tolist()}]}


def test_under_load_no_request_fails_and_none_is_unlogged(
    start: Start, deploy: Deploy, bundle: Bundle, other_bundle: Bundle, tmp_path: Path
) -> None:
    live = deploy()
    with load(live.address, 16) as seen:
        seen.wait_for(100)
        for number in range(2, 6):
            standby = start((bundle, other_bundle)[number % 2], number)
            took = standby.take_over()
            assert took.address == live.address and took.number == number and not took.standby
            seen.wait_for(100, number)
    assert seen.failures == []
    assert set(seen.acknowledged.values()) == {1, 2, 3, 4, 5}
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        logged = {p.id: p.number for p in log.predictions()}
    assert logged == seen.acknowledged


def test_an_idle_connection_goes_over_too(deploy: Deploy, other_bundle: Bundle) -> None:
    live = deploy()
    parts = urlsplit(live.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as silent, httpx.Client() as kept:
        assert kept.post(live.address + "/predict", json=BODY).json()["number"] == 1
        stream = kept.get(live.address + "/v2").extensions["network_stream"]
        ours = stream.get_extra_info("client_addr")
        deploy(other_bundle, 2)
        wait_for_end(live.pid)
        response = kept.post(live.address + "/predict", json=BODY)
        assert response.json()["number"] == 2
        assert response.extensions["network_stream"].get_extra_info("client_addr") == ours
        # Connected before, not a byte sent until now.
        silent.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert digest(2).encode() in whole(silent)


def test_a_request_half_sent_is_answered_by_the_old_one(
    deploy: Deploy, other_bundle: Bundle, tmp_path: Path
) -> None:
    live = deploy()
    parts = urlsplit(live.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(b"GET /v2/models/ten HTTP/1.1\r\nHo")
        # The first request on another connection is answered, so that one has been read.
        with Client(live.address) as asking:
            assert asking.ready()
        taking = threading.Thread(target=deploy, args=(other_bundle, 2))
        taking.start()
        # Not "another status": what is in flight changes too.
        until(
            lambda: (now := client.status(tmp_path / "environments", "prod")) is not None and now.number == 2
        )
        connection.sendall(b"st: localhost\r\n\r\n")
        answer = whole(connection)
        taking.join()
        assert b'"versions":["1"]' in answer and b"connection: close" in answer.lower()


def test_a_check_of_a_standby_is_logged_as_a_check(start: Start, tmp_path: Path) -> None:
    standby = start()
    with Client(standby.address) as asking:
        checked = asking.predict(BODY["rows"])
    live = standby.take_over()
    with Client(live.address) as asking:
        asking.predict(BODY["rows"])
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert log.count() == 1 and log.count(checking=True) == 1
        assert len(list(log.predictions())) == 1 and len(list(log.predictions(checking=True))) == 2
        (found,) = log.predictions([checked[0].prediction])
        assert found.checking


def test_a_standby_ends_when_its_promoter_dies(bundle: Bundle, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tidemill.serve import client\n"
        "s = client.start_standby(bundle=Path(sys.argv[1]), name='ten', release='r', number=1,"
        " environment='prod', folder=Path(sys.argv[2]))\n"
        "print(s.pid, flush=True); time.sleep(600)"
    )
    promoter = subprocess.Popen(
        [sys.executable, "-c", code, str(bundle.folder), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert promoter.stdout is not None
    pid = int(promoter.stdout.readline())
    os.kill(pid, 0)
    promoter.kill()
    promoter.wait()
    promoter.stdout.close()
    wait_for_end(pid)
    assert not [*tmp_path.glob("*.sock")]


def test_a_server_outlives_its_promoter_once_it_is_live(bundle: Bundle, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tidemill.serve import client\n"
        "client.start_standby(bundle=Path(sys.argv[1]), name='ten', release='r', number=1,"
        " environment='prod', folder=Path(sys.argv[2])).take_over()"
    )
    subprocess.run([sys.executable, "-c", code, str(bundle.folder), str(tmp_path)], check=True)
    live = client.status(tmp_path, "prod")
    assert live is not None
    with Client(live.address) as asking:
        assert asking.predict(BODY["rows"])[0].number == 1
    assert client.stop(tmp_path, "prod") == live
    assert client.status(tmp_path, "prod") is None and client.stop(tmp_path, "prod") is None
    assert not [*tmp_path.glob("*.sock")]


def test_an_abandoned_standby_leaves_the_live_one_alone(start: Start, deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    with start(number=2) as standby:
        assert standby.status.standby and standby.address != live.address
    assert client.status(tmp_path / "environments", "prod") == live
    with pytest.raises(Failed):
        standby.take_over()


def test_a_taken_port_is_said_so(start: Start, bundle: Bundle, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        standby = start(port=port)
        with pytest.raises(Conflict) as caught:
            standby.take_over()
        assert caught.value.code == "port-taken" and str(port) in caught.value.message
        ended = run_server("--port", str(port), bundle=bundle, folder=tmp_path)
        assert ended.returncode == 2 and '"port-taken"' in ended.stdout and str(port) in ended.stderr
    # It is free now, and the standby is still there.
    assert standby.take_over().address.endswith(f":{port}")


def test_a_new_address_is_moved_to(deploy: Deploy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first = deploy()
    with load(first.address, 2, fails=True) as seen:
        seen.wait_for(20)
        second = deploy(number=2, port=port)
    assert second.address == f"http://127.0.0.1:{port}" != first.address
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert not seen.acknowledged.keys() - {p.id for p in log.predictions()}


def test_a_predecessor_that_was_killed_does_not_hinder(start: Start, deploy: Deploy) -> None:
    live = deploy()
    standby = start(number=2)
    os.kill(live.pid, signal.SIGKILL)
    assert standby.take_over().number == 2


@pytest.mark.parametrize("accepting", [False, True])
def test_a_successor_that_dies_half_way_leaves_the_old_one_serving(
    deploy: Deploy, tmp_path: Path, accepting: bool
) -> None:
    live = deploy()
    parts = urlsplit(live.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as busy:
        # Half a request keeps the old one from finishing before it notices.
        busy.sendall(b"GET /v2/models/ten HTTP/1.1\r\nHo")
        with Client(live.address) as asking:
            assert asking.ready()
        channel = control.connect(control.socket_file(tmp_path / "environments", "prod"), timeout_seconds=10)
        assert channel is not None
        channel.send({"verb": "hand_over", "protocol": 1})
        assert (channel.receive() or {})["handing"]
        if accepting:
            channel.send({"verb": "accepting"})
        channel.close()
        busy.sendall(b"st: localhost\r\n\r\n")
        assert b'"versions":["1"]' in whole(busy)
    wait_until_it_serves(live, tmp_path / "environments")
    with load(live.address, 4) as seen:
        seen.wait_for(20)
    assert seen.failures == []


def test_a_successor_that_dies_with_the_old_ones_name_gives_it_back(deploy: Deploy, tmp_path: Path) -> None:
    live, folder = deploy(), tmp_path / "environments"
    channel = control.connect(control.socket_file(folder, "prod"), timeout_seconds=10)
    assert channel is not None
    channel.send({"verb": "hand_over", "protocol": 1})
    assert (channel.receive() or {})["handing"]
    # The moment between taking the name and saying so.
    control.listen(folder / "other.sock").close()
    os.replace(folder / "other.sock", control.socket_file(folder, "prod"))
    assert client.status(folder, "prod") is None
    channel.close()
    wait_until_it_serves(live, folder)


def test_a_standby_that_could_not_take_over_ends_with_its_promoter(bundle: Bundle, tmp_path: Path) -> None:
    code = (
        "import os, select, sys; from pathlib import Path; from tidemill.serve import client, control\n"
        "s = client.start_standby(bundle=Path(sys.argv[1]), name='ten', release='r', number=1,"
        " environment='prod', folder=Path(sys.argv[2]), port=int(sys.argv[3]))\n"
        "file = control.socket_file(Path(sys.argv[2]), 'prod', s.pid)\n"
        "both = [control.connect(file, timeout_seconds=10) for _ in range(2)]\n"
        "for one in both: one.send({'verb': 'take_over'})\n"
        # One of them is told at once that the other is being done.
        "select.select([one._socket for one in both], [], [])\n"
        "print(s.pid, s.address, flush=True); os._exit(1)"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with Locks(tmp_path).hold("prod.take-over"):
            promoter = subprocess.run(
                [sys.executable, "-c", code, str(bundle.folder), str(tmp_path), port],
                check=False,
                stdout=subprocess.PIPE,
                text=True,
            )
            pid, address = promoter.stdout.split()
            # Answered in the event loop, which has read the end of the promoter's pipe before.
            for _ in range(3):
                assert httpx.get(f"{address}/v2/health/live").status_code == 200
        wait_for_end(int(pid))
    assert not [*tmp_path.glob("*.sock")]


def wait_until_it_serves(live: client.Status, folder: Path) -> None:
    until(lambda: client.status(folder, "prod") == live)


def test_a_folder_with_a_long_name(deploy: Deploy, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    live = deploy(folder=folder)
    assert client.status(folder, "prod") == live
    assert deploy(number=2, folder=folder).address == live.address
    stopped = client.stop(folder, "prod")
    assert stopped is not None and stopped.number == 2


def test_environments_do_not_meet(deploy: Deploy, tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    one, two = deploy(environment="dev"), deploy(environment="test", number=2)
    assert one.address != two.address
    with Client(two.address) as asking:
        asking.predict(BODY["rows"])
    with LogReader(folder / "dev.predictions.db") as log:
        assert log.count() == 0
    with LogReader(folder / "test.predictions.db") as log:
        assert log.count() == 1


def test_a_server_that_cannot_start_says_why(start: Start, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failed) as caught:
        start(Bundle(tmp_path / "empty", 0))
    assert caught.value.code == "server-not-started"
    assert str(tmp_path / "empty") in caught.value.message


def test_sigterm_ends_it_in_order(deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    with load(live.address, 4, fails=True) as seen:
        seen.wait_for(50)
        os.kill(live.pid, signal.SIGTERM)
    wait_for_end(live.pid)
    assert client.status(tmp_path / "environments", "prod") is None
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        # Nothing that was logged went unanswered either: what was in flight was finished.
        assert {p.id for p in log.predictions()} == seen.acknowledged.keys()


def whole(connection: socket.socket) -> bytes:
    """One response, however many pieces it comes in."""
    got = b""
    while True:
        head, found, body = got.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return got
        piece = connection.recv(65536)
        assert piece, got
        got += piece


def wait_for_end(pid: int) -> None:
    until(lambda: not is_running(pid), f"process {pid} still runs")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child of this process that has ended and was not waited for.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_live_server_that_does_not_hand_over_stays_the_only_one(
    start: Start, deploy: Deploy, tmp_path: Path
) -> None:
    live, folder = deploy(), tmp_path / "environments"
    standby = start(number=2)
    # Hangs up on whoever asks, as a server does that has no file descriptor left, and lives.
    with control.listen(folder / "hung.sock") as hung:
        os.replace(folder / "hung.sock", control.socket_file(folder, "prod"))
        threading.Thread(target=lambda: hung.accept()[0].close(), daemon=True).start()
        with pytest.raises(Failed) as refused:
            standby.take_over()
    assert refused.value.details["error"] == "not-handed-over"
    standby.abandon()
    # It lost its name, and is found all the same.
    assert [s.pid for s in client.servers(folder)] == [live.pid]
    assert client.stop(folder, "prod") is not None
    wait_for_end(live.pid)
    assert [*folder.glob("*.sock")] == [folder / "prod.sock"]


HALF = """
import socket, sys, threading
from pathlib import Path
from tidemill.serve import control
listener = socket.create_server(("127.0.0.1", 0))
named = control.listen(Path(sys.argv[1]))
print("ready", flush=True)
channel = control.Channel(named.accept()[0])
channel.receive()
channel.send({"handing": True}, [listener])
channel.receive()
channel.close()
threading.Event().wait()
"""
"""A server that hands its socket over, and hangs before it has said that it is done."""


def test_a_predecessor_that_hangs_amid_the_hand_over_does_not_answer_beside_its_successor(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "environments"
    standby = start(number=2)
    name = str(control.socket_file(folder, "prod"))
    with subprocess.Popen([sys.executable, "-c", HALF, name], stdout=subprocess.PIPE, text=True) as half:
        assert half.stdout is not None
        assert half.stdout.readline() == "ready\n"
        live = standby.take_over()
        assert half.wait(10) == -signal.SIGKILL
    assert client.status(folder, "prod") == live
    assert [s.pid for s in client.servers(folder)] == [live.pid]
