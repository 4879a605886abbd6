"""Feedback and keys: a row has one key, through every label that comes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.data import Changes, Dataset, import_files
from tidemill.loop.datasets import forgetting, merging, reviewing
from tidemill.loop.datasets.reading import export
from tidemill.loop.feedback import make_rows
from tidemill.loop.views import Collected
from tidemill.loop.workspace import Workspace
from tidemill.pipeline import load
from tidemill.watch.feedback import Correction

People = Callable[[str], Workspace]
CSV = "id,n,maker,label\n1,0.5,ada,cat\n2,1.5,,dog\n3,2.5,bob,cat\n"


@pytest.fixture
def ws(people: People, tmp_path: Path) -> Workspace:
    (tmp_path / "tidemill.toml").write_text("")
    return people("ada")


def imported(ws: Workspace, tmp_path: Path, text: str = CSV, name: str = "pets") -> Dataset:
    file = tmp_path / f"{name}.csv"
    file.write_text(text)
    import_files(ws.datasets, name, file, key=["id"])
    return ws.datasets.open(name)


def correction(number: int, label: str | float, release: str = "", **cells: Any) -> Correction:
    """A label for a request with these cells; None is a cell that was missing in it."""
    inputs = {
        name: np.ma.MaskedArray(np.array(0), mask=True) if cell is None else np.array(cell)
        for name, cell in cells.items()
    }
    return Correction(f"p{number}", number, label, release, 1, inputs, None)


def collect(ws: Workspace, dataset: Dataset, *corrections: Correction) -> Collected:
    if "feedback" not in dataset.branches():
        dataset.branch("feedback")
    return make_rows(ws, dataset, "feedback", "label", list(corrections), source="prod")


def rows(dataset: Dataset, at: str) -> list[tuple[Any, ...]]:
    table = dataset.snapshot(at).read(["id", "n", "maker", "label"]).to_arrow()
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.both_stores
def test_a_correction_of_a_known_row_changes_its_label_and_comes_back_as_its_own_export(
    ws: Workspace, tmp_path: Path
) -> None:
    dataset = imported(ws, tmp_path)
    made = collect(ws, dataset, correction(1, "cow", id=1, n=0.5), correction(2, "hen", id=9, n=4.5))
    assert (made.rows.changed, made.rows.added, made.waiting, made.left) == (1, 1, 0, [])
    merging.merge(ws, "pets", "feedback")
    now = [(1, 0.5, "ada", "cow"), (2, 1.5, None, "dog"), (3, 2.5, "bob", "cat"), (9, 4.5, None, "hen")]
    assert rows(dataset, "main") == now
    predictions = dataset.snapshot("main").read(["id", "_prediction"]).to_arrow().to_pylist()
    assert {r["id"]: r["_prediction"] for r in predictions} == {1: "p1", 2: None, 3: None, 9: "p2"}
    # The file that it exports is the dataset, and the one that it came from names its rows.
    file = tmp_path / "all.csv"
    dataset.snapshot("main").write_csv(file)
    assert not import_files(ws.datasets, "pets", file).rows
    # Later: another label for the same row, by another prediction.
    collect(ws, dataset, correction(3, "pig", id=1, n=0.5))
    assert rows(dataset, "feedback") == [(1, 0.5, "ada", "pig"), *now[1:]]


@pytest.mark.both_stores
def test_other_cells_wait_in_a_review_and_nothing_is_overwritten(ws: Workspace, tmp_path: Path) -> None:
    dataset = imported(ws, tmp_path)
    made = collect(
        ws, dataset, correction(1, "cow", id=1, n=0.75), correction(2, "hen", id=2, n=1.5, maker=None)
    )
    assert (made.rows.changed, made.waiting, made.review) == (1, 1, "pets#1")
    assert rows(dataset, "feedback")[0] == (1, 0.5, "ada", "cat")
    shown = reviewing_cells(dataset, "feedback", "feedback-differs")
    assert shown == {("n", 0.5, 0.75), ("label", "cat", "cow")}
    # Another one joins the review that is open; the same again changes nothing.
    again = collect(ws, dataset, correction(3, "pig", id=3, n=0.0), correction(1, "cow", id=1, n=0.75))
    assert (again.waiting, again.review) == (2, "pets#1")
    assert len(dataset.diff("feedback", "feedback-differs").changed) == 2
    # A review that was closed is not asked again with the next one.
    reviewing.close(ws, "pets#1")
    last = collect(ws, dataset, correction(4, "ape", id=3, n=0.25))
    assert (last.waiting, last.review) == (1, "pets#2")
    assert reviewing_cells(dataset, "feedback", "feedback-differs") == {
        ("n", 2.5, 0.25),
        ("label", "cat", "ape"),
    }
    assert rows(dataset, "main") == rows(imported(ws, tmp_path, name="same"), "main")


def reviewing_cells(dataset: Dataset, a: str, b: str) -> set[tuple[str, Any, Any]]:
    return {(c.column, c.old, c.new) for c in dataset.diff(a, b).cells() if c.column != "_prediction"}


@pytest.mark.both_stores
def test_an_export_of_rows_without_a_key_is_the_rows_after_corrections_too(
    ws: Workspace, tmp_path: Path
) -> None:
    """A row that came by feedback, and one that was changed, are not what content names them."""
    file = tmp_path / "pets.csv"
    file.write_text(CSV + "3,2.5,bob,cat\n")
    import_files(ws.datasets, "pets", file)
    dataset = ws.datasets.open("pets")
    assert not export(ws, "pets", tmp_path / "out.csv").by_id
    assert "_id" not in (tmp_path / "out.csv").read_text()
    changed = dataset.snapshot().read().filter(np.arange(4) == 0).with_column("label", ["cow"])
    dataset.commit(changed, message="corrected")
    collect(ws, dataset, correction(1, "hen", id=9, n=4.5))
    before = rows(dataset, "feedback")
    assert len(before) == 5
    for form in ("csv", "jsonl", "parquet", "arrow"):
        out = tmp_path / f"out.{form}"
        assert export(ws, "pets@feedback", out).by_id
        assert import_files(ws.datasets, "pets", out, branch="feedback", sync=True).rows == Changes(), form
    assert rows(dataset, "feedback") == before
    predictions = dataset.snapshot("feedback").read(["_prediction"]).to_arrow().column(0).to_pylist()
    assert sorted(p for p in predictions if p) == ["p1"]


def test_one_that_is_no_row_does_not_hold_up_the_others(ws: Workspace, tmp_path: Path) -> None:
    dataset = imported(ws, tmp_path, "id,n,maker,label\n1,0.5,ada,1\n2,1.5,bob,0\n")
    made = collect(
        ws,
        dataset,
        correction(1, "cow", id=1, n=0.5),
        correction(2, 1, n=0.5),
        correction(3, 1, id=None, n=0.5),
        correction(4, 0, id=1, n=0.5),
    )
    assert [(one.prediction, one.reason) for one in made.left] == [
        ("p1", "feedback-does-not-fit"),
        ("p2", "no-key"),
        ("p3", "no-key"),
    ]
    assert "'id'" in made.left[1].message
    assert rows(dataset, "feedback")[0] == (1, 0.5, "ada", 0)


@pytest.mark.both_stores
def test_rows_that_came_went_or_were_forgotten_since(ws: Workspace, tmp_path: Path) -> None:
    dataset = imported(ws, tmp_path)
    collect(ws, dataset)
    (tmp_path / "pets.csv").write_text("id,n,maker,label\n1,0.5,ada,cat\n3,2.5,bob,cat\n4,3.5,eve,dog\n")
    import_files(ws.datasets, "pets", tmp_path / "pets.csv", sync=True)
    forgetting.forget(ws, "pets", "id = 3", "asked for")
    dataset = ws.datasets.open("pets")
    made = collect(
        ws,
        dataset,
        correction(1, "a", id=2, n=1.5, maker=None),
        correction(2, "b", id=3, n=2.5),
        correction(3, "c", id=4, n=3.5),
    )
    # The row that came to main since is known; what was removed or forgotten does not come back.
    assert {one.prediction: one.reason for one in made.left} == {"p1": "row-removed", "p2": "row-forgotten"}
    assert rows(dataset, "feedback") == [(1, 0.5, "ada", "cat"), (4, 3.5, "eve", "c")]


def test_a_label_that_main_changed_too_is_a_conflict_of_one_cell_and_no_second_row(
    ws: Workspace, tmp_path: Path
) -> None:
    dataset = imported(ws, tmp_path)
    collect(ws, dataset, correction(1, "cow", id=1, n=0.5))
    imported(ws, tmp_path, CSV.replace("ada,cat", "ada,ape") + "5,5.5,eve,dog\n")
    made = collect(ws, dataset, correction(2, "hen", id=5, n=5.5))
    assert made.left == []
    assert [row[0] for row in rows(dataset, "feedback")] == [1, 2, 3, 5]
    clashes = dataset.conflicts("feedback")
    assert {clash.column for clash in clashes} >= {"label"}


def test_without_a_key_each_prediction_is_a_row(ws: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text(CSV)
    import_files(ws.datasets, "plain", file)
    dataset = ws.datasets.open("plain")
    collect(ws, dataset, correction(1, "cow", id=1, n=0.5))
    made = collect(ws, dataset, correction(1, "hen", id=1, n=0.5), correction(2, "cow", id=1, n=0.5))
    assert (made.rows.changed, made.rows.added, made.waiting) == (1, 1, 0)
    assert dataset.snapshot("feedback").commit.rows == 5


corrections = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from([0.5, 1.5, 2.5]), st.sampled_from(["x", "y", "z"])),
    max_size=6,
)


@given(st.lists(st.tuples(corrections, st.booleans()), min_size=1, max_size=3))
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_comes_in_whatever_order_each_key_has_one_row_with_the_last_label(
    ws: Workspace, tmp_path: Path, batches: list[tuple[list[tuple[int, float, str]], bool]]
) -> None:
    name = f"d{len(ws.datasets.names())}"
    dataset = imported(ws, tmp_path, name=name)
    wanted = {1: (0.5, "cat"), 2: (1.5, "dog"), 3: (2.5, "cat")}
    number = 0
    for batch, merged in batches:
        came: list[Correction] = []
        for key, n, label in batch:
            number += 1
            came.append(correction(number, label, id=key, n=n))
            cells, _ = wanted.setdefault(key, (n, label))
            if cells == n:
                wanted[key] = (n, label)
        collect(ws, dataset, *came)
        if merged:
            merging.merge(ws, name, "feedback")
    collected = dataset.snapshot("feedback").read(["_id", "id", "n", "label"]).to_arrow().to_pylist()
    assert {row["id"]: (row["n"], row["label"]) for row in collected} == wanted
    assert len(collected) == len(wanted)
    # The key alone says which row it is: a split by _id never has one key on both sides.
    assert len({row["_id"] for row in collected}) == len(wanted)
    merging.merge(ws, name, "feedback")
    assert dataset.snapshot("main").commit.rows == len(wanted)


DERIVED = """
import numpy as np
import tidemill as tm
from tidemill import parts

