"""Arrays between steps: the bytes of numpy.save, written without a copy of the whole, read as a map of the file."""

import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidemill.core.errors import Failed, StorageError
from tidemill.engine.artifacts import load, save
from tidemill.store.blobs import Blobs
from tidemill.store.folder import Folder

MIB = 1024 * 1024


def blobs_at(folder: Path) -> Blobs:
    return Blobs(Folder(folder), folder)


def saved_by_numpy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def layouts(array: Any) -> list[Any]:
    """The array's values in other orders of memory."""
    stepped = np.repeat(array, 2, axis=0)[::2]
    return [array, np.asfortranarray(array), array.T, array[::-1], stepped]


KINDS = arrays.scalar_dtypes() | st.just(np.dtype([("a", "<i4"), ("b", "<f8")]))
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


@given(array=arrays.arrays(KINDS, SHAPES))
def test_the_bytes_are_those_of_numpy_whatever_the_order_in_memory(
    tmp_path_factory: pytest.TempPathFactory, array: Any
):
    blobs = blobs_at(tmp_path_factory.mktemp("blobs"))
    for given_array in layouts(array):
        expected = saved_by_numpy(given_array)
        saved = save(blobs, given_array, "step")
        assert saved.digest == "sha256:" + hashlib.sha256(expected).hexdigest()
        assert blobs.get(saved.digest) == expected  # type: ignore[arg-type]
        assert saved.size_bytes == len(expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_array_is_never_copied_whole(tmp_path: Path, order: Any):
    blobs = blobs_at(tmp_path)
    array = np.ones((256, 65536), np.float32, order=order)
    tracemalloc.start()
    try:
        saved = save(blobs, array, "step")
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 40 * MIB < array.nbytes
        tracemalloc.reset_peak()
        loaded = load(blobs, saved.ref)
        _, peak = tracemalloc.get_traced_memory()
        assert peak < MIB
    finally:
        tracemalloc.stop()
    assert type(loaded) is np.ndarray
    assert not loaded.flags.writeable
    assert np.array_equal(loaded, array)


def test_a_disk_that_fills_up_leaves_nothing(small_disk: Path):
    blobs = blobs_at(small_disk)
    with pytest.raises(StorageError) as caught:
        save(blobs, np.arange(1_000_000), "step")
    assert caught.value.code == "disk-full"
    assert [p for p in small_disk.rglob("*") if p.is_file()] == []
    assert save(blobs, np.arange(10), "step").kind == "array"


def test_objects_are_refused_and_leave_nothing(tmp_path: Path):
    with pytest.raises(Failed, match="of type object") as caught:
        save(blobs_at(tmp_path), np.array([object()]), "step")
    assert caught.value.code == "no-artifact-kind"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
