"""A commit's digest: of its rows and columns, pinned, and equal however they came to be there."""

import json
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.cells import BOX
from tidemill.core import identity
from tidemill.core.events import silent
from tidemill.data import (
    Dataset,
    Datasets,
    collect,
    digest_again,
    digest_at_hand,
    digest_of,
    push,
    row_digests,
)
from tidemill.data.row_digests import Tree, digests_of
from tidemill.store.open import Store
from tidemill.store.table import SHAPE, Table


def odd() -> pa.Table:
    """What has several spellings, and may have one form alone."""
    nan = np.array([0x7FF8000000000001, 0x8000000000000000, 0], np.uint64).view(np.float64)
    tensor = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, None, 255, 0, 0], pa.uint8()), 2)
    box = {"label": "a", "corners": [{"x": -0.0, "y": None}], "score": float("nan")}
    schema = pa.schema(
        [
            pa.field("_id", pa.uint64(), nullable=False),
            ("x", pa.float64()),
            ("text", pa.string()),
            pa.field("image", tensor.type, metadata={SHAPE: json.dumps([2]).encode()}),
            ("price", pa.decimal128(7, 3)),
            ("box", BOX),
            ("_prediction", pa.string()),
        ]
    )
    columns = [
        pa.array([7, 2**64 - 1, 3], pa.uint64()),
        pa.array(nan),
        pa.array(["ä", None, ""]),
        tensor,
        pa.array([Decimal("12.500"), None, Decimal("0.000")], pa.decimal128(7, 3)),
        pa.array([box, None, {"label": None, "corners": None, "score": 0.5}], BOX),
        pa.array([None, "p1", None]),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def test_the_digests_of_rows_are_pinned():
    assert [bytes(d).hex() for d in digests_of(odd())] == PINNED_ROWS
    names = odd().column_names
    assert [bytes(d).hex() for d in digests_of(odd().select(names[::-1]))] == PINNED_ROWS


def test_a_row_s_digest_is_what_core_says():
    rows = pa.table(
        {
            "_id": pa.array([5], pa.uint64()),
            "b": ["x"],
            "a": pa.array([-0.0]),
            "c": pa.array([None], pa.int8()),
        }
    )
    # Fixed widths first, by name: a, then c as a zero; then which of them are missing; then the texts.
    cells = [bytes(7) + b"\x80" + b"\x00", bytes([0b01000000]), "x"]
    assert bytes(digests_of(rows)[0]) == identity.data_row(5, cells)
    tree = Tree.of(np.array([5], np.uint64), digests_of(rows))
    assert bytes(tree.ranges[0]) == identity.data_range((5).to_bytes(8, "big") + bytes(digests_of(rows)[0]))


def test_all_nans_are_one_and_zero_has_a_sign():
    bits = [0x7FF8000000000001, 0xFFF8000000000000, 0, 1 << 63]
    for kind in (pa.float64(), pa.float32(), pa.float16()):
        cells = pa.array(np.array(bits, np.uint64).view(np.float64)).cast(kind)
        one, other, zero, minus = (
            bytes(d) for d in digests_of(pa.table({"_id": pa.array([1] * 4, pa.uint64()), "x": cells}))
        )
        assert one == other
        assert zero != minus


def test_the_digest_of_a_commit_is_pinned(datasets: Datasets):
    datasets.create("odd", Table(odd()), message="First")
    snapshot = datasets.open("odd").snapshot()
    assert digest_of(snapshot) == digest_again(snapshot) == PINNED_COMMIT


PINNED_ROWS = [
    "3d8529a09e7cb5a7f8a1795984ea976f4d55d18cfaa01e2253e11fd2827ce550",
    "fd06e9e402044edbbe16e8ae70f14ab91c9c602042ccddcd933b351ba320d290",
    "551e61bdf5fee5df76b667d693f1c066a599e6e01b75632ec981e038d6c0fbba",
]
PINNED_COMMIT = "sha256:6bb2a877d68f9bdc96dd7998e754428b36d18e9b8c9c23212ec00b730541ccac"


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of so few rows that even small tables have many."""
    monkeypatch.setattr(row_digests, "_ROWS_OF_A_RANGE", 1)


def rows(content: dict[int, str | None]) -> Table:
    return Table.of(
        {"k": pa.array(list(content), pa.int64()), "text": pa.array(list(content.values()), pa.string())}
    )


def same(dataset: Dataset, at: str = "main") -> str:
    snapshot = dataset.snapshot(at)
    digest = digest_of(snapshot)
    assert digest == digest_again(snapshot) == digest_at_hand(snapshot)
    return digest


@pytest.mark.both_stores
def test_rows_have_one_digest_however_they_came(many: None, datasets: Datasets, store: Store, tmp_path: Path):
    content: dict[int, str | None] = {n: f"row {n}" for n in range(40)}
    datasets.create("d", rows(content), message="First", key=["k"])
    d = datasets.open("d")
    first = same(d)
    d.commit(rows({3: "other", 50: None}), message="Two")
    second = same(d)
    assert second != first
    d.revert("2")
    assert same(d) == first
    d.commit(rows(dict(reversed(content.items()))), message="In another order", replace=True)
    assert same(d) == first
    with closing(Store.create(tmp_path / "other")) as other:
        again = Datasets(other, "bob")
        again.create("of_another_name", rows({3: "other"}), message="In pieces", key=["k"])
        e = again.open("of_another_name")
        for part in range(0, 40, 8):
            e.commit(rows({n: f"row {n}" for n in range(part, part + 8)}), message="A part")
        assert same(e) == first
    with closing(Store.create(tmp_path / "remote")) as remote:
        push(store, remote, "d", "origin", ["main"], silent)
        sent = Datasets(remote, "bob").open("d")
        assert [same(sent, "2"), same(sent, "1")] == [second, first]


def test_columns_count_with_their_types_and_their_order(datasets: Datasets):
    datasets.create("d", Table.of({"k": [1, 2], "v": [1, 2]}), message="First", key=["k"])
    d = datasets.open("d")
    first = same(d)
    d.commit(Table.of({"k": [1, 2], "v": [1.0, 2.5]}), message="Wider", allow_schema_change=True)
    assert same(d) != first
    d.commit(
        Table.of({"k": [1, 2], "v": [1, 2], "w": ["a", None]}),
        message="More",
        allow_schema_change=True,
        replace=True,
    )
    more = same(d)
    d.commit(Table.of({"k": [1, 2], "v": [1, 2]}), message="Fewer", allow_schema_change=True)
    assert same(d) not in (first, more)
    datasets.create("e", Table.of({"v": [1, 2], "k": [1, 2]}), message="First", key=["k"])
    assert same(datasets.open("e")) != first


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "replace", "merge", "revert", "collect"]),
        st.dictionaries(st.integers(0, 60), st.sampled_from(["x", "y", None]), min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=7,
)


@given(history=steps)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_what_follows_from_the_difference_is_what_the_rows_say(
    history: list[tuple[str, dict[int, str | None]]],
    many: None,
    tmp_path_factory: pytest.TempPathFactory,
):
    with closing(Store.create(tmp_path_factory.mktemp("history") / "store")) as store:
        datasets = Datasets(store, "ada")
        datasets.create("d", rows(dict.fromkeys(range(48), "x")), message="First", key=["k"])
        d = datasets.open("d")
        d.branch("side")
        seen: dict[str, str] = {}
        for number, (what, some) in enumerate(history):
            if what == "put":
                d.commit(rows(some), branch=("main", "side")[number % 2], message=what)
            elif what == "replace":
                d.commit(rows(some), branch="side", message=what, replace=True)
            elif what == "merge" and not d.conflicts("side"):
                d.merge("side")
            elif what == "revert" and len(d.head().parents) == 1:
                d.revert(d.head().id)
            elif what == "collect":
                collect(store, "d", [], dry_run=False, sink=silent)
            for branch in ("main", "side"):
                content = repr(
                    sorted(map(repr, d.snapshot(branch).read(["k", "text"]).to_arrow().to_pylist()))
                )
                assert seen.setdefault(content, same(d, branch)) == same(d, branch)
        assert len(set(seen.values())) == len(seen)


def test_what_is_kept_is_made_again_where_it_is_gone_or_cut(many: None, datasets: Datasets, store: Store):
    datasets.create("d", rows(dict.fromkeys(range(40), "x")), message="First", key=["k"])
    first = same(datasets.open("d"))
    folder = datasets.open("d").snapshot().table.row_digests.folder
    kept = sorted(folder.iterdir())
    assert {path.suffix for path in kept} == {".rows", ".tree"}
    for path in kept:
        path.write_bytes(path.read_bytes()[:-32])
    assert same(datasets.open("d")) == first
    for path in kept:
        path.unlink()
    assert digest_at_hand(datasets.open("d").snapshot()) is None
    assert same(datasets.open("d")) == first


def test_only_the_ranges_that_differ_are_hashed(
    monkeypatch: pytest.MonkeyPatch, many: None, datasets: Datasets
):
    datasets.create("d", rows(dict.fromkeys(range(200), "x")), message="First", key=["k"])
    d = datasets.open("d")
    digest_of(d.snapshot())
    d.commit(rows({3: "other"}), message="One row")
    hashed: list[int] = []

    def counted(of: Callable[[bytes], bytes]) -> Any:
        return lambda data: hashed.append(len(data)) or of(data)

    monkeypatch.setattr(identity, "data_range", counted(identity.data_range))
    digest = digest_of(d.snapshot())
    assert len(hashed) == 1
    assert digest == digest_again(d.snapshot())
