"""Each check on real snapshots: what it says no to, which rows, and what cannot be asked."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.core.dataset_settings import CheckSettings, ColumnCheckSettings
from tidemill.core.errors import InvalidInput
from tidemill.data import Dataset, Datasets, Outcome, check
from tidemill.store.open import Store
from tidemill.store.table import Table

Make = Callable[..., Dataset]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes dataset ``d``, of columns, each row's ``_id`` its number."""

    def made(**columns: Any) -> Dataset:
        datasets = Datasets(Store.create(tmp_path / "store"), "ada")
        datasets.create("d", table(**columns), message="first")
        return datasets.open("d")

    return made


def table(start: int = 0, **columns: Any) -> Table:
    count = len(next(iter(columns.values())))
    return Table.of({"_id": np.arange(start, start + count, dtype=np.uint64), **columns})


def judge(
    dataset: Dataset,
    columns: dict[str, ColumnCheckSettings] | None = None,
    *,
    since: str | None = None,
    **more: ColumnCheckSettings,
) -> dict[str, Outcome]:
    before = dataset.snapshot(since) if since else None
    found = check(CheckSettings(columns={**(columns or {}), **more}), [], dataset.snapshot(), before=before)
    return {o.check: o for o in found}


def rows(outcome: Outcome) -> list[int]:
    return sorted(outcome.rows.tolist())


@pytest.mark.parametrize(
    ("values", "rules", "wrong", "reason"),
    [
        ([1, 5, 9], {"minimum": 4}, [0], "below 4 in 1 row: 1"),
        ([1, 5, 9], {"maximum": 4.5}, [1, 2], "above 4.5 in 2 rows: 5, 9"),
        ([1, None, 9], {"minimum": 0, "maximum": 8}, [2], "above 8 in 1 row: 9"),
        ([0.5, float("nan"), -1.0], {"minimum": 0.0}, [2], "below 0 in 1 row: -1"),
        (["a", "b", "c"], {"one_of": ("a", "c")}, [1], "another value in 1 row: 'b'"),
        ([1, 2, 3], {"one_of": (1, 2)}, [2], "another value in 1 row: 3"),
        ([True, False], {"one_of": (True,)}, [1], "another value in 1 row: False"),
        (["ab1", "ab", "xab1"], {"matches": "[a-b]+1"}, [1, 2], "no match in 2 rows: 'ab', 'xab1'"),
        (["ok", None, ""], {"max_missing": 0}, [1], "missing in 1 row"),
        ([1, 1, 2, None, None], {"unique": True}, [1], "a value that is there already in 1 row"),
        ([1, None, None, 4], {"max_missing": 0.25}, [1, 2], "missing in 50.00 % of the rows"),
    ],
)
def test_it_says_no_to_these_rows(
    make: Make, values: list[Any], rules: dict[str, Any], wrong: list[int], reason: str
):
    outcomes = judge(make(x=pa.array(values)), x=ColumnCheckSettings(**rules))
    [failed] = [o for o in outcomes.values() if not o.passed]
    assert failed.reason == reason
    assert rows(failed) == wrong


def test_what_is_as_asked_passes(make: Make):
    dataset = make(x=[1, 2, 3], word=["a", "b", None])
    outcomes = judge(
        dataset,
        x=ColumnCheckSettings(type="int64", minimum=1, maximum=3, unique=True, max_missing=0),
        word=ColumnCheckSettings(type="string", one_of=("a", "b"), matches=".", max_missing=0.5),
    )
    assert len(outcomes) == 9
    assert all(o.passed for o in outcomes.values())


def test_types_and_shapes_are_of_the_column(make: Make):
    dataset = make(image=np.zeros((2, 3, 4), np.uint8), x=[1.0, 2.0])
    outcomes = judge(
        dataset,
        image=ColumnCheckSettings(type="uint8", shape=(4, 3)),
        x=ColumnCheckSettings(type="string", shape=(2,)),
    )
    assert {o.check: o.reason for o in outcomes.values()} == {
        "image.type": "",
        "image.shape": "it is 3x4",
        "x.type": "it is float64",
        "x.shape": "it is no tensor",
    }


def test_a_tensor_is_judged_by_its_cells(make: Make):
    image = np.full((4, 2, 2), 5, np.uint8)
    image[1, 0, 1], image[2, 1, 1] = 0, 200
    outcomes = judge(make(image=image), image=ColumnCheckSettings(minimum=1, maximum=100, max_missing=0))
    assert rows(outcomes["image.minimum"]) == [1]
    assert outcomes["image.minimum"].reason == "a cell below 1 in 1 row: 0"
    assert rows(outcomes["image.maximum"]) == [2]
    assert outcomes["image.max_missing"].passed


def test_a_tensor_may_lack_cells_or_be_missing_as_a_whole(make: Make):
    flat = pa.array([1, 2, None, 4, 5, 6, 7, 8], pa.uint8())
    kind = pa.list_(pa.uint8(), 2)
    image = pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array([False, False, False, True]))
    outcomes = judge(make(image=image), image=ColumnCheckSettings(minimum=2, max_missing=0))
    assert rows(outcomes["image.max_missing"]) == [1, 3]
    assert rows(outcomes["image.minimum"]) == [0]


