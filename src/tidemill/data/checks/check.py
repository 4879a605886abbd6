"""A commit held against what the settings ask of its dataset.

Each row that a commit brings is judged, and what the whole becomes. Rows that were there before were judged when
they came, so that a commit costs what it brings, unless something is asked that takes all rows.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.dataset_settings import CheckSettings
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.core.kinds import type_name
from tidemill.data.checks.columns import asked
from tidemill.data.checks.outcome import Outcome, outcome
from tidemill.data.checks.rows import check_rows, needed
from tidemill.data.checks.whole import check_whole
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import numpy as np

Function = Callable[[Table], object]
"""A check in Python. It takes the judged rows and returns True or False, a text or a list of what is wrong, or a
true or false for each row."""


def check(
    settings: CheckSettings,
    functions: "Sequence[tuple[str, Function]]",
    result: Snapshot,
    *,
    before: Snapshot | None,
    whole: bool = False,
) -> list[Outcome]:
    """What each check says of a commit.

    Args:
        settings: What is asked.
        functions: Name and function of the checks in Python.
        result: The dataset at the commit.
        before: At its parent; None where there is none.
        whole: Judge all rows, and not only those that the commit brings.

    Raises:
        InvalidInput: ``invalid-check``, naming the setting that makes no sense for this dataset.
        NeedsExtra: ``needs-extra``.
    """
    import numpy as np  # noqa: PLC0415

    columns = asked(settings.columns, result.schema, f"checks.{result.dataset}.columns")
    known = {f.digest for f in before.fragments()} if before and not whole else set()
    pieces = [f for f in result.fragments() if f.digest not in known]
    names = [ID, *needed(columns)]
    judged = np.concatenate([np.zeros(0, np.uint64), *(f.ids() for f in pieces)])
    found = check_rows(columns, (f.read(names) for f in pieces)) if pieces else []
    found += check_whole(settings, columns, result, before, judged)
    if functions and len(judged):
        rows = Table(_joined([f.read().to_arrow() for f in pieces]))
        found += [_call(name, function, rows) for name, function in functions]
    return found


def _joined(tables: list[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.concat_tables(tables).combine_chunks()


def _call(name: str, function: Function, rows: Table) -> Outcome:
    answer = function(rows)
    if answer is None or answer is True:
        return outcome(name)
    if answer is False:
        return outcome(name, "it says no")
    if isinstance(answer, str):
        return outcome(name, answer)
    if isinstance(answer, list) and all(isinstance(a, str) for a in answer):
        return outcome(name, "; ".join(answer[:20]))
    wrong = ~_mask(name, answer, len(rows))
    return outcome(
        name,
        f"it says no to {counted(int(wrong.sum()), 'row')}" if wrong.any() else "",
        rows.numpy(ID)[wrong],
    )


def _mask(name: str, answer: object, count: int) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    mask = np.asarray(answer)
    if mask.dtype != bool or mask.shape != (count,):
        raise InvalidInput(
            f"Check '{name}' returned {type_name(answer)}, which says nothing of {counted(count, 'row')}.",
            why="It returns True or False, a text or a list of texts that say what is wrong, or a true or "
            "false for each row.",
            hint="Correct the function.",
            code=codes.WRONG_CHECK_RESULT,
        )
    return mask
