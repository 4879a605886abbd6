"""Real server processes for the tests of this folder; each ends with its test."""

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.bundles import Bundle, Deploy, Start, build, digest
from tidemill.core.settings import LimitSettings
from tidemill.serve import client
from tidemill.serve.client import Standby, Status


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("bundles") / "one", 1)


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another release of the same model."""
    return build(tmp_path_factory.mktemp("bundles") / "two", 2)


@pytest.fixture
def start(bundle: Bundle, tmp_path: Path) -> Generator[Start]:
    """Starts standbys in ``tmp_path / "environments"``; whatever is live or waits there ends with the test."""
    started: list[Standby] = []
    folders: set[tuple[Path, str]] = set()

    def start(made: Bundle | None = None, number: int = 1, **options: Any) -> Standby:
        options = {"environment": "prod", "folder": tmp_path / "environments"} | options
        folders.add((options["folder"], options["environment"]))
        standby = client.start_standby(
            bundle=(made or bundle).folder, name="ten", release=digest(number), number=number, **options
        )
        started.append(standby)
        return standby

    yield start
    for standby in started:
        standby.abandon()
    for folder, environment in folders:
        client.stop(folder, environment)
    for standby in started:
        try:
            standby._process.wait(10)
        except subprocess.TimeoutExpired:
            # It lost its control socket: a failed test leaves no server behind.
            standby._process.kill()
            standby._process.wait()


@pytest.fixture
def deploy(start: Start) -> Deploy:
    """Starts a standby and lets it take over."""

    def deploy(made: Bundle | None = None, number: int = 1, **options: Any) -> Status:
        return start(made, number, **options).take_over()

    return deploy


@pytest.fixture(scope="module")
def live(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Generator[Status]:
    """A server that the tests of one file share."""
    folder = tmp_path_factory.mktemp("live")
    with client.start_standby(
        bundle=bundle.folder,
        name="ten",
        release=digest(7),
        number=7,
        environment="dev",
        folder=folder,
        limits=LimitSettings(body_bytes=4_000_000, request_rows=500),
    ) as standby:
        yield standby.take_over()
    client.stop(folder, "dev")


@pytest.fixture
def asked(live: Status) -> Generator[httpx.Client]:
    """An HTTP client of that server that knows nothing of Tidemill."""
    with httpx.Client(base_url=live.address, timeout=180) as client:
        yield client