def test_only_rows_that_came_are_judged(make: Make):
    dataset = make(x=[1, 99])
    first = dataset.head().id
    dataset.commit(table(start=2, x=[3, 98]), message="more")
    rules = ColumnCheckSettings(maximum=10)
    assert rows(judge(dataset, since=first, x=rules)["x.maximum"]) == [3]
    assert rows(judge(dataset, x=rules)["x.maximum"]) == [1, 3]
    changed = Table.of({"_id": np.array([0], np.uint64), "x": [97]})
    second = dataset.head().id
    dataset.commit(changed, message="changed")
    assert rows(judge(dataset, since=second, x=rules)["x.maximum"]) == [0]


def test_a_value_that_is_there_already_is_the_newcomer_s_fault(make: Make):
    dataset = make(x=[1, 2, 2])
    first = dataset.head().id
    dataset.commit(table(start=3, x=[1, 7, 7]), message="more")
    assert rows(judge(dataset, since=first, x=ColumnCheckSettings(unique=True))["x.unique"]) == [3, 5]


def test_the_share_of_missing_cells_is_of_the_whole(make: Make):
    dataset = make(x=pa.array([1, 2, 3, None]))
    first = dataset.head().id
    dataset.commit(table(start=4, x=pa.array([None, 6], pa.int64())), message="more")
    rules = ColumnCheckSettings(max_missing=0.3)
    assert rows(judge(dataset, since=first, x=rules)["x.max_missing"]) == [4]
    assert judge(dataset, since=first, x=dataclasses.replace(rules, max_missing=0.34))["x.max_missing"].passed


def test_rows_are_counted(make: Make):
    dataset = make(x=[1, 2, 3])
    for settings, wrong in (
        (CheckSettings(min_rows=4), ["min_rows"]),
        (CheckSettings(max_rows=2), ["max_rows"]),
    ):
        found = check(settings, [], dataset.snapshot(), before=None)
        assert [(o.check, o.reason) for o in found if not o.passed] == [(wrong[0], "it has 3 rows")]
    assert all(
        o.passed for o in check(CheckSettings(min_rows=3, max_rows=3), [], dataset.snapshot(), before=None)
    )


def test_drift_is_from_the_parent(make: Make):
    chance = np.random.default_rng(5)
    dataset = make(x=chance.normal(size=1000), label=chance.choice(["a", "b"], 1000))
    first = dataset.head().id
    rules = {"x": ColumnCheckSettings(max_drift=0.1), "label": ColumnCheckSettings(max_drift=0.1)}
    assert all(o.passed for o in judge(dataset, rules).values()), "a first commit drifts from nothing"
    dataset.commit(
        table(start=1000, x=chance.normal(size=200), label=chance.choice(["a", "b"], 200)), message="alike"
    )
    assert all(o.passed for o in judge(dataset, rules, since=first).values())
    second = dataset.head().id
    dataset.commit(table(start=1200, x=chance.normal(4, size=900), label=["c"] * 900), message="apart")
    moved = judge(dataset, rules, since=second)
    assert not moved["x.max_drift"].passed
    assert not moved["label.max_drift"].passed
    assert rows(moved["x.max_drift"]) == [], "of no row in particular"


def test_a_check_in_python_says_it_in_several_ways(make: Make):
    dataset = make(x=[1, 2, 3])
    answers: list[tuple[object, str, list[int]]] = [
        (True, "", []),
        (None, "", []),
        (False, "it says no", []),
        ("too many", "too many", []),
        (["one thing", "another"], "one thing; another", []),
        ([], "", []),
        (np.array([True, False, False]), "it says no to 2 rows", [1, 2]),
        ([True, True, True], "", []),
    ]
    functions = [(f"f{n}", lambda _, a=answer: a) for n, (answer, _, _) in enumerate(answers)]
    found = check(CheckSettings(), functions, dataset.snapshot(), before=None)
    assert [(o.reason, rows(o)) for o in found] == [(reason, wrong) for _, reason, wrong in answers]


@pytest.mark.parametrize("answer", [7, [True], np.array([1, 0, 1])])
def test_an_answer_that_says_nothing_is_refused(make: Make, answer: object):
    dataset = make(x=[1, 2, 3])
    with pytest.raises(InvalidInput) as refused:
        check(CheckSettings(), [("f", lambda _: answer)], dataset.snapshot(), before=None)
    assert refused.value.code == "wrong-check-result"


@pytest.mark.parametrize(
    ("column", "rules", "path", "hint"),
    [
        ("labl", {"unique": True}, "checks.d.columns.labl", "Did you mean 'label'?"),
        ("label", {"minimum": 1}, "checks.d.columns.label.minimum", "Ask 'one_of'"),
        ("label", {"one_of": ("a", 1)}, "checks.d.columns.label.one_of[1]", "as the column has them"),
        ("x", {"one_of": (1, 2.5)}, "checks.d.columns.x.one_of[1]", "as the column has them"),
        ("x", {"one_of": (True,)}, "checks.d.columns.x.one_of[0]", "as the column has them"),
        ("x", {"matches": "1"}, "checks.d.columns.x.matches", "Leave it out"),
        ("label", {"matches": "(a"}, "checks.d.columns.label.matches", "Correct it"),
        ("image", {"unique": True}, "checks.d.columns.image.unique", "Leave it out"),
        ("image", {"one_of": (1,)}, "checks.d.columns.image.one_of", "Leave it out"),
    ],
)
def test_what_makes_no_sense_names_its_setting(
    make: Make, column: str, rules: dict[str, Any], path: str, hint: str
):
    dataset = make(label=["a", "b"], x=[1, 2], image=np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(InvalidInput) as refused:
        judge(dataset, {column: ColumnCheckSettings(**rules)})
    assert refused.value.code == "invalid-check"
    assert f"'{path}'" in refused.value.message
    assert hint in str(refused.value.hint)
