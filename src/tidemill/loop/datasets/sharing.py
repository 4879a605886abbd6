"""Sharing a dataset with other stores: push, fetch, pull, clone. A remote is another store, by a name."""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, InvalidInput, NotFound, StorageError
from tidemill.core.events import Sink, silent
from tidemill.core.files import write_text
from tidemill.core.names import check_name, did_you_mean
from tidemill.core.settings import FILE
from tidemill.core.settings_file import toml_key, toml_text
from tidemill.loop.datasets.forgetting import Asked, before_forgetting, settle
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.switching import chosen
from tidemill.loop.datasets.views import PullView, RepairView, SharedView, WrongFile
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Shared
    from tidemill.store.open import Store

ORIGIN = "origin"


def push(
    ws: Workspace,
    name: str,
    remote: str = ORIGIN,
    branches: Sequence[str] = (),
    *,
    every: bool = False,
    sink: Sink = silent,
) -> SharedView:
    """Send a dataset's branches, and the tags on their commits, to another store.

    Only what is not there yet is sent. A push that was interrupted goes on where it was.

    Args:
        ws: The project.
        name: The dataset.
        remote: The other store.
        branches: Which; the one that was switched to if empty.
        every: All branches.
        sink: Gets ``Progress``.

    Raises:
        Conflict: ``push-rejected``: somebody else pushed; pull, then push again. ``tag-differs``.
        InvalidInput: ``unrelated-datasets``.
        NotFound: ``remote-not-found``, ``branch-not-found``.
    """
    from tidemill.data import push as send  # noqa: PLC0415

    dataset = ws.datasets.open(name)
    sent = list(dataset.branches()) if every else list(branches) or [chosen(ws, name)]
    theirs = _open(ws, remote, make=True)
    with _damage_told(theirs, name, ws.store.address):
        return _view(name, remote, send(ws.store, theirs, name, remote, sent, sink))


def fetch(ws: Workspace, name: str, remote: str = ORIGIN, *, sink: Sink = silent) -> SharedView:
    """Get what another store has of a dataset: its branches as ``REMOTE/BRANCH``, and its new tags.

    No branch of this store moves, except that a dataset that is not here yet begins with the other's branches.

    Raises:
        NotFound: ``remote-not-found``, ``dataset-not-found``.
        InvalidInput: ``unrelated-datasets``.
    """
    return _fetched(ws, name, remote, _open(ws, remote), sink)


def pull(
    ws: Workspace, name: str, remote: str = ORIGIN, branch: str | None = None, *, sink: Sink = silent
) -> PullView:
    """Fetch, then bring what the other store's branch has into the branch of the same name here.

    Raises:
        Conflict: ``merge-conflict``: what was fetched stays, as ``REMOTE/BRANCH``; nothing is merged.
        NotFound: ``remote-not-found``, ``dataset-not-found``, ``branch-not-found``.
    """
    from tidemill.data import forward  # noqa: PLC0415

    into = branch or chosen(ws, name)
    got = fetch(ws, name, remote, sink=sink)
    dataset = ws.datasets.open(name)
    theirs = f"{remote}/{into}"
    if theirs not in dataset.fetched():
        raise NotFound(
            f"{remote} has no branch '{into}' of dataset '{name}'.",
            hint=did_you_mean(
                into,
                [n.partition("/")[2] for n in dataset.fetched()],
                f"Type 'tidemill data push {name} {remote} --branch {into}' to bring it there.",
            ),
            code=codes.BRANCH_NOT_FOUND,
        )
    before = dataset.branches().get(into)
    if forward(ws.store, name, into, dataset.resolve(theirs)):
        head = dataset.head(into)
        rows = row_counts(dataset.diff(before.id, head.id).counts) if before else None
        return PullView(got, into, head.id, head.number, "forward", rows)
    merged = dataset.merge(theirs, into=into, message=f"Merge {theirs} into {into}")
    outcome = "already" if merged.already else "merged"
    return PullView(got, into, merged.commit.id, merged.commit.number, outcome, row_counts(merged.changes))


