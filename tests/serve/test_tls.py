"""HTTPS, and a proxy that speaks it: what is on the wire, what is believed, and what a renewal or a promotion changes."""

import os
import shutil
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.bundles import Bundle, Deploy, images, run_server
from tests.services.waiting import until
from tidemill.core.errors import Failed
from tidemill.serve import client
from tidemill.serve.http_client import Client

FILES = Path(__file__).parent / "tls"
BODY = {"rows": [{"image": images(1)[0].tolist()}]}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, to be renewed."""
    for kind in ("pem", "key"):
        shutil.copy(FILES / f"one.{kind}", tmp_path / f"server.{kind}")
    return tmp_path / "server.pem", tmp_path / "server.key"


def test_what_is_served_over_tls(
    deploy: Deploy, other_bundle: Bundle, files: tuple[Path, Path], tmp_path: Path
):
    folder = tmp_path / "environments"
    # Its standby is asked over this machine's own address, whose name is in no certificate.
    running = deploy(tls=files)
    assert running.address.startswith("https://127.0.0.1:")
    trusts = ssl.create_default_context(cafile=str(FILES / "one.pem"))
    with httpx.Client(base_url=running.address, verify=trusts, timeout=180) as asking:
        assert asking.post("/predict", json=BODY).json()["number"] == 1
        own = client.own_access(folder, "prod")
        with Client(running.address, token=own.token, certificate=own.certificate) as command:
            assert command.predict(BODY["rows"])[0].number == 1
            # Both connections are idle and cannot be handed over: they are answered once more, and then end.
            assert deploy(other_bundle, 2, tls=files).address == running.address
            assert asking.post("/predict", json=BODY).json()["number"] == 2
            assert command.predict(BODY["rows"])[0].number == 2
    with Client(running.address) as stranger, pytest.raises(Failed) as caught:
        stranger.predict(BODY["rows"])
    assert "certificate" in caught.value.message
    parts = urlsplit(running.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as plain:
        plain.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in plain.recv(100)


def asked(folder: Path) -> client.Status:
    """What the server says of itself."""
    said = client.status(folder, "prod")
    assert said is not None
    return said


def test_a_renewed_certificate_is_taken_without_a_restart(
    deploy: Deploy, files: tuple[Path, Path], tmp_path: Path
):
    running, folder = deploy(tls=files), tmp_path / "environments"
    log = folder / "prod.log"
    # One file at a time, as whatever renews them writes them: a key that does not fit is not taken.
    os.replace(shutil.copy(FILES / "two.pem", tmp_path / "new"), files[0])
    until(lambda: "tls-not-renewed" in log.read_text("utf-8"))
    assert (asked(folder).not_renewed or {})["code"] == "tls-not-usable"
    own = client.own_access(folder, "prod")
    assert own.certificate == (FILES / "one.pem").read_text("ascii").strip()
    with Client(running.address, certificate=own.certificate) as command:
        assert command.ready()
    os.replace(shutil.copy(FILES / "two.key", tmp_path / "new"), files[1])
    until(lambda: "tls-renewed" in log.read_text("utf-8"))
    assert asked(folder).not_renewed is None
    # Files that are gone for a while are said once, and forgotten when they are back.
    told = log.read_text("utf-8").count("tls-not-renewed")
    files[1].rename(tmp_path / "away")
    until(lambda: asked(folder).not_renewed is not None)
    time.sleep(2.5)  # it looks each second
    (tmp_path / "away").rename(files[1])
    until(lambda: asked(folder).not_renewed is None)
    assert log.read_text("utf-8").count("tls-not-renewed") == told + 1
    with Client(running.address, certificate=(FILES / "two.pem").read_text("ascii")) as command:
        assert command.ready()
    with Client(running.address, certificate=own.certificate) as command:
        assert not command.ready()


def test_what_a_proxy_says_is_believed_of_it_alone(deploy: Deploy):
    says = {"x-forwarded-host": "models.example", "origin": "https://models.example"}
    with httpx.Client(base_url=deploy(hosts=["models.example"], proxies=["127.0.0.0/8"]).address) as asking:
        assert asking.post("/predict", json=BODY, headers=says).status_code == 200
        foreign = asking.post("/predict", json=BODY, headers={"x-forwarded-host": "evil.example"})
        assert foreign.json()["error"]["code"] == "foreign-host"
    with httpx.Client(base_url=deploy(hosts=["models.example"], proxies=["10.0.0.0/8"]).address) as asking:
        refused = asking.post("/predict", json=BODY, headers=says)
        assert refused.json()["error"]["code"] == "foreign-origin"
        assert (
            asking.post("/predict", json=BODY, headers={"x-forwarded-host": "evil.example"}).status_code
            == 200
        )


def test_files_that_do_not_fit_are_said_so(bundle: Bundle, tmp_path: Path):
    words = ("--tls-cert", str(FILES / "one.pem"), "--tls-key", str(FILES / "two.key"))
    ended = run_server(*words, bundle=bundle, folder=tmp_path)
    assert (ended.returncode, "tls-not-usable" in ended.stdout) == (2, True)
    assert "--tls-key" in run_server(*words[:2], bundle=bundle, folder=tmp_path).stderr
