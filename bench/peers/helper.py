"""What the step calls, in another module. It leaves a mark at each call, so that one sees what was computed."""

from pathlib import Path

CALLS = Path(__file__).with_name("calls")


def more(x: int) -> int:
    """The number after it."""
    with CALLS.open("a") as calls:
        calls.write("x")
    return x + 1
