"""``tidemill data push``, ``fetch``, ``pull``, ``clone``: what they say."""

import json
from pathlib import Path

from tests.cli.conftest import Tidemill


def test_what_is_said_of_what_travels(tidemill: Tidemill, project: Path):
    (project / "d.csv").write_text("k,name\n1,a\n2,b\n", "utf-8")
    (project / "tidemill.toml").write_text('[remotes.origin]\nstore = "../team"\n', "utf-8")
    tidemill("data", "import", "d", "d.csv", "--key", "k")
    pushed = tidemill("data", "push", "d")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith("Pushed d to origin: 1 commit, 1 file, ")
    assert tidemill("data", "push", "d").stdout == "origin has all of d already; nothing was sent.\n"
    told = json.loads(tidemill("data", "fetch", "d", "--json").stdout)
    assert (told["commits"], told["bytes"], told["remote"]) == (0, 0, "origin")
    assert "nothing new" in tidemill("data", "pull", "d").stdout
    wrong = tidemill("data", "push", "d", "elsewhere")
    assert wrong.returncode == 2
    assert "[remotes.elsewhere]" in wrong.stderr
    other = project.parent / "other"
    other.mkdir()
    cloned = tidemill("-C", other, "data", "clone", str(project.parent / "team"), "d")
    assert cloned.stdout.startswith("Cloned d from origin: 1 commit,")
    assert "store = " in (other / "tidemill.toml").read_text("utf-8")


def test_what_is_said_of_what_is_gone(tidemill: Tidemill, project: Path):
    (project / "d.csv").write_text("k,name\n1,a\n7,b\n", "utf-8")
    tidemill("data", "import", "d", "d.csv", "--key", "k")
    words = ("data", "forget", "d", "--where", "k = 7", "--reason", "asked for")
    would = tidemill(*words, "--dry-run")
    assert would.stdout.startswith("Would forget 1 row of d, which 1 commit had."), would.stderr
    assert "Nothing was changed." in would.stdout
    told = json.loads(tidemill(*words, "--json").stdout)
    assert (told["rows"], told["commits"], told["trained"]) == (1, 1, [])
    assert tidemill(*words).stdout == "d: no row of any commit has k = 7.\n"
    wrong = tidemill("data", "forget", "d", "--where", "nothing = 7", "--reason", "asked for")
    assert wrong.returncode == 2
    refused = tidemill("data", "delete", "d")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert tidemill("data", "delete", "d", "--yes").stdout == "Deleted d: 1 commit on main, 1 row.\n"
    assert "gc" in tidemill("gc", "--help").stdout
