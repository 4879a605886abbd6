"""Values that are not Python's own: what somebody typed, and what JSON says. Everything else is a value as it is."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody typed for a parameter, or wrote into a file: it is read by the parameter's annotation."""

    text: str


@dataclass(frozen=True, slots=True)
class Json:
    """JSON, typed as such or read from a record: it is read by the parameter's annotation, text in it stays text.

    Attributes:
        tree: As ``json.loads`` gives it.
    """

    tree: Any
