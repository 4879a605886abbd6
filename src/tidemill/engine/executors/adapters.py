"""The executors that Tidemill knows: a table of adapters, each loaded when it is asked for.

Outsiders add theirs by an entry point of the group ``tidemill.executors``: its name, and a function that takes
the number of workers.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra
from tidemill.core.names import did_you_mean
from tidemill.engine.executors.port import Executor

GROUP = "tidemill.executors"

Make = Callable[[int], Executor]
"""Makes an executor that carries out up to so many orders at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: What users call it.
        path: Module and function or class, ``module:name``.
        extra: The extra of ``tidemill`` that installs what it needs; None where the core suffices.
    """

    name: str
    path: str
    extra: str | None


TABLE = (
    Row("local", "tidemill.engine.executors.local:LocalExecutor", None),
    Row("process", "tidemill.engine.executors.process:ProcessExecutor", None),
)


def executor(name: str) -> Make:
    """What makes the executor of that name.

    Raises:
        InvalidInput: ``unknown-executor``.
        NeedsExtra: ``needs-extra``, when what it needs is not installed.
    """
    row = next((r for r in TABLE if r.name == name), None)
    if row is not None:
        module, _, attribute = row.path.partition(":")
        try:
            return cast("Make", getattr(importlib.import_module(module), attribute))
        except ModuleNotFoundError as error:
            if row.extra is None:
                raise
            raise NeedsExtra(
                f"The executor '{name}' needs {error.name}, which is not installed.",
                hint=f"Type \"pip install 'tidemill[{row.extra}]'\".",
                details={"extra": row.extra},
            ) from error
    outside = metadata.entry_points(group=GROUP)
    if name in outside.names:
        return cast("Make", outside[name].load())
    known = [*(r.name for r in TABLE), *sorted(outside.names)]
    raise InvalidInput(
        f"There is no executor '{name}'.",
        hint=did_you_mean(name, known),
        code=codes.UNKNOWN_EXECUTOR,
        details={"known": known},
    )
