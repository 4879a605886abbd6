"""What stands between the cells of a text file: what its ending says, unless its first lines say otherwise."""

from contextlib import closing
from itertools import islice
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.sources import delimited_faults

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "bar": "|"}
_SAMPLE = 100


def delimiter_given(text: str) -> str:
    """What a person typed, as one character.

    Raises:
        InvalidInput: ``invalid-delimiter``.
    """
    found = _NAMES.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n\0' or not found.isascii():
        raise InvalidInput(
            f"'{text}' cannot stand between cells.",
            why="It is one ASCII character, and neither a double quote nor the end of a line.",
            hint="Type --delimiter ';' or --delimiter tab.",
            code=codes.INVALID_DELIMITER,
        )
    return found


def delimiter_of(path: Path, usual: str) -> str:
    """What stands between a file's cells.

    The usual one, where the header has it and no other one explains the first lines as well. Else the only other
    one that gives each of the first lines as many cells as the header, and more than one.

    Raises:
        InvalidInput: ``unclear-delimiter``, where the header has another one and it is not clear which is meant.
    """
    counts = {mark: _cells(path, mark) for mark in DELIMITERS}
    others = [mark for mark in DELIMITERS if mark != usual and counts[mark][0] > 1]
    if not others:
        return usual
    even = [mark for mark in others if len(set(counts[mark])) == 1 and len(counts[mark]) > 1]
    usual_even = counts[usual][0] > 1 and len(set(counts[usual])) == 1
    if counts[usual][0] > 1 and (usual_even or not even):
        clear = not (usual_even and even)
        found = usual
    else:
        clear = len(even) == 1
        found = even[0] if even else usual
    if not clear:
        marks = ([usual] if usual_even else []) + (even or others)
        names = " or ".join(DELIMITERS[mark] for mark in marks)
        raise InvalidInput(
            f"{path.name}, line 1: the cells may be separated by {names}, and the lines do not say by which."
            if len(marks) > 1
            else f"{path.name}: its first line has {names}, by which the next lines do not have as many cells.",
            why="A table read with the wrong one would have other columns.",
            hint=f"Say it: --delimiter {_typed(others[0])}, or --delimiter {_typed(usual)}.",
            code=codes.UNCLEAR_DELIMITER,
            details={"file": path.name, "line": 1, "column": 1},
        )
    return found


def _typed(mark: str) -> str:
    """A delimiter as it is typed in a shell."""
    return "tab" if mark == "\t" else f"'{mark}'"


def _cells(path: Path, mark: str) -> list[int]:
    """How many cells each of the first lines has; one of 0 where it cannot be read so."""
    counts: list[int] = []
    try:
        with closing(delimited_faults.records(path, mark)) as found:
            counts.extend(len(cells) for _, cells in islice(found, _SAMPLE))
    except InvalidInput:
        counts.append(0)
    return counts or [0]
