"""Whole files to begin from, one or more of every form in which something comes in: tiny, so that a try is quick."""

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

CSV = b"""id,name,price,when,label
1,ada,12.50,2024-01-01,red
2,"b, o""b",3,2024-01-02,blue
3,,1e-05,2024-02-29,red
4,\xc3\xa9mile,-0.25,,
"""
ROWS = [
    {"id": 1, "name": "ada", "price": 12.5, "tags": ["x", "y"], "box": {"x": 1, "y": 2.5}, "ok": True},
    {"id": 2, "name": None, "price": 3.0, "tags": [], "box": None, "ok": False},
    {"id": 3, "name": "\u00e9mile", "price": -0.25, "tags": None, "box": {"x": 3, "y": None}, "ok": None},
]


@dataclass(frozen=True, slots=True)
class Seed:
    """A file that is right.

    Attributes:
        name: Its name; what follows the first dot is its ending.
        data: Its bytes.
        options: What is typed with it at ``data import``.
    """

    name: str
    data: bytes
    options: tuple[str, ...] = ()


@cache
def tables() -> tuple[Seed, ...]:
    """Files of rows."""
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
    semicolons = b"id;name;price\n1;ada;12,50\n2;bob;3,00\n"
    pixels = b"label,p1,p2,p3,p4\nred,1,2,3,4\nblue,5,6,7,255\n"
    codes = b"code,n\n007,1\n+1,2\n1E05,0x10\n12.50,18446744073709551615\n"
    text = [
        Seed("a.csv", CSV),
        Seed("a.csv", CSV, ("--key", "id")),
        Seed("a.csv", CSV, ("--type", "id=string", "--label", "label")),
        Seed("codes.csv", codes),
        Seed("pixels.csv", pixels, ("--tensor", "image=p*:2x2")),
        Seed("one.csv", b"x\n1\n\n3\n"),
        Seed("quoted.csv", b'a,b\n"line one\nline two",""\n"\t",NA\n'),
        Seed("bom.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n"),
        Seed("a.tsv", CSV.replace(b",", b"\t")),
        Seed("semicolon.csv", semicolons),
        Seed("a.jsonl", lines),
        Seed("flat.jsonl", b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n', ("--key", "a")),
        Seed("a.json", json.dumps(ROWS).encode()),
    ]
    return (*text, *_columnar(), *_packed(), *_excel())


def _columnar() -> list[Seed]:
    import pyarrow as pa
    from pyarrow import feather, parquet

    plain = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, None, 1.0]})
    nested = pa.Table.from_pylist(ROWS)
    odd = pa.table(
        {
            "d": pa.array([1, 2], pa.decimal128(9, 2)),
            "h": pa.array([1.5, None], pa.float16()) if hasattr(pa, "float16") else [1.5, None],
            "t": pa.array([1, None], pa.timestamp("us", "UTC")),
            "bin": pa.array([b"\x00\xff", None]),
            "cat": pa.array(["a", "b"]).dictionary_encode(),
            "vec": pa.array([[1, 2], [3, 4]], pa.list_(pa.uint8(), 2)),
        }
    )

    def written(write: Callable[[Any, Any], Any], table: pa.Table) -> bytes:
        file = io.BytesIO()
        write(table, file)
        return file.getvalue()

    def stream(table: pa.Table, file: Any) -> None:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)

    def arrow(table: pa.Table, file: Any) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def uncompressed(table: pa.Table, file: Any) -> None:
        parquet.write_table(table, file, compression="none", use_dictionary=False)

    return [
        Seed("a.parquet", written(parquet.write_table, plain)),
        Seed("plain.parquet", written(uncompressed, plain), ("--key", "a")),
        Seed("nested.parquet", written(uncompressed, nested)),
        Seed("odd.parquet", written(uncompressed, odd)),
        Seed("a.arrow", written(arrow, plain)),
        Seed("odd.arrow", written(arrow, odd)),
        Seed("a.arrows", written(stream, nested)),
        Seed("a.feather", written(feather.write_feather, plain)),
    ]


