"""What the data use cases return: plain facts for a face to draw."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tidemill.loop.datasets.check_views import Quarantined
from tidemill.loop.views import RefitView, RowCounts

if TYPE_CHECKING:
    from tidemill.data.profile import ColumnProfile


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column that came in, and how its type is known."""

    name: str
    type: str
    how: str


@dataclass(frozen=True, slots=True)
class ImportNote:
    """What a person should know of how the rows were read; ``column`` is None where it is about all of them."""

    code: str
    column: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """What became of a dataset's column; ``old`` is None for one that came, ``new`` for one that went."""

    column: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class ImportView:
    """What an import did, or a dry run would do; ``commit`` is the head afterwards, ``total`` its rows.

    A dry run for a new dataset has no commit, and the number 0.
    """

    dataset: str
    commit: str | None
    number: int
    rows: RowCounts
    total: int
    unchanged: bool
    columns: list[ColumnView]
    changes: list[ColumnChange]
    dry_run: bool
    quarantine: Quarantined | None = None
    notes: list[ImportNote] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset, with the head of the branch that the project works on."""

    name: str
    branch: str
    branches: int
    tags: int
    rows: int
    commit: str
    number: int
    time: str


@dataclass(frozen=True, slots=True)
class CommitView:
    """One commit."""

    id: str
    number: int
    branch: str
    time: str
    author: str
    message: str
    rows: int
    parents: list[str]
    tags: list[str]


@dataclass(frozen=True, slots=True)
class DataShow:
    """A dataset at a commit: its columns and a few rows.

    Attributes:
        changes: What the commit changed of its first parent; None of a first commit.
    """

    dataset: str
    commit: CommitView
    columns: list[dict[str, Any]]
    sample: list[dict[str, Any]]
    changes: RowCounts | None


@dataclass(frozen=True, slots=True)
class DiffView:
    """What differs between two commits; ``cells`` are the first changed ones, ``rows`` the first that came or went."""

    a: str
    b: str
    added: int
    changed: int
    removed: int
    cells: list[dict[str, Any]]
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class DiffStat:
    """How much differs between two commits, by column and by label."""

    a: str
    b: str
    added: int
    changed: int
    removed: int
    columns: list[dict[str, Any]]
    labels: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BranchView:
    """A branch and its head."""

    dataset: str
    branch: str
    commit: str
    number: int


@dataclass(frozen=True, slots=True)
class TagView:
    """A tag and its commit."""

    dataset: str
    tag: str
    commit: str
    number: int


@dataclass(frozen=True, slots=True)
class MergeView:
    """What a merge did, and what it set off."""

    dataset: str
    source: str
    into: str
    commit: str
    number: int
    rows: RowCounts
    already: bool
    fired: list[RefitView]


@dataclass(frozen=True, slots=True)
class RevertView:
    """What a revert did; ``undone`` is the commit it undid."""

    dataset: str
    branch: str
    undone: str
    commit: str
    number: int
    rows: RowCounts
    already: bool
    fired: list[RefitView]


@dataclass(frozen=True, slots=True)
class WhoView:
    """Who did something, and in which commit."""

    commit: str
    author: str
    time: str


@dataclass(frozen=True, slots=True)
class ConflictView:
    """One thing that both sides did in different ways; ``column`` is None where it is about the whole row.

    Attributes:
        shape: Of a cell that is a tensor; its values are flat lists.
    """

    id: str
    column: str | None
    kind: str
    base: Any
    ours: Any
    theirs: Any
    has_base: bool
    ours_by: WhoView
    theirs_by: WhoView
    shape: list[int]


@dataclass(frozen=True, slots=True)
class ConflictsFile:
    """A list of conflicts that was written, to be filled in."""

    dataset: str
    source: str
    into: str
    path: str
    conflicts: int


@dataclass(frozen=True, slots=True)
class BlameLine:
    """Cells of one row that one commit changed last; ``values`` are theirs by column."""

    id: str
    values: dict[str, Any]
    commit: str
    number: int
    author: str
    time: str
    message: str


@dataclass(frozen=True, slots=True)
class BlameView:
    """Who last changed the cells of some rows; ``rows`` of the ``found`` ones are told."""

    dataset: str
    commit: str
    found: int
    rows: int
    lines: list[BlameLine]


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written.

    Attributes:
        forms: How it writes the columns that such a file has no cells for.
        by_id: Whether it names its rows by ``_id``.
    """

    dataset: str
    commit: str
    path: str
    rows: int
    format: str
    forms: dict[str, str] = field(default_factory=dict[str, str])
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class ClassView:
    """One class of a label: its rows, and some of them by ``_id`` (as text: JSON readers round 64 bits)."""

    name: Any
    rows: int
    share: float
    samples: list[str]


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What is in a dataset at a commit.

    Attributes:
        label: The column that the others are held against; None for none.
        unlabelled: Rows whose label is missing.
        evenness: How evenly the rows lie on the classes, 0 to 1; None below two classes.
        path: The page that was written; None for none.
    """

    dataset: str
    commit: str
    rows: int
    label: str | None
    classes: list[ClassView]
    unlabelled: int
    evenness: float | None
    columns: "list[ColumnProfile]"
    path: str | None


@dataclass(frozen=True, slots=True)
class SharedView:
    """What travelled between two stores.

    Attributes:
        files: Data files that were sent; those that were there already are not counted.
        bytes: Of these files.
        branches: Each branch that moved on the side that got it, and its commit.
        tags: The tags that are new there.
        forgotten: How many rows were removed from all of history there, as they are forgotten here.
        kept: Tags that name another commit there, and were left as they are.
        cleared: Sentences about files here that showed rows which are forgotten since.
        mended: Files and commits that the other store had lost, or that were damaged there, and are whole again.
        lost: Files that it has lost, or that are damaged there, and that are not whole here either.
    """

    dataset: str
    remote: str
    commits: int
    files: int
    bytes: int
    branches: dict[str, str]
    tags: list[str]
    forgotten: int
    kept: list[str]
    cleared: list[str]
    mended: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WrongFile:
    """A file of a dataset that is not as it was written.

    Attributes:
        file: Its place below the dataset's folder.
        lost: Whether it is gone.
        commit: The newest commit that needs it; None where none is known to.
        commits: How many need it.
    """

    file: str
    lost: bool
    commit: str | None
    commits: int


@dataclass(frozen=True, slots=True)
class RepairView:
    """What a repair of a dataset did.

    Attributes:
        refs: Whether its branches and tags were restored from its log.
        log: Whether its log was damaged: files whose digest only it had are taken as they are.
        begun: Whether its files were given digests, which an older Tidemill had not written.
        files: What has its bytes again.
        commits: The commits that were made again.
        bytes: Of what was put back.
        left: What is wrong still.
        anew: Whether its branches were lost and its log too, so that it begins again with those of the other store.
        source: The address of the other store; None where none was named.
        damaged_there: The files of ``left`` that are damaged in the other store too.
    """

    dataset: str
    refs: bool
    log: bool
    begun: bool
    files: list[str]
    commits: list[str]
    bytes: int
    left: list[WrongFile]
    anew: bool
    source: str | None = None
    damaged_there: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PullView:
    """What a pull did.

    Attributes:
        outcome: ``forward``: the branch had nothing of its own and is now the other's. ``merged``: a commit
            with two parents was made. ``already``: there was nothing to bring.
        rows: What the branch gained; None for one that is new here.
    """

    fetched: SharedView
    branch: str
    commit: str
    number: int
    outcome: Literal["forward", "merged", "already"]
    rows: RowCounts | None


@dataclass(frozen=True, slots=True)
class SuspectView:
    """A row whose label is doubted; the probabilities are of its label and of the suggested one."""

    id: str
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float
    confident: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SuspectsView:
    """The suspected label errors of a dataset, and the review that was opened of them.

    Attributes:
        agreeing: The share of rows whose label is the most probable class.
        estimated: How many labels are wrong by confident learning's estimate.
        review: As in ``fashion#3``; None where nothing is suspected.
        branch: Has the suggested labels.
        path: The CSV file that was written; None for none.
    """

    dataset: str
    commit: str
    label: str
    rows: int
    agreeing: float
    estimated: int
    suspects: list[SuspectView]
    review: str | None
    branch: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class ForgottenView:
    """What was forgotten, or would be.

    Attributes:
        rows: How many rows, each counted once.
        commits: How many commits had some of them.
        artifacts: How many outputs of runs were removed, as they held such rows or came from them.
        labels: How many labels that people gave such rows were removed.
        queues: How many labelling queues had cells of such rows in their lists, which are written anew.
        trained: The models and releases that were trained on such rows, which stay: ``model:NAME@VERSION``,
            ``NAME/NUMBER``.
        reviews: Those with comments about such rows, which stay: ``NAME#NUMBER``.
        logged: Predictions that such rows came from, removed from the logs, as ``ENVIRONMENT: COUNT``.
        samples: Releases that carried such rows in a sample or a report, and no longer do:
            ``NAME/NUMBER: 2 sample rows, 1 mistake``.
        rewritten: Files outside the store that are written anew without such rows.
        deleted: Files outside the store that showed such rows and are deleted.
        left: Sentences about what could not be reached: which, why, and what to do.
        redacted: Where words were taken out of what people wrote: ``comment 2 of review people#1``.
        mentioned: Where people wrote a text that only such rows have, which stays.
        elsewhere: Sentences about what no command here reaches: remotes, clones, backups.
    """

    dataset: str
    where: str
    rows: int
    commits: int
    artifacts: int
    labels: int
    queues: int
    trained: list[str]
    reviews: list[str]
    logged: list[str]
    samples: list[str]
    rewritten: list[str]
    deleted: list[str]
    left: list[str]
    redacted: list[str]
    mentioned: list[str]
    elsewhere: list[str]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class DeletedView:
    """A dataset that is gone, with what ``main`` had; no commits of one that was damaged."""

    dataset: str
    commits: int
    rows: int
