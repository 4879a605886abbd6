"""States of transforms: what goes in comes out, in equal bytes, and never through a pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tidemill.core.errors import InvalidInput
from tidemill.models import state

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | hnp.arrays(st.sampled_from([np.uint8, np.float32, np.int64, np.bool_]), hnp.array_shapes(min_side=0))
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b or bool(np.isnan(a) and np.isnan(b))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=trees)
def test_a_state_comes_back(tree: Any, tmp_path: Path) -> None:
    state.write(tree, tmp_path / "one.zip")
    assert same(state.read(tmp_path / "one.zip"), tree)
    state.write(tree, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_text_arrays_and_scalars_come_back(tmp_path: Path) -> None:
    tree = {"names": np.array(["a", "bc"], dtype=object), "mean": np.float32(1.5)}
    state.write(tree, tmp_path / "s.zip")
    back = state.read(tmp_path / "s.zip")
    assert back["names"].dtype == object and list(back["names"]) == ["a", "bc"]
    assert back["mean"] == np.float32(1.5) and back["mean"].dtype == np.float32


@pytest.mark.sklearn
def test_an_estimator_may_be_a_state(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.arange(12.0).reshape(6, 2))
    state.write({"scaler": scaler, "other": scaler.mean_}, tmp_path / "s.zip")
    back = state.read(tmp_path / "s.zip")
    assert (back["scaler"].transform([[1.0, 2.0]]) == scaler.transform([[1.0, 2.0]])).all()
    assert (back["other"] == scaler.mean_).all()


@pytest.mark.parametrize("bad", [{1: 2}, {"a": [object()]}, np.array([object()]), {"a": {"b": iter(())}}])
def test_what_cannot_be_kept_is_named(bad: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        state.write(bad, tmp_path / "s.zip")
    assert caught.value.code == "state-not-storable"
    assert "tate" in caught.value.message


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"not a zip")
    with pytest.raises(InvalidInput) as caught:
        state.read(tmp_path / "s.zip")
    assert caught.value.code == "state-damaged"
