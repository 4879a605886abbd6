"""How far a queue is, who did what, and how far they agree."""

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tidemill.core.clock import now, stamp
from tidemill.core.figures import counted
from tidemill.evaluation.agreement import cohen_kappa, krippendorff_alpha, observed_agreement
from tidemill.loop.datasets.labelling.classes import with_keys
from tidemill.loop.datasets.labelling.selection import in_words
from tidemill.loop.datasets.labelling.views import AgreementView, LeaseView, PersonView, QueueView
from tidemill.loop.view_of import view_of
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records


_COUNTED = ("labels", "decided", "skipped", "suggested", "taken")
"""What is counted of a person."""


def progress(ws: Workspace, queue: "records.LabelQueue") -> QueueView:
    """The state of a queue."""
    from tidemill.store.catalog import label_turns  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        states: dict[str, int] = defaultdict(int)
        committed = 0
        for state, held, count in label_turns.row_counts(read, queue.id):
            states[state] += count
            committed += count if held else 0
        people = _people(label_turns.turn_counts(read, queue.id))
        leases = [LeaseView(*lease) for lease in label_turns.leases(read, queue.id, stamp(now()))]
        given = label_turns.labels_given(read, queue.id) if queue.labels > 1 else []
    settled = sum(states[s] for s in ("decided", "disputed", "removed", "changed"))
    return view_of(
        QueueView,
        queue,
        queue=queue.name,
        rows=in_words(queue.selection),
        classes=with_keys(queue.classes),
        decided=states["decided"],
        committed=committed,
        disputed=states["disputed"],
        removed=states["removed"],
        changed=states["changed"],
        left=queue.size - settled,
        people=people,
        leases=leases,
        agreement=_agreement(given),
        notes=_notes(queue, states, committed),
    )


def _people(counts: list[tuple[Any, ...]]) -> list[PersonView]:
    found: dict[str, dict[str, int]] = {}
    for author, role, state, turns, suggested, taken in counts:
        person = found.setdefault(author, dict.fromkeys(_COUNTED, 0))
        if state == "skipped":
            person["skipped"] += turns
        elif state == "labelled":
            person["labels" if role == "labeller" else "decided"] += turns
            person["suggested"] += suggested
            person["taken"] += taken
    return [PersonView(author, **numbers) for author, numbers in found.items()]


def _agreement(given: list[tuple[Any, ...]]) -> AgreementView | None:
    rows: dict[int, dict[str, str]] = defaultdict(dict)
    for position, author, label in given:
        rows[position][author] = label
    shared = [labels for labels in rows.values() if len(labels) > 1]
    if not shared:
        return None
    kappas: list[dict[str, Any]] = []
    for a, b in combinations(sorted({author for labels in shared for author in labels}), 2):
        both = [(labels[a], labels[b]) for labels in shared if a in labels and b in labels]
        if both:
            kappa = cohen_kappa([x for x, _ in both], [y for _, y in both])
            kappas.append({"people": [a, b], "rows": len(both), "kappa": kappa})
    paired = [list(labels.values()) for labels in shared]
    return AgreementView(len(shared), observed_agreement(paired), krippendorff_alpha(paired), kappas)


def _notes(queue: "records.LabelQueue", states: dict[str, int], committed: int) -> list[str]:
    notes: list[str] = []
    if states["disputed"]:
        words = counted(states["disputed"], "row is disputed", "rows are disputed")
        notes.append(
            f"{words}; {queue.referee} decides, with 'tidemill label {queue.dataset}'."
            if queue.referee
            else f"{words}, and there is no referee: 'tidemill label {queue.dataset} --referee NAME'."
        )
    if states["removed"]:
        notes.append(f"{counted(states['removed'], 'row')} left the dataset meanwhile.")
    if states["changed"]:
        notes.append(f"{counted(states['changed'], 'row')} got another label in the dataset meanwhile.")
    fresh = states["decided"] - committed
    if fresh and queue.closed_at is None:
        notes.append(
            f"{counted(fresh, 'label is', 'labels are')} in no commit yet: "
            f"'tidemill label commit {queue.name}'."
        )
    return notes
