"""Words that somebody could type and nothing can take: each is the fault of the word, said with what to try."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMELESS = b"caf\xe9"
"""A word in Latin-1, as a file that came from elsewhere is called."""
LARGE = b"9" * 25


def typed(project: Path, *words: bytes, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "tidemill", *words],
        cwd=project,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("environment-not-found", [b"promote", b"latest", NAMELESS]),
        ("not-text", [b"runs", b"--pipeline", NAMELESS]),
        ("not-text", [b"data", b"import", b"d", b"a.csv", b"-m", NAMELESS]),
        ("dataset-not-found", [b"review", b"show", NAMELESS + b"#1"]),
        ("file-not-found", [b"data", b"import", b"d", NAMELESS]),
        ("usage", [b"runs", b"--limit", LARGE]),
        ("path-not-usable", [b"run", b"x" * 5000]),
        ("path-not-usable", [b"data", b"import", b"d", b"x" * 5000]),
    ],
)
def test_a_word_that_nothing_can_take_is_said(project: Path, code: str, words: list[bytes]):
    (project / "a.csv").write_text("a\n1\n", "utf-8")
    done = typed(project, *words, b"--json")
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert error["hint"]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_file_whose_name_is_no_text_is_imported_and_named(project: Path, encoding: str):
    name = NAMELESS + b".csv"
    Path(os.fsdecode(bytes(project) + b"/" + name)).write_text("a\n1\n", "utf-8")
    done = typed(project, b"data", b"import", b"d", name, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    log = typed(project, b"data", b"log", b"d", PYTHONIOENCODING=encoding)
    assert log.returncode == 0, log.stderr
    assert b"caf" in log.stdout


def test_the_folder_itself_may_be_the_one_of_images(project: Path):
    from PIL import Image

    Image.new("L", (3, 2), 7).save(project / "a.png")
    done = typed(project, b"data", b"import", b"d", b".")
    assert done.returncode == 0, done.stderr
    assert b"'csv'" not in typed(project, b"data", b"export", b"d", b".").stderr


def test_a_number_that_no_record_can_have_is_too_large(project: Path):
    (project / "a.csv").write_text("a\n1\n", "utf-8")
    assert typed(project, b"data", b"import", b"d", b"a.csv").returncode == 0
    done = typed(project, b"review", b"show", b"d#" + LARGE, b"--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "number-too-large"


def test_answers_that_are_no_text_end_the_session_and_keep_what_came_before(project: Path):
    (project / "a.csv").write_text("n,label\n1,red\n2,blue\n3,\n4,\n", "utf-8")
    assert typed(project, b"data", b"import", b"d", b"a.csv").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "label", "d", "--column", "label", "--json"],
        cwd=project,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        input=b"red\n\xff\xfe\n",
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "not-text"
    status = typed(project, b"label", b"status", b"d", b"--json")
    assert json.loads(status.stdout)["decided"] == 1
