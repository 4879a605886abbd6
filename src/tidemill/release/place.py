"""The place that serves an environment: one folder on one machine, known by an id that was made there.

Only a process of that place settles what the catalog says of its deployments: nobody else sees what answers there.
"""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidemill.core.clock import new_id
from tidemill.core.errors import InvalidInput, StorageError
from tidemill.core.files import replacing
from tidemill.store import damage
from tidemill.store.catalog.records import Deployment
from tidemill.store.open import Store

_FILE = "place.json"
_MACHINE = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Place:
    """This folder on this machine.

    Attributes:
        id: Its own.
        machine: For people: ``host:/folder``.
        before: The ids of the folders that it was copied or moved from, where it carried its environments along.
        moved: The ids of the folders on this machine that it was moved from and that are gone, where it did not.
        came_from: The last folder that it was copied or moved from, on this machine.
    """

    id: str
    machine: str
    before: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    came_from: Path | None = None

    def serves(self, deployment: Deployment) -> bool:
        """Whether a deployment is its own."""
        return deployment.place in (self.id, *self.before)

    def has_moved_with(self, deployment: Deployment) -> bool:
        """Whether this folder served a deployment before it was moved: the server runs on in it, and nothing is taken over yet."""
        return deployment.place in self.moved


def here(store: Store) -> Place:
    """This place; its id is made when it is first asked for, and anew in a folder that was copied or moved.

    A store in a folder has its records in it: a copy carries its environments along, and takes them over. A copied folder
    beside a shared store is another place, and what the first one serves stays the first one's. So it does where the folder was
    moved, until somebody says that this one takes over; but then it is known where it was.
    """
    file = store.environments_folder / _FILE
    tied, before, moved, came_from = _tied(file), (), (), None
    if file.is_file():
        with damage.reading(str(file)):
            told = json.loads(file.read_text("utf-8"))
            known, before = str(told["id"]), tuple(map(str, told["before"]))
            moved = tuple(map(str, told.get("moved", ())))
            came_from = Path(told["came_from"]) if told.get("came_from") else None
            machine, was = told["tied"]
            if [machine, was] == tied:
                return Place(known, _machine(store), before, moved, came_from)
        is_same_machine = machine == tied[0]
        came_from = Path(was).parents[1] if is_same_machine else None
        if not store.is_shared:
            before = (*before, known)
        elif is_same_machine and not Path(was).exists():
            moved = (*moved, known)
        else:
            moved = ()
    made = new_id()
    content = {
        "layout": 1,
        "id": made,
        "tied": tied,
        "before": before,
        "moved": moved,
        "came_from": came_from and str(came_from),
    }
    # Where nothing can be written nothing is served anew; it is looked at all the same.
    with suppress(StorageError, InvalidInput), replacing(file) as part:
        part.write_text(json.dumps(content), "utf-8")
    return Place(made, _machine(store), before, moved, came_from)


def _tied(file: Path) -> list[str]:
    try:
        machine = _MACHINE.read_text("utf-8").strip()
    except OSError:
        machine = ""
    return [machine or socket.gethostname(), str(file.absolute())]


def _machine(store: Store) -> str:
    return f"{socket.gethostname()}:{store.folder.absolute()}"
