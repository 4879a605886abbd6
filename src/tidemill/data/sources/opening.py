"""Which source suits a file: by its first bytes, else by its ending."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.data.sources.paths import expanded
from tidemill.data.sources.source import Source
from tidemill.data.sources.unpacking import first_bytes

Format = Literal["csv", "tsv"]

_ENDINGS: dict[str, Format] = {".tsv": "tsv", ".tab": "tsv"}
_PACKED = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2"})


def open_files(patterns: Sequence[str | Path], sink: Sink = silent) -> Source:
    """The rows of files that are alike, as one source.

    Args:
        patterns: Paths, or patterns such as ``part-*.csv``.
        sink: Is told how far reading is.

    Raises:
        NotFound: ``file-not-found``, ``no-file-matches``.
        InvalidInput: ``not-a-file``, ``files-differ``.
    """
    from tidemill.data.sources.delimited import Delimited  # noqa: PLC0415

    paths = expanded(patterns)
    formats = {path: format_of(path) for path in paths}
    first = formats[paths[0]]
    other = next((path for path, kind in formats.items() if kind != first), None)
    if other:
        raise InvalidInput(
            f"{paths[0].name} is {first} and {other.name} is {formats[other]}.",
            why="Files that are imported together become one table.",
            hint="Import them one by one.",
            code="files-differ",
        )
    return Delimited(paths, "\t" if first == "tsv" else ",", sink)


def format_of(path: Path) -> Format:
    """What a file holds. Text of no known ending is CSV."""
    first_bytes(path, 8)
    endings = [s.lower() for s in path.suffixes]
    while endings and endings[-1] in _PACKED:
        endings.pop()
    return _ENDINGS.get(endings[-1] if endings else "", "csv")
