"""A review's page, as a browser would read it."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from tests.loop.conftest import People
from tests.loop.datasets.pages import Page
from tidemill.core.errors import InvalidInput
from tidemill.loop.datasets import history, review_showing, reviewing
from tidemill.loop.workspace import Workspace
from tidemill.store.table import Table

RULE = (
    '[reviews.pets]\napprovals = 1\nby = ["grace", "edsger"]\n[checks.pets.columns.label]\none_of = ["cat"]\n'
)


@pytest.fixture
def ada(tmp_path: Path, people: People) -> Workspace:
    """Ada's review of branch ``fix``, where one image has another pixel and one label is a wrong one."""
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    ws = people("ada")
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    names = np.array(["a", "b", "c"])
    made = Table.of({"name": names, "image": images, "label": np.array(["cat"] * 3)})
    ws.datasets.create("pets", made, key=["name"], message="pets")
    history.branch(ws, "pets@main", "fix")
    dataset = ws.datasets.open("pets")
    rows = dataset.snapshot("fix").read()
    order = np.argsort(rows.to_arrow()["name"].to_pylist())
    changed = images[np.argsort(order)].copy()
    changed[list(order).index(0)] = 200
    labels = ["<i>dog</i>" if n == "b" else "cat" for n in rows.to_arrow()["name"].to_pylist()]
    dataset.commit(
        rows.with_column("image", changed).with_column("label", labels), branch="fix", message="fix"
    )
    (tmp_path / "tidemill.toml").write_text(RULE, "utf-8")
    ws = people("ada")
    reviewing.open_review(ws, "pets", "fix", title="Cats & dogs", description="Look at <b>.")
    reviewing.comment(ws, "pets#1", "The second is <no> cat.")
    reviewing.approve(people("grace"), "pets#1")
    return ws


def test_the_page_tells_all_of_a_review(ada: Workspace, tmp_path: Path):
    file = tmp_path / "pages" / "review.html"
    view = review_showing.show_review(ada, "pets#1", html=file)
    assert view.path == str(file)
    text = file.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    for told in (
        "Cats & dogs",
        "open, cannot be merged yet",
        "review pets#1",
        "fix into main",
        "by ada",
        "Look at <b>.",
        "1 person must approve it, of grace, edsger, but not its author",
        "grace",
        "The second is <no> cat.",
        "<i>dog</i>",
    ):
        assert told in page.text, told
    assert str(view.commit) in page.text
    [refused] = [c for c in view.checks if not c.passed]
    assert refused.check in page.text
    assert refused.reason in page.text
    images = [a for tag, a in page.tags if tag == "img"]
    assert sorted(str(a["alt"]) for a in images) == ["image", "image after", "image before"]
    for attributes in images:
        data = base64.b64decode((attributes["src"] or "").removeprefix("data:image/png;base64,"))
        assert data[16:24] == b"\0\0\0\x04\0\0\0\x04"
    # Nothing is fetched, nothing runs.
    assert not re.search(r"<script|<link|https?://", text)


def test_the_page_of_a_review_that_ended_and_of_one_without_a_branch(ada: Workspace, tmp_path: Path):
    file = tmp_path / "review.html"
    history.branch(ada, "pets@main", "other")
    reviewing.close(ada, "pets#1")
    review_showing.show_review(ada, "pets#1", html=file, limit=1)
    page = Page(file.read_text("utf-8"))
    assert "closed" in page.text
    assert "Closed by ada" in " ".join(page.text.split())
    assert "Drawn here: 1 of 2 changed rows." in page.text
    reviewing.open_review(ada, "pets", "fix")
    history.branch(ada, "pets", "fix", delete=True)
    review_showing.show_review(ada, "pets#2", html=file)
    page = Page(file.read_text("utf-8"))
    assert "branch 'fix' is gone" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_a_page_that_cannot_be_written_is_said(ada: Workspace, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput) as caught:
        review_showing.show_review(ada, "pets#1", html=tmp_path / "file" / "page.html")
    assert caught.value.code == "output-in-file"
