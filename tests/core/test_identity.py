"""Every identity is pinned by literal hex: what was cached or released yesterday is found today."""

import hashlib
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core import identity
from tidemill.core.errors import InvalidInput

STEP: dict[str, Any] = {
    "component": "module:double",
    "code_parts": {"module:double": "sha256:aa"},
    "packages": {"numpy": "2.4.6"},
    "settings": {"factor": 2},
    "inputs": {"x": "sha256:bb", "ys": ["sha256:cc", "sha256:dd"]},
}
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def exactly(tree: object) -> object:
    """The tree with types spelt out, so that ``==`` tells 1 from 1.0 and True, and -0.0 from 0.0."""
    if isinstance(tree, dict):
        return "dict", sorted((name, exactly(member)) for name, member in tree.items())
    if isinstance(tree, list | tuple):
        return "list", [exactly(member) for member in tree]
    if isinstance(tree, float):
        return "float", "nan" if math.isnan(tree) else struct.pack(">d", tree).hex()
    return type(tree).__name__, repr(tree)


def test_blob_is_plain_sha256():
    assert identity.blob(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert identity.blob(memoryview(b"tidemill")) == "sha256:" + hashlib.sha256(b"tidemill").hexdigest()


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"tidemill" * 100_000)
    assert identity.file(tmp_path / "file") == identity.blob(b"tidemill" * 100_000)


def test_code():
    digest = identity.code("module:double", "def double(x):\n    return 2 * x")
    assert digest == "sha256:db184967718d882e40e6363ae4c49fac02144fdad3b60b26c67e990a1e60cf35"


def test_step():
    digest = identity.step(**STEP)
    assert digest == "sha256:3243ea07d16ea6b841a4682166b83b985f6a4410a1e90dda774bb86454c2054e"


def test_chunk():
    digest = identity.chunk("sha256:aa", "sha256:bb")
    assert digest == "sha256:00549ed481e4307fb91a5b44f8b3be9aeccbea7f470c6de71d6c3e82abcc1832"


def test_value():
    digest = identity.value({"b": [1, 2.5, None, True, False, "é", b"\x00"], "a": {}})
    assert digest == "sha256:e2ceec5d24c5611fdce026f4c8699361a21e0dcfc92a57921d301720e80b7843"


def test_row():
    cells = ["shirt", 0, None, 1.5]
    assert identity.row(cells, 0) == 0x8A5AA78D03CBE5E1
    assert identity.row(cells, 1) == 0x78487421D82F1EA7


def test_key_row():
    assert identity.key_row(["A-17"]) == 0xEB3957BE4FB43072


def test_release():
    digest = identity.release({"layout": 1, "name": "fashion", "files": {"model.onnx": "sha256:aa"}})
    assert digest == "sha256:a3e4bdf9fdd3eb02c558716368cf21303f2935f656103d5fa9ed2a04e8365401"


def test_pre_image_is_tagged_and_length_prefixed():
    assert (
        identity.pre_image("value/1", [None, True, -1, "a"])
        == (
            b"s" + struct.pack(">Q", 16) + b"tidemill/value/1"  # the tag
            b"l" + struct.pack(">Q", 4) + b"n"
            b"t"
            b"i" + struct.pack(">Q", 2) + b"-1"
            b"s" + struct.pack(">Q", 1) + b"a"
        )
    )


@pytest.mark.parametrize("part", STEP)
def test_every_part_of_a_step_counts(part: str):
    other: Any = "module:treble" if part == "component" else {"other": "sha256:ee"}
    assert identity.step(**{**STEP, part: other}) != identity.step(**STEP)


def test_a_part_cannot_pass_for_another():
    moved = {**STEP, "settings": STEP["packages"], "packages": STEP["settings"]}
    assert identity.step(**moved) != identity.step(**STEP)


@given(TREES, TREES)
def test_two_trees_share_a_pre_image_only_if_they_are_the_same(one: identity.Value, other: identity.Value):
    same = identity.pre_image("value/1", one) == identity.pre_image("value/1", other)
    assert same == (exactly(one) == exactly(other))


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_the_order_of_a_mapping_does_not_count(mapping: dict[str, int]):
    assert identity.value(mapping) == identity.value(dict(reversed(mapping.items())))


@pytest.mark.parametrize("thing", [{1, 2}, object(), 1j, {1: "a"}, range(3), bytearray(b"a")])
def test_an_unlisted_type_is_an_error(thing: object):
    with pytest.raises(InvalidInput, match="has no identity") as caught:
        identity.value([thing])  # pyright: ignore[reportArgumentType]
    assert caught.value.code == "no-identity"


def test_cell():
    assert identity.cell(["12.5", None, {"a": 1}]).hex() == PINNED_CELL


PINNED_CELL = (
    "73000000000000000f746964656d696c6c2f63656c6c2f316c000000000000000373000000000000000431322e356e6d0000"
    "0000000000017300000000000000016169000000000000000131"
)


def test_a_commit_of_data():
    row = identity.data_row(5, [b"\x01", None, "coat"])
    rows = identity.data_range((5).to_bytes(8, "big") + row)
    assert (row.hex(), rows.hex()) == (PINNED_DATA_ROW, PINNED_DATA_RANGE)
    assert identity.data_commit([["x", "int64", []]], 1, rows) == PINNED_DATA_COMMIT


PINNED_DATA_ROW = "857a35c68f044f321cf67a9fba072aff095e873e7c8419e080e7bdc3be605dbe"
PINNED_DATA_RANGE = "ce04c17a1710748fb8c7cac39888b7acdc4587a366c9da052ddb2cd3022d6cd8"
PINNED_DATA_COMMIT = "sha256:66b99de66f6b17ead859be513cdbea7df22cd60429d536a58d7e946bc11f910b"
