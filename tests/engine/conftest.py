"""One project a test; the workers stay warm from test to test, as they do from run to run."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.projects import Project
from tests.services.fixtures import NewStore
from tidemill.pipeline import load


@pytest.fixture
def project(new_store: NewStore, tmp_path: Path) -> Generator[Project]:
    """An empty project with a store."""
    made = Project(tmp_path, new_store(tmp_path / ".tidemill"))
    yield made
    made.store.close()
    load.leave()
