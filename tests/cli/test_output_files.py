"""Whatever writes a file says what is in its way, in words, and leaves what was there."""

from pathlib import Path

import pytest

import tidemill as tm
from tests.cli.conftest import Tidemill
from tidemill.loop.datasets import reviewing

WRITING = {
    "export": ["data", "export", "d", "OUT.csv"],
    "diff": ["data", "diff", "d@1", "d@2", "--output", "OUT.html"],
    "profile": ["data", "profile", "d", "--html", "OUT.html"],
    "review": ["review", "show", "d#1", "--html", "OUT.html"],
    "conflicts": ["data", "merge", "d", "side", "--conflicts", "OUT.csv"],
}


@pytest.fixture
def dataset(project: Path) -> Path:
    with tm.open(project) as opened:
        for name in ("a", "c"):
            opened.import_data("d", {"id": [1, 2], "name": [name, "b"]}, key="id")
        opened.branch("d@1", "side")
        opened.import_data("d", {"id": [1], "name": ["e"]}, branch="side")
        reviewing.open_review(opened._ws, "d", "side")
    return project


def words(name: str, place: str) -> list[str]:
    return [w.replace("OUT", place) for w in WRITING[name]]


@pytest.mark.parametrize("name", WRITING)
def test_a_missing_folder_is_made_and_what_is_in_the_way_is_said(
    dataset: Path, tidemill: Tidemill, name: str
):
    done = tidemill(*words(name, "new/deep/out"))
    assert done.returncode == 0, done.stderr
    assert len(list((dataset / "new" / "deep").iterdir())) == 1
    (dataset / "notes").write_text("mine")
    refused = tidemill(*words(name, "notes/out"))
    assert refused.returncode == 2, refused.stderr
    assert "output-in-file" in refused.stderr
    assert (dataset / "notes").read_text() == "mine"
    for ending in (".csv", ".html"):
        (dataset / f"folder{ending}").mkdir()
    refused = tidemill(*words(name, "folder"))
    assert refused.returncode == 2, refused.stderr
    assert "output-is-folder" in refused.stderr
    assert "Traceback" not in done.stderr + refused.stderr


def test_a_dash_is_standard_output_or_refused_in_words(dataset: Path, tidemill: Tidemill):
    shown = tidemill("data", "diff", "d@1", "d@2", "--format", "csv", "--output", "-")
    assert shown.stdout.startswith("change,_id,column,old,new\n")
    refused = tidemill("data", "export", "d", "-")
    assert refused.returncode == 2
    assert "./-" in refused.stderr
    assert not (dataset / "-").exists()


def test_dev_stdout_gets_the_file(dataset: Path, tidemill: Tidemill):
    done = tidemill("data", "profile", "d", "--html", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert "<html" in done.stdout
