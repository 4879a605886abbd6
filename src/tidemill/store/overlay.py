"""A store laid over another: blobs that it lacks are read there. It writes nothing there, and has records of its own.

So a whole run can be made beside a store, without a second copy of its data and without a trace in it.
"""

import json
from typing import TypedDict

from tidemill.store import damage
from tidemill.store.objects import Objects

FILE = "beneath.json"
_LAYOUT = 1


class Beneath(TypedDict):
    """The store below: its address, and the folder where this machine keeps copies of what is remote."""

    address: str
    local: str


def lay(objects: Objects, address: str, local: str) -> None:
    """Let a new store lie over the one at an address."""
    objects.put(FILE, json.dumps({"layout": _LAYOUT, "address": address, "local": local}).encode())


def beneath(objects: Objects) -> Beneath | None:
    """The store that this one lies over; None where it stands by itself. Only one in a folder can lie over another.

    Raises:
        StorageError: ``store-too-new``.
    """
    file = objects.path(FILE)
    if file is None or not file.is_file():
        return None
    with damage.reading(str(file)):
        told = json.loads(file.read_bytes())
        layout, below = int(told["layout"]), Beneath(address=told["address"], local=told["local"])
    if layout > _LAYOUT:
        raise damage.too_new(f"{file} has layout {layout}", _LAYOUT)
    return below
