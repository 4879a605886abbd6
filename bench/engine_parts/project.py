"""A project as a user has it: a folder with a pipeline file and a store, and runs in this process."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.data.datasets import Datasets

PIPELINES = Path(__file__).with_name("pipelines.py")


class Project:
    """An open project whose pipelines are those of pipelines.py; ``last`` is the latest run."""

    def __init__(self, folder: Path) -> None:
        from tidemill.core.config import load_project
        from tidemill.loop.workspace import Workspace

        folder.mkdir(exist_ok=True)
        (folder / "tidemill.toml").touch()
        self.folder = folder
        self.file = Path(shutil.copy(PIPELINES, folder / "pipeline.py"))
        self._workspace = Workspace(load_project(folder))
        self.last: Any = None

    def close(self) -> None:
        self._workspace.close()

    @property
    def datasets(self) -> "Datasets":
        return self._workspace.datasets

    def run(self, name: str, expect: set[str] | None = None, **parameters: Any) -> None:
        """Run a pipeline; its steps must be what is expected, such as all cached."""
        from tidemill.loop import runs

        self.last = runs.run(self._workspace, self.file, parameters, name=name)
        assert self.last.status == "succeeded", self.last.error
        found = {s.status for s in self.last.steps}
        assert expect is None or found == expect, found

    def plan(self, name: str, **parameters: Any) -> None:
        """What a run would compute, which must be nothing."""
        from tidemill.loop import runs

        found = runs.forecast(self._workspace, self.file, parameters, name=name)
        assert found.computed == 0, found
