"""What a listing cannot read is told beside the rest: one thing that is damaged does not hide the others."""

from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import TidemillError


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One of the things that are listed, which cannot be read.

    Attributes:
        name: Its name.
        error: What is wrong with it and what to type: ``code``, ``message``, ``why``, ``hint``.
    """

    name: str
    error: dict[str, Any]


def error_of_one(error: TidemillError) -> dict[str, Any]:
    """The error of one thing, for a view of several; one of the whole store is raised again."""
    if error.code in codes.UNREADABLE:
        return error.to_json()
    raise error
