"""Values that are not Python's own: what somebody typed, and what JSON says. Everything else is a value as it is."""

import cmath
import re
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


def tree_of(text: str) -> Any:
    """JSON as ``json.loads`` reads it, where nothing is lost by it.

    Raises:
        ValueError: It is no JSON; an object has a name twice; a number is beyond what a float holds, or below.
        RecursionError: It lies too deep.
    """
    import json  # noqa: PLC0415

    return json.loads(text, object_pairs_hook=_once, parse_float=_finite)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ValueError(f"the name '{twice[:80]}' is there twice in an object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if lost := out_of_range(text, number):
        raise ValueError(lost)
    return number


def out_of_range(text: str, number: complex) -> str | None:
    """What is lost of the text of a number where a float holds nothing so great, or so small; None where it fits."""
    if cmath.isinf(number) and "inf" not in text.lower():
        return f"{text[:80]} is beyond what a float holds"
    if number == 0 and any(digit in "123456789" for digit in re.split("[eE]", text)[0]):
        return f"{text[:80]} is nearer to 0 than any other float"
    return None
