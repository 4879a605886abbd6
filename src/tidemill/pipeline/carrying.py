"""What a decorator says, held against what it can mean: how a component is carried out, and what it uses."""

import math
from collections.abc import Mapping
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.resources import Resources


def check_carrying(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse a value that means nothing.

    Raises:
        InvalidInput: ``wrong-definition``.
    """
    retries = options.get("retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise _wrong(kind, "retries", retries, "a whole number, 0 or more", "retries=3")
    pause = options.get("retry_seconds", 0.0)
    if not _is_number(pause) or pause < 0:
        raise _wrong(kind, "retry_seconds", pause, "a number of seconds, 0 or more", "retry_seconds=1.5")
    timeout = options.get("timeout_seconds")
    if timeout is not None and not (_is_number(timeout) and timeout > 0):
        raise _wrong(kind, "timeout_seconds", timeout, "a number of seconds above 0", "timeout_seconds=600")
    resources = options.get("resources")
    if resources is not None and not isinstance(resources, Resources):
        raise _wrong(
            kind, "resources", resources, "what tm.resources() makes", "resources=tm.resources(cpu=2)"
        )


def check_uses(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what names nothing.

    Raises:
        InvalidInput: ``wrong-definition``.
    """
    if "uses" not in options:
        return
    uses = options["uses"]
    if isinstance(uses, str) or not isinstance(uses, (list, tuple)):
        raise _wrong(
            kind, "uses", uses, "a list of modules' names, paths, functions and constants", "uses=['lib']"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(kind: str, option: str, value: object, wanted: str, example: str) -> InvalidInput:
    return InvalidInput(
        f"tm.{kind} says {option}={value!r}; it must be {wanted}.",
        hint=f"Type such as @tm.{kind}({example}).",
        code=codes.WRONG_DEFINITION,
        details={"option": option},
    )
