"""What steps printed: the lines of a run, or of one step, or those that hold a text."""

import re
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import NotFound
from tidemill.core.names import Digest, did_you_mean
from tidemill.loop.lookup import find_run, steps_of
from tidemill.loop.views import LogLine, LogView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records

LINES = 1000
"""Lines that are shown unless more are asked for."""
_WIDE = 2000
"""Characters of a line before it is cut."""
_ENDS = re.compile(r"\r\n|[\n\r]")
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""Colours, movements of the cursor, and other characters that are for a terminal and not for a reader."""


def logs(
    ws: Workspace,
    run: str = "latest",
    step: str | None = None,
    *,
    grep: str | None = None,
    limit: int | None = LINES,
) -> LogView:
    """What the steps of a run printed, on standard output and standard error, in the order of the graph.

    A step that was taken from the cache printed nothing in this run; what it printed when it was computed is
    shown instead, with that run.

    Args:
        ws: The project.
        run: An id, the beginning of one, or ``latest``.
        step: Only this step's lines.
        grep: Only lines that hold this text, in small or capital letters.
        limit: How many lines at most, the last ones; None for all.

    Raises:
        NotFound: ``run-not-found``, ``step-not-found``.
        InvalidInput: ``ambiguous-run``.
    """
    record = find_run(ws, run)
    steps = steps_of(ws, record.id)
    if step is not None:
        steps = [_named(steps, record.id, step)]
    wanted = None if grep is None else grep.casefold()
    kept: deque[LogLine] = deque(maxlen=limit)
    count = 0
    # A log has a limit of its own, a run of a thousand steps has not: one log is in memory at a time.
    for each in _where_computed(ws, steps):
        for number, text in enumerate(_lines(_printed(ws, each)), start=1):
            if wanted is None or wanted in text.casefold():
                count += 1
                kept.append(LogLine(each.run, each.name, number, _cut(text)))
    return LogView(record.id, step, grep, list(kept), count - len(kept))


def _named(steps: "list[records.Step]", run: str, name: str) -> "records.Step":
    found = next((s for s in steps if s.name == name), None)
    if found is not None:
        return found
    raise NotFound(
        f"Run '{run}' has no step '{name}'.",
        hint=did_you_mean(name, (s.name for s in steps)),
        code=codes.STEP_NOT_FOUND,
    )


def _where_computed(ws: Workspace, steps: "list[records.Step]") -> "Iterator[records.Step]":
    """Each step as it was computed: a cached one in the run that computed it, if that is known still."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    keys = [s.key for s in steps if s.status == "cached" and s.key]
    computed: dict[str | None, records.Step] = {}
    with ws.store.catalog.read() as read:
        for start in range(0, len(keys), 500):
            where = {"key": keys[start : start + 500], "status": "computed"}
            computed.update((s.key, s) for s in read.find(records.Step, where, order=("finished_at",)))
    yield from (computed.get(s.key, s) if s.status == "cached" else s for s in steps)


def _printed(ws: Workspace, step: "records.Step") -> str:
    if step.log is not None:
        try:
            return ws.store.blobs.get(Digest(step.log)).decode("utf-8", "replace")
        except NotFound:
            return ""
    # The log of a worker that died is kept with the error: nobody was left to store it.
    details = (step.error or {}).get("details", {})
    return str(details.get("printed") or "")


def _lines(text: str) -> Iterator[str]:
    """A progress bar that overwrites itself is one line a state."""
    for line in _ENDS.split(text):
        if shown := _ESCAPES.sub("", line).rstrip():
            yield shown


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
