"""What the use cases return: plain facts for a face to draw. ``dataclasses.asdict`` of a view is its JSON."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Initialised:
    """A new project."""

    folder: str
    store: str
    files: list[str]


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows a change added, changed and removed."""

    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a run; of one that was not computed, what is measured is None."""

    name: str
    status: str
    seconds: float
    why: str
    component: str
    kind: str
    rows_in: int | None = None
    rows_out: int | None = None
    rows_computed: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    host: str | None = None
    peak_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    printed: bool = False


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What the gate said; each rule has ``name``, ``passed``, ``reason``, ``value``, ``limit``."""

    passed: bool
    rules: list[dict[str, Any]]
    against: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, whole.

    Attributes:
        audited: The cached steps that were computed again, to the same results.
        warnings: Of a run that just ended: what the keys of its steps cannot see, and how to say it.
    """

    run: str
    pipeline: str
    status: str
    outputs: dict[str, Any]
    steps: list[StepView]
    seconds: float
    parameters: dict[str, Any]
    inputs: dict[str, str]
    trigger: str
    started_at: str
    model: dict[str, Any] | None = None
    verdict: VerdictView | None = None
    error: dict[str, Any] | None = None
    audited: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of ``tidemill runs``.

    Attributes:
        error: Why its report cannot be read, which had its metrics, and what to type.
    """

    run: str
    pipeline: str
    status: str
    started_at: str
    seconds: float | None
    trigger: str
    metrics: dict[str, float]
    computed: int
    cached: int
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WhyView:
    """Why a step was computed, or was not."""

    run: str
    step: str
    status: str
    why: str
    previous: str | None
    changes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sides:
    """One thing in two runs; None on the side that lacks it. ``steps`` are those that it is a part of."""

    name: str
    a: Any
    b: Any
    equal: bool
    steps: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class CodeSides:
    """A function, class or constant that differs; ``diff`` is its text's, None where that was not kept."""

    name: str
    a: str | None
    b: str | None
    steps: list[str]
    diff: str | None


@dataclass(frozen=True, slots=True)
class MetricSides:
    """A metric in two runs; ``difference`` is ``b`` less ``a``, None where one of them lacks it."""

    name: str
    a: float | None
    b: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class DataSides:
    """A dataset in two runs: the commits, and the rows that differ where both commits are still there."""

    name: str
    a: str | None
    b: str | None
    equal: bool
    rows: RowCounts | None


@dataclass(frozen=True, slots=True)
class StepSides:
    """A step in two runs; ``results`` is ``equal``, ``different``, or None where one of them has none."""

    name: str
    a: str | None
    b: str | None
    seconds_a: float | None
    seconds_b: float | None
    results: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        code: What differs of what the steps reach; a and b are digests.
        packages: Installed packages that differ, with the steps that reach them; a and b are versions.
        settings: Settings of steps that differ, called ``step.setting``.
        artifacts: The pipelines' outputs: small values as they are, anything else as its digest.
        steps: Every step of either.
    """

    a: RunSummary
    b: RunSummary
    parameters: list[Sides]
    data: list[DataSides]
    code: list[CodeSides]
    packages: list[Sides]
    settings: list[Sides]
    metrics: list[MetricSides]
    artifacts: list[Sides]
    steps: list[StepSides]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a step printed; ``run`` is the one that computed the step, ``number`` counts its lines from 1."""

    run: str
    step: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class LogView:
    """What steps printed; ``left_out`` is how many fitting lines stand before the first one here."""

    run: str
    step: str | None
    grep: str | None
    lines: list[LogLine]
    left_out: int


