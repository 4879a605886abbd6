"""Checks stand before every commit; a refused commit changes nothing, and a quarantined one loses no row."""

import csv
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loop.conftest import People
from tidemill.core.config import load_project
from tidemill.core.errors import Failed, InvalidInput, NotFound, TidemillError
from tidemill.loop.datasets import (
    checking,
    diffing,
    history,
    importing,
    merging,
    reading,
    review_showing,
    reviewing,
)
from tidemill.loop.workspace import Workspace
from tidemill.pipeline import load

ANIMALS = "name,legs,label\ncat,4,pet\nhen,2,farm\nant,6,wild\n"
RULES = """
[checks.animals.columns.label]
one_of = ["pet", "farm", "wild"]

[checks.animals.columns.legs]
maximum = 8
max_missing = 0
"""


@pytest.fixture
def ada(tmp_path: Path, people: People) -> Workspace:
    (tmp_path / "tidemill.toml").write_text(RULES, "utf-8")
    return people("ada")


def imported(ws: Workspace, text: str, branch: str = "main", *, quarantine: bool = False):
    file = ws.folder / "animals.csv"
    file.write_text(text, "utf-8")
    return importing.import_data(
        ws, "animals", file, key=["name"], branch=branch, quarantine=quarantine, message="some"
    )


def rows_at(ws: Workspace, at: str) -> set[tuple[object, ...]]:
    table = reading.read(ws, f"animals@{at}").to_polars()
    return set(table.select("name", "legs", "label").rows())


def test_a_commit_that_is_as_asked_is_made(ada: Workspace):
    assert imported(ada, ANIMALS).rows.added == 3
    assert checking.check_data(ada, "animals").passed


def test_a_commit_that_is_not_is_refused_with_its_rows(ada: Workspace):
    imported(ada, ANIMALS)
    with pytest.raises(Failed) as refused:
        imported(ada, ANIMALS.replace("cat,4,pet", "cat,12,pat") + "emu,,farm\n")
    error = refused.value
    assert error.code == "commit-refused"
    assert "label.one_of: another value in 1 row: 'pat'" in error.message
    assert "legs.max_missing: missing in 1 row" in error.message
    assert len(error.details["rows"]) == 2  # pyright: ignore[reportArgumentType]
    assert "legs: 12" in str(error.why)
    with (ada.folder / "refused-animals.csv").open(newline="") as file:
        told = {row["name"]: row["refused by"] for row in csv.DictReader(file)}
    assert told == {"cat": "label.one_of, legs.maximum", "emu": "legs.max_missing"}
    assert rows_at(ada, "main") == {("cat", 4, "pet"), ("hen", 2, "farm"), ("ant", 6, "wild")}


def test_the_first_twenty_rows_are_told_and_all_are_in_the_file(ada: Workspace):
    with pytest.raises(Failed) as refused:
        imported(ada, "name,legs,label\n" + "".join(f"a{n},9,pet\n" for n in range(30)))
    assert len(refused.value.details["rows"]) == 20  # pyright: ignore[reportArgumentType]
    assert "and 10 more" in str(refused.value.why)
    lines = (ada.folder / "refused-animals.csv").read_text("utf-8").splitlines()
    assert len(lines) == 31
    with pytest.raises(NotFound):
        ada.datasets.open("animals")


def test_only_the_branches_that_are_named_are_checked(ada: Workspace):
    imported(ada, ANIMALS)
    history.branch(ada, "animals@main", "wild")
    imported(ada, ANIMALS.replace("cat,4", "cat,40"), "wild")
    assert ("cat", 40, "pet") in rows_at(ada, "wild")
    with pytest.raises(Failed) as refused:
        merging.merge(ada, "animals", "wild")
    assert refused.value.code == "commit-refused"
    assert ("cat", 4, "pet") in rows_at(ada, "main")


