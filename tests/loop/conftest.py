"""What the tests of data use cases share: a project that several people work on."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidemill.core.config import Project, load_project
from tidemill.loop.workspace import Workspace

People = Callable[[str], Workspace]


@pytest.fixture
def people(project_store: None, tmp_path: Path) -> Iterator[People]:
    """Opens the project in ``tmp_path`` as somebody: ``people("ada")``, with the settings as they are then."""
    opened: list[Workspace] = []

    def as_(author: str) -> Workspace:
        project = load_project(tmp_path)
        settings = dataclasses.replace(project.settings, author=author)
        opened.append(Workspace(Project(project.folder, settings)))
        return opened[-1]

    yield as_
    for workspace in opened:
        workspace.close()
