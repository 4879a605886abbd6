"""What a run was made from, as it was kept: the project's files, and what was installed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Digest
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.engine.code_copy import CodeCopy
    from tidemill.engine.installed import Installed
    from tidemill.store.catalog import records


def file_of(run: "records.Run") -> str:
    """The file of the run's pipeline, below the project's folder.

    Raises:
        InvalidInput: ``run-without-file``, when it was started from Python.
    """
    if run.file is None:
        raise InvalidInput(
            f"Run {run.id} was started from Python, by a pipeline that is in no file.",
            why="Its code is nowhere but in the session that it was typed in.",
            hint="Put the pipeline and its steps into a file and run that; "
            "or run it again there: what is finished is not computed again.",
            code=codes.RUN_WITHOUT_FILE,
        )
    return run.file


def code_of(ws: Workspace, run: "records.Run") -> "CodeCopy":
    """The project's files as the run found them.

    Raises:
        InvalidInput: ``run-without-file``, when it was started from Python; ``run-without-code``.
        NotFound: ``blob-not-found``.
    """
    from tidemill.engine import code_copy  # noqa: PLC0415

    file_of(run)
    if run.code is None:
        raise InvalidInput(
            f"Run {run.id} has no copy of its code.",
            why="A step of it was in no file, or it is older than the copies.",
            hint="Put all steps into files and run again: each run keeps a copy now.",
            code=codes.RUN_WITHOUT_CODE,
        )
    return code_copy.read(ws.store.blobs, run.code)


def environment_of(ws: Workspace, run: "records.Run") -> "Installed":
    """What was installed where the run was planned.

    Raises:
        InvalidInput: ``run-without-environment``.
        NotFound: ``blob-not-found``.
    """
    from tidemill.engine import installed  # noqa: PLC0415

    if run.environment is None:
        raise InvalidInput(
            f"Run {run.id} does not say what was installed.",
            why="It is older than that being recorded.",
            hint="Run again: each run keeps a list of all packages now.",
            code=codes.RUN_WITHOUT_ENVIRONMENT,
        )
    return installed.from_image(ws.store.blobs.get(Digest(run.environment)))


def blobs_of(ws: Workspace, runs: "Iterable[records.Run]") -> set[Digest]:
    """The blobs that these were made from."""
    from tidemill.engine import code_copy  # noqa: PLC0415

    every = list(runs)
    found = {Digest(r.environment) for r in every if r.environment}
    return found.union(*(code_copy.blobs_of(ws.store.blobs, c) for c in {r.code for r in every} if c))
