"""One person's row is driven through the whole product, then forgotten: no byte of any place has it afterwards.

Every file below the project, every object of the bucket and every row of the catalog's database is looked into, as it
is and unpacked. What is left is what the command itself has named.
"""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tidemill as tm
from tidemill.core.errors import Failed, InvalidInput
from tidemill.loop.datasets import profiling, reviewing
from tidemill.loop.datasets.review_showing import show_review
from tidemill.models.signature import Signature, Tensor
from tidemill.serve import log_layout
from tidemill.serve.log_layout import log_file

pytestmark = pytest.mark.both_stores

NEEDLE = "Needle-8842-Haystack"
GONE = "id in (1, 8)"
PIPELINE = """
import tidemill as tm

@tm.row_step
def louder(rows: tm.Table) -> tm.Table:
    return rows.with_column("loud", [n.upper() + "!" for n in rows.to_polars()["name"].to_list()])

@tm.step
def listed(rows: tm.Table) -> list:
    names = rows.to_polars()["name"].to_list()
    print("names:", names)
    return names

@tm.step
def failing(names: list, fail: bool) -> int:
    if fail:
        raise ValueError(f"cannot do {names}")
    return len(names)

@tm.pipeline
def names(data: tm.Dataset = tm.dataset("d"), fail: bool = False, who: str = "nobody"):
    return {"count": failing(listed(louder(data)), fail)}
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    home = tmp_path / "project"
    home.mkdir()
    (home / "pipeline.py").write_text(PIPELINE)
    (home / "tidemill.toml").write_text(
        f'author = "ada"\n[checks.d.columns.v]\none_of = ["a", "b"]\n[remotes.origin]\nstore = "{tmp_path / "remote"}"\n'
    )
    with tm.open(home) as opened:
        yield opened


def unpacked(content: bytes) -> Iterator[bytes]:
    """A file's bytes, and what is packed in them: gzip, zip, tar, Parquet."""
    yield content
    with suppress(OSError, EOFError):
        if content[:2] == b"\x1f\x8b":
            yield from unpacked(gzip.decompress(content))
    with suppress(zipfile.BadZipFile):
        if content[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield from unpacked(archive.read(name))
    with suppress(tarfile.TarError):
        if content[257:262] == b"ustar":
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for member in archive:
                    if file := archive.extractfile(member):
                        yield from unpacked(file.read())
    if content[:4] == b"PAR1":
        yield str(pq.read_table(io.BytesIO(content)).to_pydict()).encode()


def has(content: bytes) -> bool:
    needles = (NEEDLE.lower().encode(), NEEDLE.lower().encode("utf-16-le"))
    return any(needle in part.lower() for part in unpacked(content) for needle in needles)


def holding(project: tm.Project) -> list[str]:
    """Where the needle is: files of the project, objects of the bucket, tables of the database."""
    found = [
        str(f.relative_to(project.folder.parent))
        for f in project.folder.parent.rglob("*")
        if f.is_file() and has(f.read_bytes())
    ]
    store = project._ws.store
    if store.objects.path("") is None:
        for entry in store.objects.list():
            there = store.objects.get(entry.key)
            if there and has(there[0]):
                found.append(entry.key)
    address = os.environ.get("TIDEMILL_CATALOG")
    if address:
        dump = subprocess.run(["pg_dump", "--inserts", address], capture_output=True, check=True).stdout
        found += [line[:60].decode() for line in dump.splitlines() if has(line)]
    return sorted(found)


def bring(project: tm.Project, rows: str, branch: str | None = None) -> None:
    file = project.folder / "d.csv"
    file.write_text("id,name,v\n" + rows)
    try:
        project.import_data("d", file, key=["id"], branch=branch)
    finally:
        file.unlink()


def log_requests(project: tm.Project) -> Path:
    """A log as a server of an environment that was stopped since leaves it: one asks by name, one by key."""
    file = log_file(project._ws.store.environments_folder, "prod")
    asked = Signature("m", (Tensor("id", "INT64", (-1,)), Tensor("name", "BYTES", (-1,))), ())
    rows = log_layout.encode_rows(
        {"id": np.array([1, 1, 2, 2]), "name": np.array([NEEDLE, "other", "x", f"about {NEEDLE}"], object)},
        asked.inputs,
    )
    with closing(log_layout.open_to_write(file)) as log:
        log.execute("INSERT INTO releases VALUES (1, 'sha256:1', 1, ?)", (json.dumps(asked.to_json()),))
        for number, inputs in enumerate(rows):
            log.execute(
                "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES (?, 't', 1, 0, ?, ?)",
                (f"p{number}", inputs, b"\x90"),
            )
        log.execute("INSERT INTO feedback (prediction, label, time) VALUES ('p2', ?, 't')", (f"{NEEDLE}!",))
        log.execute(
            "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES ('q', 't', 1, 0, ?, ?)",
            (rows[2], b"\x90"),
        )
    return file


def drive(project: tm.Project) -> Path:
    ws, folder = project._ws, project.folder
    bring(project, f"1,{NEEDLE},a\n2,x,a\n3,y,b\n")
    with pytest.raises(Failed):
        bring(project, f"1,{NEEDLE} refused,zz\n2,x,zz\n8,{NEEDLE} whom no commit has,zz\n")
    assert project.run(folder / "pipeline.py").status == "succeeded"
    assert project.run(folder / "pipeline.py", fail=True).status == "failed"
    assert project.run(folder / "pipeline.py", who=NEEDLE).status == "succeeded"
    project.branch("d", "side")
    bring(project, f"1,{NEEDLE} again,b\n4,z,b\n", branch="side")
    reviewing.open_review(ws, "d", "side", title=f"About {NEEDLE}", description=f"{NEEDLE} asked")
    reviewing.comment(ws, "d#1", f"Is {NEEDLE} right?")
    queue = project.label_queue("d", column="v", where=f"name = '{NEEDLE}' or id > 1", classes=["a", "b"])
    assert queue.take() is not None
    queue.answer("b")
    profiling.profile(ws, "d", html=folder / "pages" / "profile.html")
    show_review(ws, "d#1", html=folder / "pages" / "review.html")
    project.export("d", folder / "out" / "d.csv")
    project.export("d@side", folder / "out" / "side.parquet")
    project.push("d", branches=["main", "side"])
    return log_requests(project)


@pytest.fixture
def colleague(project: tm.Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[tm.Project]:
    """Who cloned the dataset from where it was pushed to, and whose model was asked about the row too."""
    bring(project, f"1,{NEEDLE},a\n2,x,a\n")
    project.push("d")
    monkeypatch.delenv("TIDEMILL_STORE", raising=False)
    monkeypatch.delenv("TIDEMILL_CATALOG", raising=False)
    home = project.folder.parent / "colleague"
    home.mkdir()
    (home / "tidemill.toml").write_text((project.folder / "tidemill.toml").read_text())
    (home / "pipeline.py").write_text(PIPELINE)
    with tm.open(home) as opened:
        opened.clone("origin", "d")
        yield opened


def test_a_colleague_who_pulls_has_nothing_of_it(project: tm.Project, colleague: tm.Project):
    assert colleague.run(colleague.folder / "pipeline.py").status == "succeeded"
    colleague.export("d", colleague.folder / "out.csv")
    log = log_requests(colleague)
    project.forget("d", "id = 1", "asked for")
    project.push("d")
    there = [f for f in holding(project) if f.startswith("colleague")]
    assert len(there) > 4
    pulled = colleague.pull("d")
    assert pulled.fetched.forgotten == 1
    assert "predictions of them left the log of prod: 4" in pulled.fetched.cleared
    with closing(log_layout.open_to_read(log)) as reader:
        assert reader.execute("SELECT id FROM predictions").fetchall() == [("q",)]
    assert holding(project) == []


ASIDE = """
import tidemill as tm

class Foreign:
    pass

@tm.trainer(features="v", label="name")
def train(rows: tm.Table):
    model = Foreign()
    model.learned = rows.to_polars()["name"].to_list()
    return model

@tm.pipeline
def odd(data: tm.Dataset = tm.dataset("d")):
    return train(data)
"""


def test_a_model_that_is_kept_aside_is_named(project: tm.Project):
    bring(project, f"1,{NEEDLE},a\n2,x,a\n")
    (project.folder / "odd.py").write_text(ASIDE)
    failed = project.run(project.folder / "odd.py")
    assert failed.error is not None
    file = Path(failed.error["details"]["aside"])
    assert has(file.read_bytes())
    stray = file.with_name("of-nobody.pickle")
    stray.write_bytes(b"x")
    for dry_run in (True, False):
        told = project.forget("d", "id = 1", "asked for", dry_run=dry_run).left
        assert [
            (str(f) in each, "delete it" in each) for f, each in zip((file, stray), told, strict=True)
        ] == [
            (True, True),
            (True, True),
        ]
    assert "step 'train'" in told[0]
    # It is nobody's to delete but its owner's, and is told again where others of its rows go.
    assert str(file) in project.forget("d", "id = 2", "asked for").left[0]
    file.unlink()
    assert holding(project) == []


@pytest.mark.parametrize("project_store", ["remote"], indirect=True)
@pytest.mark.folder_store
def test_another_machine_of_the_store_has_nothing_of_it_after_gc(
    project: tm.Project, monkeypatch: pytest.MonkeyPatch
):
    bring(project, f"1,{NEEDLE},a\n2,x,a\n3,y,a\n")
    home = project.folder.parent / "machine"
    home.mkdir()
    (home / "tidemill.toml").write_text((project.folder / "tidemill.toml").read_text())
    (home / "pipeline.py").write_text(PIPELINE)
    with tm.open(home) as machine:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "another-machine")
            assert machine.run(home / "pipeline.py").status == "succeeded"
            machine.export("d", home / "out.csv")
            log = log_requests(machine)
            assert len([f for f in holding(project) if f.startswith("machine")]) > 3
        project.forget("d", "id = 1", "asked for")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "another-machine")
            machine.gc()
        with closing(log_layout.open_to_read(log)) as reader:
            left = [name for (name,) in reader.execute("SELECT id FROM predictions ORDER BY sequence")]
        # Two said another key, and have a text of the row; only the rows told that.
        assert left == ["p2", "p3", "q"]
        assert any("--redact" in each for each in machine.forget("d", "id = 3", "asked too").elsewhere)
        assert machine.forget("d", "id = 1", "asked for", redact=[NEEDLE]).logged == ["prod: 2"]
        assert holding(project) == []


