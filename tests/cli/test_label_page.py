"""The labelling page: by HTTP as its script asks, and by keys in a real browser."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Tidemill
from tests.services.waiting import WATCHDOG_SECONDS
from tests.suites import edge_walk

CHROMIUM = shutil.which("chromium")
WITH_PIPES = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts Chromium with its commands at 3 and its answers at 4, where it looks for them."""


@pytest.fixture
def address(project: Path, tidemill: Tidemill) -> Generator[str]:
    """A page for five rows without a label, of two classes."""
    lines = ["name,label,p1,p2,p3,p4", *(f"n{n},,{n},200,0,255" for n in range(5))]
    (project / "pets.csv").write_text("\n".join(lines) + "\n", "utf-8")
    imported = tidemill(
        *("data", "import", "pets", "pets.csv", "--tensor", "image=p*:2x2", "--key", "name"),
        *("--type", "label=string"),
    )
    assert imported.returncode == 0, imported.stderr
    words = ["label", "page", "pets", "--column", "label", "--class", "cat", "--class", "dog"]
    served = subprocess.Popen(
        [sys.executable, "-m", "tidemill", *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TIDEMILL_AUTHOR": "ada"},
    )
    assert served.stdout is not None
    try:
        yield served.stdout.readline().strip()
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=180)
    assert served.returncode == 130


def ask(address: str, what: str, body: Any = None, *, method: str = "POST") -> tuple[int, bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=180)
    headers = {"content-type": "application/json"}
    data = None if method == "GET" else json.dumps(body or {})
    connection.request(method, parts.path + what, data, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def state(address: str, what: str, body: Any = None) -> dict[str, Any]:
    status, found = ask(address, what, body)
    assert status == 200
    return json.loads(found)


def test_the_page_by_http(address: str, tidemill: Tidemill):
    status, document = ask(address, "", method="GET")
    assert status == 200
    assert b"connect-src 'self'" in document
    assert b"http" not in document.replace(b'http-equiv="Content', b"")
    first = state(address, "task")["task"]
    assert first["cells"] == {"name": "n0"}
    assert first["picture"]
    wrong = state(address, "answer", {"label": "cow", "position": first["position"]})
    assert "'cow' is no class" in wrong["message"]
    assert wrong["task"]["row"] == first["row"]
    second = state(address, "answer", {"label": "cat", "position": first["position"]})
    assert second["task"]["row"] != first["row"]
    # Another window still shows the first row: its answer must not go to the second.
    late = state(address, "answer", {"label": "dog", "position": first["position"]})
    assert "another window" in late["message"]
    assert late["queue"]["decided"] == 1
    assert state(address, "undo")["task"]["row"] == first["row"]
    skipped = state(address, "skip", {"position": first["position"]})
    assert skipped["task"]["row"] == second["task"]["row"]
    people = json.loads(ask(address, "progress", method="GET")[1])["queue"]["people"]
    assert [(p["author"], p["labels"], p["skipped"]) for p in people] == [("ada", 0, 1)]


def test_nobody_else_gets_in(address: str):
    base, _, token = address.rstrip("/").rpartition("/")

    def place(given: str | None) -> tuple[str, dict[str, str]]:
        return (base if given is None else f"{base}/{given}"), {}

    paths = edge_walk.routes_of(place, token)
    assert {*paths} == {"/", "/progress", "/task", "/answer", "/skip", "/undo"}
    edge_walk.walk(place, token, paths, said="token-refused")
    assert ask(base, "/", method="GET")[0] == 401
    assert ask(address, "anything")[0] == 404
    assert ask(address, "task", [1])[0] == 400
    assert ask(address, "task", {"long": "x" * 100_000})[0] == 413


class Browser:
    """Chromium without a window, told what to do through a pipe (its DevTools protocol)."""

    def __init__(self, profile: Path) -> None:
        read, self._to = os.pipe()
        self._from, write = os.pipe()

        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", WITH_PIPES, str(read), str(write), str(CHROMIUM)),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1000,800"),
            ],
            pass_fds=(read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._number = 0
        self._left = b""
        self._session: str | None = None

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        body: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            body["sessionId"] = self._session
        os.write(self._to, json.dumps(body).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> Any:
        while b"\0" not in self._left:
            data = os.read(self._from, 1 << 16)
            assert data, "Chromium ended"
            self._left += data
        line, _, self._left = self._left.partition(b"\0")
        return json.loads(line)

    def open(self, address: str) -> None:
        target = self.call("Target.createTarget", url=address)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def value(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str) -> None:
        until = time.monotonic() + WATCHDOG_SECONDS
        while not self.value(script):
            assert time.monotonic() < until, self.value("document.body.innerText")
            time.sleep(0.05)

    def press(self, key: str, code: int = 0) -> None:
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {"key": key, "windowsVirtualKeyCode": code or ord(key[0].upper())}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)


@pytest.mark.skipif(
    CHROMIUM is None, reason="Debian's chromium is not installed: the page's keys are not tried"
)
def test_the_page_by_keys_in_a_browser(address: str, tmp_path: Path, tidemill: Tidemill):
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(address)
        browser.wait_for("document.querySelectorAll('#classes button').length === 2")
        assert browser.value("document.querySelector('#picture img').naturalWidth") == 2
        browser.press("1")
        browser.wait_for("document.getElementById('done').textContent === '1 of 5 done'")
        for key in "dog":
            browser.press(key)
        browser.wait_for("document.querySelector('button.fits')?.textContent === '2dog'")
        browser.press("Enter", 13)
        browser.wait_for("document.getElementById('done').textContent === '2 of 5 done'")
        browser.press("Backspace", 8)
        browser.wait_for("document.getElementById('done').textContent === '1 of 5 done'")
        browser.press("Enter", 13)
        browser.wait_for(
            "document.getElementById('message').textContent.startsWith('There is no suggestion')"
        )
        browser.press(" ", 32)
        browser.wait_for("document.querySelector('dd').textContent === 'n2'")
        browser.value("document.querySelectorAll('#classes button')[1].click()")
        browser.wait_for("document.getElementById('people').innerText.startsWith('ada\\t2\\t0\\t1')")
        if keep := os.environ.get("TIDEMILL_TEST_SCREENSHOT"):
            import base64

            shot = browser.call("Page.captureScreenshot")["data"]
            Path(keep).write_bytes(base64.b64decode(shot))
    finally:
        browser.close()
    view = json.loads(tidemill("label", "status", "pets", "--json").stdout)
    assert (view["decided"], view["left"]) == (2, 3)
