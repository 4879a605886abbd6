"""Every cell of a CSV file comes out as pandas and DuckDB read it from the file that went in."""

import gzip
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from tests.data.sources.test_exact_text import same_value
from tidemill.data import Changes, Datasets, import_files

Write = Callable[..., Path]


def numbers() -> str:
    """Numbers as programs write them: repr, %.17g, %g, %e, %.2f, with and without missing cells."""
    rng = np.random.default_rng(7)
    lines = ["repr,g17,g,e,f2,whole,large,some"]
    for value in rng.standard_normal(200) * 10.0 ** rng.integers(-30, 30, 200):
        whole = int(rng.integers(-(2**62), 2**62))
        some = "" if rng.random() < 0.3 else f"{value:.3f}"
        small = value / 10.0 ** np.floor(np.log10(abs(value)))
        cells = [
            repr(float(value)),
            f"{value:.17g}",
            f"{value:g}",
            f"{value:e}",
            f"{small:.2f}",
            whole,
            2**63 + abs(whole),
            some,
        ]
        lines.append(",".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [0.1 + 0.2, np.nan, 1e-7],
            "t": pd.to_datetime(["2026-01-02 03:04:05", "2026-01-03 00:00:00", None]),
            "d": pd.to_datetime(["2026-01-02", "2026-01-03", "2026-01-04"]),
            "z": pd.to_datetime(["2026-01-02", "2026-01-03", "2026-01-04"], utc=True),
            "b": [True, False, True],
            "o": [True, None, False],
            "c": pd.Categorical(["a", "b", "a"]),
            "s": ["007", ' "x", y', "a\nb"],
            "i": pd.array([1, None, 3], dtype="Int64"),
        }
    )


FILES: dict[str, tuple[str | bytes, str]] = {
    "numbers": (numbers(), ","),
    "pandas": (frame().to_csv(index=False), ","),
    "pandas, its index": (frame().to_csv(), ","),
    "pandas, semicolons": (frame().to_csv(index=False, sep=";", decimal=","), ";"),
    "pandas, tabs": (frame().to_csv(index=False, sep="\t"), "\t"),
    "pandas, all in quotes": (frame().to_csv(index=False, quoting=1), ","),
    "pandas, NA": (frame().to_csv(index=False, na_rep="NA"), ","),
    "packed": (gzip.compress(frame().to_csv(index=False).encode()), ","),
    "windows": ('\ufeffa,b\r\n1,x\r\n2,"y\r\nz"\r\n', ","),
    "old mac": ("a,b\r1,x\r2,y\r", ","),
    "no end": ("a,b\n1,x\n2,y", ","),
    "ids": ("id,zip,phone,version,hex\n00000000000000000001,08123,+491701234567,1.10,0x1F\n2,10115,0301234,1.9,ff\n", ","),
    "times": ("a,b,c,d\n2026-01-02T03:04:05,03:04:05,2026-01-02,2026-01-02T03:04:05.123456\n2026-01-03T00:00:00,23:59:59,2026-01-03,2026-01-03T00:00:00\n", ","),
    "words": ("a,b,c\nNA,null,1\nNaN,None,nan\n-,?,2.5\n", ","),
    "quotes": ('a,b\n"",\n"x ""y""","1"\n\' z\',","\n', ","),
    "unicode": ("naïve,數\ncafé,\uff11\uff12\n\u200b,\u0663\n", ","),
    "wide": (",".join(f"c{n}" for n in range(300)) + "\n" + ",".join(str(n % 7) for n in range(300)) + "\n", ","),
    "one column": ("a\n1\n02\n3\n", ","),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_cell_by_cell(datasets: Datasets, csv: Write, tmp_path: Path, name: str):
    text, mark = FILES[name]
    path = csv(text, "in.csv.gz" if name == "packed" else "in.csv")
    import_files(datasets, "d", path)
    out = tmp_path / "out.csv"
    datasets.open("d").snapshot().write_csv(out)
    ours = pd.read_csv(out, dtype=str, keep_default_na=False)
    theirs = pd.read_csv(path, dtype=str, keep_default_na=False, sep=mark)
    assert list(ours.columns) == ["index" if c == "Unnamed: 0" else c for c in theirs.columns]
    compare(ours.to_numpy().tolist(), theirs.to_numpy().tolist())
    if name != "old mac":  # which DuckDB takes for one line
        with duckdb.connect() as connection:
            compare(all_text(connection, out, ","), all_text(connection, path, mark))
    assert import_files(datasets, "d", out, sync=True).rows == Changes()


def all_text(connection: duckdb.DuckDBPyConnection, path: Path, mark: str) -> list[list[str]]:
    found = connection.execute(
        "select * from read_csv(?, all_varchar = true, header = true, delim = ?, quote = '\"', escape = '\"')",
        [str(path), mark],
    ).fetchall()
    return [["" if cell is None else cell for cell in row] for row in found]


def compare(ours: list[list[str]], theirs: list[list[str]]) -> None:
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        for cell, before in zip(row, other, strict=True):
            assert same_value(before, cell), (before, cell)
