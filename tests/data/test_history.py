"""Commits, branches, tags, references, diffs, merges, and the ways out."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.core.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    StorageError,
    TidemillError,
)
from tidemill.data import Changes, Dataset, Datasets, Tensor, head_token, history, import_files
from tidemill.data.refs import REMOVED, refs_key
from tidemill.store.open import Store
from tidemill.store.table import Table

pytestmark = pytest.mark.both_stores

Write = Callable[..., Path]
Rows = dict[int, dict[str, Any]]


def table(rows: Rows) -> Table:
    """Rows by ``_id``, with columns a, b and a tensor t."""
    ids = np.array(list(rows), np.uint64)
    tensors = np.array([r.get("t", [0, 0]) for r in rows.values()], np.uint8).reshape(-1, 2)
    return Table.of(
        {
            "_id": ids,
            "a": [r["a"] for r in rows.values()],
            "b": np.array([r.get("b", 0) for r in rows.values()], np.int64),
            "t": tensors,
        }
    )


@pytest.fixture
def shop(datasets: Datasets) -> Dataset:
    datasets.create("shop", table({i: {"a": f"row {i}"} for i in range(1, 6)}), message="First")
    return datasets.open("shop")


def column(dataset: Dataset, name: str, at: str | None = None) -> dict[int, object]:
    rows = dataset.snapshot(at).read(["_id", name]).to_arrow()
    return dict(zip(rows["_id"].to_pylist(), rows[name].to_pylist(), strict=True))


def put(dataset: Dataset, rows: Rows, branch: str = "main", **options: Any) -> Changes:
    _, changes = dataset.commit(table(rows), branch=branch, message="Put", **options)
    return changes


def test_a_commit_upserts_whole_rows(shop: Dataset):
    assert put(shop, {2: {"a": "two"}, 3: {"a": "row 3"}, 9: {"a": "nine"}}) == Changes(added=1, changed=1)
    assert column(shop, "a") == {1: "row 1", 2: "two", 3: "row 3", 4: "row 4", 5: "row 5", 9: "nine"}
    head = shop.resolve()
    assert (head.number, head.rows, head.parents) == (2, 6, (shop.log()[1].id,))
    assert put(shop, {2: {"a": "two"}}) == Changes()
    assert shop.resolve() == head
    assert put(shop, {2: {"a": "two"}, 7: {"a": "seven"}}, replace=True) == Changes(added=1, removed=5)
    assert column(shop, "a") == {2: "two", 7: "seven"}
    assert [c.number for c in shop.log()] == [3, 2, 1]
    assert column(shop, "a", "1") == {i: f"row {i}" for i in range(1, 6)}


def test_each_way_to_name_a_commit(shop: Dataset):
    put(shop, {2: {"a": "two"}})
    shop.tag("v1", "1")
    shop.branch("side", "v1")
    put(shop, {8: {"a": "eight"}}, "side")
    first, second, side = shop.resolve("1"), shop.resolve("main"), shop.resolve("side")
    assert shop.resolve("v1") == first == shop.resolve(first.id) == shop.resolve(first.id[:4])
    assert second == shop.resolve(None) == shop.resolve("2")
    assert (side.number, side.branch, side.parents) == (2, "side", (first.id,))
    assert shop.resolve(side.id) == side
    assert [c.id for c in shop.log("side")] == [side.id, first.id]
    assert [c.id for c in shop.log("side", limit=1)] == [side.id]
    assert shop.branches() == {"main": second, "side": side}
    assert shop.tags() == {"v1": first}
    with pytest.raises(NotFound, match="no branch, tag or commit 'sid'") as caught:
        shop.resolve("sid")
    assert caught.value.hint == "Did you mean 'side'?"
    for nothing in ("3", "0", "ffff", first.id[:3]):
        with pytest.raises(NotFound):
            shop.resolve(nothing)


def test_names_are_taken_once_and_numbers_name_commits(shop: Dataset):
    shop.branch("side")
    shop.tag("v1")
    for name in ("main", "side", "v1"):
        with pytest.raises(AlreadyExists):
            shop.branch(name)
        with pytest.raises(AlreadyExists):
            shop.tag(name)
    for name in ("7", "Up", "a b", "", "../x"):
        with pytest.raises(InvalidInput):
            shop.branch(name)
        with pytest.raises(InvalidInput):
            shop.tag(name)


def test_branches_of_branches_and_their_end(shop: Dataset):
    shop.branch("a.b")
    put(shop, {8: {"a": "eight"}}, "a.b")
    shop.branch("deeper_1", "a.b")
    put(shop, {9: {"a": "nine"}}, "deeper_1")
    assert [c.branch for c in shop.log("deeper_1")] == ["deeper_1", "a.b", "main"]
    with pytest.raises(NotAllowed):
        shop.delete_branch("main")
    middle = shop.resolve("a.b")
    shop.delete_branch("a.b")
    assert [c.branch for c in shop.log("deeper_1")] == ["deeper_1", "a.b", "main"]
    assert shop.resolve(middle.id) == middle
    shop.delete_branch("deeper_1")
    with pytest.raises(NotFound):
        shop.delete_branch("a.b")
    assert list(shop.branches()) == ["main"]
    shop.branch("a.b")
    assert shop.resolve("a.b") == shop.resolve("main")
    put(shop, {7: {"a": "seven"}}, "a.b")
    assert column(shop, "a", "a.b")[7] == "seven"


def test_a_diff_names_rows_and_cells(shop: Dataset):
    put(shop, {2: {"a": "two", "t": [1, 2]}, 9: {"a": "nine"}})
    put(shop, {i: {"a": "two" if i == 2 else f"row {i}"} for i in (1, 2, 3, 4)}, replace=True)
    diff = shop.diff("1", "main")
    assert (diff.added.tolist(), diff.removed.tolist(), diff.changed.tolist()) == ([], [5], [2])
    assert diff.cells() == [(2, "a", "row 2", "two")]
    assert shop.diff("1", "2").cells() == [(2, "a", "row 2", "two"), (2, "t", [0, 0], [1, 2])]
    assert len(shop.diff("1", "2").cells(limit=1)) == 1
    back = shop.diff("main", "1")
    assert (back.added.tolist(), back.removed.tolist(), back.changed.tolist()) == ([5], [], [2])
    assert shop.diff("main", "main").counts == Changes()


def test_a_merge_brings_the_other_sides_cells(shop: Dataset):
    shop.branch("side")
    put(shop, {1: {"a": "side", "b": 0}, 3: {"a": "both"}, 8: {"a": "eight"}}, "side")
    put(shop, {1: {"a": "row 1", "b": 7}, 3: {"a": "both"}, 4: {"a": "main"}})
    ours, theirs = shop.resolve(), shop.resolve("side")
    merged = shop.merge("side")
    assert (merged.changes, merged.already, merged.fast_forward) == (Changes(1, 1), False, False)
    assert (merged.commit.parents, merged.commit.message) == ((ours.id, theirs.id), "Merge side into main")
    assert column(shop, "a") == {1: "side", 2: "row 2", 3: "both", 4: "main", 5: "row 5", 8: "eight"}
    assert column(shop, "b")[1] == 7
    assert [c.id for c in shop.log(limit=2)] == [merged.commit.id, ours.id]
    again = shop.merge("side")
    assert (again.already, again.commit, again.changes) == (True, merged.commit, Changes())
    # The other way round, the branch takes what main has; then the two are equal, and stay so.
    back = shop.merge("main", into="side")
    assert (back.already, back.fast_forward) == (False, True)
    assert shop.diff("main", "side").counts == Changes()
    assert shop.merge("side").already
    assert shop.merge("main", into="side").already


def test_what_was_merged_once_is_the_base_of_the_next_merge(shop: Dataset):
    shop.branch("side")
    put(shop, {1: {"a": "same"}}, "side")
    put(shop, {1: {"a": "same"}})
    assert shop.merge("side").changes == Changes()
    put(shop, {1: {"a": "later"}}, "side")
    assert shop.merge("side").changes == Changes(changed=1)
    shop.delete_branch("side")
    assert column(shop, "a")[1] == "later"
    assert len(shop.log()) == 4


@pytest.mark.parametrize("remove_on", ["main", "side"])
def test_conflicts_are_listed_and_nothing_is_merged(shop: Dataset, remove_on: str):
    shop.branch("side")
    change_on = "side" if remove_on == "main" else "main"
    put(shop, {1: {"a": "x"}, 9: {"a": "new x"}}, change_on)
    put(shop, {5: {"a": "changed"}}, change_on)
    rows: Rows = {i: {"a": f"row {i}"} for i in range(2, 5)}
    put(shop, {**rows, 1: {"a": "y", "b": 1}, 9: {"a": "new y"}}, remove_on, replace=True)
    before = {b: c.id for b, c in shop.branches().items()}
    with pytest.raises(Conflict, match="changed 3 cells") as caught:
        shop.merge("side")
    assert caught.value.code == "merge-conflict"
    listed: Any = caught.value.details["conflicts"]
    assert sorted((c["id"], c["column"]) for c in listed if c["column"]) == [("1", "a"), ("9", "a")]
    assert [c["kind"] for c in listed if c["id"] == "5"] == ["removed-and-changed"]
    assert {b: c.id for b, c in shop.branches().items()} == before


def test_many_conflicts_show_the_first_20(shop: Dataset):
    shop.branch("side")
    put(shop, {i: {"a": "x"} for i in range(100, 130)}, "side")
    put(shop, {i: {"a": "y"} for i in range(100, 130)})
    with pytest.raises(Conflict) as caught:
        shop.merge("side")
    assert caught.value.details["count"] == 30
    listed: Any = caught.value.details["conflicts"]
    assert len(listed) == 20


def test_a_fragment_keeps_its_digest_when_rows_leave_it(shop: Dataset):
    (before,) = shop.snapshot().fragments()
    assert before.ids().tolist() == [1, 2, 3, 4, 5]
    put(shop, {2: {"a": "two"}})
    old, new = shop.snapshot().fragments()
    assert (old.digest, old.rows, old.ids().tolist()) == (before.digest, 4, [1, 3, 4, 5])
    assert new.digest != old.digest
    assert new.read(["a"]).to_arrow()["a"].to_pylist() == ["two"]
    shop.branch("side")
    assert [f.digest for f in shop.snapshot("side").fragments()] == [old.digest, new.digest]
    put(shop, {1: {"a": "one"}, 3: {"a": "3"}, 4: {"a": "4"}, 5: {"a": "5"}})
    assert before.digest not in [f.digest for f in shop.snapshot().fragments()]


@pytest.mark.folder_store
def test_a_moved_or_copied_dataset_is_whole_and_apart_from_the_old_one(
    store: Store, shop: Dataset, tmp_path: Path
):
    shop.branch("side")
    put(shop, {2: {"a": "side"}}, "side")
    put(shop, {2: {"a": "main"}})
    shutil.copytree(store.folder, tmp_path / "copy")
    shutil.move(store.folder, tmp_path / "moved")
    moved, copied = (Datasets(Store.open(tmp_path / n), "ada").open("shop") for n in ("moved", "copy"))
    assert put(moved, {3: {"a": "moved"}}, "side") == Changes(changed=1)
    for dataset, third in ((moved, "moved"), (copied, "row 3")):
        assert column(dataset, "a", "side") == {1: "row 1", 2: "side", 3: third, 4: "row 4", 5: "row 5"}
        assert column(dataset, "a")[2] == "main"
        assert list(dataset.branches()) == ["main", "side"]


def test_reading_by_id_and_by_column(shop: Dataset):
    snapshot = shop.snapshot()
    assert snapshot.columns == ["a", "b", "t"]
    some = snapshot.read(["a"], ids=[4, 2, 77])
    assert some.to_arrow()["a"].to_pylist() == ["row 2", "row 4"]
    assert len(snapshot.read(ids=[])) == 0
    assert snapshot.read(["t"]).shape_of("t") == (2,)
    with pytest.raises(NotFound, match="no column 'aa'"):
        snapshot.read(["aa"])


def test_a_head_token_changes_when_the_head_does(store: Store, shop: Dataset):
    def tokens() -> list[str | None]:
        return [head_token(store.objects, "shop", at) for at in (None, "main", "side", "v1", commit)]

    commit = shop.resolve().id
    assert head_token(store.objects, "shop", "side") is None
    shop.branch("side")
    shop.tag("v1")
    before = tokens()
    assert before == tokens()
    assert None not in before or commit.isdecimal()
    put(shop, {2: {"a": "two"}}, "side")
    assert [a == b for a, b in zip(before, tokens(), strict=True)] == [True, True, False, True, True]
    put(shop, {2: {"a": "zwei"}})
    assert [a == b for a, b in zip(before, tokens(), strict=True)] == [False, False, False, True, True]
    side = head_token(store.objects, "shop", "side")
    shop.delete_branch("side")
    shop.branch("side", "1")
    put(shop, {2: {"a": "deux"}}, "side")
    assert head_token(store.objects, "shop", "side") not in (side, None)
    assert head_token(store.objects, "shop", "1") is None
    assert head_token(store.objects, "nothing", None) is None


@pytest.mark.folder_store
def test_a_head_token_loads_no_heavy_package(store: Store, shop: Dataset):
    program = (
        "import sys; from tidemill.data import head_token; from tidemill.store.address import open_objects;"
        f"assert head_token(open_objects({str(store.folder)!r}), 'shop', 'main');"
        "print([m for m in ('lance', 'pyarrow', 'numpy', 'polars', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_export_and_import_again_changes_nothing(datasets: Datasets, csv: Write, tmp_path: Path):
    text = 'label,p1,p2,p3,p4,n\n"a, ""b""",1,2,,4,1.5\n"",5,6,7,8,\n,0,0,0,255,nan\n'
    import_files(datasets, "d", csv(text), tensors={"x": Tensor("p", (2, 2))})
    snapshot = datasets.open("d").snapshot()
    out = tmp_path / "out.csv"
    assert snapshot.write_csv(out) == 3
    assert out.read_text().splitlines()[0] == '"label","p1","p2","p3","p4","n"'
    assert import_files(datasets, "d", out).rows == Changes()
    snapshot.write_csv(out, ids=True)
    out.write_text(out.read_text().replace("1.5", "2.5"))
    assert import_files(datasets, "d", out).rows == Changes(changed=1)
    import pyarrow.parquet as pq

    assert snapshot.write_parquet(tmp_path / "out.parquet") == 3
    written = Table(pq.read_table(tmp_path / "out.parquet")).to_polars()
    assert written.equals(snapshot.read().to_polars())
    assert snapshot.write_csv(tmp_path / "no" / "out.csv") == 3
    with pytest.raises(TidemillError, match="is a file, not a folder"):
        snapshot.write_csv(out / "below" / "out.csv")


