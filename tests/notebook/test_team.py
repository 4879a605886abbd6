"""People who work on a dataset together from Python: labels in a loop, checks, and a review."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tests.loop.datasets.pages import Page
from tidemill.core.errors import NotAllowed

Person = Callable[[str], tm.Project]
SETTINGS = """
[reviews.pets]
approvals = 1

[checks.pets.columns.label]
one_of = ["cat", "dog"]
"""


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """Opens a project as somebody; its dataset ``pets`` has six small images, of which two have a label."""
    opened: list[tm.Project] = []

    def as_(name: str) -> tm.Project:
        monkeypatch.setenv("TIDEMILL_AUTHOR", name)
        opened.append(tm.open(tmp_path))
        return opened[-1]

    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    lines = ["name,label,p1,p2,p3,p4", *(f"n<{n}>,{'cat' if n < 2 else ''},{n},200,0,255" for n in range(6))]
    (tmp_path / "pets.csv").write_text("\n".join(lines) + "\n", "utf-8")
    as_("ada").import_data("pets", tmp_path / "pets.csv", key=["name"], tensors={"image": "p*:2x2"})
    (tmp_path / "tidemill.toml").write_text(SETTINGS, "utf-8")
    yield as_
    for project in opened:
        project.close()


def test_a_queue_is_labelled_in_a_loop(person: Person):
    ada = person("ada")
    events: list[object] = []
    rows = ada.label_queue("pets", column="label", classes=["cat", "dog"], sink=events.append)
    assert repr(rows) == "Labeller(queue='pets', author='ada')"
    seen: list[str] = []
    for row in rows:
        seen.append(row.cells["name"])
        if len(seen) == 2:
            # Neither labelled nor skipped: it is left to others, and does not come again.
            continue
        rows.answer("dog")
        if len(seen) == 3:
            break
    assert seen == ["n<2>", "n<3>", "n<4>"]
    view = rows.progress()
    assert (view.decided, view.leases) == (2, [])
    assert [(p.author, p.labels, p.skipped) for p in view.people] == [("ada", 2, 1)]
    # Somebody else gets what was left; a label that was taken back is asked for again.
    others = person("grace").label_queue("pets")
    again = False
    for row in others:
        others.answer("cat")
        if row.cells["name"] == "n<5>" and not again:
            again = True
            others.undo()
    assert others.progress().left == 0
    made = ada.commit_labels("pets")
    assert [(c.author, c.labels) for c in made.commits] == [("ada", 2), ("grace", 2)]
    frame = ada.read("pets@labels-pets").to_polars().sort("name")
    assert frame["label"].to_list() == ["cat", "cat", "dog", "cat", "dog", "cat"]


def test_a_row_shows_itself_with_its_picture(person: Person):
    rows = person("ada").label_queue("pets", column="label", classes=["cat", "dog"])
    row = rows.take()
    assert row is not None
    text = row._repr_html_()
    page = Page(text)
    assert page.open == []
    [image] = [a for tag, a in page.tags if tag == "img"]
    data = base64.b64decode((image["src"] or "").removeprefix("data:image/png;base64,"))
    assert data[16:24] == b"\0\0\0\x02\0\0\0\x02"
    assert f"row {row.row}" in page.text
    assert "n<2>" in page.text
    assert not re.search(r"<script|https?://", text)
    rows.leave()


def test_a_review_by_two_people(person: Person, tmp_path: Path):
    ada = person("ada")
    ada.branch("pets", "named")
    rows = ada.label_queue("pets", column="label", classes=["cat", "dog", "hen"], branch="named")
    for row in rows:
        rows.answer("hen" if row.cells["name"] == "n<2>" else "dog")
    ada.commit_labels("pets")
    opened = ada.open_review("pets", "named", title="All have a label")
    checked = ada.check("pets@named")
    assert (checked.passed, checked.rows) == (False, 1)
    shown = ada.show_review(opened.review, html=tmp_path / "review.html")
    assert len(shown.lacking) == 2
    assert "All have a label" in Page((tmp_path / "review.html").read_text("utf-8")).text
    (tmp_path / "more.csv").write_text("name,label,p1,p2,p3,p4\nn<2>,cat,2,200,0,255\n", "utf-8")
    ada.import_data("pets", tmp_path / "more.csv", branch="named", tensors={"image": "p*:2x2"})
    assert ada.check("pets@named").passed
    with pytest.raises(NotAllowed) as refused:
        ada.merge_review("pets#1")
    assert refused.value.code == "not-approved"
    grace = person("grace")
    assert grace.comment("pets#1", "Fine.").author == "grace"
    assert grace.approve("pets#1").counts
    assert grace.merge_review("pets#1").rows.changed == 4
    assert [r.state for r in ada.reviews("pets", state=None)] == ["merged"]
    assert ada.read("pets").to_polars()["label"].null_count() == 0


def test_a_review_is_closed(person: Person):
    ada = person("ada")
    ada.branch("pets", "side")
    rows = ada.label_queue("pets", column="label", classes=["cat"], branch="side")
    for _ in rows:
        rows.answer("cat")
    ada.commit_labels("pets")
    ada.open_review("pets", "side")
    assert ada.close_review("pets#1").state == "closed"
    assert ada.reviews() == []
