"""One frozen record a table, field for column."""

from dataclasses import dataclass, field
from typing import Any, Literal

RunStatus = Literal["running", "succeeded", "failed", "interrupted"]
StepStatus = Literal["computed", "cached", "failed", "skipped"]
DeploymentStatus = Literal["starting", "live", "retired", "failed"]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline.

    Attributes:
        file: Where the pipeline is defined, relative to the project; None when it came from Python.
        trigger: What started it: ``person``, or ``trigger:<name>``.
        inputs: Dataset name to the commit that was read.
        outputs: Output name to artifact digest.
        error: An error's ``to_json``.
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


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to one step of a run.

    Attributes:
        parts: The parts of the cache key, each kept, so that a later run can say what changed.
        outputs: Output name to artifact digest.
        why: Why it was computed; empty when it was not.
        log: Digest of the blob with what it printed.
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
    rows_in: int | None = None
    rows_out: int | None = None
    rows_computed: int | None = None
    peak_bytes: int | None = None
    log: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """An immutable output.

    Attributes:
        kind: ``value``, ``array``, ``table``, ``model``, ``predictor``, ``report`` or ``file``.
        meta: What the kind needs to say without opening the bytes (rows, shape, other blobs it needs).
    """

    digest: str
    kind: str
    size_bytes: int
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
    """A release in an environment, from its start until another took its place."""

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


@dataclass(frozen=True, slots=True)
class Firing:
    """A trigger that fired: ``cause`` is what set it off (a commit), once each."""

    trigger: str
    cause: str
    run: str | None
    outcome: str | None
    fired_at: str
