"""Runs on a store in S3 with PostgreSQL: another machine has their results, and a server that restarts is nothing."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.projects import Project
from tests.services.postgres import Postgres, postgres_server
from tests.services.s3 import S3Server
from tidemill.store.open import Store

SQUARES = """
import tidemill as tm
import numpy as np

@tm.step
def numbers(n: int) -> np.ndarray:
    return np.arange(n)

@tm.step
def squares(x: np.ndarray) -> np.ndarray:
    return x * x

@tm.pipeline
def p(n: int = 4):
    return squares(numbers(n))
"""
SLOW = """
import pathlib, time
import tidemill as tm

@tm.step
def wait(go: str) -> int:
    pathlib.Path(go + ".started").touch()
    while not pathlib.Path(go).exists():
        time.sleep(0.01)
    return 1

@tm.step
def after(x: int) -> int:
    return x + 1

@tm.pipeline
def slow(go: str):
    return after(wait(go))
"""


def machine(folder: Path, store: Callable[[Path], Store]) -> Project:
    """A project of the same store in a folder of its own, as another machine has it."""
    folder.mkdir()
    return Project(folder, store(folder / ".tidemill"))


def test_another_machine_finds_what_was_computed(s3: S3Server, postgres: Postgres, tmp_path: Path):
    address, catalog = s3.fresh(), postgres.catalog()
    opened = [
        machine(tmp_path / name, lambda local: Store.create(address, local=local, catalog=catalog))
        for name in ("here", "there")
    ]
    for project, expected in zip(opened, ("computed", "cached"), strict=True):
        project.write(SQUARES)
        result = project.run()
        assert {s.status for s in result.steps} == {expected}
        assert project.value(result).tolist() == [0, 1, 4, 9]
        project.store.close()
    cached = {p.name for p in (tmp_path / "there").rglob("sha256/*/*")}
    assert cached == {p.name for p in (tmp_path / "there").rglob("*") if len(p.name) == 64}
    assert len(cached) == 1, "only what was read was fetched"


def test_a_database_that_restarts_while_a_step_computes_is_not_noticed(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with postgres_server() as server:
        monkeypatch.setenv("PGPASSWORD", server.password)
        catalog = server.catalog()
        project = machine(
            tmp_path / "p", lambda local: Store.create(s3.fresh(), local=local, catalog=catalog)
        )
        project.write(SLOW)
        go = tmp_path / "go"

        def restart() -> None:
            while not Path(f"{go}.started").exists():
                threading.Event().wait(0.01)
            server.restart()
            go.touch()

        restarting = threading.Thread(target=restart)
        restarting.start()
        result = project.run(go=str(go))
        restarting.join()
        assert [s.status for s in result.steps] == ["computed", "computed"]
        assert project.value(result) == 2
        project.store.close()
