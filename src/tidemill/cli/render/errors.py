"""An error as a person reads it."""

from collections.abc import Mapping
from typing import Any

import click


def error(body: Mapping[str, Any], *, color: bool) -> str:
    """What was wrong, why, what to type next, and the traceback of the user's own code if there is one.

    Args:
        body: What ``TidemillError.to_json`` gives.
        color: Whether a terminal shows it.
    """

    def paint(words: str, **style: Any) -> str:
        return click.style(words, **style) if color else words

    kind = paint(f"error[{body['code']}]", fg="red", bold=True)
    lines = [f"{kind}: {_indented(str(body['message']))}"]
    if body.get("why"):
        lines.append(f"  {paint('why', bold=True)}: {_indented(str(body['why']))}")
    if body.get("hint"):
        lines.append(f"  {paint('try', fg='green', bold=True)}: {_indented(str(body['hint']))}")
    trace = (body.get("details") or {}).get("traceback")
    if isinstance(trace, str) and trace.strip():
        lines += ["", *(f"  {line}" for line in trace.rstrip().splitlines())]
    return "\n".join(lines)


def _indented(words: str) -> str:
    return words.strip().replace("\n", "\n    ")
