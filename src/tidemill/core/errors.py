"""Every error that Tidemill raises, grouped by what the one who catches it would do.

Each group has an exit status for the command line and a default code; a raise may narrow
the code (``code=codes.DATASET_NOT_FOUND``), never change it once released.

    TidemillError
    ├── NotFound        look the name up, or create the thing           (exit 2)
    ├── AlreadyExists   take another name, or use what is there         (exit 2)
    ├── Conflict        somebody else moved: look, then try again       (exit 2)
    ├── InvalidInput    correct what was typed or what the file holds   (exit 2)
    ├── NotAllowed      ask for the right, or change the rule           (exit 2)
    ├── NeedsExtra      install the named extra                         (exit 2)
    ├── Failed          a run, a check or a gate said no                (exit 1)
    ├── StorageError    free space, mend the disk or the network        (exit 1)
    ├── Interrupted     run the same command again                      (exit 1)
    └── InternalError   report a bug                                    (exit 70)
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from tidemill.core import codes
from tidemill.core.codes import ErrorCode


class TidemillError(Exception):
    """Something that a person can act on.

    Args:
        message: What was wrong, naming the file, row, column, step or setting.
        why: The reason, where the message alone does not give it.
        hint: What to type or change next.
        code: One of ``tidemill.core.codes``; narrows the group's own code.
        details: Facts for ``--json`` (JSON values only).
    """

    default_code: ClassVar[ErrorCode] = codes.ERROR
    exit_status: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        why: str | None = None,
        hint: str | None = None,
        code: ErrorCode | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint
        self.code = code or self.default_code
        self.details: dict[str, object] = dict(details or {})

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.why, self.hint, self.code, self.details))

    def to_json(self) -> dict[str, object]:
        """The error as one JSON object, as ``--json`` and the HTTP faces print it."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.why:
            body["why"] = self.why
        if self.hint:
            body["hint"] = self.hint
        if self.details:
            body["details"] = self.details
        return body


def _rebuild(
    kind: type[TidemillError],
    message: str,
    why: str | None,
    hint: str | None,
    code: ErrorCode,
    details: dict[str, object],
) -> TidemillError:
    return kind(message, why=why, hint=hint, code=code, details=details)


class NotFound(TidemillError):
    """A named thing is not there."""

    default_code = codes.NOT_FOUND
    exit_status = 2


class AlreadyExists(TidemillError):
    """A name is taken."""

    default_code = codes.ALREADY_EXISTS
    exit_status = 2


class Conflict(TidemillError):
    """Another writer, or another branch, changed the same thing."""

    default_code = codes.CONFLICT
    exit_status = 2


class InvalidInput(TidemillError):
    """A value, a file or a definition is not what it must be."""

    default_code = codes.INVALID_INPUT
    exit_status = 2


class NotAllowed(TidemillError):
    """A rule forbids it."""

    default_code = codes.NOT_ALLOWED
    exit_status = 2


class NeedsExtra(TidemillError):
    """A framework that this call needs is not installed."""

    default_code = codes.NEEDS_EXTRA
    exit_status = 2


class Failed(TidemillError):
    """A run, a check, a gate or a deployment ended with a no."""

    default_code = codes.FAILED
    exit_status = 1


class StorageError(TidemillError):
    """The disk, the object store or the catalog could not do it."""

    default_code = codes.STORAGE
    exit_status = 1


class Interrupted(TidemillError):
    """The work was stopped from outside; what was finished is kept."""

    default_code = codes.INTERRUPTED
    exit_status = 1


class InternalError(TidemillError):
    """A bug in Tidemill."""

    default_code = codes.INTERNAL
    exit_status = 70


def came_from(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, newest first, each once.

    The one place that follows these links: they may form a circle, as after ``raise error from error``.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
