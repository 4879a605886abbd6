"""Ada and Grace each have a machine, and share a bucket and a catalog: what belongs together, and who may settle it.

A story in commands, each a process of its own, on a real S3 server and a PostgreSQL server that is stopped in the middle of it.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tests.loop import dying
from tests.loop.test_firing import PIPELINE, SETTINGS, rows
from tests.services.postgres import Postgres, postgres_server
from tests.services.s3 import S3Server
from tests.services.waiting import until
from tidemill.pipeline import load

TIDEMILL = str(Path(sys.executable).parent / "tidemill")
ENVIRONMENTS = """
[environments.dev]

[environments.prod]
"""


@dataclass
class Member:
    """Somebody with a machine.

    Attributes:
        secret: The catalog's password, which no command may show.
    """

    name: str
    home: Path
    secret: str
    serving: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, subprocess.Popen[bytes]])

    def types(self, *words: str, refused: str | None = None, **variables: str) -> Any:
        """Type a command; what it printed, or with ``refused`` the error that has this code."""
        shown, _ = self.sees(*words, refused=refused, **variables)
        return shown

    def sees(self, *words: str, refused: str | None = None, **variables: str) -> tuple[Any, str]:
        """Type a command; what it printed, and what it noted beside that."""
        done = subprocess.run(
            [TIDEMILL, *words, "--json"],
            cwd=self.home,
            env=os.environ | {"TIDEMILL_AUTHOR": self.name} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        said = f"{self.name}: tidemill {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, said
        assert self.secret not in said
        if refused is not None:
            assert done.returncode != 0, said
            assert f'"{refused}"' in done.stdout + done.stderr, said
            return None, done.stderr
        assert done.returncode == 0, said
        return json.loads(done.stdout), done.stderr

    def status(self, environment: str = "prod") -> Any:
        """What ``status`` shows of an environment."""
        [shown] = self.types("status", environment)
        return shown

    def history(self) -> Any:
        """What ``status prod --history`` shows."""
        return self.types("status", "prod", "--history")

    def serves(self, environment: str, *more: str) -> str:
        """Start ``tidemill serve``, and leave it there; its address."""
        with (self.home / "served").open("wb") as shown:
            process = subprocess.Popen(
                [TIDEMILL, "serve", environment, *more, "--json"],
                cwd=self.home,
                env=os.environ | {"TIDEMILL_AUTHOR": self.name},
                stdout=subprocess.PIPE,
                stderr=shown,
            )
        self.serving[environment] = process
        assert process.stdout is not None
        with process.stdout:
            line = process.stdout.readline()
        assert line, self.noted()
        return json.loads(line)["address"]

    def leaves(self, environment: str) -> None:
        """Press Ctrl-C."""
        process = self.serving.pop(environment)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)

    def noted(self) -> str:
        """What the last ``tidemill serve`` noted."""
        return (self.home / "served").read_text()


@pytest.fixture
def catalog() -> Generator[Postgres]:
    """A server of its own, to be stopped."""
    with postgres_server() as server:
        yield server


@contextmanager
def two_members(folder: Path, secret: str) -> Generator[tuple[Member, Member]]:
    both = tuple(Member(name, folder / name, secret) for name in ("ada", "grace"))
    for member in both:
        member.home.mkdir()
        (member.home / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
        (member.home / "tidemill.toml").write_text(SETTINGS + ENVIRONMENTS)
    try:
        yield both[0], both[1]
    finally:
        for member in both:
            for process in member.serving.values():
                process.terminate()
                process.wait(timeout=60)
            with tm.open(member.home) as project:
                for told in project.environments():
                    if told.running:
                        project.stop(told.environment)
        load.leave()


@pytest.mark.sklearn
@pytest.mark.slow
def test_what_belongs_together_and_who_may_settle_it(
    s3: S3Server, catalog: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    team = catalog.fresh()
    monkeypatch.setenv("TIDEMILL_STORE", s3.fresh())
    monkeypatch.setenv("TIDEMILL_CATALOG", f"{team}?password={catalog.password}")
    with two_members(tmp_path, catalog.password) as (ada, grace):
        they_begin(ada, grace, catalog, team)
        a_store_has_one_catalog(grace, catalog)
        what_is_garbage_waits(ada, grace)
        looking_settles_nothing(ada, grace)
        what_is_typed_elsewhere_is_carried_out(ada, grace, catalog)
        a_machine_is_replaced(ada, grace)
        what_is_owed_is_done_by_whoever_comes(ada, grace)


def they_begin(ada: Member, grace: Member, catalog: Postgres, team: str) -> None:
    # The catalog as it is now, on the first day, is kept as a backup.
    ada.types("status")
    catalog.sql(f"create database backup template {team.rpartition('/')[2]}")
    with tm.open(ada.home) as project:
        for seed in (1, 2):
            (ada.home / "points.csv").write_text(rows(seed, 60))
            project.import_data("points", ada.home / "points.csv", tensors={"x": "x*:2"}, label="label")
            project.run(ada.home / "pipeline.py")
            project.release()
        project.branch("points", "more")
        (ada.home / "more.csv").write_text(rows(3, 10))
        project.import_data("points", ada.home / "more.csv", tensors={"x": "x*:2"}, branch="more")
    load.leave()
    checked = grace.types("doctor")
    assert all(finding["ok"] for finding in checked)
    assert any("password=***" in finding["message"] for finding in checked)


def a_store_has_one_catalog(grace: Member, catalog: Postgres) -> None:
    # D1: with another catalog, or a typo in the prefix, nothing is read, and nothing is made.
    other = f"{catalog.fresh()}?password={catalog.password}"
    for command in (("gc",), ("status",)):
        grace.types(*command, TIDEMILL_CATALOG=other, refused="store-catalog-mismatch")
    typo = os.environ["TIDEMILL_STORE"] + "s"
    grace.types("status", TIDEMILL_STORE=typo, refused="store-catalog-mismatch")


def what_is_garbage_waits(ada: Member, grace: Member) -> None:
    # D1: beside an old copy of the catalog most is garbage, which is refused; what is not, waits and can be taken back.
    backup = os.environ["TIDEMILL_CATALOG"].replace(
        os.environ["TIDEMILL_CATALOG"].partition("?")[0].rpartition("/")[2], "backup"
    )
    grace.types("gc", TIDEMILL_CATALOG=backup, refused="gc-removes-most")
    with tm.open(ada.home) as project:
        orphan = project._ws.store.blobs.put(b"nobody needs this")
    load.leave()
    assert ada.types("gc")["marked"]["count"] == 1
    assert grace.types("gc", "--undo")["kept"] == 1
    with tm.open(ada.home) as project:
        assert project._ws.store.blobs.exists(orphan)
    load.leave()


def looking_settles_nothing(ada: Member, grace: Member) -> None:
    # D2: each has a dev of her own; prod is one, and Ada's machine serves it.
    ada.types("promote", "small/1", "dev")
    assert grace.status("dev")["release"] is None
    ada.types("promote", "small/1", "prod", "--reason", "the first")
    before = ada.history()
    assert [(d["number"], d["author"], d["reason"]) for d in before] == [(1, "ada", "the first")]
    seen = grace.status()
    assert (seen["personal"], seen["elsewhere"], seen["running"]) == (False, True, False)
    assert seen["machine"].endswith(f":{ada.home / '.tidemill'}")
    assert ada.history() == before
    grace.types("serve", "prod", refused="served-elsewhere")


def what_is_typed_elsewhere_is_carried_out(ada: Member, grace: Member, catalog: Postgres) -> None:
    address = ada.serves("prod")
    done = grace.types("promote", "small/2", "prod", "--reason", "more rows")
    assert (done["status"], done["number"], done["replaced"]) == ("live", 2, 1)
    assert done["machine"].endswith(f":{ada.home / '.tidemill'}")
    assert "wants: promote small/2 (more rows)" in ada.noted()

    # It goes on serving while the catalog is away, and looks again.
    catalog.stop()
    until(lambda: "cannot be seen or done now" in ada.noted(), "that it cannot look is noted")
    assert answers(address) == "2"
    catalog.start()
    back = grace.types("rollback", "prod", "--reason", "worse")
    assert (back["status"], back["number"]) == ("live", 1)
    assert answers(address) == "1"
    grace.types("rollback", "prod", refused="nothing-to-roll-back-to")
    shown = ada.history()
    assert [(d["number"], d["release_number"], d["author"], d["reason"], d["back_from"]) for d in shown] == [
        (3, 1, "grace", "worse", 2),
        (2, 2, "grace", "more rows", None),
        (1, 1, "ada", "the first", None),
    ]
    assert {d["asked_from"] and d["asked_from"].partition(":")[2] for d in shown} == {
        str(grace.home / ".tidemill"),
        None,
    }


def a_machine_is_replaced(ada: Member, grace: Member) -> None:
    # Nobody looks any more at Ada's: it is said, and stays wanted. Her server goes on by itself.
    ada.leaves("prod")
    wanted = grace.types("promote", "small/2", "prod")
    assert wanted["status"] == "wanted"
    assert "has not answered; it will when it looks" in wanted["notes"][-2]
    assert "does not run there: it ended at" in wanted["notes"][-2]
    seen = ada.status()
    assert (seen["wanted"], seen["runs"], seen["wish"]["author"]) == ("small/2", "small/1", "grace")

    # Grace takes over, and what is wanted is carried out there. Ada's server ends when she comes back.
    address = grace.serves("prod", "--take-over", "--reason", "ada is on leave")
    until(lambda: answers(address) == "2", "what is wanted is carried out")
    [seen], noted = ada.sees("status", "prod")
    assert "the server here has ended" in noted
    assert "ada is on leave" in noted
    ada.types("serve", "prod", refused="served-elsewhere")
    assert (seen["running"], seen["runs"]) == (False, "small/2")
    assert seen["machine"].endswith(f":{grace.home / '.tidemill'}")
    newest, taken = ada.history()[:2]
    assert (newest["number"], newest["status"], newest["kind"]) == (5, "live", "promotion")
    assert (taken["number"], taken["kind"], taken["author"]) == (4, "take-over", "grace")
    assert "ada is on leave" in taken["reason"]
    # A take-over is no promotion: release 1 lies beneath, whoever served it.
    assert ada.types("rollback", "prod")["number"] == 1
    assert grace.status()["runs"] == "small/1"


def what_is_owed_is_done_by_whoever_comes(ada: Member, grace: Member) -> None:
    # D3: Ada's merge is killed after it landed; Grace sees what it owes, and settles it, once.
    done = subprocess.run(
        [sys.executable, dying.__file__, "landed", str(ada.home)], check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, noted = grace.sees("status")
    assert "Owed since a merge that was cut off: more" in noted
    [settled] = grace.types("triggers", "settle")
    assert settled["reason"] == "release 3"
    assert ada.types("triggers", "settle") == []


def answers(address: str) -> str:
    """The number of the release that answers at an address."""
    with urllib.request.urlopen(f"{address}/v2/models/small", timeout=60) as answer:
        return json.load(answer)["versions"][0]
