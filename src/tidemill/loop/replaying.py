"""Make runs again in a room: in a process of its own, whose events are told here."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tidemill.core import codes, errors, events
from tidemill.core.errors import Failed, Interrupted, TidemillError
from tidemill.core.events import Sink
from tidemill.loop.interpreters import Interpreter
from tidemill.loop.restoring import Room
from tidemill.loop.workspace import Workspace
from tidemill.store.open import Store

_MODULE = "tidemill.loop.replay_process"
_WORDS_BYTES = 4000
_END_SECONDS = 10.0
"""How long a run that is stopped may take to end its workers and to write down that it was."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is: the arguments of ``Store.open``."""

    address: str
    local: str | None
    catalog: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """What a run is given.

    Attributes:
        commits: Each dataset to the commit at which it is read.
        models: Each registered model to the version that is taken where the pipeline says the newest.
        note: What is told when it begins.
    """

    parameters: dict[str, Any]
    commits: dict[str, str]
    models: dict[str, int]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """What the process is told.

    Attributes:
        loaded: Files that are imported beside the pipeline's, below its folder.
        given: The runs to make, in this order.
        store: Where the run is recorded, and cached.
        data: Where the datasets are.
        fitting: Whether parameters that the pipeline does not have are left out.
    """

    folder: str
    file: str
    pipeline: str
    loaded: tuple[str, ...]
    given: tuple[Given, ...]
    store: StorePlace
    data: StorePlace
    author: str
    workers: int
    executor: str
    trigger: str
    fitting: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of what the process says: an event by its type's name, ``run``, or ``error``."""

    kind: str
    body: Any = field(default=None)


def place_of(store: Store, catalog: str | None) -> StorePlace:
    """Where a store that is open here is, for another process."""
    place = store.blobs.place
    return StorePlace(place.address, place.local, catalog)


def replay(
    ws: Workspace,
    room: Room,
    python: Interpreter,
    given: Sequence[Given],
    *,
    trigger: str,
    store: StorePlace | None = None,
    fitting: bool = False,
    sink: Sink = events.silent,
) -> list[str | TidemillError]:
    """Make runs in a room, one after the other in one process.

    Args:
        ws: The project.
        room: Where.
        python: What with.
        given: Of each run its parameters, and the data that it reads.
        trigger: What their records say of who started them.
        store: Where they are recorded and look for what is computed already; None: the project's.
        fitting: Whether parameters that the pipeline does not have are left out.
        sink: Gets the runs' events.

    Returns:
        The id of each run, one that failed among them; or what kept it from beginning, as ``runs.run`` raises it.

    Raises:
        Interrupted: When one was stopped from the keyboard.
        Failed: ``replay-died``, when the process ended without an answer.
    """
    data = place_of(ws.store, ws.settings.catalog)
    order = ReplayOrder(
        folder=str(room.folder),
        file=str(room.file),
        pipeline=room.pipeline,
        loaded=room.loaded,
        given=tuple(given),
        store=store or data,
        data=data,
        author=ws.project.author,
        workers=ws.project.workers,
        executor=ws.settings.executor,
        trigger=trigger,
        fitting=fitting,
    )
    with tempfile.TemporaryFile() as words:
        started = subprocess.Popen(
            [python.python, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            # A file that a parameter names by a relative path is looked for where the project is.
            cwd=ws.folder,
            env={**os.environ, **python.variables},
        )
        with started as process:
            try:
                answers = _conversation(process, msgspec.json.encode(order), sink)
                if len(answers) == len(given):
                    process.wait()
            finally:
                _end(process)
        if len(answers) == len(given):
            return answers
        words.seek(0, os.SEEK_END)
        words.seek(max(0, words.tell() - _WORDS_BYTES))
        said = words.read().decode("utf-8", "replace").strip()
    raise Failed(
        f"The process that made '{room.pipeline}' again ended without an answer.",
        why=said or f"Its status was {process.returncode}.",
        hint="Look at what it printed; a package of the run may not work on this machine.",
        code=codes.REPLAY_DIED,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Whatever ended the conversation ends the process: by Ctrl-C first, so that it ends its workers too."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _conversation(process: "subprocess.Popen[bytes]", order: bytes, sink: Sink) -> list[str | TidemillError]:
    assert process.stdin is not None
    assert process.stdout is not None
    answers: list[str | TidemillError] = []
    try:
        process.stdin.write(order)
        process.stdin.close()
    except BrokenPipeError:
        return answers
    for line in process.stdout:
        answer = msgspec.json.decode(line, type=Answer)
        if answer.kind == "run":
            answers.append(str(answer.body))
        elif answer.kind == "error":
            answers.append(_error(**answer.body))
        else:
            sink(msgspec.convert(answer.body, getattr(events, answer.kind)))
    for one in answers:
        if isinstance(one, Interrupted):
            raise one
    return answers


def _error(group: str, message: str, **told: Any) -> TidemillError:
    return getattr(errors, group)(message, **told)