def test_a_review_shows_its_checks_and_is_not_merged_against_them(ada: Workspace):
    imported(ada, ANIMALS)
    history.branch(ada, "animals@main", "wild")
    imported(ada, ANIMALS.replace("cat,4", "cat,40"), "wild")
    reviewing.open_review(ada, "animals", "wild")
    shown = review_showing.show_review(ada, "animals#1")
    assert [c.check for c in shown.checks if not c.passed] == ["legs.maximum"]
    assert shown.lacking == ["check legs.maximum: above 8 in 1 row: 40"]
    with pytest.raises(Failed):
        reviewing.merge_review(ada, "animals#1")
    assert review_showing.show_review(ada, "animals#1").about.state == "open"
    imported(ada, ANIMALS.replace("cat,4", "cat,3"), "wild")
    reviewing.merge_review(ada, "animals#1")
    assert ("cat", 3, "pet") in rows_at(ada, "main")


def test_rows_that_are_refused_go_to_a_branch_and_the_others_are_committed(ada: Workspace):
    imported(ada, ANIMALS)
    view = imported(ada, ANIMALS.replace("cat,4", "cat,12") + "emu,2,farm\nyak,4,form\n", quarantine=True)
    assert view.rows.added == 1
    assert view.quarantine is not None
    assert (view.quarantine.branch, view.quarantine.rows) == ("quarantine-1", 2)
    assert rows_at(ada, "main") == {
        ("cat", 4, "pet"),
        ("hen", 2, "farm"),
        ("ant", 6, "wild"),
        ("emu", 2, "farm"),
    }
    held = diffing.diff(ada, "animals@1", "animals@quarantine-1")
    assert (held.added, held.changed, held.removed) == (1, 1, 0)
    assert not (ada.folder / "refused-animals.csv").exists()
    again = imported(ada, "name,legs,label\nbug,100,wild\n", quarantine=True)
    assert again.unchanged
    assert again.quarantine is not None
    assert again.quarantine.branch == "quarantine-2"


def test_quarantined_rows_come_back_corrected(ada: Workspace):
    imported(ada, ANIMALS)
    imported(ada, ANIMALS + "yak,4,form\n", quarantine=True)
    imported(ada, "name,legs,label\nyak,4,farm\n", "quarantine-1")
    merging.merge(ada, "animals", "quarantine-1")
    assert ("yak", 4, "farm") in rows_at(ada, "main")


def test_a_new_dataset_is_made_of_its_good_rows(ada: Workspace):
    view = imported(ada, ANIMALS + "yak,9,farm\n", quarantine=True)
    assert view.rows.added == 3
    assert rows_at(ada, "quarantine-1") - rows_at(ada, "main") == {("yak", 9, "farm")}
    assert imported(ada, ANIMALS.replace("cat,4", "cat,3")).rows.changed == 1, "its key is remembered"


def test_what_names_no_row_cannot_be_quarantined(ada: Workspace, people: People):
    (ada.folder / "tidemill.toml").write_text(RULES + "\n[checks.animals]\nmin_rows = 5\n", "utf-8")
    with pytest.raises(Failed) as refused:
        imported(people("ada"), ANIMALS, quarantine=True)
    assert "min_rows: it has 3 rows" in refused.value.message


def test_a_check_that_fails_only_without_some_rows_takes_more_of_them(ada: Workspace, people: People):
    rules = RULES.replace("max_missing = 0", "max_missing = 0.25\nmaximum = 8").replace(
        "maximum = 8\n", "", 1
    )
    (ada.folder / "tidemill.toml").write_text(rules, "utf-8")
    # One of four lacks it, which is allowed; without the refused row it is one of three.
    view = imported(people("ada"), "name,legs,label\na,1,pet\nb,2,pet\nc,,pet\nd,9,pet\n", quarantine=True)
    assert view.quarantine is not None
    assert view.quarantine.rows == 2
    assert rows_at(ada, "main") == {("a", 1, "pet"), ("b", 2, "pet")}


