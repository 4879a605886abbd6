"""``tidemill review``: two people, one after the other, by commands."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill

ANIMALS = "name,legs,label\ncat,4,pet\nhen,2,farm\nant,6,wild\n"


@pytest.fixture
def fix(tidemill: Tidemill, project: Path) -> None:
    """Branch ``fix`` of ``animals`` says that the cat has three legs; ``main`` takes reviews only."""
    file = project / "animals.csv"
    file.write_text(ANIMALS, "utf-8")
    tidemill("data", "import", "animals", file, "--key", "name")
    tidemill("data", "branch", "animals@main", "fix")
    file.write_text(ANIMALS.replace("cat,4", "cat,3"), "utf-8")
    tidemill("data", "import", "animals", file, "--branch", "fix", "-m", "Legs counted")
    (project / "tidemill.toml").write_text("[reviews.animals]\napprovals = 1\n", "utf-8")


@pytest.mark.usefixtures("fix")
def test_a_review_by_commands(tidemill: Tidemill, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEMILL_AUTHOR", "ada")
    refused = tidemill("data", "merge", "animals", "fix")
    assert refused.returncode == 2
    assert "tidemill review open animals fix --into main" in refused.stderr
    opened = tidemill("review", "open", "animals", "fix")
    assert opened.stdout == (
        "Opened animals#1: merge fix into main. Type 'tidemill review show animals#1'.\n"
    )
    assert "Legs counted" in tidemill("review", "list").stdout
    assert "cannot be merged yet" in tidemill("review", "show", "animals#1").stdout
    assert tidemill("review", "approve", "animals#1").returncode == 2
    monkeypatch.setenv("TIDEMILL_AUTHOR", "grace")
    assert tidemill("review", "comment", "animals#1", "The cat is right.").returncode == 0
    assert "grace approved commit" in tidemill("review", "approve", "animals#1").stdout
    shown = tidemill("review", "show", "animals#1").stdout
    assert "The cat is right." in shown
    assert "It can be merged: 'tidemill review merge animals#1'." in shown
    assert "1 changed" in shown
    merged = tidemill("review", "merge", "animals#1", "--json")
    assert json.loads(merged.stdout)["rows"] == {"added": 0, "changed": 1, "removed": 0}
    view = json.loads(tidemill("review", "show", "animals#1", "--json").stdout)
    assert (view["about"]["state"], view["ended_by"]) == ("merged", "grace")
    assert tidemill("review", "list").stdout == "There are no such reviews.\n"


@pytest.mark.usefixtures("fix")
def test_a_review_is_closed(tidemill: Tidemill):
    tidemill("review", "open", "animals", "fix", "--title", "Three legs")
    assert tidemill("review", "close", "animals#1").stdout == "Closed animals#1. Branch fix stays.\n"
    assert "Three legs" in tidemill("review", "list", "animals", "--state", "closed").stdout


@pytest.mark.usefixtures("fix")
def test_a_review_as_a_page(tidemill: Tidemill, project: Path):
    tidemill("review", "open", "animals", "fix", "--title", "Three legs")
    shown = tidemill("review", "show", "animals#1", "--html", "pages/review.html")
    assert shown.returncode == 0, shown.stderr
    assert "pages/review.html" in shown.stdout
    page = (project / "pages" / "review.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "Three legs" in page
    assert "1 person must approve it, anybody, but not its author" in page
