"""A server that asks for tokens: what a stranger gets, and what changes while it runs."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.bundles import Bundle, Deploy, Start, images, run_server
from tests.suites import edge_walk
from tidemill.core.errors import NotAllowed
from tidemill.edge import token_file, tokens
from tidemill.edge.tokens import Scope
from tidemill.serve import client
from tidemill.serve.http_client import Client

BODY = {"rows": [{"image": images(1)[0].tolist()}]}


def make(folder: Path, *scopes: Scope) -> tuple[str, str]:
    token, secret = tokens.make(scopes, "ada")
    token_file.add(token_file.token_file(folder, "prod"), token)
    return token.id, secret


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_tokens_come_and_go_while_it_serves(deploy: Deploy, other_bundle: Bundle, tmp_path: Path):
    folder = tmp_path / "environments"
    address = deploy().address
    with httpx.Client(base_url=address, timeout=180) as asking:
        assert asking.post("/predict", json=BODY).status_code == 200
        name, secret = make(folder, "predict")
        client.read_tokens(folder, "prod")
        answer = asking.post("/predict", json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token-missing")
        assert answer.headers.get_list("www-authenticate")[0] == "Bearer"
        assert asking.get("/v2/health/ready").json() == {"ready": True}
        assert asking.post("/predict", json=BODY, headers=bearer(secret)).status_code == 200
        forbidden = asking.get("/metrics", headers=bearer(secret))
        assert (forbidden.status_code, forbidden.json()["error"]["needs"]) == (403, "read")
        # A path that is not there is not told to a stranger.
        assert asking.get("/nothing").status_code == 401
        assert asking.get("/nothing", headers=bearer(secret)).status_code == 404
        own = client.own_access(folder, "prod").token
        with Client(address, token=own) as command, Client(address) as stranger:
            assert command.predict(BODY["rows"])[0].number == 1
            with pytest.raises(NotAllowed):
                stranger.predict(BODY["rows"])
            # The next release takes it too: a command does not notice that another answers.
            assert deploy(other_bundle, 2).address == address
            assert command.predict(BODY["rows"])[0].number == 2
        assert client.own_access(folder, "prod").token == own
        token_file.revoke(token_file.token_file(folder, "prod"), name)
        client.read_tokens(folder, "prod")
        assert asking.post("/predict", json=BODY, headers=bearer(secret)).status_code == 401
    log = (folder / "prod.log").read_text("utf-8")
    assert secret not in log
    assert own not in log


def test_every_route_but_a_probe_s_refuses_who_may_not_ask(deploy: Deploy, tmp_path: Path):
    folder = tmp_path / "environments"
    secrets = {scope: make(folder, scope)[1] for scope in tokens.SCOPES}
    address = deploy().address

    def place(token: str | None) -> tuple[str, dict[str, str]]:
        return address, {} if token is None else bearer(token)

    paths = edge_walk.routes_of(place, secrets["read"])
    edge_walk.walk(place, secrets["read"], paths)
    with httpx.Client(base_url=address, timeout=180) as asking:
        found: dict[str, str] = {}
        for path in paths:
            for method in ("GET", "POST"):
                for scope, secret in secrets.items():
                    answer = asking.request(method, path, headers=bearer(secret), content=b"{")
                    if answer.status_code not in (403, 405):
                        assert found.setdefault(path, scope) == scope or path.startswith("/v2/health/"), path
    assert {path: scope for path, scope in found.items() if scope != "read"} == {
        "/predict": "predict",
        "/feedback": "feedback",
        "/v2/models/ten/infer": "predict",
        "/v2/models/ten/versions/1/infer": "predict",
        "/v2/health/live": "predict",
        "/v2/health/ready": "predict",
    }
    assert {*found} == {*paths}


def test_the_body_of_a_stranger_is_not_read(deploy: Deploy, tmp_path: Path):
    folder = tmp_path / "environments"
    make(folder, "predict")
    parts = urlsplit(deploy().address)
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\nAuthorization: Bearer x\r\n"
    )
    for more in (b"", b"Expect: 100-continue\r\n"):
        with socket.create_connection((parts.hostname, parts.port), 30) as stranger:
            stranger.sendall(head + more + b"\r\n")
            # Not a byte of the body is sent.
            answer = stranger.recv(65536)
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert b"connection: close" in answer.lower()


def test_a_standby_is_checked_though_it_asks_for_tokens(start: Start, tmp_path: Path):
    make(tmp_path / "environments", "read")
    with start() as standby, Client(standby.address, token=standby.token()) as checking:
        assert checking.predict(BODY["rows"])[0].number == 1


def test_beyond_loopback_a_server_does_not_start_without_tokens(bundle: Bundle, tmp_path: Path):
    ended = run_server("--host", "0.0.0.0", bundle=bundle, folder=tmp_path)  # noqa: S104
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"]["code"] == "tokens-needed"
    assert "token create prod" in ended.stderr


def test_with_no_auth_it_starts_everywhere_and_warns(deploy: Deploy, tmp_path: Path):
    running = deploy(host="0.0.0.0", no_auth=True)  # noqa: S104
    with Client(running.address) as stranger:
        assert stranger.predict(BODY["rows"])[0].number == 1
    lines = (tmp_path / "environments" / "prod.log").read_text("utf-8").splitlines()
    assert (
        "--no-auth" in next(line for line in map(json.loads, lines) if line["event"] == "warning")["message"]
    )
