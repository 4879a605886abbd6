"""The identity of rows, pinned: another identity would make every import of an old file add its rows again."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core import identity
from tidemill.core.errors import InvalidInput
from tidemill.data import identities
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


def test_the_cells_of_a_row_are_what_the_docs_say():
    first, second = identities.cells(sample())
    assert first == [bytes.fromhex("0102000000000000f83f01204e0000"), None, "coat"]
    assert second == [bytes.fromhex("00ff00000000000000000000000000"), bytes([0b10101000]), None]


def test_the_ids_are_pinned():
    assert [f"{i:016x}" for i in identities.content_ids(sample()).tolist()] == PINNED_CONTENT
    assert [f"{i:016x}" for i in identities.key_ids(sample(), ["sold"]).tolist()] == PINNED_KEY


PINNED_CONTENT = ["fb63ff1a82b18b6d", "282e92976cb0e7c9"]
PINNED_KEY = ["b030838a8ee273c0", "55e11156b1c27981"]


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
    assert identities.content_ids(table).tolist() == expected


def test_ids_do_not_depend_on_how_the_rows_lie_in_memory():
    table = sample()
    one, two = table.take([0]).to_arrow(), table.take([1]).to_arrow()
    ids = identities.content_ids(Table(pa.concat_tables([two, one, two])))
    assert ids[:2].tolist() == identities.content_ids(table).tolist()[::-1]
    sliced = Table(pa.concat_tables([one, two, one]).combine_chunks().slice(1, 1))
    assert identities.content_ids(sliced)[0] == ids[0]


def test_all_nans_are_one_and_what_lies_under_a_missing_cell_does_not_count():
    odd_nan = np.array([0x7FF8000000000001, 0x7FF8000000000000], np.uint64).view(np.float64)
    a, b = identities.cells(Table(pa.table({"x": pa.array(odd_nan)})))
    assert a == b
    hidden = pa.array([1, 2], mask=np.array([True, True]))
    c, d = identities.cells(Table(pa.table({"x": hidden})))
    assert c == d


def test_two_rows_with_one_identity_are_refused(monkeypatch: pytest.MonkeyPatch):
    # No two rows are known whose real 64-bit identities meet, so the test shortens them.
    def short(cells: object, occurrence: int) -> int:
        return occurrence

    monkeypatch.setattr(identity, "row", short)
    with pytest.raises(InvalidInput, match="Rows 1 and 2 differ but have the same 64-bit identity") as caught:
        identities.content_ids(sample())
    assert caught.value.code == "id-collision"