@dataclass(frozen=True, slots=True)
class StepForecast:
    """What a run would do with one step; ``rows`` is how many it would compute, where that is known before."""

    name: str
    kind: str
    status: str
    why: str
    rows: int | None
    changes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would compute, and what it would take from the cache."""

    pipeline: str
    computed: int
    cached: int
    steps: list[StepForecast]


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report's page."""

    run: str
    path: str
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class ModelView:
    """A registered model."""

    name: str
    version: int
    run: str
    framework: str
    metrics: dict[str, Any]
    digest: str
    created_at: str
    releases: list[int]


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release and the environments it is live in."""

    name: str
    number: int
    digest: str
    run: str
    created_at: str
    author: str
    environments: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class CreatedRelease(ReleaseView):
    """The release that a run has.

    Attributes:
        already: Whether it was there before: of this run, or of one with the same outputs, inputs and parameters.
    """

    already: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """What re-hashing a release found."""

    name: str
    number: int
    digest: str
    checked: int
    problems: list[str]
    ok: bool


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A release in an environment.

    Attributes:
        address: Where it answers, on ``machine``; None where that is not known.
        status: ``live``; ``wanted``, where another machine serves the environment and has not brought it in yet.
        notes: What whoever promotes it should know: that it was not compared with the release that was live.
        machine: Where another one serves it: ``host:/folder``; None: here.
    """

    environment: str
    release: str
    number: int
    digest: str
    address: str | None
    status: str
    replaced: int | None
    seconds: float
    notes: list[str] = field(default_factory=list[str])
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class StopView:
    """An environment that was stopped.

    Attributes:
        stopped: Whether something ran, and does no more.
        wanted: Whether it is wanted of another machine, and not done yet.
        machine: That machine; None: here.
    """

    environment: str
    stopped: bool
    wanted: bool
    machine: str | None
    notes: list[str]


@dataclass(frozen=True, slots=True)
class WishView:
    """What was typed elsewhere than where an environment is served.

    Attributes:
        wants: As it was typed.
        machine: Where it was typed: ``host:/folder``.
        state: ``wanted``, ``carried-out``, ``failed``, ``replaced`` or ``withdrawn``.
        answer: What came of it; None while it is wanted.
    """

    number: int
    wants: str
    author: str
    machine: str
    reason: str
    wished_at: str
    state: str
    answered_at: str | None
    answered_by: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """An environment as it is now.

    Attributes:
        release: Of the release that is live there by the record; ``number`` is its number.
        address: Where it answers, on the machine that serves it.
        running: Whether a server answers on this machine.
        predictions: How many the log of this machine has; None where that cannot be read, and of one that is served elsewhere.
        note: What is odd about it: it is not in the settings, or answers beside the live server, or is served elsewhere.
        error: Why its log cannot be read, and what to type.
        personal: Whether each machine has one of this name for itself.
        machine: The folder that serves it, ``host:/folder``; None where nothing went live.
        elsewhere: Whether that is not this one.
        wanted: The release that is wanted, ``name/number``, or ``stopped``; None where nothing is.
        runs: The release that answers; of one that is served elsewhere, when that last looked.
        looked_at: When ``tidemill serve`` there last looked what is wanted; None here, or where it never did.
        wish: What was typed elsewhere and is not carried out, or failed.
        not_ready: Why no prediction is answered here that should be, and what to type: the server refuses all of them, hangs, or
            has ended though nobody stopped it. None where it answers, or should not.
        stopped: Whether nothing answers, as far as is known, and what is live was stopped.
        not_renewed: Why the server here shows another certificate than its files hold now; None where it does not.
    """

    environment: str
    release: str | None
    number: int | None
    address: str | None
    running: bool
    predictions: int | None
    note: str | None = None
    error: dict[str, Any] | None = None
    personal: bool = False
    machine: str | None = None
    elsewhere: bool = False
    wanted: str | None = None
    runs: str | None = None
    looked_at: str | None = None
    wish: WishView | None = None
    not_ready: dict[str, Any] | None = None
    stopped: bool = False
    not_renewed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What became of a deployment: who found or made it so, from where, when and why."""

    status: str
    author: str
    machine: str
    changed_at: str
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A deployment with everything that became of it.

    Attributes:
        machine: Where it was brought in: ``host:/folder``.
        asked_from: From where it was asked for, if that was not there.
        back_from: The number of the deployment that a rollback took off.
        changes: Oldest first.
        wishes: What was typed elsewhere while it was live, and came to nothing: replaced, withdrawn or failed. Oldest first.
    """

    id: str
    environment: str
    release_name: str
    release_number: int
    release_digest: str
    status: str
    author: str
    started_at: str
    finished_at: str | None
    reason: str
    number: int | None
    back_from: int | None
    place: str | None
    machine: str | None
    kind: str | None
    asked_from: str | None
    wish: int | None
    changes: list[ChangeView]
    wishes: list[WishView] = field(default_factory=list[WishView])


