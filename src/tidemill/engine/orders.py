"""What goes to whoever computes a step and what comes back: small, plain, and all that either side needs."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

from tidemill.pipeline.resources import Resources
from tidemill.store.blobs import Place


class Chunk(TypedDict):
    """A piece of a table.

    ``digest`` names the Arrow file; ``dropped`` the list of ``_id`` in it that are rows no more (or None);
    ``rows`` counts those that are.
    """

    digest: str
    rows: int
    dropped: str | None


class Memo(TypedDict):
    """A chunk's outputs through one row-wise step; ``without`` names the rows that were not computed."""

    outputs: dict[str, Chunk]
    columns: dict[str, list[dict[str, Any]]]
    without: str | None


@dataclass(frozen=True, slots=True)
class Ref:
    """An artifact, with what its kind needs to be read."""

    digest: str
    kind: str
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Saved:
    """An artifact that a worker stored, for the catalog to record."""

    digest: str
    kind: str
    size_bytes: int
    meta: dict[str, Any]

    @property
    def ref(self) -> Ref:
        """As an input of later steps."""
        return Ref(self.digest, self.kind, self.meta)


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """One chunk to be computed; with ``memo``, only to be freed of the rows dropped since."""

    index: int
    chunk: Chunk
    memo: Memo | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One step, or a part of its chunks, to be computed.

    Attributes:
        module: Where the component is, by the name that it is imported under; ``variable`` is its name there.
        folder: The project folder that user modules are imported from; None for installed components. Whoever
            brings the code to another machine puts another folder here.
        file: The component's own file, as a path in ``folder``.
        files: The project's files that the key was made of, as paths in ``folder``, each with its digest.
        packages: The installed packages that the step's code reaches, with the versions that the key says.
        environment: The variables that the process must have before Python starts, where results depend on them.
        settings: By parameter: plain values, and references to secrets.
        inputs: By parameter: a reference, several, or several by name.
        tasks: The chunks to compute, for a row-wise step.
        blobs: The store that inputs are read from and results are written to.
        timeout_seconds: How long it may take from its start on. Whoever gave it cancels it then.
        resources: What it needs of the machine that carries it out.
    """

    step: str
    role: str
    module: str
    variable: str
    file: str | None
    folder: str | None
    files: dict[str, str]
    packages: dict[str, str]
    environment: dict[str, str]
    settings: dict[str, Any]
    inputs: dict[str, Any]
    outputs: tuple[str, ...]
    table: str | None
    tasks: tuple[ChunkTask, ...]
    seed: int
    blobs: Place
    timeout_seconds: float | None = None
    resources: Resources = field(default_factory=Resources)


@dataclass(slots=True)
class Outcome:
    """What came of an order.

    Attributes:
        memos: For row-wise steps: each task's index, its output chunks now, and the memo to keep (None: the
            old one stands).
        error: An error's ``to_json``; then nothing else counts.
    """

    saved: dict[str, Saved] = field(default_factory=dict[str, Saved])
    chunks: dict[int, dict[str, Chunk]] = field(default_factory=dict[int, dict[str, Chunk]])
    memos: dict[int, Memo] = field(default_factory=dict[int, Memo])
    rows_in: int | None = None
    rows_computed: int | None = None
    seconds: float = 0.0
    peak_bytes: int | None = None
    host: str | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    log: str | None = None
    error: dict[str, Any] | None = None
