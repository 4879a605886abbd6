"""The lines beside a log: from each commit down to those that it was made from."""

from collections.abc import Sequence


def lanes(commits: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str | None]]:
    """A text a line, and the commit that stands on it (None where only lines lead on).

    Args:
        commits: Id and parents' ids, each before its parents.
    """
    shown = {commit for commit, _ in commits}
    waiting: list[str] = []
    """The commit that each lane leads to."""
    drawn: list[tuple[str, str | None]] = []
    for commit, parents in commits:
        if commit not in waiting:
            waiting.append(commit)
        at = waiting.index(commit)
        while waiting.count(commit) > 1:
            last = len(waiting) - 1 - waiting[::-1].index(commit)
            drawn.append((_closing(len(waiting), at, last), None))
            del waiting[last]
        drawn.append((" ".join("*" if lane == at else "|" for lane in range(len(waiting))), commit))
        down = [p for p in parents if p in shown]
        waiting[at : at + 1] = down[:1]
        for parent in down[1:]:
            waiting.insert(at + 1, parent)
            drawn.append((_opening(len(waiting), at + 1), None))
    return drawn


def _opening(count: int, new: int) -> str:
    """Lane ``new`` begins beside the one before it; what stands right of it moves on."""
    before, after = ["|"] * new, count - new - 1
    return " ".join(before) + "\\" + " \\" * after


def _closing(count: int, kept: int, closed: int) -> str:
    """Lane ``closed`` runs into lane ``kept``; what stands right of it moves up."""
    left = ["|"] * (kept + 1)
    between = "".join("_|" for _ in range(kept + 1, closed))
    return " ".join(left) + between + "/" + " /" * (count - closed - 1)