@dataclass(frozen=True, slots=True)
class TokenView:
    """What is kept of a token; its state is ``valid``, ``expired`` or ``revoked``."""

    environment: str
    token: str
    state: str
    scopes: list[str]
    expires_at: str | None
    revoked_at: str | None
    author: str
    created_at: str
    note: str


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; ``secret`` is the token itself, which is nowhere kept."""

    secret: str = field(repr=False)
    token: TokenView


@dataclass(frozen=True, slots=True)
class Predicted:
    """Answers of an environment; each has ``prediction``, and ``label`` with ``probability`` or ``value``."""

    environment: str
    model: str
    release: int
    count: int
    predictions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A label that was not taken, or that became no row: whose, and why, as a code and in words."""

    prediction: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FeedbackSent:
    """Labels that an environment took, and those that it refused.

    Attributes:
        note: What the server said of all of them: that no column of the model's data can hold them; else empty.
    """

    environment: str
    accepted: int
    refused: list[LeftOut] = field(default_factory=list[LeftOut])
    note: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """Feedback that became rows of a dataset.

    Attributes:
        waiting: Rows whose correction was asked with other cells; they wait in ``review``.
        left: What became no row.
    """

    dataset: str
    branch: str
    commit: str
    number: int
    rows: RowCounts
    waiting: int = 0
    review: str | None = None
    left: list[LeftOut] = field(default_factory=list[LeftOut])


@dataclass(frozen=True, slots=True)
class RefitView:
    """What a refit did, and why.

    Attributes:
        owed: Whether it is to be done still: nothing came of it.
        hint: What to type next, where it failed.
    """

    trigger: str
    cause: str
    run: str | None
    verdict: VerdictView | None
    release: int | None
    deployed: bool
    reason: str
    rows_computed: int | None = None
    preparation_seconds: float | None = None
    owed: bool = False
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class FiringView:
    """A trigger that fired.

    Attributes:
        cause: The commit.
        state: ``answered``, ``at work`` in a living process, or ``owed``: left by one that died, or that could not begin.
        run: The run that answers it, where one was begun.
        outcome: What came of it.
    """

    trigger: str
    cause: str
    state: str
    fired_at: str
    dataset: str | None
    branch: str | None
    run: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration of the catalog changes, or has changed.

    Attributes:
        before: The catalog's version.
        after: The version of this Tidemill.
        changes: One line each.
        people: Who used the store in the last 30 days: who has an older Tidemill cannot open it after the migration.
        done: Whether it was made.
        datasets: Those whose files have no digests yet, and get them.
        unpacked: Those whose old commits ``gc`` may pack from then on.
    """

    catalog: str
    before: str
    after: str
    changes: list[str]
    people: list[str]
    done: bool
    datasets: list[str] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a thing comes from: nodes from the thing asked about back to the data."""

    of: str
    nodes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FreedKind:
    """How much of one kind ``gc`` removed, or would; the bytes of dataset versions are those of their files."""

    kind: str
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Marked:
    """What of a shared store is removed by the first ``gc`` after a moment.

    Attributes:
        count: How many blobs.
        bytes: Of these and of the versions.
        first: When the first ones are.
        versions: How many versions of datasets.
    """

    count: int
    bytes: int
    first: str
    versions: int = 0


@dataclass(frozen=True, slots=True)
class Young:
    """Versions of a shared store's datasets that nothing needs, and that may belong to a push that is going on.

    Attributes:
        count: How many.
        until: When the last of them is old enough (``core.clock.stamp``).
    """

    count: int
    until: str


@dataclass(frozen=True, slots=True)
class Freed:
    """What ``gc`` removed, or would; ``bytes`` in all.

    Attributes:
        marked: What is marked after it, or would be.
        young: What stays, without a mark, for being young.
    """

    kinds: list[FreedKind]
    bytes: int
    dry_run: bool
    marked: Marked | None = None
    young: Young | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of ``tidemill doctor``."""

    check: str
    ok: bool
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage of the demo."""

    name: str
    result: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What the demo made, and what to type next."""

    folder: str
    stages: list[StageView]
    facts: dict[str, Any]
    next: list[str]
