"""How a step's body tells how far it is, wherever it runs."""

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress
from tidemill.core.kinds import type_name

reporter: ContextVar[Callable[[Progress], None] | None] = ContextVar("reporter", default=None)
scratch_folder: ContextVar[Path | None] = ContextVar("scratch_folder", default=None)


def progress(done: float, total: float | None = None, label: str = "", unit: str = "") -> None:
    """Tell how far the step is: ``tm.progress(epoch, epochs, "training", "epochs")``. Outside a run, nothing.

    Raises:
        InvalidInput: ``wrong-call``, when ``done`` or ``total`` is no number.
    """
    report = reporter.get()
    if report is not None:
        report(Progress(_text(label), _number(done), None if total is None else _number(total), _text(unit)))


def _number(value: object) -> float:
    if type(value) in (int, float):
        return value  # pyright: ignore[reportReturnType]
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise InvalidInput(
            f"tm.progress takes numbers, not a {type_name(value)}.",
            hint="Type tm.progress(epoch, epochs, 'training', 'epochs').",
            code=codes.WRONG_CALL,
        ) from None


def _text(value: object) -> str:
    """A text that any process can be told: of no type that a step has made."""
    return str.__str__(str(value))


def scratch() -> Path:
    """An empty folder of this step, kept until its results are stored; for files that a step returns.

    Raises:
        InvalidInput: ``not-in-a-run``.
    """
    folder = scratch_folder.get()
    if folder is None:
        raise InvalidInput(
            "tm.scratch() is called outside a run.",
            hint="Use tempfile.mkdtemp() here.",
            code=codes.NOT_IN_A_RUN,
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
