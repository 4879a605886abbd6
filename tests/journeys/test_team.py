"""Ada and Grace work on the reference data: two clones and one team store, at the same time.

A story in commands, on 70,000 real images, a real S3 server and a real PostgreSQL. Each command is a process of
its own, as the two would type it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tidemill.loop.fashion import CLASSES, FALSE_LABELS

TIDEMILL = str(Path(sys.executable).parent / "tidemill")
FALSE = f"label in ({', '.join(repr(label) for label in FALSE_LABELS)})"
TEAM_SETTINGS = """\
store = "{store}"
catalog = "{catalog}"

[reviews.fashion]
approvals = 1
branches = ["main"]

"""


@dataclass(frozen=True)
class Person:
    """Somebody with a clone of his own, and the team's project beside it."""

    name: str
    home: Path
    team: Path

    def types(self, *words: str, told: str | None = None, refused: str | None = None) -> Any:
        """Type a command in the clone; what it printed, or with ``refused`` the error that has this code."""
        return self._type(self.home, words, told, refused)

    def types_at_team(self, *words: str, told: str | None = None, refused: str | None = None) -> Any:
        """Type a command in the team's project, which works on the shared store itself."""
        return self._type(self.team, words, told, refused)

    def starts_at_team(self, *words: str, told: str) -> subprocess.Popen[bytes]:
        """Type a command and its answers in the team's project, and do not wait."""
        answers, shown = self.home / "answers", self.home / "shown"
        answers.write_text(told)
        with answers.open("rb") as read, shown.open("wb") as written:
            return subprocess.Popen(
                [TIDEMILL, *words],
                cwd=self.team,
                env=self._environment,
                stdin=read,
                stdout=written,
                stderr=subprocess.STDOUT,
            )

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"TIDEMILL_AUTHOR": self.name}

    def _type(self, folder: Path, words: Sequence[str], told: str | None, refused: str | None) -> Any:
        done = subprocess.run(
            [TIDEMILL, *words, "--json"],
            cwd=folder,
            env=self._environment,
            input=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        said = f"{self.name}: tidemill {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, said
        if refused is not None:
            assert done.returncode == 2, said
            assert f"[{refused}]" in done.stderr or f'"{refused}"' in done.stdout + done.stderr, said
            return None
        assert done.returncode == 0, said
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's CSV, damaged as it was, each line with a number of its own."""
    from tidemill.loop import fashion

    folder = tmp_path_factory.mktemp("reference")
    plain, numbered = folder / "plain.csv", folder / "fashion.csv"
    fashion.write_csv(fashion.load(), plain)
    with plain.open() as lines, numbered.open("w") as out:
        out.write(f"id,{next(lines)}")
        out.writelines(f"{number},{line}" for number, line in enumerate(lines))
    plain.unlink()
    return numbered


def lines_with(reference: Path, labels: dict[int, str], file: Path) -> Path:
    """A CSV of some rows of the reference data, with other labels."""
    with reference.open() as lines, file.open("w") as out:
        out.write(next(lines))
        for line in lines:
            number = int(line.partition(",")[0])
            if number in labels:
                _, _, pixels = line.partition(",")[2].partition(",")
                out.write(f"{number},{labels[number]},{pixels}")
    return file


def rows_of(diff: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((cell["column"], cell["new"]) for cell in diff["cells"])


@pytest.mark.slow
def test_two_people_label_branch_conflict_resolve_review_and_merge(
    reference: Path, tmp_path: Path, s3: S3Server, postgres: Postgres
):
    store, catalog = s3.fresh(), postgres.fresh()
    team = tmp_path / "team"
    team.mkdir()
    (team / "tidemill.toml").write_text(
        TEAM_SETTINGS.format(store=store, catalog=catalog, classes=json.dumps(CLASSES)[1:-1])
    )
    for name in ("ada", "grace"):
        (tmp_path / name).mkdir()
    ada, grace = (Person(name, tmp_path / name, team) for name in ("ada", "grace"))

    they_share(ada, grace, reference, store)
    they_disagree(ada, grace, reference)
    wrong = they_label(ada, grace)
    they_review(ada, grace, reference)
    they_have_the_same(ada, grace, changed=wrong + 4)


def they_share(ada: Person, grace: Person, reference: Path, store: str) -> None:
    # Ada imports the data into a folder of hers and gives them to the team.
    (ada.home / "tidemill.toml").write_text(f'[remotes.origin]\nstore = "{store}"\n')
    imported = ada.types(
        "data", "import", "fashion", str(reference), "--key", "id", "--tensor", "image=pixel*:28x28"
    )
    assert imported["rows"] == {"added": 70_000, "changed": 0, "removed": 0}
    ada.types("data", "push", "fashion")

    # Grace clones them: the same commit, under the same id.
    grace.types("data", "clone", store, "fashion")
    assert grace.types("data", "log", "fashion")[0]["id"] == imported["commit"]


def they_disagree(ada: Person, grace: Person, reference: Path) -> None:
    # Both correct labels in their clones at the same time. About image 100 they disagree.
    for person, labels in ((ada, {100: "coat", 101: "bag"}), (grace, {100: "pullover", 102: "dress"})):
        corrected = lines_with(reference, labels, person.home / "corrected.csv")
        done = person.types("data", "import", "fashion", str(corrected), "-m", "Correct two labels")
        assert done["rows"] == {"added": 0, "changed": 2, "removed": 0}

    # Grace is first. Ada's push is turned down: she would lose what Grace did.
    grace.types("data", "push", "fashion")
    ada.types("data", "push", "fashion", refused="push-rejected")

    # So she pulls; they disagree about one cell, and nothing is merged until somebody says what is right.
    ada.types("data", "pull", "fashion", refused="merge-conflict")
    assert ada.types("data", "log", "fashion")[0]["author"] == "ada"
    choices = ada.home / "choices.csv"
    ada.types("data", "merge", "fashion", "origin/main", "--conflicts", str(choices))
    written = choices.read_text()
    assert "coat" in written
    assert "pullover" in written
    assert "grace" in written
    ada.types("data", "merge", "fashion", "origin/main", "--resolve", "label=theirs")
    merged = ada.types("data", "log", "fashion")[0]
    assert len(merged["parents"]) == 2
    ada.types("data", "push", "fashion")
    grace.types("data", "pull", "fashion")
    assert grace.types("data", "log", "fashion")[0]["id"] == merged["id"]

    # Nobody's work is lost: the merge changed one label here and one there.
    assert dict(rows_of(grace.types("data", "diff", "fashion@1", "fashion"))).keys() == {"label"}
    blamed = grace.types("data", "blame", "fashion", "--where", "id in (100, 101, 102)", "--column", "label")
    assert {"ada", "grace"} == authors(blamed)


def they_label(ada: Person, grace: Person) -> int:
    # The data hold labels that do not exist. Both label those rows anew, at the team's store, at once.
    start = ["label", "fashion", "--column", "label", "--rows", "all", "--where", FALSE]
    start += [word for name in CLASSES for word in ("--class", name)]
    first = ada.types_at_team(*start, "--branch", "relabelled", told="coat\nquit\n")
    wrong = first["size"]
    assert (wrong > 20, first["decided"]) == (True, 1)
    working = [
        person.starts_at_team("label", "fashion", told=answer * wrong)
        for person, answer in ((ada, "coat\n"), (grace, "shirt\n"))
    ]
    for person, process in zip((ada, grace), working, strict=True):
        assert process.wait(timeout=300) == 0, (person.home / "shown").read_text()
    ada.types_at_team("label", "commit", "fashion")
    relabelled = ada.types_at_team("data", "diff", "fashion", "fashion@relabelled", "--limit", "1000")
    assert (relabelled["added"], relabelled["changed"], relabelled["removed"]) == (0, wrong, 0)
    assert {new for _, new in rows_of(relabelled)} == {"coat", "shirt"}
    authored = ada.types_at_team("data", "log", "fashion@relabelled", "--branch", "relabelled")
    assert {commit["author"] for commit in authored} == {"ada", "grace"}
    return wrong


def they_review(ada: Person, grace: Person, reference: Path) -> None:
    # The team's main takes changes by review only, and nobody approves his own.
    ada.types_at_team("data", "merge", "fashion", "relabelled", refused="review-needed")
    ada.types_at_team("review", "open", "fashion", "relabelled", "--title", "Labels that exist")
    ada.types_at_team("review", "comment", "fashion#1", "Coats and shirts are hard to tell apart.")
    ada.types_at_team("review", "approve", "fashion#1", refused="own-review")
    ada.types_at_team("review", "merge", "fashion#1", refused="not-approved")
    grace.types_at_team("review", "approve", "fashion#1")

    # The branch moves on after the approval: what was approved is not what would be merged.
    more = lines_with(reference, {103: "bag"}, ada.home / "more.csv")
    ada.types_at_team("data", "import", "fashion", str(more), "--branch", "relabelled", "-m", "One more")
    ada.types_at_team("review", "merge", "fashion#1", refused="review-moved")
    grace.types_at_team("review", "approve", "fashion#1")
    ada.types_at_team("review", "merge", "fashion#1")


def they_have_the_same(ada: Person, grace: Person, *, changed: int) -> None:
    # In the end all have the same: both clones, and the team.
    for person in (ada, grace):
        person.types("data", "pull", "fashion")
        assert person.types("data", "diff", "fashion@1", "fashion")["changed"] == changed
    heads = {person.types("data", "log", "fashion")[0]["id"] for person in (ada, grace)}
    assert heads == {ada.types_at_team("data", "log", "fashion")[0]["id"]}
    left = grace.types("data", "blame", "fashion", "--where", FALSE, "--column", "label")
    assert authors(left) == set()


def authors(blamed: Any) -> set[str]:
    """Everybody who is named in what ``data blame`` printed."""
    text = json.dumps(blamed)
    return {name for name in ("ada", "grace") if f'"{name}"' in text}
