"""Lists as artifacts: what a ``tm.each`` goes through, one for each item; what it came to, as one."""

from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.engine import artifacts
from tidemill.engine.content import value_artifact, value_of
from tidemill.engine.orders import Ref, Saved
from tidemill.pipeline.graph import Node, ports_in

if TYPE_CHECKING:
    from tidemill.engine.schedule import Schedule, Value
    from tidemill.store.blobs import Blobs


def members_of(blobs: "Blobs", items: Node, schedule: "Schedule", *, store: bool = True) -> "list[Value]":
    """The members of the list that an ``items`` node takes.

    What is large is stored, with ``store``; but no record is made of a member: it is a part of what a step returned,
    and goes when that goes.

    Args:
        blobs: Where the list is, and its large members are put.
        items: The node.
        schedule: Has the list.
        store: Whether large members are stored; else they are only told.

    Raises:
        InvalidInput: ``wrong-items``.
    """
    (port,) = ports_in(items.inputs["items"])
    found = schedule.found[port.node, port.output]
    if isinstance(found, tuple):
        return list(cast("tuple[Value, ...]", found))
    content: Any = value_of(blobs, found) if found.kind == "value" else None
    if not isinstance(content, (list, tuple)):
        step = schedule.origin(port)
        what = f"a {type_name(content)}" if found.kind == "value" else f"{_article(found.kind)}"
        raise InvalidInput(
            f"tm.each goes through what step '{step}' returned, which is {what} and no list.",
            hint="Return a list; for the rows of a table, use @tm.row_step.",
            code=codes.WRONG_ITEMS,
            details={"step": step},
        )
    return [value_artifact(blobs if store else None, value).ref for value in cast("list[Any]", content)]


def whole(blobs: "Blobs", value: "Value") -> tuple[Ref, list[Saved]]:
    """What a pipeline returns as one artifact, and what had to be stored for that."""
    if isinstance(value, tuple):
        saved = artifacts.save_list(blobs, cast("tuple[Value, ...]", value))
    elif value.kind == "value":
        # It may be of no step: a plain value of a branch, an item of a list.
        saved = value_artifact(blobs, value_of(blobs, value))
    else:
        return value, []
    return saved.ref, [saved]


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
