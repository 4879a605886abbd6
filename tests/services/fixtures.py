"""Real servers for tests, each started once a session when first asked for, and stores on them.

A test marked ``both_stores`` runs twice: with its ``store``, or its project's, in a folder, and in S3 with PostgreSQL. One of such
a file that is about the folder itself is marked ``folder_store``.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services import postgres as postgres_service
from tests.services import s3 as s3_service
from tidemill.store.open import Store


@pytest.fixture(scope="session")
def s3_running(tmp_path_factory: pytest.TempPathFactory) -> Generator[s3_service.S3Server]:
    with s3_service.s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_running: s3_service.S3Server, monkeypatch: pytest.MonkeyPatch) -> s3_service.S3Server:
    """A real S3 server, reached by the environment as a user would."""
    for name, value in s3_running.environment.items():
        monkeypatch.setenv(name, value)
    return s3_running


@pytest.fixture(scope="session")
def postgres_running() -> Generator[postgres_service.Postgres]:
    with postgres_service.postgres_server() as server:
        yield server


@pytest.fixture
def postgres(
    postgres_running: postgres_service.Postgres, monkeypatch: pytest.MonkeyPatch
) -> postgres_service.Postgres:
    """A real PostgreSQL server, whose password the environment has."""
    for name, value in postgres_running.environment.items():
        monkeypatch.setenv(name, value)
    return postgres_running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    named = [
        name for name in ("store", "new_store", "project_store", "team") if name in metafunc.fixturenames
    ]
    if named and "both_stores" in marks and "folder_store" not in marks:
        metafunc.parametrize(named[0], ["folder", "remote"], indirect=True)


@pytest.fixture
def project_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store of a test's project is, as the environment says: nothing, or a remote one's addresses."""
    if getattr(request, "param", "folder") == "remote":
        monkeypatch.setenv("TIDEMILL_STORE", request.getfixturevalue("s3").fresh())
        monkeypatch.setenv("TIDEMILL_CATALOG", request.getfixturevalue("postgres").catalog())


class NewStore:
    """Makes stores of the kind that the test was asked to take: in a folder, or remote with that folder beside it.

    Attributes:
        kind: ``folder`` or ``remote``.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.kind: str = getattr(request, "param", "folder")
        if self.kind == "remote":
            self._s3, self._postgres = request.getfixturevalue("s3"), request.getfixturevalue("postgres")

    def __call__(self, folder: Path) -> Store:
        if self.kind == "folder":
            return Store.create(folder)
        return Store.create(self._s3.fresh(), local=folder, catalog=self._postgres.catalog())


@pytest.fixture
def new_store(request: pytest.FixtureRequest) -> NewStore:
    return NewStore(request)


@contextmanager
def opened_store(request: pytest.FixtureRequest, folder: Path) -> Generator[Store]:
    """A new store of the kind that the test was asked to take."""
    store = NewStore(request)(folder)
    try:
        yield store
    finally:
        store.close()
