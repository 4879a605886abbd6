"""What went wrong in a step, as its outcome tells it: with the traceback from the user's own frames on."""

import traceback
from pathlib import Path
from typing import Any

from tidemill.core.errors import Failed, TidemillError
from tidemill.engine.orders import Order
from tidemill.pipeline import load

_HERE = str(Path(__file__).parent.parent)
_ELSEWHERE = (
    "A step works in an empty folder of its own. Let it take the file by a parameter annotated pathlib.Path: "
    "then the file's content is part of its key, too."
)


def described(error: TidemillError, order: Order) -> dict[str, Any]:
    """An error of ours as an outcome tells it."""
    body = error.to_json()
    details = dict(error.details) | {"step": order.step}
    trace = _trimmed(error)
    if trace:
        details["traceback"] = trace
    return body | {"details": details}


def raised(error: BaseException, order: Order) -> dict[str, Any]:
    """An exception of the step's own."""
    text = str(error)
    relative = isinstance(error, FileNotFoundError) and not Path(str(error.filename or "/")).is_absolute()
    return {
        "code": "step-failed",
        "message": f"Step '{order.step}' raised {type(error).__name__}{': ' + text if text else ''}.",
        **({"why": _ELSEWHERE} if relative else {}),
        "hint": "Correct the step and run again: the steps that are finished are not computed again.",
        "details": {
            "step": order.step,
            "traceback": _trimmed(error) or "".join(traceback.format_exception(error)),
        },
    }


def timed_out(order: Order, printed: str, *, ended: bool = True) -> dict[str, Any]:
    """A step whose time was over; ``ended`` is whether it could be ended then."""
    error = Failed(
        f"Step '{order.step}' {'was ended: it ' if ended else ''}took longer than the {order.timeout_seconds:g} "
        "seconds that it may take.",
        why="So timeout_seconds= of its decorator says."
        if ended
        else "It is computed in this process, where it could not be ended sooner; a step in a file can.",
        hint="Look at what it printed, in the details; give it more time, or less to do. With retries= it is "
        "tried again.",
        code="step-timeout",
        details={"step": order.step, "timeout_seconds": order.timeout_seconds, "printed": printed},
    )
    return error.to_json()


def _trimmed(error: BaseException) -> str:
    """The traceback from the user's first frame on; empty where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    for at, frame in enumerate(frames):
        own = frame.filename.startswith(_HERE) and "/parts/" not in frame.filename
        if not own and not load.installed(frame.filename) and not frame.filename.startswith("<frozen"):
            shown_frames = traceback.StackSummary.from_list(frames[at:])
            lines = ["Traceback (most recent call last):\n", *shown_frames.format()]
            return "".join([*lines, *traceback.format_exception_only(error)])
    return ""
