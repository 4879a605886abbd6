"""What a merge cannot decide, and what a person says to it."""

from typing import Any

import pytest

from tests.data.rows import put, rows_of
from tidemill.core.errors import Conflict, InvalidInput, TidemillError
from tidemill.data import Choices, Dataset, Datasets, Value


@pytest.fixture
def torn(shop: Dataset) -> Dataset:
    """A cell changed twice, a row changed here and removed there and the reverse, a row added twice."""
    put(shop, {1: ("theirs", 1), 2: ("kept", 0), 9: ("new", 1)}, "side", gone=(3,))
    put(shop, {1: ("ours", 2), 3: ("kept", 0), 9: ("new", 2)}, gone=(2,))
    return shop


def test_conflicts_are_listed_with_both_sides_and_who_did_it(torn: Dataset):
    ours, theirs = torn.resolve(), torn.resolve("side")
    found = torn.conflicts("side")
    assert [(c.id, c.column, c.kind) for c in found] == [
        (1, "a", "cell"),
        (1, "b", "cell"),
        (2, None, "removed-and-changed"),
        (3, None, "removed-and-changed"),
        (9, "b", "both-added"),
    ]
    assert (found[0].base, found[0].ours, found[0].theirs) == ("row 1", "ours", "theirs")
    assert found[2].ours is None
    assert found[3].theirs is None
    assert {(c.ours_by, c.theirs_by) for c in found} == {(ours, theirs)}


def test_an_unresolved_merge_changes_nothing(torn: Dataset):
    before = torn.branches()
    for choices in (None, Choices(columns={"a": "ours"}), Choices(cells={(1, "a"): "ours"})):
        with pytest.raises(Conflict) as caught:
            torn.merge("side", choices=choices)
        assert caught.value.code == "merge-conflict"
        assert caught.value.details["count"] == (5 if choices is None else 4)
    assert torn.branches() == before
    listed: Any = caught.value.details["conflicts"]
    assert listed[0]["ours_by"]["author"] == "ada"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (Choices("ours"), {1: ("ours", 2), 3: ("kept", 0), 9: ("new", 2)}),
        (Choices("theirs"), {1: ("theirs", 1), 2: ("kept", 0), 9: ("new", 1)}),
        (
            Choices("ours", {"a": "theirs"}, {(2, None): "theirs", (9, "b"): Value("7")}),
            {1: ("theirs", 2), 2: ("kept", 0), 3: ("kept", 0), 9: ("new", 7)},
        ),
        (
            Choices("theirs", {}, {(1, "a"): "base", (1, "b"): Value(None), (3, None): "base"}),
            {1: ("row 1", None), 2: ("kept", 0), 3: ("row 3", 0), 9: ("new", 1)},
        ),
    ],
)
def test_what_is_chosen_is_merged(torn: Dataset, choices: Choices, expected: dict[int, Any]):
    heads = torn.resolve(), torn.resolve("side")
    merged = torn.merge("side", choices=choices)
    assert merged.commit.parents == (heads[0].id, heads[1].id)
    untouched = {4: ("row 4", 0), 5: ("row 5", 0)}
    assert rows_of(torn) == dict(sorted({**untouched, **expected}.items()))
    assert merged.commit.rows == len(rows_of(torn))
    assert torn.merge("side").already
    # What was decided once is decided: the other branch takes it without a question.
    torn.merge("main", into="side")
    assert rows_of(torn, "side") == rows_of(torn)


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        (Choices("ours", {}, {(4, "a"): "ours"}), "unknown-conflict"),
        (Choices("ours", {}, {(1, None): "ours"}), "unknown-conflict"),
        (Choices("ours", {"c": "ours"}), "unknown-column"),
        (Choices("base"), "no-base"),
        (Choices("ours", {}, {(1, "b"): Value("many")}), "unknown-choice"),
        (Choices("ours", {}, {(2, None): Value("many")}), "unknown-choice"),
    ],
)
def test_choices_that_cannot_be_are_refused(torn: Dataset, choices: Choices, code: str):
    before = torn.branches()
    with pytest.raises(InvalidInput) as caught:
        torn.merge("side", choices=choices)
    assert caught.value.code == code
    assert torn.branches() == before


def crossed(shop: Dataset, main: dict[int, Any], side: dict[int, Any]) -> None:
    """Both branches change; then each is merged into the other, as it was before the other merge."""
    put(shop, main)
    put(shop, side, "side")
    shop.tag("main-then")
    shop.merge("side", choices=Choices("ours"))
    shop.merge("main-then", into="side", choices=Choices("ours"))


def test_after_a_criss_cross_the_base_is_both_sides_work(shop: Dataset):
    crossed(shop, {1: ("one", 0)}, {2: ("two", 0)})
    # With either of the two newest common commits as the base, one of these would seem to be changed by both.
    put(shop, {1: ("one again", 0)})
    put(shop, {2: ("two again", 0)}, "side")
    merged = shop.merge("side")
    assert merged.changes.changed == 1
    assert rows_of(shop)[1] == ("one again", 0)
    assert rows_of(shop)[2] == ("two again", 0)


def test_where_the_bases_contradict_only_equal_sides_merge(shop: Dataset):
    crossed(shop, {1: ("one", 0), 2: ("x", 0)}, {1: ("uno", 0), 2: ("y", 0)})
    put(shop, {2: ("same", 0)})
    put(shop, {2: ("same", 0)}, "side")
    (clash,) = shop.conflicts("side")
    assert (clash.id, clash.column, clash.kind, clash.has_base) == (1, "a", "cell", False)
    assert (clash.ours, clash.theirs, clash.base) == ("one", "uno", None)
    with pytest.raises(InvalidInput) as caught:
        shop.merge("side", choices=Choices("base"))
    assert caught.value.code == "no-base"
    shop.merge("side", choices=Choices("theirs"))
    assert rows_of(shop)[1] == ("uno", 0)


