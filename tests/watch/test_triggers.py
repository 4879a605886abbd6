"""Triggers: a merge fires those that watch the branch; each cause is answered once, whoever is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.core.settings import Settings, TriggerSettings
from tidemill.store.open import Store
from tidemill.watch import triggers


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.create(tmp_path / "store")
    yield opened
    opened.close()


def fired(dataset: str, branch: str, **watched: str) -> list[str]:
    settings = Settings(triggers={name: TriggerSettings(where, "fashion") for name, where in watched.items()})
    return [name for name, _ in triggers.fired_by_merge(settings, dataset, branch)]


def test_a_merge_fires_the_triggers_that_watch_the_branch():
    watched = {"b": "fashion@main", "a": "fashion", "c": "fashion@feedback", "d": "digits@main"}
    assert fired("fashion", "main", **watched) == ["a", "b"]
    assert fired("fashion", "feedback", **watched) == ["c"]
    assert fired("fashion", "other", **watched) == []


def test_a_trigger_that_names_no_dataset_is_refused():
    with pytest.raises(InvalidInput):
        fired("fashion", "main", a="fashion@")


def owed(store: Store, trigger: str, cause: str) -> triggers.Claim:
    return triggers.owe(store, trigger, cause, dataset="fashion", branch="main")


def test_what_is_owed_is_held_by_who_recorded_it_and_settled_once(store: Store):
    claim = owed(store, "refit", "0123456789ab")
    assert triggers.claim(store, "refit", "0123456789ab") is None
    assert triggers.is_claimed(store, claim.firing)
    firing = triggers.settle(store, claim, outcome="released 2", run="r1")
    assert (firing.run, firing.outcome) == ("r1", "released 2")
    assert not triggers.is_claimed(store, firing)
    assert triggers.claim(store, "refit", "0123456789ab") is None
    assert triggers.firings(store) == [firing]
    assert triggers.unsettled(store) == []


def test_other_causes_and_other_triggers_are_their_own(store: Store):
    for who in (("a", "1"), ("a", "2"), ("b", "1")):
        owed(store, *who)
    assert len(triggers.unsettled(store)) == 3


def test_what_nobody_recorded_is_not_claimed(store: Store):
    assert triggers.claim(store, "refit", "1") is None
    assert triggers.firings(store) == []


def test_what_is_dropped_was_never_there(store: Store):
    triggers.drop(store, owed(store, "refit", "1"))
    assert triggers.firings(store) == []
    assert owed(store, "refit", "1")


def test_a_claim_given_back_unsettled_may_be_taken_again(store: Store):
    with pytest.raises(RuntimeError), owed(store, "refit", "1") as claim:
        triggers.began(store, claim, "r1")
        raise RuntimeError
    again = triggers.claim(store, "refit", "1")
    assert again is not None
    assert again.firing.run == "r1"


CLAIM = """
import sys, time
from pathlib import Path
from tidemill.store.open import Store
from tidemill.watch import triggers
store = Store.open(Path(sys.argv[1]))
claim = triggers.claim(store, "refit", "1")
if claim is not None and sys.argv[2] == "hang":
    triggers.began(store, claim, "r1")
print("claimed" if claim else "refused", flush=True)
if sys.argv[2] == "hang":
    sys.stdin.read()
elif claim is not None:
    time.sleep(0.05)
    triggers.settle(store, claim, outcome="done")
"""


def start(store: Store, what: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(store.folder), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_a_killed_claim_is_taken_up_again(store: Store):
    owed(store, "refit", "1").close()
    with start(store, "hang") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        assert triggers.claim(store, "refit", "1") is None
        process.send_signal(signal.SIGKILL)
    [left] = triggers.unsettled(store)
    claim = triggers.claim(store, left.trigger, left.cause)
    assert claim is not None
    assert claim.firing.run == "r1"
    assert triggers.settle(store, claim, outcome="released 2").run == "r1"


def test_of_many_processes_one_answers(store: Store):
    owed(store, "refit", "1").close()
    processes = [start(store, "settle") for _ in range(6)]
    said = [process.communicate(timeout=180)[0] for process in processes]
    assert sorted(said) == ["claimed\n", *["refused\n"] * 5]
    assert [firing.outcome for firing in triggers.firings(store)] == ["done"]
