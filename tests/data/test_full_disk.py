"""A disk that fills up while rows come in: said as it is, nothing lost, and the same import works once there is room."""

import os
import random
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.services.disks import mounted
from tidemill.core.errors import StorageError
from tidemill.data import Changes, Datasets, import_files
from tidemill.store.open import Store

ROWS = 60_000
"""In each file: 2.3 MB, which is more than one block of the reader of CSV."""
ROOM_BYTES = 4_000_000
"""What is free when an import begins: enough for the first blocks, too little for three files."""


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    with mounted(tmp_path / "disk", megabytes=64) as folder:
        yield folder


def write(path: Path, first: int) -> Path:
    """Rows that no encoding makes much smaller."""
    source = random.Random(first)
    lines = (f"{n},{source.randbytes(16).hex()}" for n in range(first, first + ROWS))
    path.write_text("id,text\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def fill(disk: Path) -> Path:
    """Take all room but ``ROOM_BYTES``; the file to delete for it to be free again."""
    now = os.statvfs(disk)
    other = disk / "other"
    other.write_bytes(bytes(now.f_bavail * now.f_bsize - ROOM_BYTES))
    return other


def content(datasets: Datasets, name: str) -> dict[int, str]:
    rows = datasets.open(name).snapshot().read().to_arrow()
    return dict(zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True))


@pytest.mark.parametrize("files", ["one", "several"])
def test_an_import_that_does_not_fit_leaves_all_as_it_was_and_works_when_it_does(
    disk: Path, tmp_path: Path, files: str
):
    parts = [write(tmp_path / f"part-{n}.csv", first=n * ROWS) for n in range(3)]
    if files == "one":
        header, *_ = texts = [part.read_text("utf-8") for part in parts]
        whole = tmp_path / "whole.csv"
        whole.write_text(header + "".join(text.partition("\n")[2] for text in texts[1:]), "utf-8")
        parts = [whole]
    small = tmp_path / "small.csv"
    small.write_text("id,text\n-1,first\n0,to be changed\n", "utf-8")
    store = Store.create(disk / "store")
    datasets = Datasets(store, "ada")
    first = import_files(datasets, "there", small, key=["id"]).commit
    other = fill(disk)
    for name in ("there", "new"):
        with pytest.raises(StorageError, match=f"disk that holds {disk}.* is full") as caught:
            import_files(datasets, name, *parts, key=["id"])
        assert caught.value.code == "disk-full"
        assert caught.value.hint
    # As whoever comes next finds it, on the disk that is still full.
    again = Datasets(Store.open(disk / "store"), "ada")
    assert again.names() == ["there"]
    assert again.open("there").log() == [first]
    assert content(again, "there") == {-1: "first", 0: "to be changed"}
    other.unlink()
    assert import_files(datasets, "there", *parts, key=["id"]).rows == Changes(added=3 * ROWS - 1, changed=1)
    assert import_files(datasets, "new", *parts, key=["id"]).rows == Changes(added=3 * ROWS)
    assert [c.number for c in again.open("there").log()] == [2, 1]
    assert {**content(again, "new"), -1: "first"} == content(again, "there")


def test_what_still_fits_comes_in_after_what_did_not(disk: Path, tmp_path: Path):
    datasets = Datasets(Store.create(disk / "store"), "ada")
    fill(disk)
    with pytest.raises(StorageError) as caught:
        import_files(datasets, "d", *(write(tmp_path / f"{n}.csv", first=n * ROWS) for n in range(3)))
    assert caught.value.code == "disk-full"
    small = tmp_path / "small.csv"
    small.write_text("id,text\n1,a\n", "utf-8")
    assert import_files(datasets, "d", small).rows == Changes(added=1)
