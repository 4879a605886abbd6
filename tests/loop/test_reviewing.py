"""Reviews: opened, looked at, approved, merged; and each way in which that is refused."""

from pathlib import Path

import pytest

from tests.loop.conftest import People
from tidemill.core.errors import AlreadyExists, Conflict, InvalidInput, NotAllowed, NotFound, TidemillError
from tidemill.loop.datasets import history, importing, merging, reading, review_showing, reviewing
from tidemill.loop.datasets.choices import Decisions
from tidemill.loop.workspace import Workspace

pytestmark = pytest.mark.both_stores

ANIMALS = "name,legs,label\ncat,4,pet\nhen,2,farm\nant,6,wild\n"
RULE = '[reviews.animals]\napprovals = 1\nby = ["grace", "edsger"]\n'


def imported(ws: Workspace, folder: Path, text: str, branch: str = "main") -> None:
    file = folder / "animals.csv"
    file.write_text(text, "utf-8")
    importing.import_data(ws, "animals", file, key=["name"], branch=branch, message="some animals")


@pytest.fixture
def ada(tmp_path: Path, people: People) -> Workspace:
    """Ada's project, in which branch ``fix`` says that the cat has three legs."""
    (tmp_path / "tidemill.toml").write_text(RULE, "utf-8")
    ws = people("ada")
    imported(ws, tmp_path, ANIMALS)
    history.branch(ws, "animals@main", "fix")
    imported(ws, tmp_path, ANIMALS.replace("cat,4", "cat,3"), "fix")
    return ws


def legs(ws: Workspace, at: str = "main") -> dict[str, int]:
    rows = reading.read(ws, f"animals@{at}").to_polars()
    return dict(zip(rows["name"], rows["legs"], strict=True))


def code_of(error: "pytest.ExceptionInfo[TidemillError]") -> str:
    return error.value.code


def test_a_review_is_opened_approved_and_merged(ada: Workspace, people: People):
    grace = people("grace")
    opened = reviewing.open_review(ada, "animals", "fix", description="It lost one.")
    assert (opened.review, opened.title, opened.author) == ("animals#1", "some animals", "ada")
    shown = review_showing.show_review(grace, "animals#1")
    assert shown.diff is not None
    assert (shown.diff.added, shown.diff.changed, shown.diff.removed) == (0, 1, 0)
    assert [(c["column"], c["old"], c["new"]) for c in shown.diff.cells] == [("legs", 4, 3)]
    assert len(shown.lacking) == 1
    assert reviewing.approve(grace, "animals#1").commit == shown.commit
    assert review_showing.show_review(ada, "animals#1").lacking == []
    merged = reviewing.merge_review(ada, "animals#1")
    assert legs(ada)["cat"] == 3
    assert history.log(ada, "animals")[0].message == "Merge review animals#1: some animals"
    after = review_showing.show_review(ada, "animals#1")
    assert (after.about.state, after.about.merge_commit, after.ended_by) == ("merged", merged.commit, "ada")
    assert after.diff is not None
    assert after.diff.changed == 1, "what it changed can still be told"


def test_it_is_not_merged_before_it_is_approved(ada: Workspace):
    reviewing.open_review(ada, "animals", "fix")
    with pytest.raises(NotAllowed) as refused:
        reviewing.merge_review(ada, "animals#1")
    assert code_of(refused) == "not-approved"
    assert "grace, edsger" in str(refused.value.hint)
    assert legs(ada)["cat"] == 4


def test_an_approval_is_of_one_commit_and_no_later_one(ada: Workspace, people: People, tmp_path: Path):
    reviewing.open_review(ada, "animals", "fix")
    reviewing.approve(people("grace"), "animals#1")
    imported(ada, tmp_path, ANIMALS.replace("cat,4", "cat,5"), "fix")
    with pytest.raises(NotAllowed) as refused:
        reviewing.merge_review(ada, "animals#1")
    assert code_of(refused) == "review-moved"
    assert "grace" in refused.value.message
    [old] = review_showing.show_review(ada, "animals#1").approvals
    assert not old.counts
    reviewing.approve(people("grace"), "animals#1")
    reviewing.merge_review(ada, "animals#1")
    assert legs(ada)["cat"] == 5


