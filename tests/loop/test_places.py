"""Two people, each with a machine, on one bucket and one database: an environment belongs to the place that serves it."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tests.loop.test_firing import PIPELINE, SETTINGS, rows
from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tidemill.core.errors import Conflict
from tidemill.loop import deploy
from tidemill.loop.views import EnvironmentView
from tidemill.pipeline import load
from tidemill.release import environments, servers
from tidemill.store.catalog import records

pytestmark = [pytest.mark.sklearn, pytest.mark.slow]


@pytest.fixture
def people(
    s3: S3Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[tm.Project, tm.Project]]:
    """Ada and Grace, each with a clone of the project; two releases are made."""
    monkeypatch.setenv("TIDEMILL_STORE", s3.fresh())
    monkeypatch.setenv("TIDEMILL_CATALOG", postgres.catalog())
    made: list[tm.Project] = []
    for name in ("ada", "grace"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
        (folder / "tidemill.toml").write_text(f'author = "{name}"\n{SETTINGS}')
        made.append(tm.open(folder))
    ada, grace = made
    (ada.folder / "points.csv").write_text(rows(1, 100))
    ada.import_data("points", ada.folder / "points.csv", tensors={"x": "x*:2"}, label="label")
    assert ada.run(ada.folder / "pipeline.py").status == "succeeded"
    ada.release()
    yield ada, grace
    for person in made:
        for told in environments.running(person._ws.store):
            servers.stop(person._ws.store, told.environment)
        person.close()
    load.leave()


def looked_at(person: tm.Project, environment: str) -> EnvironmentView:
    return next(e for e in person.environments() if e.environment == environment)


def recorded(person: tm.Project) -> list[records.Deployment]:
    with person._ws.store.catalog.read() as read:
        return read.find(records.Deployment, order=("id",))


def test_an_environment_is_served_and_settled_by_one_place(people: tuple[tm.Project, tm.Project]):
    ada, grace = people
    ada.promote("latest", "dev")
    deploy.promote(ada._ws, "latest", "test", "for the trial")
    machine = f":{ada._ws.store.folder}"

    # A colleague who looks sees where it is served, and writes nothing, whatever the record says.
    with ada._ws.store.catalog.write() as write:
        write.change(records.Deployment, {"environment": "test"}, status="starting")
    before = recorded(ada)
    assert looked_at(grace, "test").release is None
    assert recorded(ada) == before
    assert looked_at(ada, "test").running
    seen = looked_at(grace, "test")
    assert (seen.number, seen.running) == (1, False)
    assert machine in (seen.note or "")
    [line] = deploy.deployments(grace._ws, "test")
    assert (line.number, line.author, line.reason) == (1, "ada", "for the trial")
    assert (line.machine or "").endswith(machine)

    # What another place serves is not changed from here.
    changes: tuple[Callable[[], object], ...] = (
        lambda: grace.promote("latest", "test"),
        lambda: grace.rollback("test"),
        lambda: grace.stop("test"),
        lambda: deploy.serve(grace._ws, "test"),
    )
    for change in changes:
        with pytest.raises(Conflict) as refused:
            change()
        assert refused.value.code == "served-elsewhere"
        assert machine in refused.value.message
    assert recorded(ada) == recorded(grace)

    # The first environment is each one's own.
    assert looked_at(grace, "dev").release is None
    grace.promote("latest", "dev")
    assert looked_at(ada, "dev").running
    assert looked_at(grace, "dev").running

    # What answers keeps its bundle, whatever the records say.
    with ada._ws.store.catalog.write() as write:
        write.change(records.Deployment, {}, status="failed")
    bundles = ada._ws.store.environments_folder / "bundles"
    there = sorted(path.name for path in bundles.iterdir())
    ada.gc()
    assert sorted(path.name for path in bundles.iterdir()) == there
    with ada._ws.store.catalog.write() as write:
        write.change(records.Deployment, {}, status="live")

    # Taken over, with a reason; the first one ends its server.
    serving = deploy.serve(grace._ws, "test", take_over="ada's machine is down")
    assert serving.number == 1
    assert f":{grace._ws.store.folder}" in (looked_at(ada, "test").note or "")
    told = environments.end_if_taken_over(ada._ws.store, ada._ws.settings, "test")
    assert told is not None
    assert "ada's machine is down" in told
    assert environments.status(ada._ws.store, "test") is None
    assert looked_at(grace, "test").running
    assert [(d.number, d.status, d.author) for d in deploy.deployments(ada._ws, "test")] == [
        (2, "live", "grace"),
        (1, "retired", "ada"),
    ]
