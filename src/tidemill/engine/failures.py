"""What went wrong in a step, as its outcome tells it: with the traceback from the user's own frames on."""

import traceback
from pathlib import Path
from typing import Any, cast

from tidemill.core import codes
from tidemill.core.errors import Failed, TidemillError
from tidemill.core.kinds import type_name
from tidemill.engine.machine import Machine
from tidemill.engine.orders import Order
from tidemill.pipeline import load
from tidemill.pipeline.graph import Node
from tidemill.pipeline.resources import shown_bytes

_SHOWN_CHARACTERS = 500
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
    text = said(error)
    relative = isinstance(error, FileNotFoundError) and not Path(str(error.filename or "/")).is_absolute()
    return {
        "code": codes.STEP_FAILED,
        "message": f"Step '{order.step}' raised {type(error).__name__}{': ' + text if text else ''}.",
        **({"why": _ELSEWHERE} if relative else {}),
        "hint": "Correct the step and run again: the steps that are finished are not computed again.",
        "details": {
            "step": order.step,
            "traceback": _trimmed(error) or "".join(traceback.format_exception(error)),
        },
    }


def said(error: BaseException) -> str:
    """What an exception says; of one that cannot say it, that."""
    try:
        return str.__str__(str(error))
    except Exception as failed:  # noqa: BLE001 - its own __str__ may raise anything
        return f"(its message cannot be shown: __str__ raised {type(failed).__name__})"


def plain(tree: Any) -> Any:
    """An error as any process can be told it: what JSON does not have is shown in words.

    An exception of the project's may carry anything, a lock or a type of the step's own, in its details.
    """
    kind = type(tree)
    if tree is None or kind in (bool, int, float, str):
        return tree
    if isinstance(tree, str):
        return str.__str__(tree)
    if isinstance(tree, dict):
        pairs = cast("dict[Any, Any]", tree).items()
        return {name if type(name) is str else _shown(name): plain(v) for name, v in pairs}
    if kind in (list, tuple):
        return [plain(v) for v in cast("list[Any]", tree)]
    return _shown(tree)


def _shown(value: object) -> str:
    try:
        return str.__str__(repr(value))[:_SHOWN_CHARACTERS]
    except Exception:  # noqa: BLE001 - its own __repr__ may raise anything
        return f"a {type_name(value)}"


def not_sent(order: Order, error: Exception) -> dict[str, Any]:
    """What came of a step cannot be told to the process that asked for it."""
    failed = Failed(
        f"What came of step '{order.step}' cannot be sent back: {type(error).__name__}: {said(error)}.",
        hint="Return plain values, arrays, tables or models; raise exceptions that hold plain values.",
        code=codes.NO_WIRE_FORM,
        details={"step": order.step},
    )
    return failed.to_json()


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
        code=codes.STEP_TIMEOUT,
        details={"step": order.step, "timeout_seconds": order.timeout_seconds, "printed": printed},
    )
    return error.to_json()


def lacking(node: Node, machine: Machine) -> Failed | None:
    """Why no machine such as this one can ever carry a step out; None where it can."""
    wanted = node.resources
    beyond: list[str] = []
    if wanted.cpu is not None and wanted.cpu > machine.cpus:
        beyond.append(f"{wanted.cpu:g} CPUs, and there are {machine.cpus:g}")
    if wanted.memory_bytes is not None and wanted.memory_bytes > machine.memory_bytes:
        there = shown_bytes(machine.memory_bytes)
        beyond.append(f"{shown_bytes(wanted.memory_bytes)} of memory, and there are {there}")
    if wanted.gpu > len(machine.gpus):
        beyond.append(f"{wanted.gpu} GPUs, and there are {len(machine.gpus)}")
    if not beyond:
        return None
    return Failed(
        f"Step '{node.name}' needs {'; '.join(beyond)}.",
        why="So resources= of its decorator says; this machine could never carry it out.",
        hint="Run it on a larger machine, or correct tm.resources(...).",
        code=codes.RESOURCES_LACKING,
        details={"step": node.name},
    )


def out_of_memory(order: Order, used_bytes: int, printed: str) -> dict[str, Any]:
    """A step that was ended because it took more memory than it said."""
    allowed_bytes = order.resources.memory_bytes or 0
    error = Failed(
        f"Step '{order.step}' was ended: it used {shown_bytes(used_bytes)} of memory, and may use "
        f"{shown_bytes(allowed_bytes)}.",
        why="So resources= of its decorator says; others may rely on the rest.",
        hint="Say more by tm.resources(memory=...), or give the step less data at once.",
        code=codes.OUT_OF_MEMORY,
        details={
            "step": order.step,
            "used_bytes": used_bytes,
            "allowed_bytes": allowed_bytes,
            "printed": printed,
        },
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
