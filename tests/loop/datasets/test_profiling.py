"""A profile as a use case: its facts, and the page as a browser would read it."""

import base64
import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.loop.datasets.pages import Page
from tidemill.core.errors import InvalidInput
from tidemill.data import import_files
from tidemill.loop.datasets.profiling import profile
from tidemill.loop.workspace import Workspace, open_workspace
from tidemill.store.table import Table


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    return open_workspace(tmp_path)


@pytest.fixture
def people(ws: Workspace, tmp_path: Path) -> Workspace:
    rng = np.random.default_rng(3)
    with (tmp_path / "people.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["age", "<b>town</b>", "joined", "label"])
        for i in range(400):
            age = int(rng.integers(18, 90))
            town = rng.choice(["Lund & co", "Oslo"])
            write.writerow([age if i % 9 else "", town, f"2024-01-{i % 28 + 1:02d}", age > 50])
    import_files(ws.datasets, "people", tmp_path / "people.csv")
    return ws


def test_a_column_called_label_is_the_label(people: Workspace):
    found = profile(people, "people")
    assert found.label == "label"
    assert sum(c.rows for c in found.classes) == found.rows == 400
    age = next(c for c in found.columns if c.name == "age")
    assert age.missing == 45
    assert age.association is not None
    assert age.association.value > 0.8
    assert profile(people, "people", "joined").label == "joined"


@pytest.mark.sklearn
def test_the_page_shows_each_class_with_images(ws: Workspace, tmp_path: Path):
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    names = np.array([f"digit {t}" for t in digits.target])
    ws.datasets.create(
        "digits", Table.of({"image": digits.images.astype("uint8"), "label": names}), message=""
    )
    file = tmp_path / "pages" / "digits.html"
    found = profile(ws, "digits", html=file)
    assert found.path == str(file)
    text = file.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    images = [a for tag, a in page.tags if tag == "img"]
    assert sum(a["alt"] == "digit 7" for a in images) == 8
    assert any(a["alt"] == "mean of digit 7" for a in images)
    for attributes in images:
        data = base64.b64decode((attributes["src"] or "").removeprefix("data:image/png;base64,"))
        assert data.startswith(b"\x89PNG")
        assert data[16:24] == b"\0\0\0\x08\0\0\0\x08"
    assert "1,797" in page.text
    # Nothing is fetched, nothing runs.
    assert not re.search(r"<script|<link|https?://", text)


def test_the_page_escapes_what_the_data_says(people: Workspace, tmp_path: Path):
    file = tmp_path / "people.html"
    profile(people, "people", html=file)
    text = file.read_text("utf-8")
    assert "<b>town</b>" not in text
    page = Page(text)
    assert "<b>town</b>" in page.text
    assert "Lund & co" in page.text
    assert "2024-01-28" in page.text
    bars = [a for tag, a in page.tags if tag == "rect"]
    assert len(bars) > 20


def test_many_columns_are_ranked_and_the_rest_is_a_table(ws: Workspace, tmp_path: Path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    table = {f"x{i}": rng.normal(size=200) + (5 * label if i == 90 else 0) for i in range(100)}
    ws.datasets.create("wide", Table.of({**table, "label": label.astype(str)}), message="")
    file = tmp_path / "wide.html"
    profile(ws, "wide", html=file)
    text = file.read_text("utf-8")
    assert text.split('<section class="column"><h3>')[1].startswith("x90<")
    page = Page(text)
    assert "41 more columns" in page.text
    for i in range(100):
        assert f"x{i} " in page.text + " "


def test_a_page_that_cannot_be_written_is_said(people: Workspace, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput) as caught:
        profile(people, "people", html=tmp_path / "file" / "page.html")
    assert caught.value.code == "output-in-file"
    assert f"{tmp_path / 'file'} is a file" in caught.value.message
