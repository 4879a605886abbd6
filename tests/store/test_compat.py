"""Stores that released layouts wrote, kept as data in tests/compat, open and can be written to."""

import shutil
from pathlib import Path

import pytest

from tests.compat import write
from tidemill.core.names import Digest
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
        t.remember("sha256:" + "2" * 64, {}, write.AT)
    assert store.blobs.put(b"something new")
    again = Store.open(store.folder)
    with again.catalog.read() as t:
        assert [run.status for run in t.find(records.Run)] == ["failed"]
