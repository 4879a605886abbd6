"""Two people, each with a machine, on one bucket and one database: an environment belongs to the place that serves it."""

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tidemill as tm
from tests.loop.test_firing import PIPELINE, SETTINGS, rows
from tests.release.conftest import add_run, create
from tests.services.again import how_to_open
from tests.services.postgres import Postgres
from tests.services.proxy import proxy_to
from tests.services.s3 import S3Server
from tests.services.waiting import until
from tidemill.core.errors import Conflict, Failed, Interrupted, NotAllowed
from tidemill.core.events import Event, Note, silent
from tidemill.loop import deploy, doctor, environments, refitting, serving, tokens, wishing
from tidemill.loop.views import EnvironmentView
from tidemill.pipeline import load
from tidemill.release import bundle, carrying_out, lookouts, servers, settling, wishes
from tidemill.release import environments as places
from tidemill.store.catalog import records

pytestmark = [pytest.mark.sklearn, pytest.mark.slow]

ENVIRONMENTS = """
[environments.dev]
[environments.prod]
[environments.shop]
[environments.mill]
[environments.kiosk]
[environments.yard]
[environments.van]
[environments.barge]
[environments.pier]
[environments.skiff]
"""


@pytest.fixture(scope="module")
def people(
    s3_running: S3Server, postgres_running: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[tm.Project, tm.Project]]:
    """Ada and Grace, each with a clone of the project; two releases are made. Each test has an environment of its own."""
    made: list[tm.Project] = []
    told = s3_running.environment | postgres_running.environment
    told |= {"TIDEMILL_STORE": s3_running.fresh(), "TIDEMILL_CATALOG": postgres_running.catalog()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        made += [clone(tmp_path_factory.mktemp(name), name) for name in ("ada", "grace")]
        ada, grace = made
        for seed in (1, 2):
            (ada.folder / "points.csv").write_text(rows(seed, 100))
            ada.import_data("points", ada.folder / "points.csv", tensors={"x": "x*:2"}, label="label")
            assert ada.run(ada.folder / "pipeline.py").status == "succeeded"
            ada.release()
        yield ada, grace
        for person in made:
            for running in places.running(person._ws.store):
                servers.stop(person._ws.store, running.environment)
            person.close()
        load.leave()


def clone(folder: Path, author: str) -> tm.Project:
    (folder / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    (folder / "tidemill.toml").write_text(f'author = "{author}"\n{SETTINGS}{ENVIRONMENTS}')
    return tm.open(folder)


def looked_at(person: tm.Project, environment: str) -> EnvironmentView:
    return next(e for e in person.environments() if e.environment == environment)


def recorded(person: tm.Project) -> list[object]:
    """Every line of every history."""
    with person._ws.store.catalog.read() as read:
        lines = read.find(records.Deployment, order=("id",))
        return [*lines, *read.find(records.DeploymentChange, order=("deployment", "position"))]


def now(person: tm.Project, environment: str, status: records.DeploymentStatus) -> None:
    """Let the record say something else of what went there last."""
    store = person._ws.store
    with store.catalog.write() as write:
        settling.change(write, store, settling.history(store, environment)[0], status, "somebody", "")


def machine(person: tm.Project) -> str:
    return f":{person._ws.store.folder}"


def look(person: tm.Project, environment: str) -> records.Wish | None:
    """What the person's ``tidemill serve`` does every few seconds."""
    ws = person._ws
    return carrying_out.carry_out(ws.store, ws.settings, environment, ws.project.author, silent)


@contextmanager
def looking(person: tm.Project, environment: str) -> Generator[None]:
    """Look all the time, as ``tidemill serve`` does, so that who types waits for an answer."""
    ended = threading.Event()

    def again_and_again() -> None:
        while not ended.wait(0.05):
            look(person, environment)

    lookouts.looked(person._ws.store, environment, None)
    thread = threading.Thread(target=again_and_again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        lookouts.looked(person._ws.store, environment, None, ended=True)


def answers(person: tm.Project, environment: str) -> list[tuple[str, str]]:
    with person._ws.store.catalog.read() as read:
        every = read.find(records.Wish, {"environment": environment}, order=("number",))
    return [(wishes.in_words(wish), wish.state) for wish in every]


def a_server_that_refuses_is_seen(person: tm.Project, environment: str) -> None:
    """One whose log was moved away, with its folder, runs and answers nothing: that is seen before anybody asks it."""
    log = person._ws.store.environments_folder / f"{environment}.predictions.db"
    log.rename(log.with_name("moved"))
    refuses = looked_at(person, environment)
    assert (refuses.running, (refuses.not_ready or {})["code"]) == (True, "log-replaced")
    [said] = [f for f in doctor.doctor(person.folder) if f.check == f"environment {environment}"]
    assert not said.ok
    assert "log-replaced" in said.message
    assert f"'tidemill stop {environment}'" in (said.hint or "")
    log.with_name("moved").rename(log)
    assert looked_at(person, environment).not_ready is None


def test_an_environment_is_served_and_settled_by_one_place(
    people: tuple[tm.Project, tm.Project], monkeypatch: pytest.MonkeyPatch
):
    ada, grace = people
    deploy.promote(ada._ws, "small/1", "prod", "for the trial")

    # A colleague who looks sees where it is served, and writes nothing, whatever the record says.
    now(ada, "prod", "starting")
    before = recorded(ada)
    assert looked_at(grace, "prod").release is None
    assert recorded(ada) == before
    assert looked_at(ada, "prod").running
    # What was settled is added: no line is another than it was.
    assert [line for line in recorded(ada) if line in before] == before
    assert len(recorded(ada)) == len(before) + 1
    seen = looked_at(grace, "prod")
    assert (seen.number, seen.running, seen.elsewhere, seen.personal) == (1, False, True, False)
    assert (seen.machine or "").endswith(machine(ada))
    assert "has never run there" in (seen.note or "")
    [line] = environments.deployments(grace._ws, "prod")
    assert (line.number, line.author, line.reason, line.asked_from) == (1, "ada", "for the trial", None)
    assert (line.machine or "").endswith(machine(ada))
    assert {change.author for change in line.changes} == {"ada", "somebody"}

    # A second machine that serves it would answer with another release.
    with pytest.raises(Conflict) as refused:
        serving.serve(grace._ws, "prod")
    assert refused.value.code == "served-elsewhere"
    assert machine(ada) in refused.value.message
    # Nor is a token made, listed or revoked where its server hears nothing of it.
    for typed in (
        lambda: tokens.create(grace._ws, "prod", ("predict",)),
        lambda: tokens.tokens(grace._ws, "prod"),
        lambda: tokens.revoke(grace._ws, "prod", "3f9a1c07"),
    ):
        with pytest.raises(Conflict) as refused:
            typed()
        assert refused.value.code == "served-elsewhere"
        assert machine(ada) in refused.value.message
    assert not [*grace._ws.store.environments_folder.glob("*.tokens.json")]
    # Of the other tests' environments too, whichever were first.
    for person, said in ((grace, 1), (ada, 0)):
        assert sum(line.startswith("prod ") for line in tokens.elsewhere(person._ws)) == said
    assert tokens.tokens(grace._ws) == []

    # The first environment is each one's own.
    ada.promote("small/1", "dev")
    assert looked_at(grace, "dev").release is None
    grace.promote("small/2", "dev")
    assert (looked_at(ada, "dev").personal, looked_at(ada, "dev").runs) == (True, "small/1")
    assert looked_at(grace, "dev").runs == "small/2"

    a_server_that_refuses_is_seen(ada, "dev")

    # What answers keeps its bundle, whatever the records say.
    for environment in ("dev", "prod"):
        now(ada, environment, "failed")
    store = ada._ws.store
    served = bundle.unpack(store, bundle.find(store, "small", 1), store.environments_folder / "bundles")
    ada.gc()
    assert served.is_dir()
    now(ada, "prod", "live")

    # Taken over, with a reason; the first one ends its server.
    taken = serving.serve(grace._ws, "prod", take_over="ada's machine is down")
    assert taken.number == 1
    assert f"{machine(ada)}: ada's machine is down" in (taken.taken_over or "")
    ends_with_the_next_command(ada, monkeypatch)
    seen = looked_at(ada, "prod")
    assert (seen.machine or "").endswith(machine(grace))
    assert (seen.address, seen.predictions) == (None, None)
    assert looked_at(grace, "prod").running
    assert [(d.number, d.status, d.author) for d in environments.deployments(ada._ws, "prod")] == [
        (2, "live", "grace"),
        (1, "retired", "ada"),
    ]


def ends_with_the_next_command(ada: tm.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken over from ada's machine, whose ``tidemill serve`` does not run any more, is ended by what is typed there."""
    # Not while nothing is known.
    monkeypatch.setenv("TIDEMILL_CATALOG", "postgresql://nobody@127.0.0.1:1/nothing")
    with tm.open(ada.folder) as cut_off:
        wishing.end_taken_over(cut_off._ws, "prod")
    assert places.status(ada._ws.store, "prod") is not None
    told: list[str] = []
    monkeypatch.setattr(ada._ws, "tell", told.append)
    with pytest.raises(Interrupted) as ended:
        deploy.address_of(ada._ws, "prod")
    assert ended.value.code == "not-serving"
    [said] = told
    assert "the server here has ended" in said
    assert "ada's machine is down" in said
    assert places.status(ada._ws.store, "prod") is None


def test_what_nobody_there_looks_for_is_wanted_until_it_is_withdrawn_or_replaced(
    people: tuple[tm.Project, tm.Project],
):
    ada, grace = people
    ada.promote("small/1", "shop")
    with pytest.raises(NotAllowed) as refused:
        grace.rollback("shop")
    assert refused.value.code == "nothing-to-roll-back-to"

    view = deploy.promote(grace._ws, "small/2", "shop", "more rows")
    assert (view.status, view.number) == ("wanted", 2)
    assert view.digest == bundle.find(grace._ws.store, "small", 2).digest
    said = " ".join(view.notes)
    assert f"{machine(ada)} has not answered; it will when it looks" in said
    assert "'tidemill serve shop' has never run there" in said
    for person in people:
        seen = looked_at(person, "shop")
        assert (seen.wanted, seen.number) == ("small/2", 1)
        assert seen.wish is not None
        assert (seen.wish.author, seen.wish.reason) == ("grace", "more rows")
        assert seen.wish.machine.endswith(machine(grace))
    assert looked_at(ada, "shop").runs == "small/1"

    # Promoting back withdraws it; a newer wish takes an older one's place.
    assert grace.promote("small/1", "shop").status == "live"
    assert look(ada, "shop") is None
    assert grace.stop("shop") is False
    assert looked_at(grace, "shop").wanted == "stopped"
    grace.promote("small/2", "shop")
    assert answers(ada, "shop") == [
        ("promote small/2", "withdrawn"),
        ("stop", "replaced"),
        ("promote small/2", "wanted"),
    ]

    # Who is at the server has the last word.
    ada.promote("small/2", "shop")
    assert answers(ada, "shop")[-1] == ("promote small/2", "replaced")
    assert grace.stop("shop") is False
    assert serving.serve(ada._ws, "shop").number == 2
    assert answers(ada, "shop")[-1] == ("stop", "replaced")

    # A rollback that was typed while another release was live takes nothing else off.
    grace.rollback("shop")
    with ada._ws.store.catalog.write() as write:
        write.change(records.Wish, {"environment": "shop", "state": "wanted"}, live=1)
    done = look(ada, "shop")
    assert done is not None
    assert (done.state, (done.error or {})["code"]) == ("failed", "live-moved")
    assert looked_at(ada, "shop").runs == "small/2"

    # What came to nothing is in the history, with what was live when it was typed.
    shown = environments.deployments(grace._ws, "shop")
    assert [[(w.wants, w.state) for w in line.wishes] for line in shown] == [
        [("stop", "replaced")],
        [
            ("promote small/2", "withdrawn"),
            ("stop", "replaced"),
            ("promote small/2", "replaced"),
            ("rollback", "failed"),
        ],
    ]
    assert all(w.author == "grace" and w.answer for line in shown for w in line.wishes)


def test_what_is_wanted_is_done_once_whenever_the_process_that_does_it_is_killed(
    people: tuple[tm.Project, tm.Project],
):
    ada, grace = people
    ada.promote("small/1", "mill")
    deploy.promote(grace._ws, "small/2", "mill", "more rows")

    def press_ctrl_c(event: Event) -> None:
        if isinstance(event, Note) and "sample rows" in event.text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carrying_out.carry_out(ada._ws.store, ada._ws.settings, "mill", "ada", press_ctrl_c)
    [left] = wishes.wanted(grace._ws.store, "mill")
    assert left.taken_at is None
    for moment in ("take", "answer"):
        killed(ada, "mill", moment)
    assert looked_at(ada, "mill").runs == "small/2"
    done = look(ada, "mill")
    assert done is not None
    assert (done.state, done.answer) == ("carried-out", "release small/2 is live")
    # In the name of whoever wanted it, with the place where that was.
    lines = environments.deployments(grace._ws, "mill")
    assert [(d.number, d.release_number, d.status, d.author, d.reason, d.wish) for d in lines] == [
        (3, 2, "live", "grace", "more rows", 1),
        (2, 2, "failed", "grace", "more rows", 1),
        (1, 1, "retired", "ada", "promoted", None),
    ]
    assert lines[1].changes[-1].reason == "its promotion was cut off"
    assert (lines[0].asked_from or "").endswith(machine(grace))
    assert (lines[0].machine or "").endswith(machine(ada))

    # A rollback that is done already is not done again, one further back.
    grace.rollback("mill")
    killed(ada, "mill", "answer")
    done = look(ada, "mill")
    assert done is not None
    assert (done.state, done.answer) == ("carried-out", "release small/1 is live")
    assert looked_at(ada, "mill").runs == "small/1"


def test_who_types_is_told_what_came_of_it(people: tuple[tm.Project, tm.Project]):
    ada, grace = people
    ada.promote("small/1", "kiosk")
    with looking(ada, "kiosk"):
        there = grace.promote("small/2", "kiosk")
        assert (there.status, there.number, there.replaced) == ("live", 2, 1)
        assert (there.machine or "").endswith(machine(ada))
        back = grace.rollback("kiosk")
        assert (back.status, back.number, back.replaced) == ("live", 1, 2)

        # What fails there is recorded and told, and the old release goes on.
        broken = add_run(ada._ws.store, "broken")
        create(ada._ws.store, broken, {"predictor.json": b"not json"}, name="broken")
        with pytest.raises(Failed) as failed:
            grace.promote("broken/1", "kiosk")
    assert failed.value.code == "deployment-failed"
    assert machine(ada) in failed.value.message
    seen = looked_at(grace, "kiosk")
    assert (seen.wanted, seen.number) == ("small/1", 1)
    assert seen.wish is not None
    assert seen.wish.state == "failed"
    assert looked_at(ada, "kiosk").runs == "small/1"
    line = environments.deployments(grace._ws, "kiosk")[0]
    assert (line.status, line.author) == ("failed", "grace")
    assert "could not enter 'kiosk'" in line.changes[-1].reason
    ada.promote("small/2", "kiosk")
    assert looked_at(grace, "kiosk").wish is None

    with looking(ada, "kiosk"):
        assert deploy.stop(grace._ws, "kiosk", "the mill is closed").stopped
    assert not looked_at(ada, "kiosk").running
    seen = looked_at(grace, "kiosk")
    assert "it ended at" in (seen.note or "")
    assert (seen.runs, seen.stopped, seen.number) == (None, True, 2)
    # It is a line of the history, and so is that it came back, and another stop at the place itself.
    serving.serve(ada._ws, "kiosk")
    assert not looked_at(grace, "kiosk").stopped
    deploy.stop(ada._ws, "kiosk", "a new belt")
    line = environments.deployments(grace._ws, "kiosk")[0]
    assert (line.status, line.number) == ("live", 5)
    stopped, back, again = line.changes[-3:]
    assert (stopped.status, stopped.author, stopped.reason) == ("stopped", "grace", "the mill is closed")
    assert stopped.machine.endswith(machine(grace))
    assert (back.status, back.author, back.reason) == ("live", "ada", "it is served again")
    assert (again.status, again.author, again.reason) == ("stopped", "ada", "a new belt")
    assert again.machine.endswith(machine(ada))


def test_a_folder_that_was_moved_keeps_its_server_until_it_takes_over_from_itself(
    people: tuple[tm.Project, tm.Project], tmp_path: Path
):
    (tmp_path / "home").mkdir()
    first = clone(tmp_path / "home", "joan")
    first.promote("small/1", "van")
    old = places.status(first._ws.store, "van")
    was = machine(first)
    follows = serving.serve(first._ws, "van")
    (tmp_path / "home").rename(tmp_path / "away")
    with tm.open(tmp_path / "away") as joan:
        store = joan._ws.store
        try:
            before = recorded(joan)
            for refused in (lambda: serving.serve(joan._ws, "van"), lambda: joan.promote("small/2", "van")):
                with pytest.raises(Conflict) as conflict:
                    refused()
                assert conflict.value.code == "served-elsewhere"
                assert "this folder was moved from there" in conflict.value.message
                assert was in conflict.value.message
                assert "tidemill serve van --take-over --reason moved" in (conflict.value.hint or "")
            seen = looked_at(joan, "van")
            assert old is not None
            still = places.status(store, "van")
            assert still is not None
            assert still.pid == old.pid
            assert (seen.address, seen.runs, seen.elsewhere) == (old.address, "small/1", True)
            assert "--take-over --reason moved" in (seen.note or "")
            assert recorded(joan) == before
            assert answers(joan, "van") == []
            assert (deploy.address_of(joan._ws, "van"), tokens.tokens(joan._ws, "van")) == (old.address, [])

            # The server hands over, and takes its name along from where the folder is now.
            taken = serving.serve(joan._ws, "van", take_over="moved")
            assert taken.pid != old.pid
            follows.wait()
            assert "was moved or removed" in follows.warnings[-1]
            follows.leave()
            assert not servers.died(store, "van", old.pid)
            assert not (tmp_path / "home").exists()
            assert (looked_at(joan, "van").elsewhere, looked_at(joan, "van").running) == (False, True)
        finally:
            servers.stop(store, "van")
            first.close()
    with tm.open(tmp_path / "away") as joan:
        assert not looked_at(joan, "van").elsewhere


def test_while_the_bucket_is_away_a_server_goes_on_and_what_is_wanted_is_done_when_it_is_back(
    people: tuple[tm.Project, tm.Project],
    s3_running: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    theirs = people[1]._ws.store
    notes: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    with proxy_to(s3_running.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with clone(tmp_path, "carol") as carol:
            store = carol._ws.store
            first = carol.promote("small/1", "barge")
            follows = threading.Thread(
                target=serving.serve(carol._ws, "barge").wait, args=(note,), daemon=True
            )
            follows.start()
            proxy.spoil_all("drop-before")
            live = settling.history(store, "barge")[0]
            release = bundle.find(store, "small", 2)
            wish = wishes.add(
                theirs,
                environment="barge",
                verb="promote",
                release=release,
                live=live,
                author="grace",
                reason="more rows",
            )
            until(lambda: any("barge goes on" in text for text in notes))
            proxy.met.clear()
            until(lambda: bool(proxy.met))
            # Amid a try: the server answers and could be stopped, nothing has failed, and the wish may still be replaced.
            with store.locks.hold(settling.lock("barge"), timeout_seconds=0):
                running = places.status(store, "barge")
            assert running is not None
            assert (running.number, running.address) == (1, first.address)
            assert [d.status for d in settling.history(store, "barge")] == ["live"]
            assert wishes.again(store, wish).taken_at is None

            proxy.plan = lambda _: None
            until(lambda: wishes.again(store, wish).state != "wanted")
            assert wishes.again(store, wish).state == "carried-out"
            running = places.status(store, "barge")
            assert running is not None
            assert (running.number, running.address) == (2, first.address)
            until(lambda: any("can be seen and done again" in text for text in notes))
            assert deploy.stop(carol._ws, "barge").stopped
            follows.join()


@pytest.mark.usefixtures("people")
def test_a_token_that_is_made_before_anybody_serves_is_said_to_be_known_here_alone(tmp_path: Path):
    said: list[str] = []
    with clone(tmp_path, "nina") as nina:
        nina._ws.tell = said.append
        tokens.create(nina._ws, "skiff", ("predict",))
        [told] = said
        assert told.startswith("Nobody serves skiff yet: this machine alone knows the token")
        # Of one that each has for himself there is no other machine.
        tokens.create(nina._ws, "dev", ("predict",))
        assert said == [told]
        nina.promote("small/1", "pier")
        tokens.create(nina._ws, "pier", ("predict",))
        assert said == [told]
        servers.stop(nina._ws.store, "pier")


def test_a_refit_wants_its_release_where_another_machine_serves_and_does_not_call_it_live(
    people: tuple[tm.Project, tm.Project],
):
    ada, grace = people
    ada.promote("small/1", "yard")
    made = refitting.make(grace._ws, "small", "yard", "person", "more rows", silent)
    assert made.release is not None
    assert not made.deployed
    assert f"release {made.release}, wanted in yard" in made.reason
    assert machine(ada) in made.reason
    assert answers(ada, "yard") == [(f"promote small/{made.release}", "wanted")]


def killed(person: tm.Project, environment: str, moment: str) -> None:
    """Look once, in a process that is killed at one function of ``wishes``: when a wish was taken, or before it is answered."""
    ws = person._ws
    done = subprocess.run(
        [sys.executable, "-c", DYING, how_to_open(ws.store), str(ws.folder), environment, moment],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


DYING = """
import os, signal, sys
from pathlib import Path
from tests.services.again import opened_again
from tidemill.core.config import load_project
from tidemill.core.events import silent
from tidemill.release import bundle, carrying_out, wishes
how, folder, environment, moment = sys.argv[1:]
real = getattr(wishes, moment)
def deadly(*arguments, **named):
    if moment == "take":
        real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(wishes, moment, deadly)
settings = load_project(Path(folder)).settings
carrying_out.carry_out(opened_again(how), settings, environment, "ada", silent)
"""