PYTHON = """
import polars as pl
import tidemill as tm

@tm.check
def short_names(rows: pl.DataFrame):
    return rows["name"].str.len_chars() <= 3

def no_spiders(rows: tm.Table) -> str | None:
    return "a spider" if "spider" in rows.to_polars()["name"] else None

def broken(rows):
    raise KeyError("legs")

def of_two(rows, more): ...
"""


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        ("short_names", "commit-refused", "checks.py:short_names: it says no to 1 row"),
        ("no_spiders", "commit-refused", "checks.py:no_spiders: a spider"),
        ("broken", "check-broken", "KeyError: 'legs'"),
        ("of_two", "wrong-check", "takes 2 parameters"),
        ("short_name", "check-not-found", "'checks.animals.functions[0]' names no function of checks.py"),
    ],
)
def test_a_check_in_python(tmp_path: Path, people: People, function: str, code: str, words: str):
    (tmp_path / "checks.py").write_text(PYTHON, "utf-8")
    (tmp_path / "tidemill.toml").write_text(
        f'[checks.animals]\nfunctions = ["checks.py:{function}"]\n', "utf-8"
    )
    ws = people("ada")
    try:
        with pytest.raises(TidemillError) as refused:
            imported(ws, ANIMALS + "spider,8,wild\n")
        assert refused.value.code == code
        assert words in refused.value.message
        if code == "commit-refused":
            assert imported(ws, ANIMALS).rows.added == 3
    finally:
        load.leave()


def test_what_is_asked_of_a_column_that_is_not_there_is_said(tmp_path: Path, people: People):
    (tmp_path / "tidemill.toml").write_text("[checks.animals.columns.leg]\nminimum = 1\n", "utf-8")
    with pytest.raises(InvalidInput) as refused:
        imported(people("ada"), ANIMALS)
    assert refused.value.message == (
        "tidemill.toml: 'checks.animals.columns.leg' names no column of the dataset."
    )
    assert refused.value.hint == "Did you mean 'legs'?"


def test_checks_by_hand_judge_every_row_of_any_commit(ada: Workspace, people: People):
    imported(ada, ANIMALS)
    (ada.folder / "tidemill.toml").write_text(RULES.replace("8", "5"), "utf-8")
    checked = checking.check_data(people("ada"), "animals@1")
    assert not checked.passed
    assert [(c.check, c.rows) for c in checked.checks if not c.passed] == [("legs.maximum", 1)]
    assert checked.rows == 1


def test_checks_of_a_branch_that_has_none(ada: Workspace, people: People):
    imported(ada, ANIMALS)
    with pytest.raises(NotFound) as none:
        checking.check_data(ada, "animals", "gold")
    assert none.value.code == "no-checks"
    (ada.folder / "tidemill.toml").write_text("", "utf-8")
    with pytest.raises(NotFound):
        checking.check_data(people("ada"), "animals")


LEGS = st.one_of(st.none(), st.integers(0, 12))
FILES = st.lists(
    st.tuples(LEGS, st.sampled_from(["pet", "farm", "wild", "pat", ""])), min_size=1, max_size=12
)


@settings(max_examples=15, deadline=None)
@given(first=FILES, second=FILES)
def test_what_is_committed_and_what_is_quarantined_is_what_came(
    first: list[tuple[int | None, str]], second: list[tuple[int | None, str]]
):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tidemill.toml").write_text(RULES.replace("maximum = 8", "maximum = 8\nunique = true"))
        ws = Workspace(load_project(folder))
        # One row that is good, so that there is a dataset.
        imported(ws, "name,legs,label\nzero,0,pet\n")
        for number, file in enumerate((first, second)):
            before = ws.datasets.open("animals").head().id
            lines = [
                f"n{number}-{row},{'' if legs is None else legs},{label}\n"
                for row, (legs, label) in enumerate(file)
            ]
            view = imported(ws, "name,legs,label\n" + "".join(lines), quarantine=True)
            came = Counter(
                (f"n{number}-{row}", legs, label or None) for row, (legs, label) in enumerate(file)
            )
            committed = rows_at(ws, "main") - rows_at(ws, before)
            held = rows_at(ws, view.quarantine.branch) - rows_at(ws, before) if view.quarantine else set()
            assert Counter([*committed, *held]) == came
            legs_there = [legs for _, legs, _ in rows_at(ws, "main")]
            assert all(legs is not None and legs <= 8 for legs in legs_there)  # pyright: ignore[reportOperatorIssue]
            assert len(set(legs_there)) == len(legs_there)
        ws.close()
