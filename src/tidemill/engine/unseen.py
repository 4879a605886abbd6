"""What no key can see, in words: code that is looked up by a computed name, and variables of the environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.engine.closure import Closure
    from tidemill.pipeline.graph import Node


@dataclass(frozen=True, slots=True)
class Unseen:
    """A place that looks up what is in no key.

    Attributes:
        where: Its file, line and source.
        is_variable: Whether it is one of the environment; else it is code.
    """

    where: str
    is_variable: bool


def warnings_of(nodes: "Iterable[Node]", closures: "Mapping[int, Closure]") -> list[str]:
    """What a person is told of the places that look up what is in no key: at most two lines for each component."""
    told: set[int] = set()
    lines: list[str] = []
    for node in nodes:
        origin = node.component.origin if node.component is not None else None
        if origin is None or id(origin) in told:
            continue
        told.add(id(origin))
        unseen, decorator = closures[id(origin)].unseen, f"@tm.{origin.kind}"
        if code := "; ".join(u.where for u in unseen if not u.is_variable):
            lines.append(
                f"Step '{node.name}' looks up code that its key cannot see ({code}): when that changes, the step is not "
                f"computed again. Say what it reaches: {decorator}(uses=['module', Path('file'), ...]), or uses=[] for nothing."
            )
        if variables := "; ".join(u.where for u in unseen if u.is_variable):
            lines.append(
                f"Step '{node.name}' reads a variable of the environment, which is no part of its key ({variables}): "
                "when it changes, the step is not computed again. Take it as a parameter, or say "
                f"{decorator}(uses=[]) where it does not matter."
            )
    return lines