def _packed() -> list[Seed]:
    import pyarrow as pa

    tar, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CSV)
    return [
        Seed("a.csv.gz", gzip.compress(CSV, mtime=0)),
        Seed("a.csv.zst", pa.compress(CSV, "zstd", asbytes=True)),
        Seed("a.jsonl.bz2", bz2.compress(b'{"a": 1}\n{"a": 2}\n')),
        Seed("a.tar.gz", tar.getvalue()),
        Seed("a.csv.tar", gzip.decompress(tar.getvalue())),
        Seed("a.zip", zipped.getvalue()),
        Seed("a.csv.zip", zipped.getvalue()),
    ]


def _excel() -> list[Seed]:
    """The parts that a spreadsheet program writes, by hand: one sheet with inline texts."""
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
        'Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/'
        'vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml"'
        ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
        'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://'
        'schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row>'
        '<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="inlineStr"><is><t>x</t></is></c></row>'
        '<row r="3"><c r="A3"><v>2.5</v></c></row></sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return [Seed("a.xlsx", file.getvalue()), Seed("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))]


@cache
def images() -> tuple[Seed, ...]:
    """Images of the formats that Pillow writes, of two by three pixels."""
    from PIL import Image

    found: list[Seed] = []
    turned = Image.Exif()
    turned[0x0112] = 6
    for mode in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16"):
        for ending in ("png", "jpg", "bmp", "gif", "tif", "webp"):
            file = io.BytesIO()
            image = Image.new(mode, (3, 2), 1)
            format_name = {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending.upper())
            try:
                image.save(
                    file, format_name, **({"exif": turned} if ending in ("jpg", "tif", "webp") else {})
                )
            except (OSError, KeyError):
                continue
            found.append(Seed(f"a.{ending}", file.getvalue()))
    frames = io.BytesIO()
    Image.new("L", (3, 2), 1).save(frames, "GIF", save_all=True, append_images=[Image.new("L", (3, 2), 9)])
    return (*found, Seed("frames.gif", frames.getvalue()))


SETTINGS = Seed(
    "tidemill.toml",
    b"""# settings
author = "ada"
workers = 1
executor = "local"

[pipelines.shop]
file = "shop.py"

[pipelines.shop.gate]
rules = ["accuracy >= 0.5"]
latency_ms = 100
max_drop = 0.01

[environments.dev]

[environments.prod]
after = "dev"
host = "127.0.0.1"
port = 0

[triggers.again]
dataset = "d@main"
pipeline = "shop"

[reviews.d]
approvals = 1
by = ["ada"]
branches = ["main"]

[remotes.other]
store = "elsewhere"

[checks.d]
branches = ["main"]
max_rows = 100

[checks.d.columns.price]
type = "float64"
minimum = -1
maximum = 1000
max_missing = 0.5

[checks.d.columns.label]
one_of = ["red", "blue"]
matches = "[a-z]+"

[limits]
body_bytes = 1000
drain_seconds = 1.5
""",
)

PREDICT = (
    Seed("rows.csv", b"id,name,price\n1,ada,12.5\n2,,3\n"),
    Seed("pixels.csv", b"p1,p2,p3,p4\n1,2,3,4\n", ("--tensor", "image=p*:2x2")),
    Seed("rows.json", b'{"rows": [{"id": 1, "name": "ada"}, {"id": 2, "name": null}]}'),
    Seed("list.json", b'[{"id": 1, "image": [[1, 2], [3, 4]]}]'),
    Seed("lines.jsonl", b'{"id": 1}\n{"id": 2}\n'),
)
FEEDBACK = (Seed("labels.csv", b"prediction,label\n0123456789abcdef,red\nfedcba9876543210,blue\n"),)


def all_bytes(seeds: Sequence[Seed]) -> list[bytes]:
    """What splices are taken from."""
    return [seed.data for seed in seeds]


ANSWERS = Seed("answers", b"red\nskip\nundo\nblue\nquit\n")
