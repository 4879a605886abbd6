"""Somebody tries settings that a step proposes; one fails, he corrects it and goes on. Each command is a process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TIDEMILL = str(Path(sys.executable).parent / "tidemill")
SEARCH = """
import numpy as np
import tidemill as tm

@tm.step
def proposals(most: int) -> list:
    return [{"degree": degree} for degree in range(most)]

@tm.step
def points(count: int) -> np.ndarray:
    return np.linspace(0, 1, count)

@tm.step
def fitted(x: np.ndarray, setting: dict) -> np.ndarray:
    if setting["degree"] == FORBIDDEN:
        raise ValueError("no such degree")
    print("fitting", setting)
    return np.polynomial.polynomial.polyfit(x, np.sin(3 * x), setting["degree"])

@tm.step
def loss(x: np.ndarray, weights: np.ndarray) -> float:
    return float(np.abs(np.polynomial.polynomial.polyval(x, weights) - np.sin(3 * x)).max())

@tm.step
def is_close(losses: list, most: float) -> bool:
    return min(losses) < most

@tm.step
def best(candidates: list, losses: list) -> np.ndarray:
    return candidates[losses.index(min(losses))]

@tm.step
def tell(outcome: tm.RunOutcome) -> None:
    print("run", outcome.status, outcome.failed_step)

@tm.pipeline
def tried(x, most: int):
    def one(setting):
        weights = fitted(x, setting)
        return weights, loss(x, weights)
    return tm.each(proposals(most), one)

@tm.pipeline
def search(count: int = 50, most: int = 4, within: float = 0.1):
    tm.at_exit(tell)
    x = points(count)
    candidates, losses = tried(x, most=most)
    close = is_close(losses, within)
    return {
        "weights": tm.when(close, then=lambda: best(candidates, losses)),
        "losses": losses,
        "candidates": candidates,
    }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "tidemill.toml").write_text("")
    (tmp_path / "search.py").write_text(SEARCH.replace("FORBIDDEN", "2"))
    return tmp_path


def typed(home: Path, *words: str, code: int = 0, log: str = "off") -> tuple[Any, str]:
    """Type a command: its answer as JSON, and what it said meanwhile."""
    done = subprocess.run(
        [TIDEMILL, "--log", log, *words, "--json"],
        cwd=home,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else None, done.stderr


def statuses(view: Any) -> dict[str, str]:
    return {s["name"]: s["status"] for s in view["steps"]}


def test_a_search_fails_is_gone_on_with_and_grows(home: Path):
    foretold, _ = typed(home, "run", "search.py", "--explain")
    told = {s["name"]: s["why"] for s in foretold["steps"]}
    assert told["tried/fitted[*]"].startswith("once for each item of what step 'tried/proposals' returns")
    assert told["best"].startswith("if 'is-close' says True: ")
    assert told["tell"] == "it runs at the end of each run"

    typed(home, "run", "search.py", code=1)
    failed, _ = typed(home, "show", "latest")
    assert failed["error"]["details"]["step"] == "tried/fitted[2]"
    assert statuses(failed)["best"] == "skipped"
    assert statuses(failed)["tell"] == "computed"
    lines, _ = typed(home, "logs", "latest", "tell")
    assert [line["text"] for line in lines["lines"]] == ["run failed tried/fitted[2]"]

    (home / "search.py").write_text(SEARCH.replace("FORBIDDEN", "9"))
    resumed, events = typed(home, "resume", "latest", log="json")
    assert resumed["status"] == "succeeded"
    assert [len(resumed["outputs"]["losses"]), resumed["outputs"]["candidates"]["kind"]] == [4, "list"]
    happened = [json.loads(line) for line in events.splitlines()]
    (added,) = [e for e in happened if e["event"] == "steps-added"]
    assert [(s["name"], s["template"], s["after"]) for s in added["steps"]][-1] == (
        "tried/loss[3]",
        "tried/loss[*]",
        ["points", "tried/fitted[3]"],
    )

    grown, _ = typed(home, "run", "search.py", "-p", "most=6")
    computed = [n for n, s in statuses(grown).items() if s == "computed"]
    assert set(computed) == {
        "tried/proposals",
        *(f"tried/{step}[{item}]" for step in ("fitted", "loss") for item in (4, 5)),
        "is-close",
        "best",
        "tell",
    }
    lines, _ = typed(home, "logs", "latest", "tried/fitted[4]")
    assert [line["text"] for line in lines["lines"]] == ["fitting {'degree': 4}"]

    strict, _ = typed(home, "run", "search.py", "-p", "most=6", "-p", "within=0", "--audit", "0.2")
    assert strict["outputs"]["weights"] is None
    assert statuses(strict)["best"] == "skipped"
    why, _ = typed(home, "why", "latest", "best")
    assert why["why"] == "'is-close' said False"

    compared, _ = typed(home, "compare", grown["run"], strict["run"], "--html", "page.html")
    best = next(step for step in compared["steps"] if step["name"] == "best")
    assert (best["a"], best["b"]) == ("computed", "skipped")
    assert "tried/fitted[4]" in (home / "page.html").read_text()

    typed(home, "gc")
    value = subprocess.run(
        [
            sys.executable,
            "-c",
            "import tidemill as tm; print([len(w) for w in tm.open().value('latest', 'candidates')])",
        ],
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert value.stdout == "[1, 2, 3, 4, 5, 6]\n"

    elsewhere, _ = typed(home, "run", "search.py", "-p", "count=51", "--on", "process")
    here, _ = typed(home, "run", "search.py", "-p", "count=51", "--audit", "1.0")
    assert here["status"] == "succeeded"
    assert here["outputs"] == elsewhere["outputs"]
