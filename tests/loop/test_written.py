"""Files that were written beside the store: a row that is forgotten leaves them, or the person is told where it is."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import Conflict, Failed
from tidemill.loop import written
from tidemill.loop.datasets import diffing, merging, profiling, reviewing
from tidemill.loop.datasets.review_showing import show_review

pytestmark = pytest.mark.both_stores

NEEDLE = "needle-5c41d0"


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "tidemill.toml").write_text('author = "ada"\n[checks.d.columns.v]\none_of = ["a", "b"]\n')
    with tm.open(tmp_path) as opened:
        bring(opened, f"1,{NEEDLE},a\n2,x,a\n")
        yield opened


def bring(project: tm.Project, rows: str, branch: str | None = None) -> None:
    file = project.folder / "rows.in"
    file.write_text("id,name,v\n" + rows)
    try:
        project.import_data("d", file.rename(project.folder / "d.csv"), key=["id"], branch=branch)
    finally:
        (project.folder / "d.csv").unlink()


def showing(project: tm.Project) -> list[str]:
    return sorted(
        str(f.relative_to(project.folder))
        for f in project.folder.rglob("*")
        if f.is_file() and NEEDLE.encode() in f.read_bytes()
    )


def beside(project: tm.Project) -> list[str]:
    return [f for f in showing(project) if not f.startswith(".tidemill")]


def refuse(project: tm.Project) -> Path:
    with pytest.raises(Failed):
        bring(project, f'1,"{NEEDLE}\nof ""two"" lines",zz\n2,x,zz\n3,"a\n""b""",zz\n')
    return project.folder / "refused-d.csv"


def test_refused_rows_lose_the_one_that_is_forgotten_and_keep_the_others(project: tm.Project):
    file = refuse(project)
    before = file.read_bytes().splitlines(keepends=True)
    assert beside(project) == ["refused-d.csv"]
    would = project.forget("d", "id = 1", "asked for", dry_run=True)
    assert (would.rewritten, would.deleted, would.left) == ([str(file)], [], [])
    assert beside(project) == ["refused-d.csv"]
    done = project.forget("d", "id = 1", "asked for")
    assert (done.rewritten, done.deleted, done.left) == ([str(file)], [], [])
    assert showing(project) == []
    # Byte for byte the others' lines, of which one is in two.
    assert file.read_bytes().splitlines(keepends=True) == [before[0], *before[3:]]
    # What was rewritten is known as it is now.
    assert project.forget("d", "id = 2", "asked for").rewritten == [str(file)]
    assert len(file.read_bytes().splitlines()) == 3


