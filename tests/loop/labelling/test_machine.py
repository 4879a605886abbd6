"""People label, skip, take back, come and go, in any order: a queue against what it must be, said in a few lines."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.loop.labelling.conftest import CLASSES, write_csv
from tidemill.core.config import load_project
from tidemill.core.errors import Conflict, NotAllowed
from tidemill.loop.datasets.importing import import_data
from tidemill.loop.datasets.labelling.committing import commit_labels
from tidemill.loop.datasets.labelling.queues import Wish, find_queue, open_queue
from tidemill.loop.datasets.labelling.turns import Labeller
from tidemill.loop.datasets.labelling.votes import stands
from tidemill.loop.workspace import Workspace
from tidemill.store.catalog import records

PEOPLE = ("ada", "grace", "lin", "mary")
ROWS = 5
people = st.sampled_from(PEOPLE)
labels = st.sampled_from(CLASSES)


class Queue(RuleBasedStateMachine):
    """``said`` is the model: row to who said what; ``decided`` row to what the referee said."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)
        self.sessions: dict[str, Labeller] = {}
        self.at_work: list[Workspace] = []
        self.has: dict[str, str | None] = dict.fromkeys(PEOPLE)
        self.said: dict[str, dict[str, str]] = {}
        self.refereed: dict[str, str] = {}
        self.skipped: set[tuple[str, str]] = set()
        self.committed: set[str] = set()

    @initialize(needed=st.integers(1, 3), referee=st.sampled_from([None, "mary"]))
    def begin(self, needed: int, referee: str | None) -> None:
        self.needed, self.referee = needed, referee
        ws = self.opened("ada")
        open_queue(ws, "pets", Wish(column="label", labels=needed, referee=referee, classes=CLASSES))
        ws.close()

    def opened(self, name: str) -> Workspace:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIDEMILL_AUTHOR", name)
            return Workspace(load_project(self.folder))

    def session(self, name: str) -> Labeller:
        if name not in self.sessions:
            ws = self.opened(name)
            self.at_work.append(ws)
            self.sessions[name] = Labeller(ws, find_queue(ws, "pets"))
        return self.sessions[name]

    def open_rows(self) -> set[str]:
        return {row for row in self.rows() if self.state(row) == "open"}

    def rows(self) -> set[str]:
        return {f"{n}" for n in range(ROWS)}

    def state(self, row: str) -> str:
        given = list(self.said.get(row, {}).values())
        if row in self.refereed or stands(given, self.needed):
            return "decided"
        return "disputed" if len(given) >= self.needed else "open"

    def free_for(self, name: str) -> set[str]:
        """The rows that this person may be given now."""
        free: set[str] = set()
        for row in self.rows():
            if name == self.referee:
                fit = self.state(row) == "disputed"
            else:
                others = {p for p in PEOPLE if p not in (name, self.referee) and self.has[p] == row}
                others |= self.said.get(row, {}).keys()
                fit = self.state(row) == "open" and name not in others and len(others) < self.needed
            if fit and (name, row) not in self.skipped:
                free.add(row)
        return free

    @rule(name=people)
    def take(self, name: str) -> None:
        task = self.session(name).take()
        if self.has[name] is not None and self.has[name] in self.free_for(name):
            assert task is not None
            assert str(task.cells["id"]) == self.has[name]
        elif task is None:
            assert self.free_for(name) == set()
        else:
            assert str(task.cells["id"]) in self.free_for(name)
            assert task.role == ("referee" if name == self.referee else "labeller")
        self.has[name] = None if task is None else str(task.cells["id"])

    @precondition(lambda self: any(self.has.values()))
    @rule(name=people, label=labels)
    def answer(self, name: str, label: str) -> None:
        row = self.has[name]
        if row is None:
            return
        self.has[name] = None
        if name == self.referee and self.state(row) != "disputed":
            with pytest.raises(Conflict, match="went to somebody else"):
                self.session(name).answer(label)
            return
        self.session(name).answer(label)
        self.skipped.discard((name, row))
        if name == self.referee:
            self.refereed[row] = label
        else:
            self.said.setdefault(row, {})[name] = label

    @precondition(lambda self: any(self.has.values()))
    @rule(name=people)
    def skip(self, name: str) -> None:
        row = self.has[name]
        if row is not None:
            self.session(name).skip()
            self.skipped.add((name, row))
            self.has[name] = None

    @precondition(lambda self: self.said)
    @rule(name=people)
    def undo(self, name: str) -> None:
        try:
            row = str(self.session(name).undo().cells["id"])
        except NotAllowed:
            return
        assert row not in self.committed
        if name == self.referee:
            del self.refereed[row]
        else:
            assert row not in self.refereed
            del self.said[row][name]
        self.has[name] = row

    @rule(name=people)
    def leave_and_come_back(self, name: str) -> None:
        self.session(name).leave()
        del self.sessions[name]
        self.has[name] = None

    @rule()
    def commit(self) -> None:
        ws = self.opened("lin")
        wanted = {r for r in self.rows() if self.state(r) == "decided"} - self.committed
        made = commit_labels(ws, "pets")
        assert sum(c.labels for c in made.commits) == len(wanted)
        self.committed |= wanted
        if self.committed:
            frame = ws.datasets.open("pets").snapshot("labels-pets").read().to_polars()
            there = dict(zip(map(str, frame["id"].to_list()), frame["label"].to_list(), strict=True))
            assert there == {row: self.label(row) if row in self.committed else None for row in self.rows()}
        ws.close()

    def label(self, row: str) -> str | None:
        return self.refereed.get(row) or stands(list(self.said.get(row, {}).values()), self.needed)

    @invariant()
    def no_row_has_more_labels_than_asked_and_none_is_lost(self) -> None:
        if not hasattr(self, "needed"):
            return
        for row, given in self.said.items():
            assert len(given) <= self.needed, row
        ws = self.opened("lin")
        with ws.store.catalog.read() as read:
            turns = read.find(records.LabelTurn, {"state": "labelled", "role": "labeller"})
            rows = {r.position: r for r in read.find(records.LabelRow)}
        numbers = self.numbers()
        found: dict[str, dict[str, Any]] = {}
        for turn in turns:
            found.setdefault(numbers[rows[turn.position].row], {})[turn.author] = turn.label
        assert found == {row: given for row, given in self.said.items() if given}
        assert {numbers[r.row]: r.label for r in rows.values() if r.state == "decided"} == {
            row: self.label(row) for row in self.rows() if self.state(row) == "decided"
        }
        ws.close()

    def numbers(self) -> dict[str, str]:
        """``_id`` to the row's own number."""
        if not hasattr(self, "_numbers"):
            ws = self.opened("lin")
            frame = ws.datasets.open("pets").snapshot().read(["_id", "id"]).to_polars()
            self._numbers = {str(i): str(n) for i, n in frame.iter_rows()}
            ws.close()
        return self._numbers

    def teardown(self) -> None:
        for ws in self.at_work:
            ws.close()
        shutil.rmtree(self.folder)


@pytest.mark.slow
def test_each_row_gets_the_labels_asked_from_different_people_and_none_is_lost(tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text("[labelling]\nlease_seconds = 3600\n", "utf-8")
    ws = Workspace(load_project(tmp_path))
    csv = write_csv(tmp_path / "pets.csv", ROWS, labelled=0)
    import_data(ws, "pets", csv, tensors={"image": "p*:2x2"}, types={"label": "string"}, key=["id"])
    ws.close()
    Queue.template = tmp_path
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
