"""Files that people bring by mistake: refused by what they are, and nothing is made."""

import io
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.data import Datasets, import_files

Write = Callable[..., Path]


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


def array(values: object, *, many: bool = False) -> bytes:
    out = io.BytesIO()
    (np.savez if many else np.save)(out, values)  # type: ignore[arg-type]
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
            "an old Excel workbook (.xls), or one with a password",
        ),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a MATLAB file"),
        (b"FEA1" + bytes(100), "a Feather file of the first version"),
        (b"ORC" + bytes(100), "an ORC file"),
        (b"Obj\x01" + bytes(100), "an Avro file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "an image"),
        (b"\xfd7zXZ\0" + bytes(100), "packed by xz"),
        ("a,b\n1,2\n".encode("utf-16"), "text in UTF-16"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "an HTML page"),
        (b"<?xml version='1.0'?><a/>", "an XML document"),
        (b"{\\rtf1 a}", "a document (RTF)"),
        (zipped("xl/workbook.bin"), "a binary Excel workbook (.xlsb)"),
        (zipped("word/document.xml"), "a Word document"),
        (zipped("mimetype", "content.xml"), "an OpenDocument file (.ods)"),
        (zipped("a/data.pkl"), "a PyTorch file"),
        (zipped("a.csv"), "a zip archive"),
        (array([1, 2]), "a NumPy array (.npy)"),
        (array([1, 2], many=True), "a NumPy archive (.npz)"),
        (pickle.dumps({"a": [1]}), "a pickle"),
        (tar(), "a tar archive"),
    ],
)
@pytest.mark.parametrize("name", ["file.csv", "file", "file.parquet"])
def test_it_is_refused_by_what_it_is(datasets: Datasets, csv: Write, data: bytes, what: str, name: str):
    with pytest.raises(InvalidInput) as caught:
        import_files(datasets, "d", csv(data, name))
    assert caught.value.message.startswith(f"{name} is {what}")
    assert caught.value.code == "unsupported-file"
    assert caught.value.hint
    assert not datasets.exists("d")


def test_a_database_says_how_to_ask_it(datasets: Datasets, tmp_path: Path):
    path = tmp_path / "some.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a)")
    connection.close()
    with pytest.raises(InvalidInput, match="an SQLite database") as caught:
        import_files(datasets, "d", path)
    assert (
        caught.value.hint == f"Import what a query gives: --sql 'select * from TABLE' --from sqlite:///{path}"
    )


def test_text_that_only_begins_like_one_is_text(datasets: Datasets, csv: Write):
    for name, text in (("orca", "ORCA,b\n1,2\n"), ("gif", "GIF,b\n1,2\n"), ("mm", "MM,b\n1,2\n")):
        import_files(datasets, name, csv(text))
        assert len(datasets.open(name).snapshot().columns) == 2
