"""``tidemill data``: a dataset's whole life by commands."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill

ANIMALS = "name,legs,label\ncat,4,pet\nhen,2,farm\nant,6,wild\n"


@pytest.fixture
def animals(project: Path) -> Path:
    file = project / "animals.csv"
    file.write_text(ANIMALS, "utf-8")
    return file


def shown(tidemill: Tidemill, *words: str | Path) -> object:
    done = tidemill(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_import_says_dataset_commit_and_rows_and_again_changes_nothing(tidemill: Tidemill, animals: Path):
    first = shown(tidemill, "data", "import", "animals", animals, "--key", "name", "--label", "label")
    assert isinstance(first, dict)
    assert (first["dataset"], first["rows"]) == ("animals", {"added": 3, "changed": 0, "removed": 0})
    again = tidemill("data", "import", "animals", animals, "--key", "name")
    assert again.stdout == f"animals: nothing changed; still commit 1 ({first['commit']}) with 3 rows.\n"
    animals.write_text(ANIMALS.replace("cat,4", "cat,3"), "utf-8")
    changed = shown(tidemill, "data", "import", "animals", animals, "--key", "name")
    assert isinstance(changed, dict)
    assert changed["rows"] == {"added": 0, "changed": 1, "removed": 0}


def test_numbered_columns_are_folded(tidemill: Tidemill, project: Path):
    (project / "tiny.csv").write_text("label,p1,p2,p3,p4\na,1,2,3,4\nb,5,6,7,8\n", "utf-8")
    tidemill("data", "import", "tiny", "tiny.csv", "--tensor", "image=p*:2x2")
    told = shown(tidemill, "data", "show", "tiny")
    assert isinstance(told, dict)
    assert {column["name"] for column in told["columns"]} >= {"label", "image"}
    text = tidemill("data", "show", "tiny").stdout
    assert "[2x2]" in text
    assert "\x1b" not in text


def test_the_life_of_a_dataset(tidemill: Tidemill, animals: Path, project: Path):
    tidemill("data", "import", "animals", animals, "--key", "name", "-m", "the first")
    assert tidemill("data", "branch", "animals@main", "fix").returncode == 0
    animals.write_text(ANIMALS.replace("cat,4", "cat,3") + "emu,2,farm\n", "utf-8")
    tidemill("data", "import", "animals", animals, "--key", "name", "--branch", "fix")
    diff = shown(tidemill, "data", "diff", "animals@main", "animals@fix")
    assert isinstance(diff, dict)
    assert (diff["added"], diff["changed"], diff["removed"]) == (1, 1, 0)
    assert "1 added, 1 changed" in tidemill("data", "diff", "animals@main", "animals@fix").stdout
    merged = shown(tidemill, "data", "merge", "animals", "fix", "-m", "legs counted")
    assert isinstance(merged, dict)
    assert merged["rows"] == {"added": 1, "changed": 1, "removed": 0}
    assert "nothing to merge" in tidemill("data", "merge", "animals", "fix").stdout
    assert tidemill("data", "tag", "animals", "v1").returncode == 0
    tags = shown(tidemill, "data", "tag", "animals")
    assert isinstance(tags, list)
    assert [tag["tag"] for tag in tags] == ["v1"]
    branches = shown(tidemill, "data", "branch", "animals")
    assert isinstance(branches, list)
    assert {branch["branch"] for branch in branches} == {"main", "fix"}
    log = shown(tidemill, "data", "log", "animals")
    assert isinstance(log, list)
    assert (log[0]["message"], log[-1]["message"]) == ("legs counted", "the first")
    assert len(log[0]["parents"]) == 2
    assert [line.split()[0] for line in tidemill("data", "list").stdout.splitlines()] == [
        "dataset",
        "animals",
    ]
    exported = shown(tidemill, "data", "export", "animals@v1", "out.csv")
    assert isinstance(exported, dict)
    assert exported["rows"] == 4
    assert '"cat",3,"pet"' in (project / "out.csv").read_text("utf-8")
    assert "Deleted animals@fix" in tidemill("data", "branch", "animals", "fix", "--delete").stdout


def test_a_wrong_file_is_refused_with_line_and_leaves_no_commit(tidemill: Tidemill, animals: Path):
    animals.write_text(ANIMALS + "cow,4\n", "utf-8")
    done = tidemill("data", "import", "animals", animals, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert "animals.csv" in error["message"]
    assert "5" in error["message"]
    assert shown(tidemill, "data", "list") == []


def test_a_name_that_is_nearly_right_gets_the_right_one(tidemill: Tidemill, animals: Path):
    tidemill("data", "import", "animals", animals)
    done = tidemill("data", "log", "animal")
    assert done.returncode == 2
    assert done.stderr.startswith("error[dataset-not-found]: ")
    assert "animals" in done.stderr.splitlines()[-1]


def test_the_project_may_be_elsewhere(tidemill: Tidemill, animals: Path, project: Path, tmp_path: Path):
    tidemill("-C", project, "data", "import", "animals", animals)
    done = tidemill("-C", tmp_path, "data", "list")
    assert done.returncode == 2
    assert "project-not-found" in done.stderr


def test_a_profile_is_drawn_and_told(tidemill: Tidemill, animals: Path, project: Path):
    tidemill("data", "import", "animals", animals, "--key", "name")
    drawn = tidemill("data", "profile", "animals", "--html", "animals.html")
    assert drawn.returncode == 0, drawn.stderr
    assert "Classes of label: 3" in drawn.stdout
    assert "█" in drawn.stdout
    assert (project / "animals.html").read_text("utf-8").startswith("<!doctype html>")
    told = shown(tidemill, "data", "profile", "animals", "--label", "legs")
    assert isinstance(told, dict)
    assert (told["label"], told["rows"], len(told["classes"])) == ("legs", 3, 3)
    legs = next(c for c in told["columns"] if c["name"] == "legs")
    assert (legs["quantiles"]["min"], legs["quantiles"]["max"], legs["top"][0]) == (2, 6, [2, 1])
    wrong = tidemill("data", "profile", "animals", "--label", "leg")
    assert wrong.returncode == 2
    assert "Did you mean 'legs'?" in wrong.stderr


@pytest.mark.sklearn
def test_suspects_become_a_review(tidemill: Tidemill, project: Path):
    lines = [f"{x},{'low' if (x < 50) != (x in (7, 81)) else 'high'}" for x in range(100)]
    (project / "levels.csv").write_text("\n".join(["level,label", *lines]) + "\n", "utf-8")
    model = "from sklearn.linear_model import LogisticRegression\nline = LogisticRegression()\n"
    (project / "models.py").write_text(model, "utf-8")
    tidemill("data", "import", "levels", "levels.csv")
    search = ("data", "suspects", "levels", "--limit", "2", "--trainer", "models.py:line")
    drawn = tidemill(*search, "--csv", "suspects.csv")
    assert drawn.returncode == 0, drawn.stderr
    assert "tidemill review show levels#1" in drawn.stdout
    assert (project / "suspects.csv").read_text("utf-8").count("\n") == 3
    told = shown(tidemill, *search, "--branch", "again")
    assert isinstance(told, dict)
    assert sorted((s["given"], s["suggested"]) for s in told["suspects"]) == [
        ("high", "low"),
        ("low", "high"),
    ]
    twice = tidemill(*search)
    assert twice.returncode == 2
    assert "branch-exists" in twice.stderr


CHECKS = '[checks.animals.columns.label]\none_of = ["pet", "farm", "wild"]\n'


def test_a_commit_that_checks_refuse_and_one_that_is_quarantined(
    tidemill: Tidemill, animals: Path, project: Path
):
    (project / "tidemill.toml").write_text(CHECKS, "utf-8")
    animals.write_text(ANIMALS + "yak,4,form\n", "utf-8")
    refused = tidemill("data", "import", "animals", animals, "--key", "name")
    assert refused.returncode == 1
    assert "error[commit-refused]: 1 check says no" in refused.stderr
    assert "(label: form)" in refused.stderr
    assert str(project / "refused-animals.csv") in refused.stderr
    told = tidemill("data", "import", "animals", animals, "--key", "name", "--quarantine")
    assert "rows: 3 added; 3 in all." in told.stdout
    assert "Rows that checks say no to, 1, are on branch quarantine-1" in told.stdout
    assert tidemill("data", "check", "animals").returncode == 0
    by_hand = tidemill("data", "check", "animals@quarantine-1")
    assert by_hand.returncode == 1
    assert "another value in 1 row: 'form'" in by_hand.stdout
    view = shown(tidemill, "data", "check", "animals")
    assert isinstance(view, dict)
    assert [(c["check"], c["passed"]) for c in view["checks"]] == [("label.one_of", True)]