def test_datasets_are_listed_and_removed(datasets: Datasets, shop: Dataset):
    assert datasets.names() == ["shop"]
    with pytest.raises(NotFound) as caught:
        datasets.open("shp")
    assert (caught.value.code, caught.value.hint) == ("dataset-not-found", "Did you mean 'shop'?")
    with pytest.raises(AlreadyExists):
        datasets.create("shop", table({1: {"a": "x"}}), message="Again")
    datasets.remove("shop")
    assert not datasets.exists("shop")
    with pytest.raises(NotFound):
        datasets.remove("shop")
    datasets.create("shop", table({1: {"a": "x"}}), message="Anew")
    assert datasets.open("shop").resolve().rows == 1


def test_rows_without_ids_follow_content_and_keep_predictions(datasets: Datasets):
    datasets.create("d", Table.of({"a": ["x", "y"]}), message="First")
    d = datasets.open("d")
    _, changes = d.commit(Table.of({"a": ["y", "z"], "_prediction": ["p1", "p2"]}), message="Feedback")
    assert changes == Changes(added=1)
    ids = column(d, "a")
    z = next(i for i, a in ids.items() if a == "z")
    d.commit(Table.of({"_id": np.array([z], np.uint64), "a": ["zz"]}), message="Correct")
    assert column(d, "_prediction")[z] == "p2"


