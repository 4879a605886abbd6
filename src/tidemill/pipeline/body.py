"""A pipeline's body while a graph is built: what it raises is said with its line, and what may have been meant."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from itertools import dropwhile
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.kinds import raised
from tidemill.core.names import did_you_mean

_HERE = str(Path(__file__).parent.parent)


def called(pipeline: str, function: Callable[..., object], arguments: Mapping[str, Any]) -> object:
    """What the body returns.

    Raises:
        InvalidInput: ``pipeline-body-failed``; and what a component's call raises.
    """
    try:
        return function(**arguments)
    except InvalidInput as error:
        if error.code == codes.HANDLE_USED_AS_VALUE:
            raise _undecorated(error, function) or error from None
        raise
    except TidemillError:
        raise
    except Exception as error:
        raise _failed(pipeline, error, function) from error


def _failed(pipeline: str, error: Exception, function: Callable[..., object]) -> InvalidInput:
    # From the first frame of the user's on.
    frames = list(
        dropwhile(lambda f: f.filename.startswith(_HERE), traceback.extract_tb(error.__traceback__))
    )
    frame = next((f for f in reversed(frames) if not f.filename.startswith(_HERE)), None)
    where = f"{Path(frame.filename).name}, line {frame.lineno}: " if frame else ""
    return InvalidInput(
        f"Pipeline '{pipeline}' cannot be built: {where}{raised(error)}.",
        why="Its body is called to see which steps it has, and that raised.",
        hint=did_you_mean(
            str(getattr(error, "name", None) or ""), _known(error, function), "Correct that line."
        ),
        code=codes.PIPELINE_BODY_FAILED,
        details={"traceback": _told(frames, error)},
    )


def _told(frames: list[traceback.FrameSummary], error: Exception) -> str:
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(["Traceback (most recent call last):\n", *lines])


def _known(error: Exception, function: Callable[..., object]) -> Iterable[str]:
    if isinstance(error, NameError):
        return getattr(function, "__globals__", {})
    return dir(error.obj) if isinstance(error, AttributeError) else ()


def _undecorated(error: InvalidInput, function: Callable[..., object]) -> InvalidInput | None:
    """For a result that a plain function was given: that function may have been meant as a step."""
    trace = error.__traceback__
    code: CodeType | None = None
    while trace is not None:
        found = trace.tb_frame.f_code
        code = code if found.co_filename.startswith(_HERE) else found
        trace = trace.tb_next
    for name, held in getattr(function, "__globals__", {}).items():
        if isinstance(held, FunctionType) and held.__code__ is code and held is not function:
            return InvalidInput(
                f"{error.message.removesuffix('.')}, in '{name}', which is no step.",
                why=error.why,
                hint=f"Put @tm.step above '{name}', so that it is called in the run.",
                code=error.code,
                details=error.details,
            )
    return None
