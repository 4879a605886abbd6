"""A queue from its first row to the merge: who gets which row, what stands, what becomes of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import tidemill as tm
from tests.loop.labelling.conftest import CLASSES, write_csv
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from tidemill.loop.datasets import history, importing, merging
from tidemill.loop.datasets.labelling import queues
from tidemill.loop.datasets.labelling.committing import commit_labels
from tidemill.loop.datasets.labelling.progress import progress
from tidemill.loop.datasets.labelling.queues import Wish, close_queue, find_queue, open_queue
from tidemill.loop.datasets.labelling.turns import Labeller
from tidemill.loop.datasets.labelling.views import Task
from tidemill.loop.workspace import Workspace

Person = Callable[[str], Workspace]
OPEN = Wish(column="label")


def labeller(ws: Workspace, wish: Wish = OPEN) -> Labeller:
    return Labeller(ws, open_queue(ws, "pets", wish))


def taken(who: Labeller) -> Task:
    task = who.take()
    assert task is not None
    return task


def label_all(who: Labeller, label: Callable[[Task], str] = lambda _: "cat") -> list[Task]:
    done: list[Task] = []
    while (task := who.take()) is not None:
        who.answer(label(task))
        done.append(task)
    return done


def labels_at(ws: Workspace, at: str) -> dict[int, str | None]:
    frame = ws.datasets.open("pets").snapshot(at).read().to_polars()
    return dict(zip(frame["id"].to_list(), frame["label"].to_list(), strict=True))


@pytest.mark.both_stores
def test_unlabelled_rows_are_labelled_committed_and_merged(person: Person):
    ada = person("ada")
    done = label_all(labeller(ada), lambda task: CLASSES[task.cells["id"] % 3])
    assert [task.cells["id"] for task in done] == list(range(3, 12))
    assert all(task.given is None for task in done)
    assert done[0].picture is not None
    assert done[0].picture.pixels.tolist() == [[[3], [0]], [[255], [3]]]
    made = commit_labels(ada, "pets")
    assert (made.branch, made.left, made.removed, made.changed) == ("labels-pets", 0, [], [])
    assert [(c.author, c.labels) for c in made.commits] == [("ada", 9)]
    assert labels_at(ada, "main")[5] is None
    merging.merge(ada, "pets", "labels-pets")
    assert labels_at(ada, "main") == {n: CLASSES[n % 3] for n in range(12)}
    assert commit_labels(ada, "pets").commits == []


def test_two_people_never_have_one_row(person: Person):
    ada, grace = labeller(person("ada")), labeller(person("grace"))
    first, second = taken(ada), taken(grace)
    assert first.row != second.row
    assert taken(ada).row == first.row  # asking again gives the same row
    ada.answer("cat")
    grace.answer("dog")
    rows = {t.row for t in (*label_all(ada), *label_all(grace), first, second)}
    assert len(rows) == 9


def test_one_person_in_two_sessions_has_two_rows(person: Person):
    ws = person("ada")
    assert taken(labeller(ws)).row != taken(labeller(ws)).row


def test_each_commit_names_who_labelled(person: Person):
    ada, grace = labeller(person("ada")), labeller(person("grace"))
    for _ in range(3):
        for who, label in ((ada, "cat"), (grace, "dog")):
            taken(who)
            who.answer(label)
    made = commit_labels(person("lin"), "pets", "first batch")
    assert [(c.author, c.labels) for c in made.commits] == [("ada", 3), ("grace", 3)]
    log = history.log(person("lin"), "pets@labels-pets")
    assert [(c.author, c.message) for c in log[:2]] == [("grace", "first batch"), ("ada", "first batch")]
    assert made.left == 3


def test_two_labels_a_row_come_from_two_people_and_agree_or_not(person: Person):
    wish = Wish(column="label", labels=2)
    ada, grace = labeller(person("ada"), wish), labeller(person("grace"), wish)
    assert len(label_all(ada)) == 9
    assert ada.take() is None
    assert ada.progress().decided == 0
    assert len(label_all(grace, lambda t: "cat" if t.cells["id"] < 10 else "dog")) == 9
    view = grace.progress()
    assert (view.decided, view.disputed, view.left) == (7, 2, 0)
    assert view.agreement is not None
    assert view.agreement.rows == 9
    assert view.agreement.observed == pytest.approx(7 / 9)
    assert view.agreement.kappas == [{"people": ["ada", "grace"], "rows": 9, "kappa": 0.0}]
    assert "no referee" in view.notes[0]


@pytest.mark.both_stores
def test_the_referee_sees_disputed_rows_only_and_decides(person: Person):
    wish = Wish(column="label", labels=2, limit=3)
    ada, grace = labeller(person("ada"), wish), labeller(person("grace"), wish)
    label_all(ada)
    label_all(grace, lambda t: "dog" if t.cells["id"] == 4 else "cat")
    lin = labeller(person("lin"), Wish(referee="lin"))
    task = taken(lin)
    assert (task.role, task.cells["id"]) == ("referee", 4)
    assert task.votes == [{"author": "ada", "label": "cat"}, {"author": "grace", "label": "dog"}]
    lin.answer("hen")
    assert lin.take() is None
    view = lin.progress()
    assert (view.decided, view.disputed) == (3, 0)
    assert {p.author: (p.labels, p.decided) for p in view.people} == {
        "ada": (3, 0),
        "grace": (3, 0),
        "lin": (0, 1),
    }
    made = commit_labels(person("ada"), "pets")
    assert {c.author: c.labels for c in made.commits} == {"ada": 2, "lin": 1}
    with pytest.raises(NotAllowed) as settled:
        grace.undo()
    assert settled.value.code == "label-settled"


def test_of_three_labels_two_are_enough(person: Person):
    wish = Wish(column="label", labels=3, limit=2)
    for name, label in (("ada", "cat"), ("grace", "dog"), ("lin", "dog")):
        label_all(labeller(person(name), wish), lambda _, label=label: label)
    made = commit_labels(person("ada"), "pets")
    assert [(c.author, c.labels) for c in made.commits] == [("grace", 2)]


def test_a_skipped_row_goes_to_others_and_comes_back_when_asked(person: Person):
    ws = person("ada")
    ada = labeller(ws)
    skipped = taken(ada)
    ada.skip()
    assert skipped.row not in {t.row for t in label_all(ada)}
    assert ada.progress().left == 1
    again = Labeller(ws, find_queue(ws, "pets"), skipped=True)
    assert taken(again).row == skipped.row
    again.leave()
    grace = labeller(person("grace"))
    assert taken(grace).row == skipped.row


def test_undo_gives_the_row_again_and_takes_the_label_back(person: Person):
    ada = labeller(person("ada"))
    first = taken(ada)
    ada.answer("cat")
    second = taken(ada)
    assert ada.undo().row == first.row
    assert ada.progress().decided == 0
    ada.answer("dog")
    assert taken(ada).row == second.row
    with pytest.raises(InvalidInput) as unknown:
        ada.answer("dgo")
    assert unknown.value.code == "not-a-class"
    assert unknown.value.hint == "Did you mean 'dog'?"
    ada.answer("hen")
    ada.undo()
    ada.undo()
    with pytest.raises(NotAllowed) as nothing:
        ada.undo()
    assert nothing.value.code == "nothing-to-undo"


def test_undo_takes_a_dispute_back(person: Person):
    wish = Wish(column="label", labels=2, limit=1)
    ada, grace = labeller(person("ada"), wish), labeller(person("grace"), wish)
    label_all(ada)
    label_all(grace, lambda _: "dog")
    assert grace.progress().disputed == 1
    grace.undo()
    grace.answer("cat")
    assert (grace.progress().disputed, grace.progress().decided) == (0, 1)


def test_a_lease_ends_by_itself(person: Person, folder: Path):
    (folder / "tidemill.toml").write_text("[labelling]\nlease_seconds = 0.2\n", "utf-8")
    wish = Wish(column="label", limit=1)
    ada, grace = labeller(person("ada"), wish), labeller(person("grace"), wish)
    row = taken(ada).row
    assert grace.take() is None
    while (task := grace.take()) is None:
        pass
    assert task.row == row
    with pytest.raises(Conflict) as late:
        ada.answer("cat")
    assert late.value.code == "lease-ended"
    grace.answer("dog")
    assert commit_labels(person("ada"), "pets").commits[0].author == "grace"


def test_a_late_answer_counts_while_nobody_else_came(person: Person, folder: Path):
    (folder / "tidemill.toml").write_text("[labelling]\nlease_seconds = 0.001\n", "utf-8")
    ada = labeller(person("ada"), Wish(column="label", limit=1))
    taken(ada)
    ada.answer("cat")
    assert ada.progress().decided == 1


@pytest.mark.both_stores
def test_what_happened_to_the_dataset_meanwhile_is_told(person: Person, folder: Path):
    ws = person("ada")
    ada = labeller(ws)
    for _ in range(2):
        taken(ada)
        ada.answer("cat")  # rows 3 and 4
    dataset = ws.datasets.open("pets")
    now = dataset.snapshot().read().to_polars()
    kept = now.filter(now["id"] != 4, now["id"] != 5)
    dogs = (kept["id"] == 3) | (kept["id"] == 6)
    import polars as pl

    from tidemill.store.table import Table

    kept = kept.with_columns(label=pl.when(dogs).then(pl.lit("dog")).otherwise(pl.col("label")))
    dataset.commit(Table.of(kept), message="others were here", replace=True)
    rest = label_all(ada)
    assert [t.cells["id"] for t in rest] == [7, 8, 9, 10, 11]
    view = ada.progress()
    assert (view.removed, view.changed, view.left) == (1, 1, 0)
    made = commit_labels(ws, "pets")
    assert [c.labels for c in made.commits] == [6]
    assert len(made.removed) == 1
    assert [(c["label"], c["there"]) for c in made.changed] == [("cat", "dog")]
    with pytest.raises(Conflict):
        merging.merge(ws, "pets", "labels-pets")
    # The label of the row that was removed is still there, and counts when the row comes back.
    dataset.commit(Table.of(now), message="the row is back")
    assert [c.labels for c in commit_labels(ws, "pets").commits] == [1]


def test_a_queue_is_what_it_was_made_and_says_so(person: Person):
    ws = person("ada")
    queue = open_queue(ws, "pets", Wish(column="label", labels=2))
    assert open_queue(ws, "pets") == queue
    assert open_queue(ws, "pets", Wish(column="label", rows="unlabelled", classes=["cow"])).classes == [
        *CLASSES,
        "cow",
    ]
    with pytest.raises(Conflict) as differs:
        open_queue(ws, "pets", Wish(labels=3))
    assert differs.value.code == "queue-differs"
    assert "labels is 2, not 3" in str(differs.value)
    other = open_queue(ws, "pets", Wish(column="label", labels=3), name="second")
    assert {q.name for q in queues.queues(ws)} == {"pets", "second"}
    assert other.branch == "labels-second"


def test_a_closed_queue_gives_no_rows_and_frees_its_name(person: Person):
    ws = person("ada")
    ada = labeller(ws)
    taken(ada)
    ada.answer("cat")
    with pytest.raises(NotAllowed) as fresh:
        close_queue(ws, "pets")
    assert fresh.value.code == "labels-not-committed"
    commit_labels(ws, "pets")
    assert close_queue(ws, "pets").labels == 1
    with pytest.raises(NotAllowed) as closed:
        ada.take()
    assert closed.value.code == "queue-closed"
    assert progress(ws, find_queue(ws, "pets")).decided == 1
    assert open_queue(ws, "pets", Wish(column="label", labels=2)).labels == 2


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Wish(column="lable"), "column-not-found"),
        (Wish(column="image"), "not-a-label"),
        (Wish(column="id"), "nothing-to-label"),
        (Wish(column="label", rows="unsure"), "needs-model"),
        (Wish(column="label", model="pets"), "model-not-found"),
        (Wish(column="label", branch="labels/pets"), "invalid-name"),
    ],
)
def test_a_wish_that_cannot_be_met_is_explained(person: Person, wish: Wish, code: str):
    with pytest.raises((InvalidInput, NotFound)) as refused:
        open_queue(person("ada"), "pets", wish)
    assert refused.value.code == code
    assert refused.value.hint


def test_whole_numbers_are_labels_too(person: Person, folder: Path):
    ws = person("ada")
    lines = ["x,digit", *(f"{n}.5,{'' if n > 3 else n}" for n in range(6))]
    (folder / "n.csv").write_text("\n".join(lines) + "\n")
    importing.import_data(ws, "numbers", folder / "n.csv")
    queue = open_queue(ws, "numbers", Wish(classes=["1", "0", "2", "3"]))
    assert (queue.column, queue.size) == ("digit", 2)
    who = Labeller(ws, queue)
    assert [c.key for c in who.progress().classes] == ["1", "0", "2", "3"]
    label_all(who, lambda _: "2")
    commit_labels(ws, "numbers")
    frame = ws.datasets.open("numbers").snapshot("labels-numbers").read().to_polars()
    assert sorted(frame["digit"].to_list()) == [0, 1, 2, 2, 2, 3]
    with pytest.raises(InvalidInput) as text:
        open_queue(ws, "numbers", Wish(classes=["many"]))
    assert text.value.code == "not-a-label"


def test_where_several_columns_could_be_the_label_one_must_be_named(person: Person, folder: Path):
    ws = person("ada")
    (folder / "two.csv").write_text("kind,colour\ncat,\n,red\n")
    importing.import_data(ws, "two", folder / "two.csv")
    with pytest.raises(InvalidInput) as which:
        open_queue(ws, "two")
    assert which.value.code == "queue-needs-column"
    assert "--column kind" in str(which.value.hint)


def test_a_dataset_that_was_labelled_whole_says_what_else_there_is(person: Person, folder: Path):
    ws = person("ada")
    importing.import_data(
        ws, "whole", write_csv(folder / "whole.csv", 5, labelled=5), tensors={"image": "p*:2x2"}, key=["id"]
    )
    with pytest.raises(InvalidInput) as nothing:
        open_queue(ws, "whole", OPEN)
    assert nothing.value.code == "nothing-to-label"
    assert "contradicted" in str(nothing.value.hint)


def test_the_same_from_python(folder: Path):
    with tm.open(folder) as project:
        session = project.label_queue("pets", column="label", limit=2)
        while (task := session.take()) is not None:
            session.answer(CLASSES[task.cells["id"] % 3])
        assert session.progress().decided == 2
        assert [c.labels for c in project.commit_labels("pets").commits] == [2]