def test_rows_that_do_not_fit_are_refused(shop: Dataset):
    with pytest.raises(InvalidInput) as caught:
        shop.commit(Table.of({"a": ["x"], "b": ["no number"], "t": np.zeros((1, 2), np.uint8)}), message="x")
    assert caught.value.code == "value-does-not-fit"
    with pytest.raises(InvalidInput) as caught:
        shop.commit(Table.of({"a": ["x"], "b": [1], "t": np.full((1, 2), 256)}), message="x")
    assert caught.value.code == "value-does-not-fit"
    with pytest.raises(InvalidInput, match="Rows 1 and 3 have the same _id, 4"):
        arrow = table({4: {"a": "x"}, 5: {"a": "y"}}).take([0, 1, 0])
        shop.commit(arrow, message="x")
    assert len(shop.log()) == 1


def test_what_a_killed_creation_left_is_no_dataset(datasets: Datasets, store: Store, csv: Write):
    import_files(datasets, "d", csv("a\n1\n"))
    for _ in range(2):
        store.objects.delete([e.key for e in store.objects.list("datasets/d.lance/_tidemill")])
        # Without what a creation puts down before anything else, these are files of a dataset that was damaged.
        with pytest.raises(StorageError, match="refs of dataset 'd'"):
            import_files(datasets, "d", csv("a\n2\n"))
        store.objects.put(refs_key("d"), REMOVED)
        assert datasets.names() == []
        assert import_files(datasets, "d", csv("a\n2\n")).commit.rows == 1
        assert list(column(datasets.open("d"), "a").values()) == [2]
        assert len(datasets.open("d").log()) == 1