def clone(ws: Workspace, address: str, name: str, *, sink: Sink = silent) -> SharedView:
    """Get a dataset with all its history from another store, which is written down as a remote.

    Args:
        ws: The project.
        address: A folder, ``s3://bucket/prefix``, or the name of a remote.
        name: The dataset.
        sink: Gets ``Progress``.

    Raises:
        AlreadyExists: ``dataset-exists``.
        NotFound: ``remote-not-found``, ``store-not-found``, ``dataset-not-found``.
    """
    check_name("dataset", name)
    if ws.datasets.exists(name):
        raise AlreadyExists(
            f"There is a dataset '{name}' already.",
            hint=f"Type 'tidemill data pull {name}' to get what is new.",
            code=codes.DATASET_EXISTS,
        )
    other = _meant(ws, address)
    got = _fetched(ws, name, other.name, _opened(ws, other), sink)
    if not other.is_known:
        _write_down(ws, other)
    return got


def repair(ws: Workspace, name: str, address: str | None = None, *, sink: Sink = silent) -> RepairView:
    """Put back what of a dataset is not as it was written.

    Branches and tags come from the dataset's own log. Files come from another store that has the dataset; a commit
    whose own file is lost is made again from there, under its id.

    Args:
        ws: The project.
        name: The dataset.
        address: Of the other store: a folder, ``s3://bucket/prefix``, or the name of a remote. None puts back what this
            store has itself. Where not even the dataset's branches are left, it is written down as a remote.
        sink: Gets ``Progress``.

    Raises:
        NotFound: ``dataset-not-found``, ``remote-not-found``, ``store-not-found``.
        StorageError: ``store-damaged``, when its branches are lost and its log too.
    """
    from tidemill.data import clear_for  # noqa: PLC0415
    from tidemill.data import repair as mend  # noqa: PLC0415

    if not ws.datasets.exists(name):
        ws.datasets.open(name)
    other = _meant(ws, address) if address else None
    theirs = _opened(ws, other) if other else None
    anew = False
    with _damage_told(theirs, name):
        if other and theirs and (anew := clear_for(ws.store, name, theirs)):
            _fetched(ws, name, other.name, theirs, sink)
            if not other.is_known:
                _write_down(ws, other)
        done = mend(ws.store, name, theirs, sink)
    left = [WrongFile(each.file, each.lost, each.commit, each.commits) for each in done.left]
    return RepairView(
        name,
        done.refs,
        done.log,
        done.begun,
        list(done.files),
        list(done.commits),
        done.size_bytes,
        left,
        anew,
        theirs.address if theirs else None,
        list(done.damaged_there),
    )


def _fetched(ws: Workspace, name: str, remote: str, theirs: "Store", sink: Sink) -> SharedView:
    from tidemill.data import fetch as get  # noqa: PLC0415

    check_name("dataset", name)
    asked: list[Asked] = []

    def losing(ids: Collection[int]) -> None:
        asked.append(before_forgetting(ws, name, ids))

    with _damage_told(theirs, name):
        got = get(ws.store, theirs, name, remote, sink, losing)
    files = settle(ws, name, sink).files
    cleared = [f"predictions of them left the log of {told}" for a in asked for told in a.predictions]
    cleared += [f"they left release {told}" for a in asked for told in a.samples]
    cleared += [f"{path} was written anew without them" for path in files.rewritten]
    cleared += [f"{path} showed them, and is deleted" for path in files.deleted]
    return _view(name, remote, got, [*cleared, *files.left])


@contextmanager
def _damage_told(theirs: "Store | None", name: str, whole: str = "STORE") -> Generator[None]:
    """What is damaged in the other store is mended there: nothing that is typed for this one helps.

    Args:
        theirs: The other store.
        name: The dataset.
        whole: A store that may have it whole.
    """
    try:
        yield
    except StorageError as error:
        if (
            theirs is None
            or error.code != codes.STORE_DAMAGED
            or error.details.get("store") != theirs.address
        ):
            raise
        raise StorageError(
            error.message,
            why=f"The damage is in {theirs.address}. {error.why or ''}".strip(),
            hint=f"It is mended there: type 'tidemill data repair {name} --from {whole}' in that store's project, or "
            f"'TIDEMILL_STORE={theirs.address} tidemill data repair {name} --from {whole}'"
            + (", with a store that has it whole" if whole == "STORE" else "")
            + "; then type this again.",
            code=error.code,
            details=error.details,
        ) from error


