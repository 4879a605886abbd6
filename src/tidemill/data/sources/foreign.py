"""Files that are no table of a kind that is read here: what they are, and what to do with them instead."""

import re
import zipfile
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.sources import zips

_CSV = "Save the table as CSV or Parquet in the program that wrote it, and import that."
_PYTHON = "Load it in Python, and import the frame: tm.open().import_data('NAME', frame)."
_UNPACK = "Unpack it, and import the files in it."
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "Ask for the table behind it, as CSV or Excel."),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password", "Open it in Excel and save it as .xlsx without a password, or as CSV."),
    (b"SQLite format 3\0", "an SQLite database", "Import what a query gives: --sql 'select * from TABLE' --from sqlite:///{path}"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (also of Keras, MATLAB or netCDF)", _PYTHON),
    (b"CDF\x01", "a netCDF file", _PYTHON),
    (b"CDF\x02", "a netCDF file", _PYTHON),
    (b"\x93NUMPY", "a NumPy array (.npy)", _PYTHON),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _PYTHON),
    (b"FEA1", "a Feather file of the first version", "Read it with pyarrow.feather and write it again: as Parquet, or as Feather of the second version."),
    (b"ORC", "an ORC file", "Write it as Parquet: pyarrow.orc.read_table, then pyarrow.parquet.write_table."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet, and import that."),
    (b"<stata_dta>", "a Stata file", _CSV),
    (b"$FL2", "an SPSS file", _CSV),
    (b"\x89PNG", "an image", "Put it into a folder, and import the folder."),
    (b"\xff\xd8\xff", "an image", "Put it into a folder, and import the folder."),
    (b"GIF8", "an image", "Put it into a folder, and import the folder."),
    (b"II*\0", "an image", "Put it into a folder, and import the folder."),
    (b"MM\0*", "an image", "Put it into a folder, and import the folder."),
    (b"\xfd7zXZ\0", "packed by xz", "Unpack it ('unxz FILE'), or pack it with gzip, zstd or bzip2."),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b'\x04"M\x18', "packed by lz4", "Unpack it ('unlz4 FILE'), or pack it with gzip, zstd or bzip2."),
    (b"\xff\xfe", "text in UTF-16", "Save it as UTF-8: 'iconv -f utf-16 -t utf-8 OLD > NEW'."),
    (b"\xfe\xff", "text in UTF-16", "Save it as UTF-8: 'iconv -f utf-16 -t utf-8 OLD > NEW'."),
    (b"{\\rtf", "a document (RTF)", _CSV),
)  # fmt: skip
_INSIDE: tuple[tuple[str, str, str], ...] = (
    (
        "xl/workbook.bin",
        "a binary Excel workbook (.xlsb)",
        "Open it in Excel and save it as .xlsx, or as CSV.",
    ),
    ("word/document.xml", "a Word document", "Copy its table into a sheet, and save that as CSV or .xlsx."),
    ("ppt/presentation.xml", "a PowerPoint presentation", _CSV),
    ("content.xml", "an OpenDocument file (.ods)", "Open it and save the sheet as CSV or .xlsx."),
)
_WORDS = frozenset({b"ORC", b"GIF8", b"FEA1"})
"""Of these, what could begin a text too."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_EXCEL = "xl/workbook.xml"


def check(path: Path, start: bytes) -> None:
    """Refuse a file that is something else, by its first bytes.

    Args:
        path: The file.
        start: Its first bytes, unpacked; 512 are enough.

    Raises:
        InvalidInput: ``unsupported-file``.
    """
    for magic, what, hint in _STARTS:
        if start.startswith(magic) and not (magic in _WORDS and not _CONTROL.search(start)):
            raise _refused(path, what, hint)
    if start[257:262] == b"ustar":
        raise _refused(path, "a tar archive", _UNPACK)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise _refused(path, "a pickle", _PYTHON)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        raise _refused(
            path,
            "an HTML page",
            "Download the file itself; a table in a page: pandas.read_html, then import the frame.",
        )
    if text.startswith(b"<?xml"):
        raise _refused(path, "an XML document", "Read it with pandas.read_xml, and import the frame.")


def is_excel(path: Path, start: bytes) -> bool:
    """Whether a file is an Excel workbook (.xlsx, .xlsm); refuses other archives by what they are.

    Raises:
        InvalidInput: ``unsupported-file``; ``unreadable-file``, for a damaged archive.
    """
    if not start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return False
    what = "this archive (.zip, .xlsx or the like) is cut short or damaged"
    with zips.readable(path, what, "Get or write it again."), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if _EXCEL in names:
        return True
    for inside, what, hint in _INSIDE:
        if inside in names:
            raise _refused(path, what, hint)
    if names and all(name.endswith(".npy") for name in names):
        raise _refused(path, "a NumPy archive (.npz)", _PYTHON)
    if any(name.endswith("data.pkl") for name in names):
        raise _refused(path, "a PyTorch file", _PYTHON)
    raise _refused(path, "a zip archive", _UNPACK)


def _refused(path: Path, what: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is {what}, not a table that can be imported.",
        why="Read are CSV, TSV, JSON lines, Parquet, Arrow, Excel (.xlsx) and folders of images.",
        hint=hint.format(path=path),
        code=codes.UNSUPPORTED_FILE,
        details={"file": path.name},
    )