def test_nothing_of_a_forgotten_row_is_left_but_what_is_named(project: tm.Project):
    log = drive(project)
    before = holding(project)
    assert len(before) > 10
    would = project.forget("d", GONE, "asked for", redact=[NEEDLE], dry_run=True)
    assert holding(project) == before
    with pytest.raises(InvalidInput) as caught:
        project.forget("d", GONE, f"{NEEDLE} asked")
    assert caught.value.code == "reason-names-row"
    assert f"'{NEEDLE}'" in str(caught.value)
    first = project.forget("d", GONE, "asked for")
    assert first.logged == would.logged == ["prod: 4"]
    with closing(log_layout.open_to_read(log)) as reader:
        assert reader.execute("SELECT id FROM predictions").fetchall() == [("q",)]
        assert reader.execute("SELECT count(*) FROM feedback").fetchone() == (0,)
    told = " ".join(first.mentioned)
    for place in (
        "title of review d#1",
        "description of review d#1",
        "comment 1 of review d#1",
        "selection of",
        "parameters of run",
    ):
        assert place in told, first.mentioned
    assert any(each.startswith("title of review d#1 (") and NEEDLE in each for each in first.mentioned)
    # What is left in the catalog is what people wrote; it is named, and goes on a word.
    done = project.forget("d", GONE, "asked for", redact=[NEEDLE])
    assert len(done.redacted) == len(first.mentioned)
    assert any("data push d origin" in each for each in first.elsewhere)
    remote = [f for f in holding(project) if f.startswith("remote")]
    assert holding(project) == remote != []
    pushed = project.push("d", branches=["main", "side"])
    assert pushed.forgotten == 2
    assert holding(project) == []
    # What is recorded of it: that, when, by whom and why.
    marks = [m for c in project._ws.datasets.open("d").log() for m in c.forgotten]
    assert {(m.rows, m.author, m.reason) for m in marks} == {(1, "ada", "asked for")}
    assert project.run(project.folder / "pipeline.py").status == "succeeded"
    assert holding(project) == []


