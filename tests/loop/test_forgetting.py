"""A person's right: after ``forget`` no byte of the store has the value, and what was trained on it is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound

NEEDLE = "needle-77aa31"
PIPELINE = """
import tidemill as tm

@tm.row_step
def louder(rows: tm.Table) -> tm.Table:
    return rows.with_column("name", [n.upper() + n for n in rows.to_polars()["name"].to_list()])

@tm.step
def longest(rows: tm.Table) -> str:
    print("the names are", rows.to_polars()["name"].to_list())
    return max(rows.to_polars()["name"].to_list(), key=len)

@tm.pipeline(name="names")
def names() -> str:
    return longest(louder(tm.dataset("d")))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "tidemill.toml").write_text('author = "ada"\n')
    with tm.open(tmp_path) as opened:
        yield opened


def bring(project: tm.Project, text: str) -> None:
    file = project.folder / "d.csv"
    file.write_text("customer_id,name\n" + text)
    project.import_data("d", file, key=["customer_id"])
    file.unlink()


def holding(folder: Path) -> list[str]:
    return [
        str(f.relative_to(folder))
        for f in folder.rglob("*")
        if f.is_file() and NEEDLE.lower().encode() in f.read_bytes().lower()
    ]


def test_no_byte_is_left_of_a_forgotten_value(project: tm.Project):
    bring(project, f"1,a\n7,{NEEDLE}\n9,c\n")
    assert project.run(project.folder / "pipeline.py").status == "succeeded"
    bring(project, f"7,{NEEDLE} with more\n8,d\n")
    assert project.run(project.folder / "pipeline.py").status == "succeeded"
    store = project.folder / ".tidemill"
    assert any("blobs" in file for file in holding(store))
    would = project.forget("d", "customer_id = 7", "asked for", dry_run=True)
    assert (would.rows, would.commits, would.dry_run) == (1, 2, True)
    assert len(project.read("d")) == 4
    done = project.forget("d", "customer_id = 7", "asked for")
    assert (done.rows, done.commits, done.trained, done.logged) == (1, 2, [], [])
    assert done.artifacts > 0
    assert holding(store) == []
    assert project.read("d").to_polars()["customer_id"].sort().to_list() == [1, 8, 9]
    again = project.run(project.folder / "pipeline.py")
    assert again.status == "succeeded"
    assert project.value(again.run) == "Aa"
    assert holding(store) == []
    with pytest.raises(InvalidInput) as caught:
        project.forget("d", "customer_id = 8", " ")
    assert caught.value.code == "no-reason"
    assert project.forget("d", "customer_id = 7", "again").rows == 0


def test_a_dataset_is_deleted_only_on_purpose(project: tm.Project):
    from tidemill.loop.datasets import forgetting

    bring(project, "1,a\n")
    with pytest.raises(NotAllowed) as caught:
        forgetting.delete(project._ws, "d")
    assert caught.value.code == "not-confirmed"
    assert project.read("d")
    assert project.delete("d").rows == 1
    with pytest.raises(NotFound):
        project.read("d")


def test_gc_says_and_frees_the_versions_of_a_deleted_branch(project: tm.Project):
    from tidemill.loop.datasets import history

    bring(project, "1,a\n")
    project.branch("d@main", "side")
    file = project.folder / "d.csv"
    file.write_text("customer_id,name\n" + "".join(f"{i},{'x' * 99}{i}\n" for i in range(500)))
    project.import_data("d", file, branch="side")
    history.branch(project._ws, "d@main", "side", delete=True)
    would = {k.kind: k for k in project.gc(dry_run=True).kinds}["dataset versions"]
    assert would.count >= 1
    assert would.bytes > 1000
    assert {k.kind: k for k in project.gc().kinds}["dataset versions"].bytes >= would.bytes
    assert project.gc(dry_run=True).bytes == 0
    assert len(project.read("d")) == 1
