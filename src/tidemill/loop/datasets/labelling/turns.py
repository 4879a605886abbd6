"""One person at a queue: gets a row, answers, skips, takes back, leaves."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed
from tidemill.loop.datasets.labelling import classes as labels
from tidemill.loop.datasets.labelling.progress import progress
from tidemill.loop.datasets.labelling.queues import check_open
from tidemill.loop.datasets.labelling.rows import QueueRows, picture
from tidemill.loop.datasets.labelling.views import QueueView, Task
from tidemill.loop.datasets.labelling.votes import stands
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.table import Table

LABELLER, REFEREE = "labeller", "referee"


class Labeller:
    """A session of one person at one queue. Not for several threads at once.

    Args:
        ws: The project, whose author it is that labels.
        queue: The queue.
        skipped: Whether the rows come again that this person skipped.
    """

    def __init__(self, ws: Workspace, queue: "records.LabelQueue", *, skipped: bool = False) -> None:
        self._ws = ws
        self._id = queue.id
        self._queue = queue
        self._rows = QueueRows(ws, queue)
        self._skipped = skipped
        self._holder = new_id()
        self._given: list[tuple[str, int]] = []
        self._now: tuple[str, int] | None = None
        self._taken_back = False
        self.author = ws.project.author

    def __repr__(self) -> str:
        return f"Labeller(queue={self._queue.name!r}, author={self.author!r})"

    def __iter__(self) -> Iterator[Task]:
        """The rows that are free, one after another; each is answered before the next is asked for.

        One that was not is skipped, and so left to others; one that was taken back comes again. Whatever ends the loop, the row is given back.
        """
        try:
            while (task := self.take()) is not None:
                yield task
                if self._now is not None and not self._taken_back:
                    self.skip()
        finally:
            self.leave()

    @property
    def queue(self) -> "records.LabelQueue":
        """The queue, as this session last saw it."""
        return self._queue

    def take(self) -> Task | None:
        """The row to label now: the one this session has, else the next that is free; None where none is.

        A row that left the dataset, or whose label changed there since the queue was made, is told in the
        queue's progress and not given out.

        Raises:
            NotAllowed: ``queue-closed``.
        """
        from tidemill.store.catalog import records  # noqa: PLC0415

        self._taken_back = False
        while True:
            with self._write() as write:
                self._now = turn = self._lease(write)
            if turn is None:
                return None
            table = self._rows.now(turn[1])
            state = self._rows.meanwhile(turn[1], table)
            if state is None:
                return self._task(table)
            with self._write() as write:
                write.remove(records.LabelTurn, self._mine())
                where = {"queue": self._id, "position": turn[1], "state": ["open", "disputed"]}
                write.change(records.LabelRow, where, state=state)

    def answer(self, label: str | None = None) -> None:
        """Label the row that this session has.

        Args:
            label: One of the queue's classes; None takes the suggestion.

        Raises:
            InvalidInput: ``not-a-class``, ``no-suggestion``, ``no-row-taken``.
            Conflict: ``lease-ended``, when the lease ran out and others had the row meanwhile.
        """
        role, position = self._current()
        suggestion = self._rows.suggestion(position)[0]
        label = suggestion if label is None else label
        if label is None:
            raise InvalidInput(
                "There is no suggestion for this row.", hint="Give a class.", code=codes.NO_SUGGESTION
            )
        with self._write() as write:
            labels.check_label(label, self._queue.classes)
            moment = stamp(now())
            self._check_lease(write, role, position, moment)
            write.put(self._turn(role, position, "labelled", label=label, suggestion=suggestion))
            if role == REFEREE:
                self._decide(write, position, label, self.author)
            else:
                self._count(write, position)
        self._given.append((role, position))
        self._now = None

    def skip(self) -> None:
        """Leave the row that this session has to others.

        Raises:
            InvalidInput: ``no-row-taken``.
        """
        role, position = self._current()
        with self._write() as write:
            write.put(self._turn(role, position, "skipped"))
        self._now = None

    def undo(self) -> Task:
        """Take this session's last label back, and get its row again.

        Raises:
            NotAllowed: ``nothing-to-undo``; ``label-settled``, when the label is in a commit, the referee has
                decided, or the row was forgotten.
        """
        from tidemill.store.catalog import records  # noqa: PLC0415

        if not self._given:
            raise NotAllowed(
                "There is no label of this session to take back.",
                hint="Labels of an earlier session are corrected on the branch.",
                code=codes.NOTHING_TO_UNDO,
            )
        role, position = self._given[-1]
        where = {"queue": self._id, "position": position}
        with self._write() as write:
            row = write.first(records.LabelRow, where)
            refereed = write.first(records.LabelTurn, {**where, "role": REFEREE, "state": "labelled"})
            why = (
                "The row left the dataset."
                if row is None or row.state == "removed"
                else "It is in a commit."
                if row.commit is not None
                else "The referee has decided."
                if role == LABELLER and refereed is not None
                else None
            )
            if row is None or why is not None:
                raise NotAllowed(
                    "The last label cannot be taken back.",
                    why=why,
                    hint="Correct it on the branch.",
                    code=codes.LABEL_SETTLED,
                )
            write.remove(records.LabelTurn, self._mine())
            write.put(self._turn(role, position, "leased"))
            state = "open" if role == LABELLER else "disputed"
            write.put(records.LabelRow(self._id, position, row.row, state))
        self._given.pop()
        self._now, self._taken_back = (role, position), True
        return self._task(self._rows.now(position))

    def leave(self) -> None:
        """Give back the row that this session has; others need not wait for the lease to end."""
        from tidemill.store.catalog import records  # noqa: PLC0415

        with self._ws.store.catalog.write() as write:
            write.remove(records.LabelTurn, self._mine())
        self._now = None

    def progress(self) -> QueueView:
        """How far everybody is."""
        return progress(self._ws, self._queue)

    # -- leases

    def _lease(self, write: "Transaction") -> tuple[str, int] | None:
        """Lease the row that this session has, else the next one; its role and position."""
        from tidemill.store.catalog import label_turns, records  # noqa: PLC0415

        moment = stamp(now())
        role = REFEREE if self._queue.referee == self.author else LABELLER
        mine = write.first(records.LabelTurn, self._mine())
        if mine is not None and mine.role == role and (mine.until or "") > moment:
            position: int | None = mine.position
        else:
            write.remove(records.LabelTurn, self._mine())
            position = label_turns.free_position(
                write,
                self._id,
                self.author,
                role=role,
                state="open" if role == LABELLER else "disputed",
                labels=self._queue.labels if role == LABELLER else 1,
                moment=moment,
                skipped=self._skipped,
            )
        if position is None and role == LABELLER:
            position = write.greatest(records.LabelRow, "position", {"queue": self._id}) + 1
            if position > self._queue.size:
                return None
            write.add(records.LabelRow(self._id, position, str(self._rows.id(position)), "open"))
        if position is None:
            return None
        write.put(self._turn(role, position, "leased"))
        return role, position

    def _check_lease(self, write: "Transaction", role: str, position: int, moment: str) -> None:
        """A lease that ran out still counts, as long as nobody else came to the row."""
        from tidemill.store.catalog import label_turns, records  # noqa: PLC0415

        here = {"queue": self._id, "position": position}
        row = write.first(records.LabelRow, here)
        turn = write.first(records.LabelTurn, {**here, "role": role, "author": self.author})
        others = label_turns.others_at(
            write, self._id, position, author=self.author, role=role, moment=moment
        )
        wanted, room = ("open", self._queue.labels) if role == LABELLER else ("disputed", 1)
        own = (
            turn is None
            or turn.holder == self._holder
            or (turn.state == "leased" and (turn.until or "") <= moment)
        )
        if row is None or row.state != wanted or others >= room or not own:
            self._now = None
            raise Conflict(
                "The row went to somebody else, and your label for it was not taken.",
                why=f"A row is yours for {self._lease_seconds:g} seconds; then others may have it.",
                hint="Go on with the next row. The time is 'labelling.lease_seconds' in tidemill.toml.",
                code=codes.LEASE_ENDED,
            )

    def _turn(self, role: Any, position: int, state: Any, **values: Any) -> "records.LabelTurn":
        from tidemill.store.catalog import records  # noqa: PLC0415

        moment = now()
        until = stamp(moment + timedelta(seconds=self._lease_seconds)) if state == "leased" else None
        return records.LabelTurn(
            self._id, position, role, self.author, self._holder, state, stamp(moment), until, **values
        )

    @property
    def _lease_seconds(self) -> float:
        return self._ws.settings.labelling.lease_seconds

    def _mine(self) -> dict[str, object]:
        return {"queue": self._id, "holder": self._holder, "state": "leased"}

    def _current(self) -> tuple[str, int]:
        if self._now is None:
            raise InvalidInput(
                "There is no row to answer for.", hint="Take a row first.", code=codes.NO_ROW_TAKEN
            )
        return self._now

    @contextmanager
    def _write(self) -> "Generator[Transaction]":
        """A transaction that begins with the queue as it is now."""
        from tidemill.store.catalog import records  # noqa: PLC0415

        with self._ws.store.catalog.write() as write:
            self._queue = check_open(write.first(records.LabelQueue, {"id": self._id}))
            yield write

    # -- labels

    def _count(self, write: "Transaction", position: int) -> None:
        """After a label: it stands, or the row is disputed, or others are still to label it."""
        from tidemill.store.catalog import records  # noqa: PLC0415

        here = {"queue": self._id, "position": position}
        turns = write.find(
            records.LabelTurn, {**here, "role": LABELLER, "state": "labelled"}, order=("time", "author")
        )
        given = [str(t.label) for t in turns]
        label = stands(given, self._queue.labels)
        if label is not None:
            self._decide(write, position, label, turns[given.index(label)].author)
        elif len(given) >= self._queue.labels:
            write.change(records.LabelRow, here, state="disputed")

    def _decide(self, write: "Transaction", position: int, label: str, author: str) -> None:
        from tidemill.store.catalog import records  # noqa: PLC0415

        write.change(
            records.LabelRow,
            {"queue": self._id, "position": position},
            state="decided",
            label=label,
            decided_by=author,
            decided_at=stamp(now()),
        )

    def _task(self, table: "Table") -> Task:
        from tidemill.store.catalog import records  # noqa: PLC0415

        role, position = self._current()
        here = {"queue": self._id, "position": position}
        with self._ws.store.catalog.read() as read:
            turn = read.first(records.LabelTurn, {**here, "role": role, "author": self.author})
            labelled = {**here, "role": LABELLER, "state": "labelled"}
            votes = read.find(records.LabelTurn, labelled, order=("time",)) if role == REFEREE else []
        suggestion, confidence = self._rows.suggestion(position)
        return Task(
            position=position,
            row=str(self._rows.id(position)),
            role=role,
            cells=self._rows.cells(table),
            picture=picture(table),
            given=self._rows.given(position),
            suggestion=suggestion,
            confidence=confidence,
            votes=[{"author": t.author, "label": str(t.label)} for t in votes],
            until=(turn.until if turn else None) or stamp(now()),
        )
