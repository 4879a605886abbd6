"""An open project as each topic's methods have it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.loop.workspace import Workspace


class Opened:
    """What the methods of a topic work on."""

    def __init__(self, workspace: "Workspace") -> None:
        self._ws = workspace