@pytest.mark.parametrize("what", ["kept", "gone", "cut", "of another life", "of a branch"])
def test_a_commit_is_found_by_number_and_id_whatever_is_kept_of_main(
    monkeypatch: pytest.MonkeyPatch, datasets: Datasets, shop: Dataset, what: str
):
    monkeypatch.setattr(history, "_FEW_STEPS", 2)
    shop.branch("side")
    for n in range(2, 9):
        put(shop, {n: {"a": f"row {n}", "b": n}})
        put(shop, {20 + n: {"a": "aside"}}, branch="side")
    shop.merge("side")
    kept = shop._table.main_line._path
    assert kept.stat().st_size == 14 * 9
    if what == "gone":
        kept.unlink()
    elif what == "cut":
        kept.write_bytes(kept.read_bytes()[:40])
    elif what == "of another life":
        kept.write_bytes(bytes(range(14)) * 20)
    elif what == "of a branch":
        shop._table.main_line.put(shop.log("side")[::-1])
    log = shop.log()
    assert len(log) == 9
    for _ in range(2):
        for commit in log:
            assert datasets.open("shop").resolve(str(commit.number)) == commit
            assert datasets.open("shop").resolve(commit.id) == commit
        for commit in shop.log("side")[:3]:
            assert datasets.open("shop").resolve(commit.id) == commit
        for number in ("0", "10"):
            with pytest.raises(NotFound):
                datasets.open("shop").resolve(number)
    assert kept.stat().st_size == 14 * 9
