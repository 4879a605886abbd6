"""A project with its store open: what every use case starts from."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.config import Project, find_project, load_project
from tidemill.core.errors import NotFound
from tidemill.core.names import check_name, suggested
from tidemill.core.settings import FILE
from tidemill.core.settings_file import toml_key
from tidemill.loop.guard import guard
from tidemill.loop.views import Initialised

if TYPE_CHECKING:
    from tidemill.data import Datasets, Guard
    from tidemill.store.open import Store

_TOML = """\
# The settings of this project; docs/settings.md lists them all.

[pipelines.{key}]
file = "pipeline.py"

[pipelines.{key}.gate]
rules = []
"""
_PIPELINE = '''\
"""A first pipeline. Run it with: tidemill run pipeline.py -p n=3"""

import tidemill as tm


@tm.step
def double(x: int) -> int:
    return 2 * x


@tm.pipeline(name="{name}")
def quadruple(n: int = 1) -> int:
    return double(double(n))
'''
_IGNORED = ".tidemill/\n__pycache__/\n"


class Workspace:
    """An open project. Its store opens when it is first used.

    Attributes:
        tell: Told in a sentence what a command did beside what it was asked for.
    """

    def __init__(self, project: Project, tell: Callable[[str], None] = lambda _: None) -> None:
        self.project = project
        self.tell = tell

    @property
    def settings(self):  # noqa: ANN201 - the type is core's own
        """The project's settings."""
        return self.project.settings

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.project.folder

    @cached_property
    def store(self) -> "Store":
        """The store; made if the project has none yet."""
        from tidemill.store.open import Store  # noqa: PLC0415 - SQLAlchemy takes 0.25 s

        return Store.create(
            self.project.store_address,
            local=self.project.local_folder,
            catalog=self.settings.catalog,
            verify=self.settings.verify,
        )

    def may_owe(self) -> bool:
        """Whether a trigger may be owed, as far as can be told without waiting: where no store was used, nothing is looked at.

        A catalog on a server that was not asked yet is not asked only for that.
        """
        if "store" not in self.__dict__ or not self.settings.triggers:
            return False
        if self.store.has_catalog_open:
            return True
        from tidemill.store.catalog.glance import may_owe  # noqa: PLC0415

        return not self.store.is_shared and may_owe(self.store.folder / "catalog.db")

    @cached_property
    def datasets(self) -> "Datasets":
        """The store's datasets, with what stands before each commit."""
        return self.datasets_as(self.project.author)

    def datasets_as(self, author: str) -> "Datasets":
        """The store's datasets, with commits in somebody's name."""
        from tidemill.data import Datasets  # noqa: PLC0415

        return Datasets(self.store, author, guard(self.project, self.store))

    def datasets_behind(self, guard: "Guard") -> "Datasets":
        """The store's datasets, with another guard before each commit."""
        from tidemill.data import Datasets  # noqa: PLC0415

        return Datasets(self.store, self.project.author, guard)

    def close(self) -> None:
        """Close what was opened."""
        if "store" in self.__dict__:
            self.store.close()


def open_workspace(folder: Path | None = None, *, make: bool = False) -> Workspace:
    """Open the project that ``folder`` (default: the working directory) lies in.

    Args:
        folder: Where to look, upward.
        make: Take ``folder`` itself as a project with default settings where there is none: a first run or
            import needs no ``tidemill init``.

    Raises:
        NotFound: ``project-not-found``.
        InvalidInput: ``invalid-settings``.
    """
    try:
        return Workspace(find_project(folder))
    except NotFound:
        if not make:
            raise
        return Workspace(load_project((folder or Path.cwd()).resolve()))


def of_script() -> Path | None:
    """The folder of the project that the script lies in which Python was started with; None where there is none."""
    from tidemill.pipeline.script import file_of  # noqa: PLC0415

    file = file_of()
    if file is None:
        return None
    try:
        return find_project(file.parent).folder
    except NotFound:
        return None


def init(folder: Path, name: str | None = None) -> Initialised:
    """Make ``folder`` a project: settings, a first pipeline, a store. What is there already stays as it is.

    Args:
        folder: Where; made if it is not there.
        name: What the pipeline is called; the folder's name if None.

    Raises:
        InvalidInput: ``invalid-name``.
    """
    folder = folder.resolve()
    chosen = check_name("pipeline", name or suggested(folder.name))
    folder.mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    texts = {
        FILE: _TOML.format(key=toml_key(chosen)),
        "pipeline.py": _PIPELINE.format(name=chosen),
        ".gitignore": _IGNORED,
    }
    for file, text in texts.items():
        if not (folder / file).exists():
            (folder / file).write_text(text, "utf-8")
            made.append(file)
    workspace = Workspace(load_project(folder))
    store = workspace.store.address
    workspace.close()
    return Initialised(str(folder), store, made)
