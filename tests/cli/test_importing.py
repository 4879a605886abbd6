"""``tidemill data import``: what its options and its output say."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Tidemill


def told(tidemill: Tidemill, *words: str | Path) -> dict[str, Any]:
    done = tidemill("data", "import", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def error(tidemill: Tidemill, *words: str | Path) -> dict[str, Any]:
    done = tidemill("data", "import", *words, "--json")
    assert done.returncode == 2, done.stdout + done.stderr
    return json.loads(done.stdout)["error"]


def test_a_schema_change_is_refused_shown_and_made(tidemill: Tidemill, project: Path):
    (project / "a.csv").write_text("id,price\n1,2\n2,3\n")
    (project / "b.csv").write_text("id,price,city\n1,2.5,Rome\n2,3,\n")
    first = told(tidemill, "sales", "a.csv", "--key", "id")
    assert first["columns"] == [
        {"name": "id", "type": "int64", "how": "found in the cells"},
        {"name": "price", "type": "int64", "how": "found in the cells"},
    ]
    refused = error(tidemill, "sales", "b.csv")
    assert refused["code"] == "schema-change"
    assert "--allow-schema-change" in refused["hint"]
    trial = told(tidemill, "sales", "b.csv", "--allow-schema-change", "--dry-run")
    assert (trial["dry_run"], trial["commit"], trial["rows"]["changed"]) == (True, first["commit"], 1)
    text = tidemill("data", "import", "sales", "b.csv", "--allow-schema-change").stdout
    assert "commit 2" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert {"price int64 double", "city (new) string"} <= set(lines)
    again = told(tidemill, "sales", "b.csv")
    assert (again["unchanged"], again["changes"], again["number"]) == (True, [], 2)
    assert again["columns"][1] == {"name": "price", "type": "double", "how": "of the dataset"}


def test_several_files_a_pattern_and_sync(tidemill: Tidemill, project: Path):
    for n in (1, 2):
        (project / f"part-{n}.csv").write_text(f"id,x\n{n},a\n")
    assert told(tidemill, "d", "part-1.csv", "part-2.csv")["rows"]["added"] == 2
    assert told(tidemill, "d", "part-*.csv")["unchanged"]
    assert told(tidemill, "d", "part-2.csv", "--sync")["rows"]["removed"] == 1
    assert error(tidemill, "d", "none-*.csv")["code"] == "no-file-matches"
    assert error(tidemill, "d")["code"] == "usage"


def test_images_and_their_size(tidemill: Tidemill, project: Path):
    for kind in ("cat", "dog"):
        (project / "pets" / kind).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(project / "pets" / kind / "1.png")
    done = told(tidemill, "pets", "pets", "--resize", "2x3", "--label", "label")
    assert [c["type"] for c in done["columns"]] == ["string", "uint8[2x3]", "string"]
    assert error(tidemill, "pets", "pets", "--resize", "2")["code"] == "invalid-size"


def test_a_query_and_its_password(tidemill: Tidemill, project: Path):
    with sqlite3.connect(project / "sales.db") as connection:
        connection.execute("create table sales as select 1 as id, 'coat' as item")
    connection.close()
    done = told(tidemill, "sales", "--sql", "select * from sales", "--from", "sqlite:///sales.db")
    assert done["rows"]["added"] == 1
    typed = "postgresql://ada:secret@127.0.0.1:1/sales"
    refused = error(tidemill, "sales", "--sql", "select 1", "--from", typed)
    assert refused["code"] == "password-in-address"
    assert "secret" not in json.dumps(refused)
    missing = error(
        tidemill, "sales", "--sql", "select 1", "--from", "postgresql://ada:${NO_SUCH_ONE}@127.0.0.1:1/sales"
    )
    assert missing["code"] == "variable-not-set"
    assert error(tidemill, "sales", "a.csv", "--sql", "select 1")["code"] == "usage"


@pytest.mark.parametrize("words", [(), ("--json",), ("--quarantine",), ("--dry-run",)])
def test_an_import_that_is_refused_ends(tidemill: Tidemill, project: Path, words: tuple[str, ...]):
    (project / "first.csv").write_text("k,v\na,1\n")
    told(tidemill, "d", "first.csv", "--key", "k")
    for text in ("k,v\na,x\n", "k,v\na\n", "k,v\na,1\na,2\n", "k,v,w\na,1,2\n"):
        (project / "next.csv").write_text(text)
        # The process is killed where it does not end.
        assert tidemill("data", "import", "d", "next.csv", *words).returncode == 2
