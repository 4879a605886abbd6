"""One frozen record a table, field for column: ``tables`` makes the columns of them."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

RunStatus = Literal["running", "succeeded", "failed", "interrupted"]
StepStatus = Literal["computed", "cached", "failed", "skipped"]
DeploymentStatus = Literal["starting", "live", "retired", "failed"]
ChangeStatus = Literal[DeploymentStatus, "stopped"]
"""What becomes of a deployment; one that was stopped is still what should run, and comes back with the next ``serve``."""
DeploymentKind = Literal["promotion", "rollback", "take-over", "found"]
"""``found`` answered although its promotion had been given up."""
WishVerb = Literal["promote", "rollback", "stop"]
WishState = Literal["wanted", "carried-out", "failed", "replaced", "withdrawn"]
ReviewState = Literal["open", "merged", "closed"]
LabelRowState = Literal["open", "disputed", "decided", "removed", "changed"]
"""``disputed`` waits for a referee; ``removed`` and ``changed`` happened to the dataset's row meanwhile."""
LabelRole = Literal["labeller", "referee"]
LabelTurnState = Literal["leased", "labelled", "skipped"]

Large = Annotated[int, "64 bits"]
"""A number that 32 bits may be too few for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline.

    Attributes:
        file: Where the pipeline is defined, relative to the project; None when it came from Python.
        trigger: What started it: ``person``, or ``trigger:<name>``.
        inputs: Dataset name to the commit that was read.
        outputs: Output name to artifact digest.
        error: An error's ``to_json``.
        code: The blob that lists the copy of the project's files; None where a step is in no file.
        environment: The blob that says what was installed; None in runs that were recorded before.
    """

    id: str
    pipeline: str
    file: str | None
    parameters: dict[str, Any]
    trigger: str
    status: RunStatus
    started_at: str
    finished_at: str | None
    host: str
    pid: int
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    error: dict[str, Any] | None = None
    code: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to one step of a run.

    Attributes:
        parts: The parts of the cache key, each kept, so that a later run can say what changed.
        outputs: Output name to artifact digest.
        why: Why it was computed; empty when it was not.
        log: Digest of the blob with what it printed.
        started_at: When its computing began; None where it was not computed, or before that was recorded.
        host: The machine that computed it.
        read_bytes: Of the blobs that it took from the store; small values travel in records and are none.
        written_bytes: Of the blobs that it added to the store; what was there already is not counted.
    """

    run: str
    name: str
    position: int
    component: str
    kind: str
    status: StepStatus
    key: str | None
    parts: dict[str, Any]
    outputs: dict[str, str]
    why: str
    seconds: float
    finished_at: str
    rows_in: Large | None = None
    rows_out: Large | None = None
    rows_computed: Large | None = None
    peak_bytes: Large | None = None
    log: str | None = None
    error: dict[str, Any] | None = None
    started_at: str | None = None
    host: str | None = None
    read_bytes: Large | None = None
    written_bytes: Large | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """An immutable output.

    Attributes:
        kind: ``value``, ``array``, ``table``, ``model``, ``predictor``, ``report`` or ``file``.
        meta: What the kind needs to say without opening the bytes (rows, shape, other blobs it needs).
    """

    digest: str
    kind: str
    size_bytes: Large
    meta: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Model:
    """A registered, numbered model."""

    name: str
    version: int
    digest: str
    run: str
    framework: str
    signature: dict[str, Any]
    metrics: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said of a run's model; ``against`` is the digest of the release it was compared with."""

    run: str
    passed: bool
    against: str | None
    rules: list[dict[str, Any]]
    decided_at: str


