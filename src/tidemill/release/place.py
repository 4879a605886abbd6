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
    """

    id: str
    machine: str
    before: tuple[str, ...] = ()

    def serves(self, deployment: Deployment) -> bool:
        """Whether a deployment is its own."""
        return deployment.place in (self.id, *self.before)


def here(store: Store) -> Place:
    """This place; its id is made when it is first asked for, and anew in a folder that was copied or moved.

    A store in a folder has its records in it: a copy carries its environments along, and takes them over. A copied folder
    beside a shared store is another place, and what the first one serves stays the first one's.
    """
    file = store.environments_folder / _FILE
    tied, before = _tied(file), ()
    if file.is_file():
        with damage.reading(str(file)):
            told = json.loads(file.read_text("utf-8"))
            known, before = str(told["id"]), tuple(map(str, told["before"]))
            if told["tied"] == tied:
                return Place(known, _machine(store), before)
        before = () if store.is_shared else (*before, known)
    made = new_id()
    # Where nothing can be written nothing is served anew; it is looked at all the same.
    with suppress(StorageError, InvalidInput), replacing(file) as part:
        part.write_text(json.dumps({"layout": 1, "id": made, "tied": tied, "before": before}), "utf-8")
    return Place(made, _machine(store), before)


def _tied(file: Path) -> list[str]:
    try:
        machine = _MACHINE.read_text("utf-8").strip()
    except OSError:
        machine = ""
    return [machine or socket.gethostname(), str(file.absolute())]


def _machine(store: Store) -> str:
    return f"{socket.gethostname()}:{store.folder.absolute()}"