@tm.row_step(columns=("area", "quality"), to="x")
def features(area: np.ndarray, quality: np.ndarray) -> np.ndarray:
    return np.stack([area, quality], axis=1).astype("float32")

@tm.row_step(columns="price", to="log_price", training_only=True)
def with_log(price: np.ndarray) -> np.ndarray:
    return np.log(price)

@tm.trainer(features="x", label="log_price")
def train(rows: tm.Table):
    from sklearn.linear_model import LinearRegression
    return LinearRegression().fit(rows.numpy("x"), rows.numpy("log_price"))

@tm.pipeline
def derived(data: tm.Dataset = tm.dataset("flats@main")):
    a, _, b = parts.split(with_log(features(data)), test=0.3, validation=0.0)
    model = train(a)
    return {"model": model, "report": parts.evaluate(model, b)}
"""


@pytest.mark.sklearn
@pytest.mark.both_stores
def test_a_derived_target_comes_back_as_what_it_is_made_from(project_store: None, tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text("[environments.prod]\n")
    (tmp_path / "pipeline.py").write_text(DERIVED)
    lines = [f"{i},{40 + i % 60}.5,{i % 9}.5,note {i},{(40 + i % 60) * 1000}.5" for i in range(60)]
    (tmp_path / "flats.csv").write_text("id,area,quality,note,price\n" + "\n".join(lines) + "\n")
    with tm.open(tmp_path) as project:
        project.import_data("flats", tmp_path / "flats.csv", key="id")
        made = project.run(tmp_path / "pipeline.py")
        project.release(made.run)
        project.promote("latest", "prod")
        try:
            # Neither the price nor what no step reads is asked for; the key may be there.
            asked = project.predict(
                "prod",
                [
                    {"id": 900, "area": 50.5, "quality": 3.5},
                    {"id": 1, "area": 41.5, "quality": 1.5},
                    {"area": 41.5, "quality": 1.5},
                    {"id": 2, "area": 0.5, "quality": 1.5},
                ],
            )
            known, other, unnamed, differing = (p["prediction"] for p in asked.predictions)
            sent = project.feedback(
                "prod", {known: "51000.5", other: "42000.25", unnamed: "1", differing: "7", "nobody": "1"}
            )
            assert sent.accepted == 4
            assert [one.reason for one in sent.refused] == ["prediction-not-found"]
            with pytest.raises(InvalidInput) as caught:
                project.feedback("prod", {known: "expensive"})
            assert caught.value.code == "label-not-a-number"
            assert "'price'" in str(caught.value.why)
            project.import_data("other", {"id": [1], "area": [2.5]}, key="id")
            with pytest.raises(NotFound) as nowhere:
                project.collect("prod", "other")
            assert nowhere.value.code == "column-not-found"
            assert "'log_price' is made from 'price'" in str(nowhere.value.why)
            collected = project.collect("prod", "flats")
        finally:
            project.stop("prod")
        assert (collected.rows.added, collected.rows.changed, collected.waiting) == (1, 1, 1)
        assert [(one.prediction, one.reason) for one in collected.left] == [(unnamed, "no-key")]
        rows_now = project.read("flats@feedback").to_arrow().to_pylist()
        by_id = {row["id"]: row for row in rows_now}
        assert (by_id[900]["area"], by_id[900]["price"], by_id[900]["note"]) == (50.5, 51000.5, None)
        assert (by_id[1]["price"], by_id[1]["note"]) == (42000.25, "note 1")
        assert by_id[2]["price"] == 42000.5
    load.leave()


@pytest.mark.sklearn
def test_labels_of_what_is_made_of_several_columns_are_kept_and_the_client_is_told(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text("[environments.prod]\n")
    of_two = DERIVED.replace('columns="price", to', 'columns=("price", "area"), to').replace(
        "(price: np.ndarray) -> np.ndarray:\n    return np.log(price)",
        "(price: np.ndarray, area: np.ndarray) -> np.ndarray:\n    return price / area",
    )
    assert of_two.count("area") == DERIVED.count("area") + 3
    (tmp_path / "pipeline.py").write_text(of_two)
    lines = [f"{i},{40 + i % 60}.5,{i % 9}.5,{(40 + i % 60) * 1000}.5" for i in range(60)]
    (tmp_path / "flats.csv").write_text("id,area,quality,price\n" + "\n".join(lines) + "\n")
    with tm.open(tmp_path) as project:
        project.import_data("flats", tmp_path / "flats.csv", key="id")
        project.release(project.run(tmp_path / "pipeline.py").run)
        project.promote("latest", "prod")
        try:
            asked = project.predict("prod", [{"id": 1, "area": 50.5, "quality": 3.5}])
            sent = project.feedback("prod", {asked.predictions[0]["prediction"]: "990"})
            assert sent.accepted == 1
            assert "no column for 'log_price'" in sent.note
            with pytest.raises(NotFound) as nowhere:
                project.collect("prod", "flats")
            assert "of several columns" in str(nowhere.value.why)
            # A dataset of one's own for them.
            project.import_data("rates", {"id": [0], "log_price": [1.0]}, key="id")
            assert project.collect("prod", "rates").rows.added == 1
        finally:
            project.stop("prod")
    load.leave()