def test_a_change_of_the_target_does_not_undo_an_approval(ada: Workspace, people: People, tmp_path: Path):
    history.branch(ada, "animals@main", "more")
    imported(ada, tmp_path, ANIMALS + "emu,2,farm\n", "more")
    for source in ("fix", "more"):
        reviewing.open_review(ada, "animals", source)
    for number in (1, 2):
        reviewing.approve(people("grace"), f"animals#{number}")
    for number in (1, 2):
        reviewing.merge_review(ada, f"animals#{number}")
    assert legs(ada) == {"cat": 3, "hen": 2, "ant": 6, "emu": 2}


def test_what_only_the_target_has_is_no_part_of_a_review(ada: Workspace, people: People, tmp_path: Path):
    history.branch(ada, "animals@main", "more")
    imported(ada, tmp_path, ANIMALS + "emu,2,farm\n", "more")
    reviewing.open_review(ada, "animals", "more")
    reviewing.approve(people("grace"), "animals#1")
    reviewing.merge_review(ada, "animals#1")
    reviewing.open_review(ada, "animals", "fix")
    diff = review_showing.show_review(ada, "animals#2").diff
    assert diff is not None
    assert (diff.added, diff.changed, diff.removed) == (0, 1, 0)


@pytest.mark.parametrize(("who", "code"), [("ada", "own-review"), ("alan", "not-an-approver")])
def test_not_everybody_may_approve(ada: Workspace, people: People, who: str, code: str):
    reviewing.open_review(ada, "animals", "fix")
    with pytest.raises(NotAllowed) as refused:
        reviewing.approve(people(who), "animals#1")
    assert code_of(refused) == code