@dataclass(frozen=True, slots=True)
class _Other:
    """Another store: the name that its branches get here, where it is, and whether the settings have it."""

    name: str
    address: str
    is_known: bool


def _meant(ws: Workspace, given: str) -> _Other:
    """The store that a remote's name, a folder or ``s3://bucket/prefix`` means; a new one gets a name that is free."""
    remotes = {known: settings.store for known, settings in ws.settings.remotes.items()}
    if given in remotes:
        return _Other(given, remotes[given], is_known=True)
    if "://" not in given and Path(given).name == given and not Path(given).is_dir():
        raise NotFound(
            f"This project has no remote '{given}', and there is no folder of this name.",
            hint=did_you_mean(given, remotes, "Name a folder with a store in it, or s3://BUCKET/PREFIX."),
            code=codes.REMOTE_NOT_FOUND,
        )
    plain = given if "://" in given else str(Path(given).resolve())
    known = next((n for n, store in remotes.items() if plain in (store, str(ws.folder / store))), None)
    free = (n for n in (ORIGIN, *(f"{ORIGIN}-{i}" for i in range(2, 1000))) if n not in remotes)
    return _Other(known or next(free), plain, is_known=known is not None)


def _open(ws: Workspace, remote: str, *, make: bool = False) -> "Store":
    if remote not in ws.settings.remotes:
        raise NotFound(
            f"This project has no remote '{remote}'.",
            hint=did_you_mean(
                remote,
                ws.settings.remotes,
                f'Write into {FILE}: [remotes.{toml_key(remote)}] and below it store = "ADDRESS".',
            ),
            code=codes.REMOTE_NOT_FOUND,
        )
    return _opened(ws, _Other(remote, ws.settings.remotes[remote].store, is_known=True), make=make)


def _opened(ws: Workspace, other: _Other, *, make: bool = False) -> "Store":
    from tidemill.store.open import Store  # noqa: PLC0415

    place = other.address if "://" in other.address else (ws.folder / other.address).resolve()
    if str(place) == ws.store.address:
        what = f"Remote '{other.name}'" if other.is_known else place
        raise InvalidInput(
            f"{what} is this project's own store.",
            hint="Name another store.",
            code=codes.SAME_STORE,
        )
    verify = ws.settings.verify
    if make:
        return Store.create(place, verify=verify)
    try:
        return Store.open(place, verify=verify)
    except NotFound as error:
        if error.code != codes.STORE_NOT_FOUND:
            raise
        raise NotFound(
            error.message,
            hint=f"Look whether that is where '{other.name}' is, and can be reached; {FILE} says where a remote is."
            if other.is_known
            else "Name the folder that has 'layout.json' in it, such as PROJECT/.tidemill, or s3://BUCKET/PREFIX.",
            code=codes.STORE_NOT_FOUND,
        ) from error


def _write_down(ws: Workspace, other: _Other) -> None:
    file = ws.folder / FILE
    text = file.read_text("utf-8") if file.exists() else ""
    gap = "\n" if text and not text.endswith("\n") else ""
    write_text(file, f"{text}{gap}\n[remotes.{toml_key(other.name)}]\nstore = {toml_text(other.address)}\n")


def _view(name: str, remote: str, done: "Shared", cleared: Sequence[str] = ()) -> SharedView:
    return SharedView(
        name,
        remote,
        done.moved.commits,
        done.moved.files,
        done.moved.size_bytes,
        dict(done.branches),
        list(done.tags),
        done.forgotten,
        list(done.kept),
        list(cleared),
        list(done.mended),
        list(done.lost),
    )
