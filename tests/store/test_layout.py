"""The layout version: written, checked, never guessed."""

import json
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.core.errors import NotFound, StorageError
from tidemill.store import layout
from tidemill.store.open import Store


def test_a_new_store_names_its_layout(tmp_path: Path):
    Store.create(tmp_path / "store").close()
    written = json.loads((tmp_path / "store" / layout.FILE).read_text("utf-8"))
    assert written["layout"] == layout.LAYOUT
    assert Store.open(tmp_path / "store").folder == tmp_path / "store"


def test_making_a_store_that_is_there_leaves_it(tmp_path: Path):
    Store.create(tmp_path).close()
    before = (tmp_path / layout.FILE).read_bytes()
    Store.create(tmp_path).close()
    assert (tmp_path / layout.FILE).read_bytes() == before


def test_no_store_is_said(tmp_path: Path):
    with pytest.raises(NotFound, match=str(tmp_path)) as caught:
        Store.open(tmp_path)
    assert caught.value.code == "store-not-found"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["catalog.db", "blobs/sha256/ab/abcd", "datasets/points.lance/data/1"])
def test_a_lost_layout_file_is_said_and_not_made_anew(tmp_path: Path, left: str):
    Store.create(tmp_path).close()
    file = tmp_path / layout.FILE
    file.unlink()
    (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / left).write_bytes(b"1")
    for attempt in (Store.open, Store.create):
        with pytest.raises(StorageError, match="layout.json is gone") as caught:
            attempt(tmp_path)
        assert caught.value.code == "store-damaged"
        assert not file.exists()
    # What the hint says to type, a shell understands.
    subprocess.run(["sh", "-c", (caught.value.hint or "").partition("wrote there: ")[2]], check=True)
    with closing(Store.open(tmp_path)) as store:
        assert len(layout.identity(store.objects)) == 32
        assert layout.has_catalog(store.objects)


def test_a_newer_layout_is_refused_and_untouched(tmp_path: Path):
    file = tmp_path / layout.FILE
    file.write_text(json.dumps({"layout": layout.LAYOUT + 1}), "utf-8")
    for attempt in (Store.open, Store.create):
        with pytest.raises(StorageError, match=f"has layout {layout.LAYOUT + 1}") as caught:
            attempt(tmp_path)
        assert caught.value.code == "store-too-new"
        assert "upgrade" in (caught.value.hint or "")
    assert json.loads(file.read_text("utf-8")) == {"layout": layout.LAYOUT + 1}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"layout": "new"}', '{"layout": null}'])
def test_a_damaged_layout_file_is_said(tmp_path: Path, text: str):
    (tmp_path / layout.FILE).write_text(text, "utf-8")
    with pytest.raises(StorageError, match="layout.json is damaged") as caught:
        Store.open(tmp_path)
    assert caught.value.code == "store-damaged"


def test_each_older_layout_has_a_way_up():
    assert set(layout.MIGRATIONS) == set(range(1, layout.LAYOUT))
