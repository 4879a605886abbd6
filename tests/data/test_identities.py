"""The identity of rows, pinned: another identity would make every import of an old file add its rows again."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data import cells
from tidemill.core import identity
from tidemill.core.errors import InvalidInput
from tidemill.data import pre_images
from tidemill.data.cell_types import keep
from tidemill.data.identities import Identities
from tidemill.store.table import SHAPE, Table


def sample() -> Table:
    tensor = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, None, 255], pa.uint8()), 2)
    schema = pa.schema(
        [
            ("label", pa.string()),
            pa.field("image", tensor.type, metadata={SHAPE: json.dumps([2]).encode()}),
            ("price", pa.float64()),
            ("sold", pa.bool_()),
            ("day", pa.date32()),
        ]
    )
    columns = [
        pa.array(["coat", None]),
        tensor,
        pa.array([1.5, None]),
        pa.array([True, False]),
        pa.array([20_000, None], pa.int32()).cast(pa.date32()),
    ]
    return Table(pa.Table.from_arrays(columns, schema=schema))


def content_ids(*batches: Table) -> list[int]:
    identities = Identities(None)
    return [i for batch in batches for i in identities.ids(batch).tolist()]


def key_ids(key: list[str], *batches: Table) -> list[int]:
    identities = Identities(key)
    return [i for batch in batches for i in identities.ids(batch).tolist()]


def test_the_cells_of_a_row_are_what_the_docs_say():
    first = [bytes.fromhex("0102000000000000f83f01204e0000"), None, "coat"]
    second = [bytes.fromhex("00ff00000000000000000000000000"), bytes([0b10101000]), None]
    assert content_ids(sample()) == [identity.row(first, 0), identity.row(second, 0)]


def test_the_ids_are_pinned():
    assert [f"{i:016x}" for i in content_ids(sample())] == PINNED_CONTENT
    assert [f"{i:016x}" for i in key_ids(["sold"], sample())] == PINNED_KEY


PINNED_CONTENT = ["fb63ff1a82b18b6d", "282e92976cb0e7c9"]
PINNED_KEY = ["b030838a8ee273c0", "55e11156b1c27981"]

CELLS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.uint8(), st.integers(0, 255)),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "half": (pa.float32(), st.floats(allow_nan=False, width=32)),
    "flag": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=5)),
    "bytes": (pa.binary(), st.binary(max_size=5)),
    "day": (pa.date32(), st.dates()),
    "moment": (pa.timestamp("us"), st.datetimes()),
}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_key_is_hashed_as_core_says(data: st.DataObject):
    names = data.draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=3, unique=True))
    rows = data.draw(
        st.lists(st.tuples(*(CELLS[n][1] for n in names)), min_size=1, max_size=5, unique_by=repr),
    )
    schema = pa.schema([(n, CELLS[n][0]) for n in names])
    table = Table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema))
    plain = [[c if isinstance(c, (bool, int, float, str, bytes)) else str(c) for c in row] for row in rows]
    assert key_ids(names, table) == [identity.key_row(row) for row in plain]


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from(["", "a", None])), max_size=30))
def test_ids_are_content_and_occurrence(rows: list[tuple[int, str | None]]):
    table = Table(
        pa.table(
            {
                "n": pa.array([n for n, _ in rows], pa.int64()),
                "s": pa.array([s for _, s in rows], pa.string()),
            }
        )
    )
    seen: dict[tuple[int, str | None], int] = {}
    expected: list[int] = []
    for n, s in rows:
        occurrence = seen[n, s] = seen.get((n, s), -1) + 1
        expected.append(identity.row([np.int64(n).tobytes(), None, s], occurrence))
    assert content_ids(table) == expected
    assert content_ids(*(table.take([n]) for n in range(len(table)))) == expected


def test_many_equal_rows_are_counted_over_all_batches():
    # A batch is 32,768 rows; where their work grew with its square this took a minute.
    rows = 100_000
    text = pa.array(["x"]).take(pa.array(np.zeros(rows, np.int64)))
    ids = content_ids(Table(pa.table({"s": text})))
    assert len(set(ids)) == rows
    for occurrence in (0, 1, 32_767, 32_768, 65_536, rows - 1):
        assert ids[occurrence] == identity.row([b"", None, "x"], occurrence)


def test_ids_do_not_depend_on_how_the_rows_lie_in_memory():
    table = sample()
    one, two = table.take([0]).to_arrow(), table.take([1]).to_arrow()
    ids = content_ids(Table(pa.concat_tables([two, one, two])))
    assert ids[:2] == content_ids(table)[::-1]
    sliced = Table(pa.concat_tables([one, two, one]).combine_chunks().slice(1, 1))
    assert content_ids(sliced)[0] == ids[0]


def test_all_nans_are_one_and_what_lies_under_a_missing_cell_does_not_count():
    odd_nan = np.array([0x7FF8000000000001, 0x7FF8000000000000], np.uint64).view(np.float64)
    a, b = pre_images.content(pa.table({"x": pa.array(odd_nan)}))
    assert a == b
    hidden = pa.array([1, 2], mask=np.array([True, True]))
    c, d = pre_images.content(pa.table({"x": hidden}))
    assert c == d


def test_two_rows_with_one_identity_are_refused(monkeypatch: pytest.MonkeyPatch):
    # No two rows are known whose real 64-bit identities meet, so the test shortens them.
    monkeypatch.setattr(pre_images, "hashes", lambda rows: np.zeros(len(rows), np.uint64))
    with pytest.raises(InvalidInput, match="Rows 1 and 2 differ but have the same 64-bit identity") as caught:
        content_ids(sample())
    assert caught.value.code == "id-collision"


def test_a_key_that_comes_again_in_a_later_batch_is_named():
    with pytest.raises(InvalidInput, match="Row 4 and an earlier one have the same key: n=2") as caught:
        key_ids(["n"], *(Table(pa.table({"n": [n]})) for n in (1, 2, 3, 2)))
    assert caught.value.code == "duplicate-key"
    with pytest.raises(InvalidInput, match="Rows 2 and 3 have the same key: n=2"):
        key_ids(["n"], Table(pa.table({"n": [1]})), Table(pa.table({"n": [2, 2]})))
    with pytest.raises(InvalidInput, match="Row 2 has no value in key column 'n'"):
        key_ids(["n"], Table(pa.table({"n": [1]})), Table(pa.table({"n": pa.array([None], pa.int64())})))


@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=12))
def test_ids_that_are_given_occur_once_in_all_batches(batches: list[list[int]]):
    identities, seen = Identities(None), set()
    for batch in batches:
        table = Table(pa.table({"_id": pa.array(batch, pa.uint64())}))
        if len({*batch}) < len(batch) or seen & {*batch}:
            with pytest.raises(InvalidInput, match="same _id"):
                identities.give(table)
            return
        assert identities.give(table) is table
        seen |= {*batch}


def test_the_ids_of_every_type_are_pinned():
    for name, (array, _) in cells.TYPES.items():
        ids = content_ids(Table(pa.table({"c": keep(array)})))
        assert [f"{ids[row]:016x}" for row in (0, 2)] == PINNED_CELLS[name], name


def test_a_cell_is_written_as_core_says():
    price = pa.array([Decimal("12.50"), None], pa.decimal128(7, 2))
    boxes = pa.array([[{"y": 0.5, "x": [1, None]}, None], None])
    table = pa.table({"price": price, "boxes": boxes})
    first = [b"", None, identity.cell("12.5"), identity.cell([{"y": 0.5, "x": [1, None]}, None])]
    second = [b"", None, None, None]
    assert content_ids(Table(table)) == [identity.row(first, 0), identity.row(second, 0)]


def test_a_decimal_is_its_value_whatever_its_places():
    one, other = (pa.array([Decimal("12.5"), Decimal(3)], pa.decimal128(9, n)) for n in (1, 4))
    assert content_ids(Table(pa.table({"c": one}))) == content_ids(Table(pa.table({"c": other})))
    assert key_ids(["c"], Table(pa.table({"c": one}))) == [
        identity.key_row(["12.5"]),
        identity.key_row(["3"]),
    ]


PINNED_CELLS = {
    "decimal": ["f21fb9dd639a9ade", "a5600f597b65be94"],
    "long_decimal": ["6f1c490edd29edb4", "a5600f597b65be94"],
    "short_decimal": ["1004709ce04a2532", "a5600f597b65be94"],
    "hundreds": ["b3b8017102cca3d4", "a5600f597b65be94"],
    "half": ["f1b9d1345ead8243", "258a56965c45cd94"],
    "float": ["6e3dc119b773678b", "4db2c36f410d58e2"],
    "uuid": ["93d882eeb34c0d38", "a5600f597b65be94"],
    "json": ["23592fd5653c9b97", "a5600f597b65be94"],
    "flag": ["0427b7bdb19000a8", "4ff166ee342ba58e"],
    "binary": ["bba50e212938c8cb", "a5600f597b65be94"],
    "large_binary": ["bba50e212938c8cb", "a5600f597b65be94"],
    "code": ["93d97581c906c7f9", "a5600f597b65be94"],
    "large_text": ["11de8384c9f275c8", "a5600f597b65be94"],
    "text_view": ["11de8384c9f275c8", "a5600f597b65be94"],
    "category": ["11de8384c9f275c8", "a5600f597b65be94"],
    "runs": ["6f207f796c4eceea", "d90b22a00553fa61"],
    "nothing": ["a5600f597b65be94", "d14d24cd29b60592"],
    "day": ["fee31a7b21ed34c2", "4db2c36f410d58e2"],
    "seconds": ["0e90545686ebd180", "4db2c36f410d58e2"],
    "nanos": ["d727d9414fbab900", "2e70c9c250e1e7e5"],
    "moment": ["d727d9414fbab900", "2e70c9c250e1e7e5"],
    "far": ["449b64c7dd5b29da", "2e70c9c250e1e7e5"],
    "zoned": ["dfdbb50bfca46575", "2e70c9c250e1e7e5"],
    "offset": ["d727d9414fbab900", "2e70c9c250e1e7e5"],
    "span": ["d727d9414fbab900", "2e70c9c250e1e7e5"],
    "list": ["8301fe6fef6999b6", "a5600f597b65be94"],
    "large_list": ["e71febda82a6d04f", "a5600f597b65be94"],
    "list_view": ["8d5d7e191ff986ac", "a5600f597b65be94"],
    "lists": ["16dfeba2ff9ae210", "a5600f597b65be94"],
    "record": ["aa2b80dbf7215f6f", "a5600f597b65be94"],
    "boxes": ["8e324155bc5f3108", "a5600f597b65be94"],
    "prices": ["ef60b4393488548d", "a5600f597b65be94"],
    "names": ["19de9d557a73e67b", "a5600f597b65be94"],
    "blobs": ["c788921e675fee80", "a5600f597b65be94"],
    "times": ["efc0b72fd3bd2c4d", "a5600f597b65be94"],
    "map": ["24346858ff68725d", "a5600f597b65be94"],
    "table": ["15a0735e71552b8c", "a5600f597b65be94"],
    "vector": ["27052a473daf2501", "a7b3690adb81639e"],
    "half_vector": ["0babe0f8e4afc2be", "1d7e384a8d1e89ed"],
    "price_vector": ["ef60b4393488548d", "32d561aa15e1cd83"],
    "matrix": ["af24bf332dac0368", "13e5a886155ac420"],
    "words": ["e71febda82a6d04f", "a5600f597b65be94"],
    "image": ["60edcceb71afcf55", "d61b14f63fb619e1"],
}
"""The first row of each column of ``cells.TYPES``, and its missing one."""


@pytest.mark.parametrize("zone", [None, "America/New_York", "Europe/Berlin"])
def test_a_time_of_nanoseconds_is_a_key_of_its_own(zone: str | None):
    times = pa.array([0, 1, 1_500_000_000], pa.int64()).view(pa.timestamp("ns", zone))
    texts = {
        None: ["1970-01-01 00:00:00", "1970-01-01 00:00:00.000000001", "1970-01-01 00:00:01.500000"],
        "America/New_York": [
            "1969-12-31 19:00:00-05:00",
            "1969-12-31 19:00:00.000000001-05:00",
            "1969-12-31 19:00:01.500000-05:00",
        ],
        "Europe/Berlin": [
            "1970-01-01 01:00:00+01:00",
            "1970-01-01 01:00:00.000000001+01:00",
            "1970-01-01 01:00:01.500000+01:00",
        ],
    }[zone]
    assert key_ids(["t"], Table(pa.table({"t": times}))) == [identity.key_row([text]) for text in texts]
    clock = pa.array([0, 1], pa.int64()).view(pa.time64("ns"))
    expected = [identity.key_row(["00:00:00"]), identity.key_row(["00:00:00.000000001"])]
    assert key_ids(["t"], Table(pa.table({"t": clock}))) == expected
