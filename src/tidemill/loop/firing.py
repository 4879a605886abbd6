"""Firing: the triggers that a merge owes are recorded before its branch moves, and answered exactly once after that.

Whatever is killed in between: the same merge again, ``refit`` or ``settle`` goes on where it was cut off.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import (
    Conflict,
    Interrupted,
    InvalidInput,
    NotFound,
    StorageError,
    TidemillError,
)
from tidemill.core.events import Event, RunStarted, Sink, silent
from tidemill.core.names import did_you_mean, listed
from tidemill.loop import refitting
from tidemill.loop.guard import guard
from tidemill.loop.view_of import view_of
from tidemill.loop.views import FiringView, RefitView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Dataset, Merged, Proposal
    from tidemill.store.catalog import records
    from tidemill.watch.triggers import Claim

_SETTLE = "Then type 'tidemill triggers settle'."


def commit_and_fire(
    ws: Workspace,
    name: str,
    branch: str,
    change: "Callable[[Dataset], Merged]",
    *,
    fire: bool,
    sink: Sink,
    reviewed: bool = False,
) -> "tuple[Merged, list[RefitView]]":
    """Let ``change`` commit to a branch, then run what watches the branch.

    Args:
        ws: The project.
        name: The dataset.
        branch: Where the commit lands.
        change: Makes the commit with the dataset that it is given, whose guard records what is owed.
        fire: Whether triggers run at all.
        sink: Gets the events of what was fired.
        reviewed: Whether it is what a review asks for.
    """
    from tidemill.watch import triggers  # noqa: PLC0415

    look = guard(ws.project, ws.store, reviewed=reviewed)
    claims: list[Claim] = []

    def drop_beaten() -> None:
        """Take back what is owed for attempts that another commit was quicker than, or that were refused."""
        for claim in [*claims]:
            if not _landed(ws, claim.firing):
                triggers.drop(ws.store, claim)
                claims.remove(claim)

    def record(proposal: "Proposal") -> None:
        """Let the guard look at a commit; then record what is owed if it lands."""
        look(proposal)
        drop_beaten()
        commit = proposal.result.commit.id
        for trigger, _ in triggers.fired_by_merge(ws.settings, name, proposal.branch) if fire else ():
            claims.append(triggers.owe(ws.store, trigger, commit, dataset=name, branch=proposal.branch))

    with ExitStack() as held:
        try:
            done = change(ws.datasets_behind(record).open(name))
        except BaseException:
            # Where the store is away, nobody can tell whether the commit landed; who claims it next can.
            with suppress(TidemillError):
                drop_beaten()
            raise
        finally:
            for claim in claims:
                held.enter_context(claim)
        earlier = settle_branch(ws, name, branch, sink) if fire else []
        return done, [*earlier, *(_answered(ws, claim, sink) for claim in claims)]


def settle_branch(ws: Workspace, dataset: str, branch: str, sink: Sink) -> list[RefitView]:
    """Answer what earlier commits to a branch still owe."""
    return list(_left(ws, sink, dataset, branch))


def settle(ws: Workspace, trigger: str | None = None, *, sink: Sink = silent) -> list[RefitView]:
    """Answer every trigger that is owed and that nobody is at; drop those whose commit did not land.

    Args:
        ws: The project.
        trigger: Only this one.
        sink: Gets the runs' events.

    Raises:
        NotFound: ``trigger-not-found``.
    """
    if trigger is not None and trigger not in ws.settings.triggers:
        raise _unknown(ws, trigger)
    return list(_left(ws, sink, trigger=trigger))


def give_up(ws: Workspace, trigger: str, cause: str, reason: str) -> FiringView:
    """Leave a trigger that is owed unanswered, for good; who said so and why is recorded.

    Args:
        ws: The project.
        trigger: Its name, which the settings need not have any more.
        cause: The commit, or the beginning of its id.
        reason: Why.

    Raises:
        NotFound: ``firing-not-found``.
        InvalidInput: ``ambiguous-commit``.
        Conflict: ``firing-claimed``: a process is at it.
    """
    from tidemill.watch import triggers  # noqa: PLC0415

    of_it = [f for f in triggers.unsettled(ws.store) if f.trigger == trigger and f.cause.startswith(cause)]
    if not of_it:
        raise NotFound(
            f"Trigger '{trigger}' is not owed for commit {cause}.",
            hint="Type 'tidemill triggers list'.",
            code=codes.FIRING_NOT_FOUND,
        )
    if len(of_it) > 1:
        raise InvalidInput(
            f"'{cause}' begins the ids of {len(of_it)} commits that trigger '{trigger}' is owed for.",
            hint=f"Type more of it: {listed((f.cause for f in of_it), 5)}.",
            code=codes.AMBIGUOUS_COMMIT,
        )
    claim = triggers.claim(ws.store, trigger, of_it[0].cause)
    if claim is None:
        raise Conflict(
            f"Trigger '{trigger}' is being answered for commit {of_it[0].cause}.",
            hint="Wait for it to end, or stop it by Ctrl-C.",
            code=codes.FIRING_CLAIMED,
        )
    with claim:
        said = f"dropped by {ws.project.author}: {reason}"
        return _view(triggers.settle(ws.store, claim, outcome=said), at_work=False)


def fired(ws: Workspace, trigger: str | None = None) -> list[FiringView]:
    """What fired, newest first: answered, at work, or owed.

    Args:
        ws: The project.
        trigger: Only this one, of the settings or of those that fired.

    Raises:
        NotFound: ``trigger-not-found``.
    """
    from tidemill.watch import triggers  # noqa: PLC0415

    found = triggers.firings(ws.store, trigger)
    if trigger is not None and not found and trigger not in ws.settings.triggers:
        raise _unknown(ws, trigger, {f.trigger for f in triggers.firings(ws.store)})
    return [_view(f, at_work=_is_at_work(ws, f)) for f in found]


def owed(ws: Workspace) -> list[FiringView]:
    """What is owed and at work in no process, oldest first. Nothing is written."""
    from tidemill.watch import triggers  # noqa: PLC0415

    views = [_view(f, at_work=_is_at_work(ws, f)) for f in triggers.unsettled(ws.store)]
    return [v for v in views if v.state == "owed"]


def fire_merge(
    ws: Workspace, dataset: str, branch: str, commit: str, *, sink: Sink = silent
) -> list[RefitView]:
    """Answer every trigger that watches ``branch`` for a commit that landed; each once, even over a crash."""
    from tidemill.store.catalog import records  # noqa: PLC0415
    from tidemill.watch import triggers  # noqa: PLC0415

    answers: list[RefitView] = []
    for name, _ in triggers.fired_by_merge(ws.settings, dataset, branch):
        with ws.store.catalog.read() as read:
            known = read.first(records.Firing, {"trigger": name, "cause": commit})
        claim = (
            triggers.claim(ws.store, name, commit)
            if known
            else triggers.owe(ws.store, name, commit, dataset=dataset, branch=branch)
        )
        if claim is not None:
            with claim:
                answers.append(_answered(ws, claim, sink))
    return answers


def _left(
    ws: Workspace,
    sink: Sink,
    dataset: str | None = None,
    branch: str | None = None,
    trigger: str | None = None,
) -> Iterator[RefitView]:
    from tidemill.watch import triggers  # noqa: PLC0415

    # Without triggers nobody waits for the catalog to open.
    for left in triggers.unsettled(ws.store) if ws.settings.triggers else ():
        asked = trigger in (None, left.trigger) and (dataset, branch) in (
            (None, None),
            (left.dataset, left.branch),
        )
        # Another checkout of the project may have a trigger that this one has not: it stays owed.
        if not asked or left.trigger not in ws.settings.triggers:
            continue
        claim = triggers.claim(ws.store, left.trigger, left.cause)
        if claim is None:
            continue
        with claim:
            if _landed(ws, claim.firing):
                yield _answered(ws, claim, sink)
            else:
                triggers.drop(ws.store, claim)


def _landed(ws: Workspace, firing: "records.Firing") -> bool:
    if firing.dataset is None:
        # An older Tidemill recorded it after the branch had moved.
        return True
    try:
        return ws.datasets.open(firing.dataset).leads_to(firing.cause)
    except NotFound:
        return False


def _answered(ws: Workspace, claim: "Claim", sink: Sink) -> RefitView:
    from tidemill.watch import triggers  # noqa: PLC0415

    firing, settings = claim.firing, ws.settings.triggers[claim.firing.trigger]
    called = f"trigger:{firing.trigger}"

    def watched(event: Event) -> None:
        if isinstance(event, RunStarted):
            triggers.began(ws.store, claim, event.run)
        sink(event)

    begun = refitting.Begun(firing.run, firing.fired_at) if firing.run else None
    try:
        name = refitting.pipeline_named(ws, settings.pipeline)
        view = refitting.make(ws, name, settings.deploy, called, firing.cause, watched, begun)
    except Interrupted:
        # A person, or the system, ended it: no answer.
        raise
    except TidemillError as error:
        run = claim.firing.run
        # What the project stands in the way of is no answer either: put right, it is done.
        owed = isinstance(error, StorageError | Conflict) or run is None or not refitting.is_over(ws, run)
        if not owed:
            # It was answered, with a failure: asked again, it would fail again.
            triggers.settle(ws.store, claim, outcome=error.code)
        reason = f"it failed{', and is owed still' if owed else ''}: {error.message}"
        hint = " ".join(filter(None, [error.hint, _SETTLE if owed else None])) or None
        return RefitView(
            called, firing.cause, run, None, None, deployed=False, reason=reason, owed=owed, hint=hint
        )
    triggers.settle(ws.store, claim, outcome=view.reason, run=view.run)
    return view


def _is_at_work(ws: Workspace, firing: "records.Firing") -> bool:
    from tidemill.watch import triggers  # noqa: PLC0415

    return firing.outcome is None and triggers.is_claimed(ws.store, firing)


def _view(firing: "records.Firing", *, at_work: bool) -> FiringView:
    state = "answered" if firing.outcome is not None else "at work" if at_work else "owed"
    return view_of(FiringView, firing, state=state)


def _unknown(ws: Workspace, trigger: str, fired: Iterable[str] = ()) -> NotFound:
    known = sorted({*ws.settings.triggers, *fired})
    return NotFound(
        f"The project has no trigger '{trigger}'" + (", and none of this name has fired." if fired else "."),
        hint=did_you_mean(trigger, known),
        code=codes.TRIGGER_NOT_FOUND,
    )
