"""A store is one folder: it works wherever it is moved to."""

import shutil
from pathlib import Path

from tests.compat import write
from tidemill.data import Datasets
from tidemill.store.open import Store


def moved(tmp_path: Path, *, branch: bool) -> Datasets:
    before, after = tmp_path / "before", tmp_path / "after"
    store = Store.create(before)
    write.write_dataset(Datasets(store, "Ada"))
    if branch:
        fashion = Datasets(store, "Ada").open("fashion")
        fashion.branch("feedback", at="v1")
        newest = fashion.snapshot().read()
        fashion.commit(newest, branch="feedback", message="more", key=None, replace=False)
    store.close()
    shutil.move(before, after)
    return Datasets(Store.open(after), "Ada")


def test_main_and_tags_move_along(tmp_path: Path):
    fashion = moved(tmp_path, branch=False).open("fashion")
    assert [len(fashion.snapshot(at).read()) for at in ("v1", "main")] == [1, 3]


def test_branches_move_along(tmp_path: Path):
    fashion = moved(tmp_path, branch=True).open("fashion")
    assert len(fashion.snapshot("feedback").read()) == 3
