"""Real servers for tests, each started once a session when first asked for."""

from collections.abc import Generator

import pytest

from tests.services import postgres as postgres_service
from tests.services import s3 as s3_service


@pytest.fixture(scope="session")
def s3_running(tmp_path_factory: pytest.TempPathFactory) -> Generator[s3_service.S3Server]:
    if s3_service.program() is None:
        pytest.skip(s3_service.ABSENT)
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
    if postgres_service.programs() is None:
        pytest.skip(postgres_service.ABSENT)
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
