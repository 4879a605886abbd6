"""A project with something of everything that a command can be asked for."""

import io
import os
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tests.fuzz.seeds import CSV, SETTINGS
from tidemill.cli.main import main

_PIPELINE = """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.step
def unlucky(x: int) -> int:
    raise ValueError("no luck")

@tm.pipeline
def shop(n: int = 1, share: float = 0.5, name: str = "x", on: bool = True) -> int:
    return double(double(n))

@tm.pipeline
def hopeless(n: int = 1) -> int:
    return unlucky(n)
"""
_SETTINGS = """
author = "ada"

[pipelines.shop]
file = "shop.py"

[remotes.other]
store = "elsewhere"
"""


def make(folder: Path) -> None:
    """Write and fill the project, by commands."""
    folder.mkdir(parents=True)
    texts = {
        "tidemill.toml": _SETTINGS,
        "shop.py": _PIPELINE,
        "a.csv": CSV.decode(),
        "ours.csv": CSV.decode().replace("12.50", "13.50"),
        "theirs.csv": CSV.decode().replace("12.50", "14.50"),
        "rows.json": '[{"id": 1}]',
        "labels.csv": "prediction,label\n0123456789abcdef,red\n",
        "\u00e9 name.csv": "a\n1\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "tidemill.toml.full").write_bytes(SETTINGS.data)
    (folder / "images" / "red").mkdir(parents=True)
    commands = [
        *("data import d a.csv --key id", "data branch d b", "data import d theirs.csv --branch b"),
        *("data import d ours.csv", "data tag d first", "data import e labels.csv", "review open d b"),
        *("run shop.py:shop", "run shop.py:hopeless", "data branch d c", "review comment 1 hello"),
        "label start d --column label --class red --class blue",
        "data merge d b --conflicts conflicts.csv",
    ]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for command in commands:
            done, words = io.StringIO(), command.split()
            with redirect_stdout(done), redirect_stderr(done):
                status = _typed(words)
            assert status in (0, 1, 2), done.getvalue()
    finally:
        os.chdir(before)


def _typed(words: list[str]) -> object:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
    try:
        main(words)
    except SystemExit as end:
        return end.code
    finally:
        sys.stdin = before


def copy(made: Path, to: Path) -> None:
    """A fresh one, from one that was made."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(made, to, symlinks=True, copy_function=_linked_or_copied)


def _linked_or_copied(source: str, target: str) -> str:
    # What is never written again in place may be shared; a database may not.
    if f"{os.sep}blobs{os.sep}" in source or source.endswith((".lance", ".txn", ".manifest")):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)
