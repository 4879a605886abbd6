"""Names and references as users type them: ``fashion``, ``fashion@main``, ``fashion@v1``."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

Digest = NewType("Digest", str)
"""``sha256:`` and 64 hex digits."""
_ALGORITHM = "sha256:"

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")
RESERVED = frozenset({"head", "all", "none", "latest"})


def check_name(kind: str, name: str) -> str:
    """``name`` itself, if it may name a ``kind`` (dataset, branch, tag, pipeline, environment).

    Raises:
        InvalidInput: ``invalid-name``, when it has other characters than ``a-z 0-9 _ . -``, does not
            start and end with a letter or digit, is longer than 64, or is reserved.
    """
    if _NAME.fullmatch(name) is None or ".." in name:
        raise InvalidInput(
            f"'{name}' cannot name a {kind}.",
            why="A name has 1 to 64 characters of a-z, 0-9, '_', '.', '-', "
            "and starts and ends with a letter or digit.",
            hint=f"Try '{suggested(name)}'.",
            code=codes.INVALID_NAME,
            details={"kind": kind, "name": name},
        )
    if name in RESERVED:
        raise InvalidInput(
            f"'{name}' cannot name a {kind}.",
            why="The word is reserved.",
            hint=f"Try '{suggested(name)}'.",
            code=codes.INVALID_NAME,
        )
    return name


def suggested(name: str) -> str:
    """A name near to ``name``, which may be any text."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", name.lower())
    short = re.sub(r"\.\.+", ".", plain).strip("-._")[:64].rstrip("-._")
    return f"my-{short or 'name'}" if short in {"", *RESERVED} else short


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a person to choose from: the first ones, and how many more there are."""
    found = list(names)
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "") if found else "none"


_MOST_COMPARED = 200
"""Comparing costs the square of the length, and what a client sends may be of any."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``name`` was probably meant to be, if one is close."""
    if len(name) > _MOST_COMPARED:
        return None
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(
    name: str, candidates: Iterable[str], otherwise: str | None = None, *, before: str = ""
) -> str:
    """The hint for a name that is not there: the nearest candidate as a question, or else what there is.

    Args:
        name: What was given; any text.
        candidates: The names that would have been right, in the order in which they are shown.
        otherwise: The hint where no candidate is near. Default: a list of the candidates.
        before: What a candidate is written after, such as the command that it belongs to.
    """
    names = list(candidates)
    close = nearest(name, names)
    if close is not None:
        return f"Did you mean '{before}{close}'?"
    return f"There are: {listed(names)}." if otherwise is None else otherwise


@dataclass(frozen=True, slots=True)
class Reference:
    """A dataset at a point of its history: ``name`` and what follows the ``@``, if anything.

    Attributes:
        name: The dataset.
        at: A branch, a tag, or a commit (id or number); None is the default branch, ``main``.
    """

    name: str
    at: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read ``name`` or ``name@ref``.

        Raises:
            InvalidInput: ``invalid-reference`` or ``invalid-name``.
        """
        name, separator, at = text.partition("@")
        if separator and not at:
            raise InvalidInput(
                f"'{text}' names nothing after the '@'.",
                hint=f"Type '{name}' or '{name}@main'.",
                code=codes.INVALID_REFERENCE,
            )
        return cls(check_name("dataset", name), at or None)

    def __str__(self) -> str:
        return self.name if self.at is None else f"{self.name}@{self.at}"


def digest_of_hex(digits: str) -> Digest:
    """The digest that has these hex digits."""
    return Digest(_ALGORITHM + digits)


def hex_of(digest: str) -> str:
    """The hex digits of a digest, or of the beginning of one that somebody typed."""
    return digest.removeprefix(_ALGORITHM)


def is_text(value: str) -> bool:
    """Whether a ``str`` has a form in UTF-8: one with half a surrogate pair has none."""
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
