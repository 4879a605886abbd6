"""``tidemill data`` as a team uses it: merge with conflicts, revert, blame, switch, graph."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tidemill

ANIMALS = "name,legs,label\ncat,4,pet\nhen,2,farm\nant,6,wild\n"


@pytest.fixture
def animals(tidemill: Tidemill, project: Path) -> Path:
    """A dataset with a branch ``fix`` on which the cat is wild and the hen is gone; on main the cat is a lion."""
    file = project / "animals.csv"
    put(tidemill, file, ANIMALS, "main")
    assert tidemill("data", "branch", "animals", "fix").returncode == 0
    put(tidemill, file, ANIMALS.replace("pet", "wild") + "emu,2,farm\n", "fix")
    put(tidemill, file, ANIMALS.replace("pet", "lion").replace("ant,6", "ant,5"), "main")
    return file


def put(tidemill: Tidemill, file: Path, text: str, branch: str) -> None:
    file.write_text(text, "utf-8")
    done = tidemill("data", "import", "animals", file, "--key", "name", "--branch", branch)
    assert done.returncode == 0, done.stderr


def shown(tidemill: Tidemill, *words: str | Path) -> Any:
    done = tidemill(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def cells(tidemill: Tidemill, ref: str) -> dict[str, list[Any]]:
    sample = shown(tidemill, "data", "show", ref, "--rows", "50")["sample"]
    return {row["name"]: [row["legs"], row["label"]] for row in sample}


def refused(tidemill: Tidemill, code: str, *words: str | Path) -> str:
    done = tidemill(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"error[{code}]" in done.stderr
    return done.stderr


def test_a_merge_with_a_conflict_lists_it_and_changes_nothing(tidemill: Tidemill, animals: Path):
    said = refused(tidemill, "merge-conflict", "data", "merge", "animals", "fix")
    header, line = said.splitlines()[:2]
    assert header.split() == ["row", "column", "base", "ours", "by", "theirs", "by"]
    assert line.split()[1:4] == ["label", "pet", "lion"]
    assert len(shown(tidemill, "data", "log", "animals")) == 2
    assert cells(tidemill, "animals")["cat"] == [4, "lion"]


@pytest.mark.parametrize(
    ("options", "label"),
    [(["--ours"], "lion"), (["--theirs"], "wild"), (["--resolve", "label=base"], "pet")],
)
def test_a_side_is_chosen(tidemill: Tidemill, animals: Path, options: list[str], label: str):
    merged = shown(tidemill, "data", "merge", "animals", "animals@fix", *options)
    assert merged["rows"]["added"] == 1
    assert cells(tidemill, "animals") == {
        "cat": [4, label],
        "hen": [2, "farm"],
        "ant": [5, "wild"],
        "emu": [2, "farm"],
    }


def test_conflicts_go_out_as_a_file_and_come_back_with_choices(
    tidemill: Tidemill, animals: Path, project: Path
):
    told = tidemill("data", "merge", "animals", "fix", "--conflicts", "todo.csv").stdout
    assert "1 to decide" in told
    assert told.rstrip().endswith("tidemill data merge animals fix --into main --choices todo.csv")
    with (project / "todo.csv").open() as file:
        reader = csv.DictReader(file)
        (line,) = [*reader]
    assert reader.fieldnames is not None
    assert (line["column"], line["base"], line["ours"], line["theirs"], line["choice"]) == (
        "label", "pet", "lion", "wild", "",
    )  # fmt: skip
    assert line["ours_author"]
    assert line["theirs_time"] < line["ours_time"]

    def choose(**cells: str) -> list[str]:
        with (project / "todo.csv").open("w") as file:
            writer = csv.DictWriter(file, reader.fieldnames or [])
            writer.writeheader()
            writer.writerow({**line, **cells})
        return ["data", "merge", "animals", "fix", "--choices", "todo.csv"]

    assert "line 2" in refused(tidemill, "missing-choice", *choose())
    assert "'theirs'" in refused(tidemill, "unknown-choice", *choose(choice="their"))
    assert "row 17" in refused(tidemill, "unknown-conflict", *choose(choice="ours", _id="17"))
    refused(tidemill, "unknown-conflict", *choose(choice="ours", column="legs"))
    refused(tidemill, "invalid-choices", *choose(choice="ours", _id="cat"))
    refused(tidemill, "file-not-found", "data", "merge", "animals", "fix", "--choices", "nothing.csv")
    (project / "todo.csv").write_text("a,b\n1,2\n", "utf-8")
    refused(tidemill, "invalid-choices", "data", "merge", "animals", "fix", "--choices", "todo.csv")
    assert len(shown(tidemill, "data", "log", "animals")) == 2
    assert tidemill(*choose(), "--theirs").returncode == 0
    assert cells(tidemill, "animals")["cat"] == [4, "wild"]


def test_a_value_may_be_written_instead_of_a_side(tidemill: Tidemill, animals: Path, project: Path):
    tidemill("data", "merge", "animals", "fix", "--conflicts", "todo.csv")
    text = (project / "todo.csv").read_text("utf-8").rstrip("\n")
    (project / "todo.csv").write_text(text + "=ours\n", "utf-8")
    assert tidemill("data", "merge", "animals", "fix", "--choices", "todo.csv").returncode == 0
    assert cells(tidemill, "animals")["cat"] == [4, "ours"]


def test_what_is_of_another_dataset_is_not_merged(tidemill: Tidemill, animals: Path):
    tidemill("data", "import", "others", animals)
    said = refused(tidemill, "unrelated-datasets", "data", "merge", "animals", "others@main")
    assert "Export others" in said


@pytest.mark.usefixtures("animals")
def test_a_place_in_history_is_no_dataset_to_merge_into(tidemill: Tidemill):
    tidemill("data", "branch", "animals", "later")
    said = refused(tidemill, "invalid-reference", "data", "merge", "animals@main", "later")
    assert "Type 'animals'." in said


@pytest.mark.parametrize("name", ["main", "fix", "a b", "head", "origin/fix", "2"])
def test_a_branch_name_that_cannot_be_is_refused(tidemill: Tidemill, animals: Path, name: str):
    code = "branch-exists" if name in ("main", "fix") else "invalid-name"
    refused(tidemill, code, "data", "branch", "animals", name)
    refused(tidemill, code, "data", "switch", "animals", name, "--create")


def test_revert_undoes_and_refuses_what_it_cannot(tidemill: Tidemill, animals: Path):
    undone = shown(tidemill, "data", "log", "animals")[0]["id"]
    said = shown(tidemill, "data", "revert", f"animals@{undone}")
    assert (said["rows"], said["already"]) == ({"added": 0, "changed": 2, "removed": 0}, False)
    assert cells(tidemill, "animals")["cat"] == [4, "pet"]
    assert "undone in main already" in tidemill("data", "revert", f"animals@{undone}").stdout
    assert tidemill("data", "merge", "animals", "fix").returncode == 0
    assert "is a merge" in refused(tidemill, "cannot-revert", "data", "revert", "animals")
    assert "the first" in refused(tidemill, "cannot-revert", "data", "revert", "animals@1")
    refused(tidemill, "invalid-time", "data", "show", "animals@2026-13-01")


def test_blame_names_commit_and_author_of_each_cell(tidemill: Tidemill, animals: Path):
    tidemill("data", "merge", "animals", "fix", "--theirs")
    told = shown(tidemill, "data", "blame", "animals", "--where", "name = 'cat'")
    branch = {c["id"]: c["branch"] for c in shown(tidemill, "data", "log", "animals", "--graph")}
    by_column = {column: branch[line["commit"]] for line in told["lines"] for column in line["values"]}
    assert by_column == {"name": "main", "legs": "main", "label": "fix"}
    row = told["lines"][0]["id"]
    one = shown(tidemill, "data", "blame", "animals", "--id", row, "--column", "label")
    assert [line["values"] for line in one["lines"]] == [{"label": "wild"}]
    text = tidemill("data", "blame", "animals", "--limit", "1").stdout
    assert "3 more rows" in text
    refused(tidemill, "row-not-found", "data", "blame", "animals", "--id", "5")
    refused(tidemill, "column-not-found", "data", "blame", "animals", "--column", "lgs")
    refused(tidemill, "invalid-where", "data", "blame", "animals", "--where", "name = = 3")


def test_a_name_without_an_at_means_the_branch_that_was_switched_to(tidemill: Tidemill, animals: Path):
    assert "animals@fix" in tidemill("data", "switch", "animals", "fix").stdout
    assert "emu" in cells(tidemill, "animals")
    assert "emu" not in cells(tidemill, "animals@main")
    assert shown(tidemill, "data", "list")[0]["branch"] == "fix"
    animals.write_text("name,legs,label\nowl,2,wild\n", "utf-8")
    tidemill("data", "import", "animals", animals, "--key", "name")
    assert "owl" in cells(tidemill, "animals@fix")
    assert shown(tidemill, "data", "merge", "animals", "main", "--ours")["into"] == "fix"
    refused(tidemill, "branch-in-use", "data", "branch", "animals", "fix", "--delete")
    refused(tidemill, "branch-not-found", "data", "switch", "animals", "nothing")
    assert shown(tidemill, "data", "switch", "animals", "new", "--create")["branch"] == "new"
    assert "owl" in cells(tidemill, "animals")
    tidemill("data", "switch", "animals", "main")
    assert "owl" not in cells(tidemill, "animals")


def test_a_log_draws_what_was_merged(tidemill: Tidemill, animals: Path):
    tidemill("data", "merge", "animals", "fix", "--theirs")
    drawn = [line[:5].rstrip() for line in tidemill("data", "log", "animals", "--graph").stdout.splitlines()]
    assert drawn[1:3] == ["*", "|\\"]
    assert {"* |", "| *"} <= set(drawn)
    assert drawn[-2:] == ["|/", "*"]
    assert len(shown(tidemill, "data", "log", "animals", "--graph", "--branch", "fix")) == 1
    assert shown(tidemill, "data", "log", "animals", "--author", "nobody-of-that-name") == []
    assert len(shown(tidemill, "data", "log", "animals@main~1")) == 2


@pytest.mark.parametrize(
    ("typed", "label"),
    [("o", "lion"), ("nonsense\nt", "wild"), ("b", "pet"), ("=puma", "puma"), ("T", "wild")],
)
def test_conflicts_are_asked_one_by_one(tidemill: Tidemill, animals: Path, typed: str, label: str):
    done = tidemill("data", "merge", "animals", "fix", "--interactive", stdin=f"{typed}\n")
    assert done.returncode == 0, done.stderr
    assert "Conflict 1 of 1" in done.stderr
    assert "ours by" in done.stderr
    assert ("is none of these" in done.stderr) == ("nonsense" in typed)
    assert cells(tidemill, "animals")["cat"] == [4, label]


@pytest.mark.parametrize("typed", ["q\n", ""])
def test_asking_can_be_left_and_then_nothing_is_changed(tidemill: Tidemill, animals: Path, typed: str):
    done = tidemill("data", "merge", "animals", "fix", "--interactive", stdin=typed)
    assert done.returncode == 1
    assert done.stderr.endswith("Left; nothing was changed.\n")
    assert len(shown(tidemill, "data", "log", "animals")) == 2
    assert tidemill("data", "merge", "animals", "fix", "--interactive", "--ours").returncode == 2


def test_an_image_in_conflict_is_drawn(tidemill: Tidemill, project: Path):
    file = project / "tiny.csv"
    words = ("data", "import", "tiny", file, "--key", "name", "--tensor", "image=p*:2x2")
    for pixel, branch in ((0, "main"), (200, "side"), (255, "main")):
        file.write_text(f"name,p1,p2,p3,p4\na,{pixel},0,0,255\n", "utf-8")
        assert tidemill(*words, "--branch", branch).returncode == 0
        if not pixel:
            tidemill("data", "branch", "tiny", "side")
    done = tidemill("data", "merge", "tiny", "side", "--interactive", stdin="t\n")
    assert done.returncode == 0, done.stderr
    assert "@@" in done.stderr
    assert "=TEXT" not in done.stderr


def test_what_says_that_a_difference_was_written_is_json_where_that_is_asked_for(
    tidemill: Tidemill, animals: Path
):
    page = animals.parent / "page.html"
    for form in (page, page.with_suffix(".csv"), page.with_suffix(".json")):
        said = shown(tidemill, "data", "diff", "animals@fix", "animals", "--output", form)
        assert said == {"path": str(form), "a": "animals@fix", "b": "animals"}
        assert form.stat().st_size
    for form in ("csv", "html"):
        done = tidemill("data", "diff", "animals@fix", "animals", "--format", form, "--json")
        assert done.returncode == 2
        assert f"both JSON and {form.upper()}" in json.loads(done.stdout)["error"]["message"]
