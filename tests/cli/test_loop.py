"""The loop by commands: from a CSV to a served model, a correction, and the next release."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tidemill

pytestmark = [pytest.mark.sklearn, pytest.mark.slow]

SETTINGS = """
[pipelines.sides]
file = "sides.py"

[pipelines.sides.gate]
rules = ["accuracy >= 0.8"]
# A hundred test rows cannot show a small difference.
max_drop = 0.3

[environments.dev]
[environments.prod]
after = "dev"
"""
PIPELINE = """
from typing import Any

import tidemill as tm
from tidemill import parts

CLASSES = ["left", "right"]

@tm.trainer(features="x", label="label", classes=CLASSES)
def train_line(train: tm.Table, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength).fit(train.numpy("x").astype("float32"), train.numpy("label"))

@tm.pipeline
def sides(data: tm.Dataset = tm.dataset("sides@main"), strength: float = 1.0):
    train, _, test = parts.split(data, test=0.3, validation=0.0, random_state=1)
    model = train_line(train, strength=strength)
    return {"model": model, "report": parts.evaluate(model, test, name="sides")}
"""


def write_sides(file: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    lines = ["label,x1,x2"]
    for _ in range(count):
        x1, x2 = chance.randint(-99, 99), chance.randint(-99, 99)
        lines.append(f"{'left' if x1 < 0 else 'right'},{x1},{x2}")
    file.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def sides(project: Path, tidemill: Tidemill) -> Generator[Path]:
    """A project with data and a pipeline that trains in no time; nothing it served outlives the test."""
    (project / "tidemill.toml").write_text(SETTINGS, "utf-8")
    (project / "sides.py").write_text(PIPELINE, "utf-8")
    write_sides(project / "sides.csv", 400, 1)
    try:
        yield project
    finally:
        for environment in ("dev", "prod"):
            tidemill("stop", environment)


def shown(tidemill: Tidemill, *words: str | Path) -> Any:
    done = tidemill(*words, "--json")
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def released(tidemill: Tidemill) -> Any:
    """Release 1, made of the CSV file."""
    shown(tidemill, "data", "import", "sides", "sides.csv", "--tensor", "x=x*:2", "--label", "label")
    run = shown(tidemill, "run", "sides.py")
    assert run["status"] == "succeeded"
    assert run["verdict"]["passed"] is True
    [model] = shown(tidemill, "models")
    assert (model["name"], model["run"]) == ("sides", run["run"])
    release = shown(tidemill, "release", "create")
    assert (release["name"], release["number"], release["run"]) == ("sides", 1, run["run"])
    assert shown(tidemill, "release", "verify", "sides/1")["ok"] is True
    assert shown(tidemill, "release", "show", "sides/1")["manifest"]["data"]
    assert release["digest"] in tidemill("release", "show", "latest").stdout
    return release


def test_from_a_csv_to_the_second_release_and_back(sides: Path, tidemill: Tidemill):
    released(tidemill)
    promoted(sides, tidemill)
    corrected(sides, tidemill)
    refitted(tidemill)
    refused(sides, tidemill)
    back = shown(tidemill, "rollback", "prod", "--reason", "to see it work")
    assert (back["number"], back["environment"]) == (1, "prod")
    assert shown(tidemill, "stop", "prod")["stopped"] is True
    assert shown(tidemill, "stop", "prod")["stopped"] is False
    gone = tidemill("predict", "prod", "traffic.csv", "--tensor", "x=x*:2", "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout)["error"]["code"] == "not-serving"
    started_with_few_files(sides, tidemill)
    serve_until(signal.SIGINT, sides, tidemill, as_json=False)
    serve_until(signal.SIGTERM, sides, tidemill, as_json=True)
    serve_until_killed(sides)
    killed_is_told(sides, tidemill)


def promoted(sides: Path, tidemill: Tidemill) -> None:
    report = shown(tidemill, "report", "--output", "out.html")
    assert report["metrics"]["accuracy"] >= 0.8
    assert "<html" in (sides / "out.html").read_text("utf-8")
    too_early = tidemill("promote", "sides/1", "prod", "--json")
    assert too_early.returncode == 2
    assert json.loads(too_early.stdout)["error"]["code"] == "promotion-order"
    shown(tidemill, "promote", "sides/1", "dev")
    deployed = shown(tidemill, "promote", "sides/1", "prod", "--reason", "first")
    assert (deployed["environment"], deployed["number"]) == ("prod", 1)
    assert deployed["address"].startswith("http://")
    [status] = shown(tidemill, "status", "prod")
    assert (status["running"], status["number"]) == (True, 1)
    assert "sides/1" in tidemill("status").stdout


def corrected(sides: Path, tidemill: Tidemill) -> None:
    """Predictions, their true labels, and the rows that these become."""
    write_sides(sides / "traffic.csv", 60, 2)
    # From now on the server asks for tokens, and the commands bring one by themselves.
    assert tidemill("token", "create", "prod").returncode == 0
    # The dataset remembers how its columns fold.
    answered = shown(tidemill, "predict", "prod", "traffic.csv")
    assert (answered["count"], answered["release"], answered["model"]) == (60, 1, "sides")
    assert {p["label"] for p in answered["predictions"]} == {"left", "right"}
    truth = [line.split(",")[0] for line in (sides / "traffic.csv").read_text("utf-8").splitlines()[1:]]
    ids = [p["prediction"] for p in answered["predictions"]]
    labels = "prediction,label\n" + "".join(f"{i},{t}\n" for i, t in zip(ids, truth, strict=True))
    (sides / "labels.csv").write_text(labels, "utf-8")
    told = shown(tidemill, "feedback", "prod", "labels.csv", "--collect", "sides")
    assert (told["accepted"], told["collected"]["rows"]["added"]) == (60, 60)
    assert "1 label taken" in tidemill("feedback", "prod", "--prediction", ids[0], "--label", truth[0]).stdout
    unknown = tidemill("feedback", "prod", "--prediction", "nothing", "--label", "left", "--json")
    assert unknown.returncode == 2, unknown.stdout
    kinds = {node["kind"] for node in shown(tidemill, "lineage", ids[0])["nodes"]}
    assert {"prediction", "release", "run", "model", "commit", "code"} <= kinds


def refitted(tidemill: Tidemill) -> None:
    shown(tidemill, "data", "merge", "sides", "feedback")
    refit = shown(tidemill, "refit", "sides", "--environment", "prod")
    assert (refit["release"], refit["deployed"]) == (2, True), refit
    [status] = shown(tidemill, "status", "prod")
    assert (status["running"], status["number"]) == (True, 2)
    assert "no data changed" in tidemill("refit", "sides").stdout
    assert "prod" in shown(tidemill, "release", "list")[0]["environments"]


def refused(sides: Path, tidemill: Tidemill) -> None:
    """The gate says no: exit status 1, the rule by its name, and what ran still does."""
    settings = (sides / "tidemill.toml").read_text("utf-8")
    (sides / "tidemill.toml").write_text(settings.replace("accuracy >= 0.8", "accuracy >= 1.01"), "utf-8")
    write_sides(sides / "sides.csv", 420, 1)
    shown(tidemill, "data", "import", "sides", "sides.csv", "--tensor", "x=x*:2")
    done = tidemill("refit", "sides", "--environment", "prod")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error[gate-not-passed]: " in done.stderr
    assert "accuracy >= 1.01" in done.stderr
    [status] = shown(tidemill, "status", "prod")
    assert (status["running"], status["number"]) == (True, 2)


def serving(sides: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tidemill", "serve", "prod", *options],
        cwd=sides,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def started_with_few_files(sides: Path, tidemill: Tidemill) -> None:
    """Under a limit of open files that no server can live with it says so, and what to type; nothing was started."""
    command = ["sh", "-c", 'ulimit -n 60 && exec "$@"', "sh", sys.executable, "-m", "tidemill"]
    done = subprocess.run(
        [*command, "serve", "prod", "--json"], cwd=sides, capture_output=True, text=True, check=False
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["details"]["needed"]) == (1, "too-few-open-files", 128)
    assert "ulimit -n" in error["hint"]
    assert not shown(tidemill, "status", "prod")[0]["running"]


def follower(sides: Path, address: str) -> "subprocess.Popen[str]":
    process = serving(sides)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == address, process.communicate(timeout=180)
    return process


def serve_until_killed(sides: Path) -> None:
    process = serving(sides, "--json")
    assert process.stdout is not None
    os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
    output, errors = process.communicate(timeout=180)
    assert (process.returncode, json.loads(output)["error"]["code"]) == (1, "server-died"), errors


def killed_is_told(sides: Path, tidemill: Tidemill) -> None:
    """A server that is gone though nobody stopped it, and one that refuses every prediction: status and exit say so."""
    ended = tidemill("status", "prod")
    assert ended.returncode == 1, ended.stdout
    assert "not answering (server-ended)" in ended.stdout
    assert tidemill("doctor").returncode == 1
    assert "was not running" in tidemill("stop", "prod").stdout
    assert "stopped" in (answer := tidemill("status", "prod")).stdout
    assert answer.returncode == 0
    process = serving(sides)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    log = sides / ".tidemill" / "environments" / "prod.predictions.db"
    log.rename(log.with_name("moved"))
    refuses = tidemill("status", "prod", "--json")
    assert refuses.returncode == 1
    assert json.loads(refuses.stdout)[0]["not_ready"]["code"] == "log-replaced"
    second = follower(sides, address)
    assert second.stderr is not None
    said = second.stderr.readline()
    os.killpg(second.pid, signal.SIGINT)
    second.communicate(timeout=180)
    assert "prod has release sides/1 and is not ready, every prediction is refused (log-replaced)" in said
    log.with_name("moved").rename(log)
    assert tidemill("status", "prod").returncode == 0
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=180)


def serve_until(number: signal.Signals, sides: Path, tidemill: Tidemill, *, as_json: bool) -> None:
    process = serving(sides, "--port", "0", *(["--json"] if as_json else []))
    assert process.stdout is not None
    first = process.stdout.readline()
    address = json.loads(first)["address"] if as_json else first.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", address), process.communicate(timeout=180)
    with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=180) as response:
        assert response.status == 200
    # Another terminal leaves the server that it did not start, and says when that is stopped.
    leaves, stays = follower(sides, address), follower(sides, address)
    os.killpg(leaves.pid, number)
    assert leaves.communicate(timeout=180)[1].splitlines()[-1] == "prod goes on."
    assert shown(tidemill, "status", "prod")[0]["running"]
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (0, ""), errors
    assert errors.splitlines()[-1] == "prod stopped."
    _, told = stays.communicate(timeout=180)
    assert (stays.returncode, told.splitlines()[-1].split(":")[0]) == (0, "Nothing serves prod any more")
    deadline = time.monotonic() + 30
    while shown(tidemill, "status", "prod")[0]["running"]:
        assert time.monotonic() < deadline
