"""Two projects, one store between them: what one person runs, the other need not, and what both change is merged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import AlreadyExists, Conflict, InvalidInput, NotFound

pytestmark = pytest.mark.both_stores

PIPELINE = """
import tidemill as tm

@tm.step
def long(rows: tm.Table) -> tm.Table:
    return rows.filter(rows.numpy("k") > 2)

@tm.step
def total(rows: tm.Table) -> int:
    return int(rows.numpy("k").sum())

@tm.pipeline(name="sum")
def add() -> int:
    return total(long(tm.dataset("d")))
"""


@pytest.fixture
def team(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the store between them is: a folder beside theirs, or S3."""
    if getattr(request, "param", "folder") == "folder":
        return "../team"
    # Each person's machine has a cache of its own; here it is at least no other test's.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return request.getfixturevalue("s3").fresh()


@pytest.fixture
def ada(team: str, tmp_path: Path) -> Iterator[tm.Project]:
    yield from person(tmp_path, "ada", team)


@pytest.fixture
def grace(team: str, tmp_path: Path) -> Iterator[tm.Project]:
    yield from person(tmp_path, "grace", team)


def person(tmp_path: Path, name: str, team: str) -> Iterator[tm.Project]:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "tidemill.toml").write_text(f'author = "{name}"\n\n[remotes.origin]\nstore = "{team}"\n')
    with tm.open(folder) as project:
        yield project


def bring(project: tm.Project, text: str) -> None:
    file = project.folder / "d.csv"
    file.write_text("k,name\n" + text)
    project.import_data("d", file, key=["k"])


def test_a_run_in_a_clone_has_the_same_steps(ada: tm.Project, grace: tm.Project):
    bring(ada, "".join(f"{i},row {i}\n" for i in range(50)))
    bring(ada, "3,other\n60,more\n")
    ada.push("d")
    grace.clone("origin", "d")
    keys = []
    for project in (ada, grace):
        run = project.run(project.folder / "pipeline.py")
        assert run.status == "succeeded"
        with project._ws.store.catalog.read() as read:
            from tidemill.store.catalog import records

            keys.append({s.name: (s.key, s.outputs) for s in read.find(records.Step, {"run": run.run})})
        assert run.inputs == {"d": ada.log("d")[0].id}
    assert keys[0] == keys[1]


def test_pull_moves_on_or_merges(ada: tm.Project, grace: tm.Project):
    bring(ada, "1,a\n2,b\n")
    ada.push("d")
    grace.clone("origin", "d")
    bring(ada, "3,c\n")
    ada.push("d")
    moved = grace.pull("d")
    assert (moved.outcome, moved.commit) == ("forward", ada.log("d")[0].id)
    assert moved.rows
    assert moved.rows.added == 1
    assert grace.pull("d").outcome == "already"
    bring(grace, "4,grace\n")
    bring(ada, "5,ada\n")
    ada.push("d")
    with pytest.raises(Conflict, match="origin has commits"):
        grace.push("d")
    merged = grace.pull("d")
    assert merged.outcome == "merged"
    grace.push("d")
    assert ada.pull("d").outcome == "forward"
    assert ada.read("d").to_polars().sort("k")["name"].to_list() == ["a", "b", "c", "grace", "ada"]


def test_a_pull_that_conflicts_keeps_what_was_fetched(ada: tm.Project, grace: tm.Project):
    bring(ada, "1,a\n2,b\n")
    ada.push("d")
    grace.clone("origin", "d")
    bring(ada, "1,by ada\n")
    bring(grace, "1,by grace\n")
    ada.push("d")
    with pytest.raises(Conflict) as caught:
        grace.pull("d")
    assert caught.value.code == "merge-conflict"
    assert grace.read("d@origin/main").to_polars()["name"].to_list()[-1] == "by ada"
    assert grace.log("d")[0].author == "grace"


def test_a_clone_by_address_writes_the_remote_down(ada: tm.Project, team: str, tmp_path: Path):
    bring(ada, "1,a\n")
    ada.push("d")
    folder = tmp_path / "new"
    folder.mkdir()
    address = team if "://" in team else str(tmp_path / "team")
    with tm.open(folder) as project:
        assert project.clone(address, "d").commits == 1
        with pytest.raises(AlreadyExists):
            project.clone(address, "d")
    with tm.open(folder) as project:
        assert project.pull("d").outcome == "already"


def test_what_cannot_be_shared(ada: tm.Project, tmp_path: Path):
    bring(ada, "1,a\n")
    for move, kind, code in (
        (lambda: ada.push("d", "orgin"), NotFound, "remote-not-found"),
        (lambda: ada.pull("d"), NotFound, "store-not-found"),
        (lambda: ada.clone(str(tmp_path / "ada" / ".tidemill"), "e"), InvalidInput, "same-store"),
        (lambda: ada.push("e"), NotFound, "dataset-not-found"),
    ):
        with pytest.raises(kind) as caught:
            move()
        assert caught.value.code == code
        assert caught.value.hint
    ada.push("d")
    with pytest.raises(NotFound) as missing:
        ada.pull("d", branch="side")
    assert missing.value.code == "branch-not-found"
