"""What runs left, drawn: the lines that steps printed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import LogView


def logs(view: "LogView") -> "RenderableType":
    """One line a line; before it the step, where several are shown."""
    from rich.text import Text  # noqa: PLC0415

    if not view.lines:
        what = f"Step '{view.step}'" if view.step else "No step"
        printed = "printed nothing" if view.step else "printed anything"
        if view.grep is not None:
            printed = f"printed {'no' if view.step else 'a'} line with '{view.grep}'"
        return Text(f"{what} {printed} in run {view.run}.")
    drawn = Text()
    if view.left_out:
        drawn.append(f"({view.left_out:,} more lines before these: --limit shows more)\n", "dim")
    width = max(len(line.step) for line in view.lines)
    for line in view.lines:
        if view.step is None:
            drawn.append(line.step.ljust(width) + "  ", "cyan")
        drawn.append(line.text + "\n")
    drawn.right_crop(1)
    return drawn
