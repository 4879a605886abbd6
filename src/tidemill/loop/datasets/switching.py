"""The branch that a project works on, dataset by dataset: what a typed reference without an ``@`` means.

It is a choice of this project, kept in a file beside it and no part of the store: others have their own, and
pipelines, which must mean the same for everybody, do not look at it.
"""

import json
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import NotFound, StorageError
from tidemill.core.files import write_text
from tidemill.loop.datasets.views import BranchView
from tidemill.loop.workspace import Workspace

MAIN = "main"


def switch(ws: Workspace, name: str, branch: str, *, create: bool = False) -> BranchView:
    """Work on ``branch`` of a dataset from now on.

    Args:
        ws: The project.
        name: The dataset.
        branch: One that is there.
        create: Make it first, from the branch of now.

    Raises:
        NotFound: ``dataset-not-found``, ``branch-not-found``.
        AlreadyExists: ``branch-exists``.
    """
    dataset = ws.datasets.open(name)
    head = dataset.branch(branch, chosen(ws, name)) if create else dataset.head(branch)
    left = {**_choices(ws), name: branch}
    if branch == MAIN:
        del left[name]
    write_text(_file(ws), json.dumps(left, indent=1) + "\n")
    return BranchView(name, branch, head.id, head.number)


def chosen(ws: Workspace, name: str) -> str:
    """The branch of a dataset that this project works on; ``main`` where none was chosen.

    Raises:
        NotFound: ``branch-not-found``, when it was deleted meanwhile.
    """
    branch = _choices(ws).get(name, MAIN)
    if branch != MAIN and ws.datasets.exists(name) and branch not in ws.datasets.open(name).branches():
        raise NotFound(
            f"This project works on branch '{branch}' of dataset '{name}', which is not there any more.",
            hint=f"Type 'tidemill data switch {name} main'.",
            code=codes.BRANCH_NOT_FOUND,
        )
    return branch


def current(ws: Workspace, name: str) -> str:
    """The same, also when the branch is gone."""
    return _choices(ws).get(name, MAIN)


def _file(ws: Workspace) -> Path:
    return ws.folder / ".tidemill" / "branches.json"


def _choices(ws: Workspace) -> dict[str, str]:
    file = _file(ws)
    if not file.exists():
        return {}
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"{file} cannot be read: {error}.",
            why="It says which branch of each dataset this project works on.",
            hint="Delete it, and switch again.",
            code=codes.BRANCHES_UNREADABLE,
        ) from error
