"""Commits named relative to another, or by a time: ``main~2``, ``2026-11-01``, ``2026-11-01T12:00``."""

import re
from datetime import UTC, datetime, time

from tidemill.core import codes
from tidemill.core.clock import stamp
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.data.commits import Commit
from tidemill.data.history import History

_STEPS = re.compile(r"(?P<start>[^~]*)~(?P<steps>\d*)")
_TIME = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?")


def resolve(history: History, at: str | None) -> Commit:
    """The commit that is meant.

    Args:
        history: Of the dataset.
        at: A branch, a tag, a number of ``main``, 4 or more digits of an id; any of these with ``~2`` for two
            commits before it; or a time in UTC or with its offset, for the newest commit of ``main`` then (of
            a date alone, at its end). None is ``main``.

    Raises:
        NotFound: ``commit-not-found``.
        InvalidInput: ``ambiguous-commit``, ``invalid-time``.
    """
    steps = _STEPS.fullmatch(at or "")
    if steps:
        return _before(history, resolve(history, steps["start"] or None), int(steps["steps"] or 1))
    if at and _TIME.fullmatch(at):
        try:
            return history.resolve(at)
        except NotFound:
            return _then(history, at)
    return history.resolve(at)


def _before(history: History, start: Commit, steps: int) -> Commit:
    for count, commit in enumerate(history.walk(start)):
        if count == steps:
            return commit
    raise NotFound(
        f"There are no {steps} commits before commit {start.number} ({start.id}) of '{start.dataset}'.",
        hint=f"Type 'tidemill data log {start.dataset}@{start.id}'.",
        code=codes.COMMIT_NOT_FOUND,
    )


def _then(history: History, text: str) -> Commit:
    moment = stamp(_moment(text))
    head = history.head("main")
    found = next((c for c in history.walk(head) if c.time <= moment), None)
    if found is None:
        raise NotFound(
            f"Dataset '{head.dataset}' was not there yet at {text}.",
            hint=f"Type 'tidemill data log {head.dataset}' to see when it began.",
            code=codes.COMMIT_NOT_FOUND,
        )
    return found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"'{text}' is no time.",
            why=str(error),
            hint="Type a date such as 2026-11-01, or a time such as 2026-11-01T12:00.",
            code=codes.INVALID_TIME,
        ) from error
    if len(text) <= len("2026-11-01"):
        moment = datetime.combine(moment, time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
