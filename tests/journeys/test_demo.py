"""The demo, as a user types it: it turns the whole loop, and killed anywhere it goes on to the same end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.events import silent
from tidemill.loop import deploy, environments, registry, releases, workspace
from tidemill.loop.datasets import history, reading
from tidemill.loop.traffic import Traffic

pytestmark = pytest.mark.sklearn
COMMAND = [sys.executable, "-m", "tidemill", "demo", "--data", "digits"]
MOMENTS = (
    "[2/11]",  # importing
    "train-network: computing",  # a step at work
    "[6/11]",  # releasing
    "test: release 1 answers",  # promoting: checked, not yet taken over
    "[9/11]",  # feedback and merge
    "prod: release 2 answers",  # replacing what serves, under load
)
"""What the demo has just said when it is killed, one moment after the other."""
TIMEOUT_SECONDS = 240


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, str(folder), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def killed_at(folder: Path, moment: str) -> list[str]:
    """Start the demo and kill it, with SIGKILL, as soon as it says ``moment``; what it had said."""
    process = start(folder)
    assert process.stderr is not None
    guard = threading.Timer(TIMEOUT_SECONDS, process.kill)
    guard.start()
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line.strip())
            if moment in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.communicate()
    finally:
        guard.cancel()
    assert process.returncode == -signal.SIGKILL, "\n".join(said)
    assert moment in said[-1], f"never said {moment!r}: " + "\n".join(said)
    return said


def finished(folder: Path) -> dict[str, Any]:
    process = start(folder)
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, out + err
    return json.loads(out)


def state(folder: Path) -> dict[str, Any]:
    """What a user finds in the project afterwards, without what differs from run to run (ids, times)."""
    ws = workspace.open_workspace(folder)
    try:
        table = reading.read(ws, "digits@main")
        order = table.numpy("_id").argsort()
        return {
            "commits": [(c.number, c.rows, c.message, c.branch) for c in history.log(ws, "digits@main")],
            "ids": table.numpy("_id")[order].tolist(),
            "labels": table.to_arrow().column("label").take(order).to_pylist(),
            "releases": [(r.number, r.environments) for r in releases.releases(ws)],
            "verified": [releases.verify_release(ws, f"digits/{n}").ok for n in (1, 2)],
            "models": [(m.version, m.digest, m.metrics, m.releases) for m in registry.models(ws)],
            "environments": [(e.environment, e.number, e.running) for e in environments.environments(ws)],
        }
    finally:
        ws.close()


@pytest.fixture
def leave_nothing_running(tmp_path: Path) -> Iterator[None]:
    """Servers outlive a killed demo, as they must; they must not outlive the test."""
    yield
    for folder in (p for p in tmp_path.iterdir() if (p / "tidemill.toml").exists()):
        ws = workspace.open_workspace(folder)
        for environment in ws.settings.environments:
            deploy.stop(ws, environment)
        ws.close()


@pytest.mark.usefixtures("leave_nothing_running")
def test_the_loop_turns_and_a_demo_killed_at_any_moment_ends_in_the_same_state(tmp_path: Path) -> None:
    whole = finished(tmp_path / "undisturbed")
    undisturbed = state(tmp_path / "undisturbed")
    assert [s["name"] for s in whole["stages"]][-2:] == ["refit", "trace"]
    assert undisturbed["verified"] == [True, True]
    assert undisturbed["releases"] == [(2, ["dev", "test", "staging", "prod"]), (1, [])]
    assert [number for _, number, _ in undisturbed["environments"]] == [2, 2, 2, 2]
    assert whole["facts"]["requests_during_refit"] > 0
    kinds = {n["kind"] for n in whole["facts"]["lineage"]}
    assert {"prediction", "release", "run", "model", "code", "commit", "rows"} <= kinds

    for moment in MOMENTS:
        killed_at(tmp_path / "killed", moment)
    finished(tmp_path / "killed")
    assert state(tmp_path / "killed") == undisturbed


@pytest.mark.keras
def test_digits_in_keras_are_trained_in_keras(tmp_path: Path):
    from tidemill.loop import demo, digits, fashion, runs
    from tidemill.loop.datasets import importing

    opened = demo._project(tmp_path, "digits")
    try:
        work = demo._Demo(opened, "digits", "keras", silent, Traffic(tmp_path / "traffic.npz"))
        images = digits.load()
        fashion.write_csv(fashion.Images(images.images[:400], images.labels[:400]), work.csv)
        importing.import_data(
            opened, "digits", work.csv, tensors={"image": "pixel*:8x8"}, types={"label": "string"}
        )
        made = runs.run(opened, tmp_path / "pipeline.py", {**work.parameters, "epochs": 1}, name="digits")
        assert made.status == "succeeded", made.error
        assert [m.framework for m in registry.models(opened)] == ["keras"]
    finally:
        opened.close()
