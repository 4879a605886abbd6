"""Which source suits a file: by its first bytes, else by its ending."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.data.sources import foreign
from tidemill.data.sources.missing import Missing
from tidemill.data.sources.paths import expanded
from tidemill.data.sources.source import Source
from tidemill.data.sources.unpacking import Unpacked

Format = Literal["csv", "tsv", "parquet", "arrow", "json", "excel", "images"]

_STARTS: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_ENDINGS: dict[str, Format] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_START_BYTES = 512
_PACKED = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2"})


def open_files(
    patterns: Sequence[str | Path],
    *,
    resize: tuple[int, int] | None = None,
    sheet: str | None = None,
    delimiter: str | None = None,
    missing: Missing | None = None,
    sink: Sink = silent,
) -> Source:
    """The rows of files that are alike, as one source.

    Args:
        patterns: Paths, or patterns such as ``part-*.csv``; a folder is one of images.
        resize: Height and width that images get.
        sheet: Of an Excel workbook; None is the only one with a cell in it.
        delimiter: Between the cells of CSV and TSV; None is found.
        missing: Words that mean a missing cell in CSV and TSV.
        sink: Is told how far reading is.

    Raises:
        NotFound: ``file-not-found``, ``no-file-matches``.
        InvalidInput: ``files-differ``, ``not-images``, ``not-excel``; ``unsupported-file``.
    """
    paths = expanded(patterns)
    formats = {path: format_of(path) for path in paths}
    first = formats[paths[0]]
    other = next((path for path, kind in formats.items() if kind != first), None)
    if other:
        raise InvalidInput(
            f"{paths[0].name} is {first} and {other.name} is {formats[other]}.",
            why="Files that are imported together become one table.",
            hint="Import them one by one.",
            code=codes.FILES_DIFFER,
        )
    if resize is not None and first != "images":
        raise InvalidInput(
            f"{paths[0].name} is {first}, and only images are resized.",
            hint="Leave --resize out, or name a folder of images.",
            code=codes.NOT_IMAGES,
        )
    if sheet is not None and first != "excel":
        raise InvalidInput(
            f"{paths[0].name} is {first}, and only an Excel workbook has sheets.",
            hint="Leave --sheet out, or name a workbook (.xlsx).",
            code=codes.NOT_EXCEL,
        )
    if first == "images":
        from tidemill.data.sources.images import Images  # noqa: PLC0415

        return Images(paths, resize, sink)
    if first in ("parquet", "arrow"):
        from tidemill.data.sources import columnar  # noqa: PLC0415

        return getattr(columnar, first)(paths, sink)
    if first == "excel":
        from tidemill.data.sources.excel import Excel  # noqa: PLC0415

        return Excel(paths, sheet, sink)
    if first == "json":
        from tidemill.data.sources.json_lines import JsonLines  # noqa: PLC0415

        return JsonLines(paths, sink)
    from tidemill.data.sources.delimited import Delimited  # noqa: PLC0415
    from tidemill.data.sources.interpreting import Interpreted  # noqa: PLC0415

    return Interpreted(
        Delimited(paths, "\t" if first == "tsv" else ",", sink, delimiter=delimiter, missing=missing)
    )


def format_of(path: Path) -> Format:
    """What a file holds. Text of no known ending is CSV.

    Raises:
        InvalidInput: ``unsupported-file``, for what is no table of a known kind.
    """
    if path.is_dir():
        return "images"
    with closing(Unpacked(path, text=False)) as data:
        start = data.read(_START_BYTES)
    known: Format | None = next((kind for magic, kind in _STARTS.items() if start.startswith(magic)), None)
    if known:
        return known
    if foreign.is_excel(path, start):
        return "excel"
    foreign.check(path, start)
    endings: list[str] = [s.lower() for s in path.suffixes]
    while endings and endings[-1] in _PACKED:
        endings.pop()
    return _ENDINGS.get(endings[-1] if endings else "", "csv")
