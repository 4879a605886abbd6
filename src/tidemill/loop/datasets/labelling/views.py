"""What labelling returns: plain facts for a face to draw."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class ClassView:
    """A label that may be given; ``key`` is the one key that gives it, None where it must be typed."""

    name: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A cell that can be drawn: ``pixels`` is uint8 of shape ``(height, width, channels)``, 1 or 3 of them."""

    column: str
    pixels: "np.ndarray[Any, Any]" = field(compare=False)


@dataclass(frozen=True, slots=True)
class Task:
    """A row that somebody has been given, to be labelled.

    Attributes:
        position: In the queue; the first is 1.
        row: Its ``_id``.
        role: ``labeller`` or ``referee``.
        cells: The row's other cells, by column.
        picture: Its first image, where it has one.
        given: The label that the dataset has for it.
        suggestion: What the queue's model answers, ``confidence`` how sure it is: 0 to 1.
        votes: For the referee: who said what.
        until: When the lease ends by itself.
    """

    position: int
    row: str
    role: str
    cells: dict[str, Any]
    picture: Picture | None
    given: str | None
    suggestion: str | None
    confidence: float | None
    votes: list[dict[str, str]]
    until: str

    def _repr_html_(self) -> str:
        from tidemill.loop.datasets.pages import task  # noqa: PLC0415 - only a notebook asks

        return task.render(self)


@dataclass(frozen=True, slots=True)
class PersonView:
    """What one person did in a queue.

    Attributes:
        labels: How many labels they gave, as labeller; ``decided`` as referee.
        skipped: How many rows they left to others.
        suggested: How many of the labels had a suggestion, ``taken`` how many were what it said.
    """

    author: str
    labels: int
    decided: int
    skipped: int
    suggested: int
    taken: int


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A row that somebody has now."""

    author: str
    row: str
    role: str
    until: str


@dataclass(frozen=True, slots=True)
class AgreementView:
    """How far the labellers agree over the rows that have two labels or more.

    Attributes:
        rows: How many such rows there are.
        observed: The share of pairs of labels that are the same; 0 to 1.
        alpha: Krippendorff's, for all of them.
        kappas: Cohen's, for each two people: ``people``, ``rows``, ``kappa``.
    """

    rows: int
    observed: float | None
    alpha: float | None
    kappas: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue and how far it is.

    Attributes:
        rows: Which rows it has, in words.
        size: How many.
        labels: How many people label each.
        decided: Rows whose label stands; ``committed`` of them are in a commit.
        disputed: Rows that wait for the referee.
        removed: Rows that left the dataset meanwhile; ``changed`` got another label there.
        left: Rows that still need a label.
        notes: What to know beyond the numbers.
    """

    queue: str
    dataset: str
    column: str
    commit: str
    branch: str
    rows: str
    size: int
    labels: int
    referee: str | None
    model: str | None
    classes: list[ClassView]
    decided: int
    committed: int
    disputed: int
    removed: int
    changed: int
    left: int
    people: list[PersonView]
    leases: list[LeaseView]
    agreement: AgreementView | None
    author: str
    opened_at: str
    closed_at: str | None
    notes: list[str]


@dataclass(frozen=True, slots=True)
class LabelCommitView:
    """A commit of one person's labels."""

    author: str
    commit: str
    number: int
    labels: int


@dataclass(frozen=True, slots=True)
class CommittedView:
    """What became of a queue's labels.

    Attributes:
        commits: One a person; none where nothing was new.
        removed: The ``_id``s that are not in the dataset any more; their labels stay in the queue.
        changed: Rows that the dataset gave another label meanwhile: ``row``, ``label``, ``there``.
        left: Rows that still need a label; ``disputed`` wait for the referee.
    """

    queue: str
    dataset: str
    branch: str
    commits: list[LabelCommitView]
    removed: list[str]
    changed: list[dict[str, str | None]]
    left: int
    disputed: int


@dataclass(frozen=True, slots=True)
class ClosedView:
    """A queue that is closed; ``discarded`` labels were in no commit."""

    queue: str
    dataset: str
    labels: int
    discarded: int