def test_a_row_that_the_bases_contest_has_no_base(shop: Dataset):
    put(shop, {1: ("kept", 0)})
    put(shop, {}, "side", gone=(1,))
    shop.tag("main-then")
    shop.merge("side", choices=Choices("ours"))
    shop.merge("main-then", into="side", choices=Choices("ours"))
    (clash,) = shop.conflicts("side")
    assert (clash.id, clash.kind, clash.has_base) == (1, "removed-and-changed", False)
    shop.merge("side", choices=Choices("theirs"))
    assert 1 not in rows_of(shop)


def test_merging_without_a_common_commit_is_refused(shop: Dataset):
    from tidemill.data import bases

    class Apart:
        def merge_bases(self, one: object, other: object) -> list[Any]:
            return []

    apart: Any = Apart()
    with pytest.raises(TidemillError) as caught:
        bases.merge_bases(apart, shop.resolve(), shop.resolve("side"))
    assert caught.value.code == "unrelated-datasets"


def test_a_prediction_that_one_side_has_is_no_conflict(datasets: Datasets):
    from tidemill.store.table import Table

    def rows(prediction: str | None) -> Table:
        import pyarrow as pa

        columns = {"_id": pa.array([1], pa.uint64()), "a": ["x"], "_prediction": pa.array([prediction])}
        return Table(pa.table(columns))

    datasets.create("d", Table.of({"a": ["first"]}), message="First")
    d = datasets.open("d")
    d.branch("side")
    d.commit(rows("p1"), branch="side", message="Fed back")
    d.commit(rows(None), message="Imported")
    assert d.merge("side").changes.changed == 1


def reshaped(shop: Dataset, branch: str, **columns: Any) -> None:
    """Commit the rows of a branch with these columns instead of, or beside, those that are there."""
    import pyarrow as pa

    from tidemill.store.table import Table

    arrow = shop.snapshot(branch).read().to_arrow().sort_by("_id")
    for name, values in columns.items():
        if values is None:
            arrow = arrow.drop([name])
        elif name in arrow.column_names:
            arrow = arrow.set_column(arrow.schema.get_field_index(name), name, pa.array(values))
        else:
            arrow = arrow.append_column(name, pa.array(values))
    shop.commit(Table(arrow), branch=branch, message="Reshaped", allow_schema_change=True)


def read(shop: Dataset, *columns: str, at: str = "main") -> list[tuple[Any, ...]]:
    arrow = shop.snapshot(at).read(["_id", *columns]).to_arrow().sort_by("_id")
    return list(zip(*(arrow[c].to_pylist() for c in columns), strict=True))


def test_columns_that_either_side_added_are_united(shop: Dataset):
    reshaped(shop, "side", c=[10, 20, 30, 40, 50])
    put(shop, {2: ("two", 7)})
    reshaped(shop, "main", d=["p", "q", "r", "s", "t"])
    merged = shop.merge("side")
    assert merged.changes.changed == 5
    assert shop.snapshot().columns == ["a", "b", "d", "c"]
    assert read(shop, "a", "b", "c", "d")[:2] == [("row 1", 0, 10, "p"), ("two", 7, 20, "q")]
    shop.merge("main", into="side")
    assert read(shop, "a", "b", "c", "d", at="side") == read(shop, "a", "b", "c", "d")


def test_a_type_that_one_side_changed_is_taken_and_two_that_clash_are_refused(shop: Dataset):
    reshaped(shop, "side", b=[0.5, 0.0, 0.0, 0.0, 0.0])
    put(shop, {2: ("two", 7)})
    shop.merge("side")
    assert read(shop, "b")[:2] == [(0.5,), (7.0,)]
    shop.branch("other", "main~1")
    reshaped(shop, "other", b=["x", "0", "0", "0", "0"])
    before = shop.branches()
    with pytest.raises(TidemillError) as caught:
        shop.merge("other")
    assert caught.value.code == "schema-conflict"
    assert shop.branches() == before


def test_reverting_a_commit_that_added_a_column_drops_it_again(shop: Dataset):
    reshaped(shop, "main", c=[10, 20, 30, 40, 50])
    put_back = shop.revert("main")
    assert not put_back.already
    assert shop.snapshot().columns == ["a", "b"]
    assert rows_of(shop)[1] == ("row 1", 0)


def test_a_new_row_is_no_conflict_in_a_column_that_one_side_lacks(shop: Dataset):
    put(shop, {9: ("new", 1)}, "side")
    put(shop, {9: ("new", 1)})
    reshaped(shop, "main", c=[1, 2, 3, 4, 5, 9])
    assert shop.conflicts("side") == []
    shop.merge("side")
    assert read(shop, "a", "c")[-1] == ("new", 9)


def test_a_cell_that_does_not_fit_the_other_sides_type_is_a_conflict_in_words(shop: Dataset):
    reshaped(shop, "side", b=[0.5, 0.0, 0.0, 0.0, 0.0])
    put(shop, {2: ("two", 2**53 + 1)})
    before = shop.branches()
    with pytest.raises(TidemillError) as caught:
        shop.merge("side")
    assert caught.value.code == "schema-conflict"
    assert shop.branches() == before
