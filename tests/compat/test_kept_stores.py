"""Stores that released layouts wrote, kept as data in tests/compat, open and can be written to."""

import shutil
from pathlib import Path

import pytest

from tests.compat import write
from tests.data import at_rest
from tidemill.core.names import Digest
from tidemill.data import Datasets, digest_of
from tidemill.store.catalog import records
from tidemill.store.layout import LAYOUT
from tidemill.store.open import Store

KEPT = sorted(write.HERE.glob("layout-*"))


def test_each_layout_is_kept():
    assert [folder.name for folder in KEPT] == [f"layout-{n}" for n in range(1, LAYOUT + 1)]


@pytest.fixture(params=KEPT, ids=lambda folder: folder.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    shutil.copytree(request.param, tmp_path / "store")
    return Store.open(tmp_path / "store")


def test_its_records_are_all_there(store: Store):
    model, manifest, log = (
        Digest(f"sha256:{digest}")
        for digest in (
            "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c",
            "0530443879e9ec007ec1fcd934d92f6d0b973d547892ec070e1f500277b8e9cc",
            "bcb1af97d9182b6de5abd73b8606b42ee7dd96f481a141b065290b80799b46a4",
        )
    )
    with store.catalog.read() as t:
        for record in write.everything(model, manifest, log):
            assert t.find(type(record)) == [record]
        assert list(t.cache_entries()) == [("sha256:" + "1" * 64, {"model": model})]


def test_its_blobs_are_whole(store: Store):
    digests = list(store.blobs.all())
    assert len(digests) == 3
    assert all(store.blobs.verify(digest) for digest in digests)


def test_it_can_be_written_to(store: Store):
    with store.catalog.write() as t:
        assert t.change(records.Run, {"id": write.RUN}, status="failed") == 1
        t.remember({"sha256:" + "2" * 64: {}}, write.AT)
    assert store.blobs.put(b"something new")
    again = Store.open(store.folder)
    with again.catalog.read() as t:
        assert [run.status for run in t.find(records.Run)] == ["failed"]


def test_its_dataset_is_there_with_its_history(store: Store):
    fashion = Datasets(store, "Ada").open("fashion")
    assert [commit.number for commit in fashion.log()] == [3, 2, 1]
    assert set(fashion.branches()) == {"main"}
    assert set(fashion.tags()) == {"v1"}
    labels = {at: labels_at(store, at) for at in ("v1", "2", "main")}
    assert labels == {"v1": ["shirt"], "2": ["coat", "shirt"], "main": ["bag", "coat", "shirt"]}


def labels_at(store: Store, at: str) -> list[str]:
    return sorted(Datasets(store, "Ada").open("fashion").snapshot(at).read().to_polars()["label"].to_list())


def test_its_tensors_keep_their_shape_and_their_missing_cells(store: Store):
    table = Datasets(store, "Ada").open("fashion").snapshot().read()
    assert table.shape_of("image") == (2, 2)
    assert table.missing("image").sum() == 1
    shirt = table.filter(table.to_polars()["label"].to_numpy() == "shirt")
    assert shirt.numpy("image").tolist() == [[[0, 1], [2, 255]]]


def test_its_dataset_can_be_written_to_and_merged(store: Store):
    fashion = Datasets(store, "Ada").open("fashion")
    fashion.branch("feedback", at="v1")
    fashion.tag("v2")
    assert labels_at(store, "feedback") == ["shirt"]
    assert not fashion.merge("feedback").changes.added
    assert labels_at(store, "v2") == ["bag", "coat", "shirt"]


def test_its_files_gain_digests_and_its_commits_stay(store: Store, tmp_path: Path):
    fashion = Datasets(store, "Ada").open("fashion")
    before = [(c.id, c.number, digest_of(fashion.snapshot(c.id))) for c in fashion.log()]
    fashion.tag("v2")
    at_rest.check_whole(store, "fashion")
    assert [(c.id, c.number, digest_of(fashion.snapshot(c.id))) for c in fashion.log()] == before
    again = Store.create(tmp_path / "again")
    write.write_dataset(Datasets(again, "Ada"))
    today = Datasets(again, "Ada").open("fashion")
    assert [digest_of(today.snapshot(c.id)) for c in today.log()] == [digest for _, _, digest in before]


def test_its_identities_are_today_s(store: Store, tmp_path: Path):
    again = Store.create(tmp_path / "again")
    write.write_dataset(Datasets(again, "Ada"))
    ids = [
        sorted(Datasets(s, "Ada").open("fashion").snapshot().read().numpy("_id").tolist())
        for s in (store, again)
    ]
    assert ids[0] == ids[1]
