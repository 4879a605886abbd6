"""Whether a file of a snapshot's rows names the same rows without their ``_id``."""

from typing import TYPE_CHECKING, Any

from tidemill.data.identities import Identities
from tidemill.data.shape import identity_of, key_of

if TYPE_CHECKING:
    from tidemill.data.snapshot import Snapshot


def names_itself(snapshot: "Snapshot") -> bool:
    """Whether rows that are imported without ``_id`` are these, and no others beside them.

    Not where content names them, and some got another since they came, or came by feedback.
    """
    import numpy as np  # noqa: PLC0415

    if key_of(snapshot.schema) is not None:
        return True
    names = Identities(None, identity_of(snapshot.schema))
    given: list[Any] = [names.ids(fragment.read(snapshot.columns)) for fragment in snapshot.fragments()]
    return not given or not len(np.setdiff1d(np.concatenate(given), snapshot.ids()))