def test_a_refused_row_that_no_commit_ever_had_is_forgotten_and_does_not_come(
    project: tm.Project, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(Failed):
        bring(project, f'5,"{NEEDLE}, refused",zz\n2,x,zz\n')
    file = project.folder / "refused-d.csv"
    where = f"name = '{NEEDLE}, refused'"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        done = project.forget("d", where, "asked for")
    assert (done.rows, f"{file} (refused rows) is on" in done.left[0]) == (0, True)
    would = project.forget("d", where, "asked for", dry_run=True)
    assert (would.rows, would.commits, would.rewritten) == (1, 0, [str(file)])
    done = project.forget("d", where, "asked for")
    assert (done.rows, done.commits, done.rewritten, done.left) == (1, 0, [str(file)], [])
    assert NEEDLE not in file.read_text()
    assert len(file.read_text().splitlines()) == 2
    assert all("refused" not in (project.folder / f).read_text("latin-1") for f in showing(project))
    # Also not corrected; and it is said, of a dry run and where others of the rows are refused too.
    file = project.folder / "again.csv"
    for dry_run, quarantine in ((True, False), (False, False), (False, True)):
        file.write_text("id,name,v\n5,later,a\n2,x,a\n" + "6,y,zz\n" * quarantine)
        (note,) = project.import_data("d", file, dry_run=dry_run, quarantine=quarantine).notes
        assert (note.code, note.column) == ("forgotten-rows", None)
        assert re.fullmatch(r"1 row left out: forgotten on \d{4}-\d\d-\d\d \(asked for\)\.", note.text)
    assert len(project.read("d")) == 2


def test_an_export_is_made_again_without_the_row(project: tm.Project):
    for name in ("out.csv", "deep/er/out.parquet"):
        project.export("d", project.folder / name)
    assert "out.csv" in beside(project)
    done = project.forget("d", "id = 1", "asked for")
    assert sorted(Path(f).name for f in done.rewritten) == ["out.csv", "out.parquet"]
    assert showing(project) == []
    assert (project.folder / "out.csv").read_text().splitlines()[1:] == ['2,"x","a"']
    again = project.import_data("again", project.folder / "deep/er/out.parquet")
    assert again.total == 1


def test_pages_that_showed_the_row_are_deleted_and_others_stay(project: tm.Project):
    ws = project._ws
    bring(project, "2,y,b\n", branch=None)
    project.branch("d", "side")
    bring(project, f"1,{NEEDLE} more,b\n", branch="side")
    reviewing.open_review(ws, "d", "side")
    profiling.profile(ws, "d", html=project.folder / "pages" / "profile.html")
    show_review(ws, "d#1", html=project.folder / "pages" / "review.html")
    diffing.write(
        ws, project.folder / "diff.csv", diffing.shown(ws, "d", "side"), diffing.as_csv(ws, "d", "side")
    )
    project.import_data("other", {"id": [1], "name": ["of nobody"]})
    profiling.profile(ws, "other", html=project.folder / "pages" / "other.html")
    assert beside(project) == ["diff.csv", "pages/profile.html", "pages/review.html"]
    done = project.forget("d", "id = 1", "asked for")
    assert sorted(Path(f).name for f in done.deleted) == ["diff.csv", "profile.html", "review.html"]
    assert (done.rewritten, done.left) == ([], [])
    assert showing(project) == []
    assert (project.folder / "pages" / "other.html").exists()


def test_conflicts_lose_the_line_of_the_row(project: tm.Project):
    project.branch("d", "side")
    bring(project, f"1,{NEEDLE} here,a\n2,here,a\n")
    bring(project, f"1,{NEEDLE} there,a\n2,there,a\n", branch="side")
    file = project.folder / "conflicts.csv"
    assert merging.conflicts_file(project._ws, "d", "side", file).conflicts == 2
    assert NEEDLE in file.read_text()
    assert project.forget("d", "id = 1", "asked for").rewritten == [str(file)]
    assert len(file.read_text().splitlines()) == 2
    assert showing(project) == []


def test_a_file_that_is_another_by_now_is_named_and_left(project: tm.Project):
    changed, moved = project.folder / "changed.csv", project.folder / "moved.csv"
    project.export("d", changed)
    project.export("d", moved)
    changed.write_text(changed.read_text() + "9,mine,a\n")
    moved.rename(project.folder / "elsewhere.csv")
    done = project.forget("d", "id = 1", "asked for")
    assert (done.rewritten, done.deleted) == ([], [])
    assert [str(changed) in done.left[0], str(moved) in done.left[1]] == [True, True]
    assert "changed since" in done.left[0]
    assert "not there any more" in done.left[1]
    assert beside(project) == ["changed.csv", "elsewhere.csv"]


def test_a_file_of_another_machine_is_named_and_cleared_there(
    project: tm.Project, monkeypatch: pytest.MonkeyPatch
):
    file = project.folder / "out.csv"
    project.export("d", file)
    here = written.socket.gethostname()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        done = project.forget("d", "id = 1", "asked for")
    assert done.rewritten == []
    assert f"it is on {here}" in done.left[0]
    assert beside(project) == ["out.csv"]
    project.gc()
    assert showing(project) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import tidemill as tm
from tidemill.loop import written

project = tm.open(sys.argv[1])
real = Path.replace
def replace(self, target):
    if self.name.endswith(".part") and Path(target).name == sys.argv[2]:
        if sys.argv[3] == "after":
            real(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = replace
if sys.argv[4] == "export":
    project.export("d", project.folder / "out.csv")
else:
    project.forget("d", "id = 1", "asked for")
"""


def killed(project: tm.Project, moment: str, doing: str) -> None:
    words = [sys.executable, "-c", KILLED, str(project.folder), "out.csv", moment, doing]
    ended = subprocess.run(words, check=False, capture_output=True, timeout=300, env=os.environ)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("doing", ["export", "forget"])
def test_killed_where_a_file_takes_its_place(project: tm.Project, moment: str, doing: str):
    if doing == "forget":
        project.export("d", project.folder / "out.csv")
    killed(project, moment, doing)
    assert beside(project) != [] or (doing, moment) == ("forget", "after")
    if doing == "forget":
        project.gc()
    else:
        project.forget("d", "id = 1", "asked for")
    assert showing(project) == []


def test_a_file_that_is_being_written_while_rows_are_forgotten_is_not_finished(project: tm.Project):
    ws = project._ws
    about = written.shown(ws.store, "d", [ws.datasets.open("d").head().id])
    with (
        pytest.raises(Conflict) as caught,
        written.writing(ws.store, project.folder / "page.html", "profile", [about]) as part,
    ):
        part.write_text(NEEDLE)
        project.forget("d", "id = 1", "asked for")
    assert caught.value.code == "object-changed"
    assert showing(project) == []
