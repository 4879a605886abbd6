"""A room: a folder in which a run's code lies as it was, so that it can be made again there.

Code is what the run's copy says, in the folders it was in. A file that a step was given by its path is not copied:
it must be there still, with the content that it had; where the code finds it beside itself, a link leads to it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, Conflict, NotFound
from tidemill.core.names import Digest
from tidemill.loop import origins
from tidemill.loop.lookup import steps_of
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records


@dataclass(frozen=True, slots=True)
class Room:
    """Where a run can be made again.

    Attributes:
        file: The pipeline's file in it.
        pipeline: The pipeline's name.
        loaded: The files that were imported when the run began, below the folder of ``file``.
    """

    folder: Path
    file: Path
    pipeline: str
    loaded: tuple[str, ...]


def furnish(ws: Workspace, run: "records.Run", folder: Path) -> Room:
    """Make a room for a run in an empty folder, which is made if it is not there.

    Raises:
        AlreadyExists: ``folder-not-empty``.
        InvalidInput: ``run-without-file``, ``run-without-code``.
        NotFound: ``blob-not-found``; ``given-file-gone``, where a step was given a file that is not there any more.
        Conflict: ``given-file-changed``, where it has another content.
    """
    copy = origins.code_of(ws, run)
    given = _given_files(ws, run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExists(
            f"{folder} is not empty.",
            why="A run is made again in a folder of its own.",
            hint="Give a folder that is empty, or is not there.",
            code=codes.FOLDER_NOT_EMPTY,
        )
    folder.mkdir(parents=True, exist_ok=True)
    recorded = Path(origins.file_of(run))
    inside = not recorded.is_absolute() and ".." not in recorded.parts
    file = folder / (recorded if inside else recorded.name)
    for name, digest in copy.files.items():
        target = file.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(ws.store.blobs.get(Digest(digest)))
    for path in given:
        target = folder / path.relative_to(ws.folder)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return Room(folder, file, run.pipeline, tuple(copy.loaded))


def _given_files(ws: Workspace, run: "records.Run") -> list[Path]:
    """The files and folders that steps were given by path, and that lie in the project; each is as it was."""
    from tidemill.engine.plan import content_of_path  # noqa: PLC0415

    found: list[Path] = []
    for step in steps_of(ws, run.id):
        for part, digest in step.parts.get("inputs", {}).items():
            word, _, parameter = part.partition(" ")
            if word != "file" or not parameter:
                continue
            # Of several, or one deep inside, the part's name tells which it is.
            told = step.parts["settings"].get(parameter)
            path = ws.folder / (told if isinstance(told, str) else parameter.partition(": ")[2])
            if not path.exists():
                raise NotFound(
                    f"Step '{step.name}' of run {run.id} was given {path}, which is gone.",
                    why="A file that is given by its path is not kept with the run; only its digest is.",
                    hint="Bring it back, and try again.",
                    code=codes.GIVEN_FILE_GONE,
                    details={"step": step.name, "path": str(path), "digest": digest},
                )
            if content_of_path(path) != digest:
                raise Conflict(
                    f"Step '{step.name}' of run {run.id} was given {path}, which has another content now.",
                    why="A file that is given by its path is not kept with the run; only its digest is.",
                    hint="Bring back the content that it had, and try again.",
                    code=codes.GIVEN_FILE_CHANGED,
                    details={"step": step.name, "path": str(path), "digest": digest},
                )
            if path.resolve().is_relative_to(ws.folder):
                found.append(path.resolve())
    return found