STAGES = [
    "tidemill.loop.datasets.forgetting:clear_releases",
    "tidemill.data.forgetting:sweep",
    "tidemill.loop.datasets.forgetting:remove_unnamed",
    "tidemill.loop.datasets.forgetting:clear_machine",
    "tidemill.data.forgetting:settled",
]
"""Functions before each of which a forgetting is killed, in the order in which it comes to them."""
KILLED = """
import importlib, os, signal, sys
import tidemill as tm

module, _, name = sys.argv[2].partition(":")
setattr(importlib.import_module(module), name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
tm.open(sys.argv[1]).forget("d", sys.argv[3], "asked for", redact=[sys.argv[4]])
"""


@pytest.mark.slow
def test_typed_again_after_each_kill_it_comes_to_its_end(project: tm.Project):
    """Each process is killed one stage later than the one before, which left its state to it."""
    log = drive(project)
    project.close()
    for stage in STAGES:
        command = [sys.executable, "-c", KILLED, str(project.folder), stage, GONE, NEEDLE]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert ended.returncode == -signal.SIGKILL, (stage, ended.stderr)
    with tm.open(project.folder) as again:
        again.forget("d", GONE, "asked for", redact=[NEEDLE])
        assert [f for f in holding(again) if not f.startswith("remote")] == []
        assert len(again.read("d")) == 2
    with closing(log_layout.open_to_read(log)) as reader:
        assert reader.execute("SELECT id FROM predictions").fetchall() == [("q",)]
