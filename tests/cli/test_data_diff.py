"""``tidemill data diff`` in each of its forms."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Tidemill
from tidemill.data import Datasets
from tidemill.store.open import Store

HEADER = "name,label,p1,p2,p3,p4\n"


@pytest.fixture
def clothes(tidemill: Tidemill, project: Path) -> None:
    """Small images; then one is relabelled, one has another pixel, one goes and one comes."""
    lines = ["a,coat,0,1,2,3", "b,coat,4,5,6,7", "c,hat,8,9,10,11", "d,hat,12,13,14,15"]
    file = project / "clothes.csv"
    words = ("data", "import", "clothes", file, "--key", "name", "--tensor", "image=p*:2x2")
    file.write_text(HEADER + "\n".join(lines) + "\n", "utf-8")
    assert tidemill(*words).returncode == 0
    lines = ["a,shirt,0,1,2,3", "b,coat,4,5,6,255", "c,hat,8,9,10,11", "e,hat,1,1,1,1"]
    file.write_text(HEADER + "\n".join(lines) + "\n", "utf-8")
    assert tidemill(*words).returncode == 0
    dataset = Datasets(Store.open(project / ".tidemill"), "ada").open("clothes")
    rows = dataset.snapshot().read()
    names = np.array(rows.to_arrow()["name"].to_pylist())
    dataset.commit(rows.filter(names != "d"), message="Without d", replace=True)


def test_as_a_table_and_as_json(tidemill: Tidemill, clothes: None):
    text = tidemill("data", "diff", "clothes@1", "main").stdout
    assert text.startswith("clothes@1 to main: 1 added, 2 changed, 1 removed.")
    assert "Added rows:" in text
    assert "Removed rows:" in text
    told = json.loads(tidemill("data", "diff", "clothes@1", "3", "--format", "json", "--limit", "9").stdout)
    assert sorted((c["column"], c["old"], c["new"]) for c in told["cells"]) == [
        ("image", [4, 5, 6, 7], [4, 5, 6, 255]),
        ("label", "coat", "shirt"),
    ]
    assert [(r["change"], r["cells"]["name"]) for r in told["rows"]] == [("added", "e"), ("removed", "d")]


def test_as_csv_a_line_a_cell(tidemill: Tidemill, clothes: None, project: Path):
    done = tidemill("data", "diff", "clothes@1", "clothes", "--output", "d.csv")
    assert done.stdout == "d.csv: what changed from clothes@1 to clothes.\n"
    lines = [*csv.DictReader(io.StringIO((project / "d.csv").read_text("utf-8")))]
    assert [(line["change"], line["column"]) for line in lines].count(("changed", "label")) == 1
    assert {line["new"] for line in lines if line["change"] == "added"} == {"e", "hat", "[1, 1, 1, 1]"}
    assert {line["new"] for line in lines if line["change"] == "removed"} == {""}


def test_as_a_page_with_images_old_and_new(tidemill: Tidemill, clothes: None, project: Path):
    assert tidemill("data", "diff", "clothes@1", "main", "--output", "d.html").returncode == 0
    page = (project / "d.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    # The changed image twice; of the relabelled, the added and the removed row the one that it has.
    assert page.count("<img ") == 5
    assert 'alt="image before"' in page
    assert "coat" in page
    assert "shirt" in page
    assert "http:" not in page


def test_the_counts_by_column_and_label(tidemill: Tidemill, clothes: None):
    told = json.loads(tidemill("data", "diff", "clothes@1", "main", "--stat", "--json").stdout)
    assert {c["column"]: c["changed"] for c in told["columns"]} == {"label": 1, "image": 1}
    by_label = {line.pop("label"): list(line.values()) for line in told["labels"]}
    assert by_label == {"coat": [2, 0, 0, 0, 1, 1], "hat": [2, 1, 1, 0, 0, 2], "shirt": [0, 0, 0, 1, 0, 1]}
    text = tidemill("data", "diff", "clothes@1", "main", "--stat").stdout
    assert "relabelled to it" in text
    assert tidemill("data", "diff", "clothes@1", "main", "--stat", "--format", "csv").returncode == 2
    assert tidemill("data", "diff", "clothes@1", "main", "--output", "d.pdf").returncode == 2
