"""A project with a small dataset to label, and the people who do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidemill.core.config import load_project
from tidemill.loop.datasets.importing import import_data
from tidemill.loop.workspace import Workspace

CLASSES = ("cat", "dog", "hen")


def write_csv(path: Path, rows: int, labelled: int = 3) -> Path:
    """Rows with an id, a 2x2 image, and a label in the first ``labelled`` of them."""
    lines = ["id,label,p1,p2,p3,p4"]
    for n in range(rows):
        label = CLASSES[n % 3] if n < labelled else ""
        lines.append(f"{n},{label},{n % 256},0,255,{n % 7}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, project_store: None) -> Path:
    """A project whose dataset ``pets`` has 12 rows, 3 of them with a label."""
    (tmp_path / "tidemill.toml").write_text("[labelling]\nlease_seconds = 60\n", "utf-8")
    ws = Workspace(load_project(tmp_path))
    import_data(ws, "pets", write_csv(tmp_path / "pets.csv", 12), tensors={"image": "p*:2x2"}, key=["id"])
    ws.close()
    return tmp_path


@pytest.fixture
def person(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Workspace]]:
    """The project as somebody has it open."""
    at_work: list[Workspace] = []

    def opened(name: str) -> Workspace:
        monkeypatch.setenv("TIDEMILL_AUTHOR", name)
        at_work.append(Workspace(load_project(folder)))
        return at_work[-1]

    yield opened
    for ws in at_work:
        ws.close()
