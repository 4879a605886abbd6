"""Which files are meant by what was typed, what they are called, and that those read together are alike."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.names import nearest

_STARS = re.compile(r"\*{2,}")


def expanded(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that paths and patterns (``part-*.csv``) name, in the order given, each pattern's sorted.

    Raises:
        NotFound: ``no-file-matches``.
        InvalidInput: ``not-a-file``, for a pipe or a device.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.exists() or not glob.has_magic(str(pattern)):
            found[path] = None
            continue
        anchor = Path(path.anchor)
        matches = sorted(anchor.glob(_plain_stars(path.relative_to(anchor))))
        if not matches:
            raise NotFound(
                f"No file matches '{pattern}'.",
                why=f"It was looked for from {Path.cwd()}.",
                hint="Check the pattern and the folder.",
                code=codes.NO_FILE_MATCHES,
            )
        found.update(dict.fromkeys(matches))
    for path in found:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InvalidInput(
                f"{path} is no file: it is a pipe or a device.",
                why="What comes from it can be read once, and an import reads a second time, by the types it found.",
                hint="Write it to a file first, and import that.",
                code=codes.NOT_A_FILE,
            )
    return list(found)


def _plain_stars(pattern: Path) -> str:
    """The pattern with one star for several inside a name, where Python's own matching raises an error."""
    return str(Path(*(p if p == "**" else _STARS.sub("*", p) for p in pattern.parts)))


def name_of(paths: Sequence[Path]) -> str:
    """What to call these files together."""
    if len(paths) == 1:
        return paths[0].name
    return f"{len(paths)} files, {paths[0].name} to {paths[-1].name}"


def check_same_columns(
    first: str, columns: Sequence[str], file: str, names: Sequence[str], *, line: int | None = None
) -> None:
    """Refuse a file that has other columns than the first of those read with it; their order is free.

    Raises:
        InvalidInput: ``files-differ``.
    """
    extra = [n for n in names if n not in columns]
    lacking = [n for n in columns if n not in names]
    if not extra and not lacking and len(names) == len(columns):
        return
    words: list[str] = []
    if extra:
        close = nearest(extra[0], lacking)
        words.append(f"has '{extra[0]}'" + (f" (is it '{close}'?)" if close else ""))
    if lacking:
        words.append(f"lacks '{lacking[0]}'")
    where = f"{file}, line {line}" if line else file
    raise InvalidInput(
        f"{where}: it does not have the columns of {first}: it {'; it '.join(words) or 'repeats one'}.",
        why="Files that are imported together become one table.",
        hint="Give the files the same columns, or import them one by one.",
        code=codes.FILES_DIFFER,
        details={"file": file, "line": line or 1, "column": (extra or lacking or list(names))[0]},
    )
