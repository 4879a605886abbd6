"""A team's catalog that an older Tidemill made: it is read as it is, and migrated when somebody says so."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tidemill.core.errors import Conflict
from tidemill.loop import doctor, firing, gc, migrating
from tidemill.pipeline import load
from tidemill.store.catalog.database import HEAD

PIPELINE = """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.pipeline
def doubled(n: int = 1) -> int:
    return double(n)
"""
TO_0005 = (
    "drop table pairing",
    "drop table garbage",
    "drop table deployment_changes",
    "drop table wishes",
    "drop table lookouts",
    "alter table firings drop column dataset, drop column branch",
    "alter table deployments drop column number, drop column back_from, drop column place, drop column machine",
    "alter table deployments drop column kind, drop column asked_from, drop column wish",
    "update alembic_version set version_num = '0005'",
)
"""What the migrations since then did, taken back."""


@pytest.fixture
def older(
    s3: S3Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Path]:
    """A project with a run, whose catalog has the version 0005."""
    monkeypatch.setenv("TIDEMILL_STORE", s3.fresh())
    monkeypatch.setenv("TIDEMILL_CATALOG", postgres.catalog())
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    with tm.open(tmp_path) as project:
        assert project.run(tmp_path / "pipeline.py").status == "succeeded"
    database = os.environ["TIDEMILL_CATALOG"].rpartition("/")[2]
    for change in TO_0005:
        postgres.sql(change, database)
    yield tmp_path
    load.leave()


def test_an_older_catalog_is_read_as_it_is_and_migrated_when_that_is_said(older: Path):
    file = older / "pipeline.py"
    with tm.open(older) as project:
        [run] = project.runs()
        assert (run.status, project.value(run.run)) == ("succeeded", 2)
        assert project.releases() == project.models() == []
        assert {e.running for e in project.environments()} == {False}
        assert firing.fired(project._ws) == []
        assert gc.marked(project._ws) is None
        assert all(f.ok for f in doctor.doctor(older))
        for write in (lambda: project.run(file), project.gc):
            with pytest.raises(Conflict) as refused:
                write()
            assert refused.value.code == "catalog-older"
            assert "store migrate" in (refused.value.hint or "")
        would = migrating.migrate(project._ws, really=False)
        assert (would.before, would.after, would.done) == ("0005", HEAD, False)
        assert would.changes[0] == "The store that the catalog belongs to."
        assert len(would.changes) == int(HEAD) - 5
        assert would.people == [f"runs on {os.uname().nodename}"]
    with tm.open(older) as project:
        assert migrating.migrate(project._ws, really=True).done
        assert project.run(file).status == "succeeded"
        assert project._ws.store.catalog.paired() is not None
    with tm.open(older) as project:
        assert len(project.runs()) == 2
        assert migrating.migrate(project._ws, really=True).changes == []


def test_a_migration_that_is_killed_at_any_moment_is_ended_by_the_next(older: Path):
    command = [sys.executable, "-m", "tidemill", "store", "migrate", "--yes"]
    chance = random.Random(os.urandom(8))
    for _ in range(4):
        with subprocess.Popen(
            command, cwd=older, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5 + chance.random())
            process.send_signal(signal.SIGKILL)
        with tm.open(older) as project:
            assert project._ws.store.catalog.version in ("0005", HEAD)
            assert [run.status for run in project.runs()] == ["succeeded"]
    ended = subprocess.run(command, cwd=older, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with tm.open(older) as project:
        assert project._ws.store.catalog.version == HEAD
        assert project.run(older / "pipeline.py").status == "succeeded"
        assert all(f.ok for f in doctor.doctor(older))