@dataclass(frozen=True, slots=True)
class Release:
    """A numbered release; its manifest is the blob that ``digest`` names in ``releases``."""

    name: str
    number: int
    digest: str
    run: str
    author: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A release in an environment, from its start until another took its place.

    It is recorded once and never rewritten: what becomes of it is told by its changes, and ``release.history`` gives it with the
    status, the place and the end that the last of them says. Of what an older Tidemill recorded, which wrote over the status, the
    last seven are None, or some of them.

    Attributes:
        number: Its place in the environment's history, from 1: by this they are ordered, not by machines' clocks.
        back_from: The number of the deployment that a rollback took off; None of a promotion.
        place: The folder, on one machine, that serves it.
        machine: The same for people: ``host:/folder``.
        kind: What made it.
        asked_from: From where somebody asked for it who was not at ``machine``: ``host:/folder``; None: it was typed there.
        wish: The number of the wish that it carries out, if one.
    """

    id: str
    environment: str
    release_name: str
    release_number: int
    release_digest: str
    status: DeploymentStatus
    author: str
    started_at: str
    finished_at: str | None
    reason: str
    number: int | None = None
    back_from: int | None = None
    place: str | None = None
    machine: str | None = None
    kind: DeploymentKind | None = None
    asked_from: str | None = None
    wish: int | None = None


@dataclass(frozen=True, slots=True)
class DeploymentChange:
    """What became of a deployment; only ever added.

    Attributes:
        deployment: Its id.
        position: From 1.
        author: Whose command found it to be so, or made it so.
        machine: From where: ``host:/folder``.
        place: The folder that serves it from then on, at ``machine``; None: the one that did.
    """

    deployment: str
    position: int
    environment: str
    status: ChangeStatus
    author: str
    machine: str
    changed_at: str
    reason: str
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of an environment that another place serves, and what came of it.

    Attributes:
        number: Of the environment's wishes, from 1.
        release_name: Of the release that is wanted; None of a stop. Of a rollback, that which lay beneath when it was typed.
        live: The number of the deployment that was live then.
        machine: Where it was typed: ``host:/folder``.
        taken_at: When the place that serves began to carry it out.
        answered_by: The place that answered, for people.
        answer: What came of it, in words.
        error: The error's ``to_json``, where it failed.
    """

    environment: str
    number: int
    verb: WishVerb
    release_name: str | None
    release_number: int | None
    live: int | None
    author: str
    machine: str
    reason: str
    wished_at: str
    state: WishState = "wanted"
    taken_at: str | None = None
    answered_at: str | None = None
    answered_by: str | None = None
    answer: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Lookout:
    """A ``tidemill serve`` that looks, every few seconds, what is wanted of its environment.

    Attributes:
        looked_at: When it last did, by its own machine's clock.
        ended_at: When it ended; None while it runs, or where it was killed.
        release_name: Of the release that answered there then; None: nothing did.
        address: Where that answered.
    """

    environment: str
    place: str
    machine: str
    looked_at: str
    ended_at: str | None = None
    release_name: str | None = None
    release_number: int | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """A trigger that fired: ``cause`` is what set it off (a commit), once each.

    Attributes:
        outcome: What came of it; None while it is owed.
        dataset: Of the commit; None of what an older Tidemill recorded.
        branch: The branch that the commit was to land on.
    """

    trigger: str
    cause: str
    run: str | None
    outcome: str | None
    fired_at: str
    dataset: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nothing needs: it is removed after a grace time, unless somebody uses it again until then.

    Attributes:
        digest: Of a blob; of a version of a dataset the key of its manifest.
    """

    digest: str
    size_bytes: Large
    marked_at: str


@dataclass(frozen=True, slots=True)
class Review:
    """A request to merge one branch of a dataset into another.

    Attributes:
        number: Of the dataset's reviews; the first is 1.
        source: The branch that has the changes.
        target: The branch that shall get them.
        ended_at: When it was merged or closed; None while it is open. ``ended_by`` is who did it.
        source_commit: The head of ``source`` when it ended, by which its difference can still be told.
        target_commit: The head of ``target`` before that.
        merge_commit: The commit that the merge made.
    """

    dataset: str
    number: int
    title: str
    description: str
    source: str
    target: str
    author: str
    state: ReviewState
    opened_at: str
    ended_at: str | None = None
    ended_by: str | None = None
    source_commit: str | None = None
    target_commit: str | None = None
    merge_commit: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's yes to a review as it was: ``head`` is the commit of its source that was looked at."""

    dataset: str
    review: int
    author: str
    head: str
    given_at: str


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody wrote under a review; ``row`` is the ``_id`` of the row that it is about, if of one."""

    dataset: str
    review: int
    number: int
    author: str
    text: str
    row: str | None
    written_at: str


@dataclass(frozen=True, slots=True)
class LabelQueue:
    """Rows of a dataset that people give labels to.

    Attributes:
        name: As people type it; one open queue has it at a time.
        commit: The commit that the rows were chosen from.
        source: The branch that led to it, which may move on; None for a tag or a bare commit.
        branch: Where the labels go as commits.
        classes: The labels that may be given.
        selection: Which rows were chosen, and in what order: ``rows``, ``where``, ``by``, ``limit``.
        model: ``name/version`` of the model that gave suggestions.
        content: The blob with the rows' ``_id``s in order, their labels then, and the suggestions.
        size: How many rows that is.
        labels: How many people label each row.
        referee: Who decides where they differ.
    """

    id: str
    name: str
    dataset: str
    commit: str
    source: str | None
    branch: str
    column: str
    classes: list[str]
    selection: dict[str, Any]
    model: str | None
    content: str
    size: int
    labels: int
    referee: str | None
    author: str
    opened_at: str
    closed_at: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of a queue that somebody had or has; the rows that nobody had yet have no record.

    Attributes:
        position: In the queue; the first is 1.
        row: Its ``_id``.
        label: The label that stands; None until it is decided.
        decided_by: Who first gave the label that stands, or the referee.
        commit: The commit that holds the label.
    """

    queue: str
    position: int
    row: str
    state: LabelRowState
    label: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class LabelTurn:
    """One person's turn at a row: leased, then labelled or skipped.

    Attributes:
        holder: The session that has or had the lease; a person may have several.
        time: When it came to its state.
        until: When the lease ends by itself; None when it is no lease any more.
        suggestion: What a model had suggested when the label was given.
    """

    queue: str
    position: int
    role: LabelRole
    author: str
    holder: str
    state: LabelTurnState
    time: str
    until: str | None = None
    label: str | None = None
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """The store that a catalog belongs to.

    Attributes:
        id: The store's.
        address: Where it was when they were put together.
        paired_at: When that was.
    """

    id: str
    address: str
    paired_at: str