def test_the_author_may_approve_where_the_rule_says_so(ada: Workspace, people: People, tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text("[reviews.animals]\nown = true\n", "utf-8")
    reviewing.open_review(ada, "animals", "fix")
    reviewing.approve(people("ada"), "animals#1")
    reviewing.merge_review(people("ada"), "animals#1")


def test_an_approval_of_somebody_whom_the_rule_no_longer_names_does_not_count(
    ada: Workspace, people: People, tmp_path: Path
):
    reviewing.open_review(ada, "animals", "fix")
    reviewing.approve(people("grace"), "animals#1")
    (tmp_path / "tidemill.toml").write_text(RULE.replace('"grace", ', ""), "utf-8")
    with pytest.raises(NotAllowed):
        reviewing.merge_review(people("ada"), "animals#1")


def test_two_people_must_approve_where_the_rule_says_two(ada: Workspace, people: People, tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text(RULE.replace("= 1", "= 2"), "utf-8")
    reviewing.open_review(ada, "animals", "fix")
    for _ in range(2):
        reviewing.approve(people("grace"), "animals#1")
    with pytest.raises(NotAllowed) as refused:
        reviewing.merge_review(people("ada"), "animals#1")
    assert "1 person of edsger" in str(refused.value.hint)
    reviewing.approve(people("edsger"), "animals#1")
    reviewing.merge_review(people("ada"), "animals#1")


def test_a_protected_branch_takes_no_merge_past_a_review(ada: Workspace):
    with pytest.raises(NotAllowed) as refused:
        merging.merge(ada, "animals", "fix")
    assert code_of(refused) == "review-needed"
    assert refused.value.hint == "Type 'tidemill review open animals fix --into main'."
    assert legs(ada)["cat"] == 4
    history.branch(ada, "animals@main", "other")
    merging.merge(ada, "animals", "fix", "other")
    assert legs(ada, "other")["cat"] == 3


def test_without_a_rule_a_review_needs_nobody(ada: Workspace, people: People, tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    reviewing.open_review(people("ada"), "animals", "fix")
    reviewing.merge_review(people("ada"), "animals#1")
    assert legs(ada)["cat"] == 3


def test_an_ended_review_takes_nothing_but_comments(ada: Workspace, people: People):
    reviewing.open_review(ada, "animals", "fix")
    assert reviewing.close(ada, "animals#1").state == "closed"
    for act in (reviewing.approve, reviewing.merge_review, reviewing.close):
        with pytest.raises(NotAllowed) as refused:
            act(people("grace"), "animals#1")
        assert code_of(refused) == "review-ended"
    reviewing.comment(ada, "animals#1", "It was right after all.", row="7")
    [comment] = review_showing.show_review(ada, "animals#1").comments
    assert (comment.author, comment.text, comment.row) == ("ada", "It was right after all.", "7")


def test_conflicts_are_shown_before_anybody_merges_and_decided_by_who_does(
    ada: Workspace, people: People, tmp_path: Path
):
    reviewing.open_review(ada, "animals", "fix")
    history.branch(ada, "animals@main", "other")
    imported(ada, tmp_path, ANIMALS.replace("cat,4", "cat,5"), "other")
    reviewing.open_review(ada, "animals", "other")
    for number in (1, 2):
        reviewing.approve(people("grace"), f"animals#{number}")
    reviewing.merge_review(ada, "animals#2")
    shown = review_showing.show_review(ada, "animals#1")
    assert [(c.column, c.base, c.ours, c.theirs) for c in shown.conflicts] == [("legs", 4, 5, 3)]
    assert shown.lacking == []
    with pytest.raises(Conflict) as refused:
        reviewing.merge_review(ada, "animals#1")
    assert code_of(refused) == "merge-conflict"
    assert review_showing.show_review(ada, "animals#1").about.state == "open"
    reviewing.merge_review(ada, "animals#1", decisions=Decisions(columns={"legs": "theirs"}))
    assert legs(ada)["cat"] == 3


def test_reviews_are_numbered_by_dataset_and_listed_newest_first(ada: Workspace):
    reviewing.open_review(ada, "animals", "fix", title="First")
    reviewing.close(ada, "animals#1")
    reviewing.open_review(ada, "animals", "fix", title="Second")
    assert [r.review for r in review_showing.reviews(ada)] == ["animals#2"]
    assert [r.title for r in review_showing.reviews(ada, "animals", state=None)] == ["Second", "First"]


def test_a_branch_that_went_away_is_said(ada: Workspace):
    reviewing.open_review(ada, "animals", "fix")
    ada.datasets.open("animals").delete_branch("fix")
    assert review_showing.show_review(ada, "animals#1").lacking == ["branch 'fix' is gone"]
    with pytest.raises(NotFound):
        reviewing.merge_review(ada, "animals#1")
    assert reviewing.close(ada, "animals#1").state == "closed"


def test_what_cannot_be_opened(ada: Workspace):
    reviewing.open_review(ada, "animals", "fix")
    with pytest.raises(AlreadyExists) as twice:
        reviewing.open_review(ada, "animals", "fix")
    assert "animals#1" in twice.value.message
    history.branch(ada, "animals@main", "same")
    with pytest.raises(InvalidInput) as nothing:
        reviewing.open_review(ada, "animals", "same")
    assert code_of(nothing) == "nothing-to-review"
    with pytest.raises(NotFound) as gone:
        reviewing.open_review(ada, "animals", "fixx")
    assert code_of(gone) == "branch-not-found"


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("animals", "invalid-review"),
        ("animals#0", "invalid-review"),
        ("#1", "invalid-review"),
        ("animals#7", "review-not-found"),
        ("plants#1", "dataset-not-found"),
    ],
)
def test_what_names_no_review(ada: Workspace, ref: str, code: str):
    with pytest.raises(TidemillError) as refused:
        review_showing.show_review(ada, ref)
    assert code_of(refused) == code


@pytest.mark.parametrize(("text", "row", "code"), [(" ", None, "empty-comment"), ("hm", "x", "invalid-row")])
def test_what_is_no_comment(ada: Workspace, text: str, row: str | None, code: str):
    reviewing.open_review(ada, "animals", "fix")
    with pytest.raises(InvalidInput) as refused:
        reviewing.comment(ada, "animals#1", text, row)
    assert code_of(refused) == code
