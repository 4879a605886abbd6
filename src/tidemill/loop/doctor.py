"""Doctor: is this installation and this project sound, and what to type if not."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tidemill.core import codes
from tidemill.core.clock import now, parse
from tidemill.core.errors import TidemillError
from tidemill.core.events import Progress, Sink, silent
from tidemill.core.figures import counted
from tidemill.loop.views import EnvironmentView, Finding, ReleaseView
from tidemill.loop.workspace import Workspace, open_workspace

_LOW_DISK_BYTES = 1024**3
_OWED_FOR_LONG_SECONDS = 600.0
_SHOWN = 10
_EXTRAS = {
    "keras": ("keras", "jax", "jax2onnx"),
    "sklearn": ("sklearn", "skops", "skl2onnx"),
    "tune": ("optuna",),
    "team": ("psycopg",),
}


def doctor(folder: Path | None = None, *, deep: bool = False, sink: Sink = silent) -> list[Finding]:
    """Look at Python, the extras, the disk, the project, its store and everything in it.

    Args:
        folder: The project's.
        deep: Read every stored byte through; else what changed since this machine looked at it.
        sink: Gets ``Progress``.
    """
    found = [
        Finding("python", ok=sys.version_info >= (3, 11), message=sys.version.split()[0]),
        *(_extra(name, modules) for name, modules in _EXTRAS.items()),
    ]
    try:
        ws = open_workspace(folder)
        store = ws.store
        found.append(Finding("project", ok=True, message=str(ws.folder)))
        found.append(
            Finding("store", ok=True, message=f"{store.address}, records in {store.catalog.database.name}")
        )
        # Beside a shared store there is none before this machine keeps something of its own.
        folder = next(f for f in (store.folder, *store.folder.absolute().parents) if f.exists())
        free = shutil.disk_usage(folder).free
        found.append(
            Finding(
                "disk",
                free > _LOW_DISK_BYTES,
                f"{free / 1e9:.1f} GB free at {store.folder}",
                None if free > _LOW_DISK_BYTES else "Free space, perhaps by 'tidemill gc'.",
            )
        )
        for name, check in {
            "catalog": lambda: [_catalog(ws)],
            "runs": lambda: [_runs(ws)],
            "triggers": lambda: [_triggers(ws)],
            "blobs": lambda: [_blobs(ws, sink, deep=deep)],
            "lost blobs": lambda: _lost_blobs(ws),
            "datasets": lambda: _datasets(ws, sink, deep=deep),
            "releases": lambda: _releases(ws, deep=deep),
            "environments": lambda: _environments(ws),
            "tokens": lambda: _tokens(ws),
            "written files": lambda: _written_files(ws),
        }.items():
            found += _each_alone(name, check)
        ws.close()
    except TidemillError as error:
        found.append(Finding("project", ok=False, message=error.message, hint=error.hint))
    return found


def _each_alone(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check finds; where something is damaged, that: the others are made all the same."""
    try:
        return check()
    except TidemillError as error:
        if error.code in (codes.STORE_UNREACHABLE, codes.CATALOG_UNREACHABLE):
            # To ask again for each would make each wait.
            raise
        return [Finding(name, ok=False, message=error.message, hint=error.hint)]


def _extra(name: str, modules: tuple[str, ...]) -> Finding:
    lacking = [m for m in modules if importlib.util.find_spec(m) is None]
    text = "installed" if not lacking else f"not installed ({', '.join(lacking)}); only needed by its users"
    return Finding(
        f"extra {name}", ok=True, message=text, hint=f"pip install 'tidemill[{name}]'" if lacking else None
    )


def _catalog(ws: Workspace) -> Finding:
    catalog = ws.store.catalog
    if not catalog.is_older:
        return Finding("catalog", ok=True, message=f"version {catalog.version}")
    return Finding(
        "catalog",
        ok=True,
        message=f"version {catalog.version}, made by an older Tidemill: it can be read, and not written",
        hint="Type 'tidemill store migrate' to see what would change.",
    )


def _runs(ws: Workspace) -> Finding:
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    gone = mark_interrupted(ws.store)
    text = counted(len(gone), "was interrupted", "were interrupted") if gone else "none hangs"
    return Finding("runs", ok=True, message=text)


def _triggers(ws: Workspace) -> Finding:
    from tidemill.loop.firing import owed  # noqa: PLC0415

    left = owed(ws)
    if not left:
        return Finding("triggers", ok=True, message="none is owed")
    long = [f for f in left if (now() - parse(f.fired_at)).total_seconds() > _OWED_FOR_LONG_SECONDS]
    each = "; ".join(f"'{f.trigger}' for commit {f.cause} since {f.fired_at[:19]}" for f in left[:3])
    return Finding(
        "triggers",
        ok=not long,
        message=f"{len(left)} owed: {each}",
        hint="Type 'tidemill triggers settle'; what should not run any more, 'tidemill triggers drop'.",
    )


def _blobs(ws: Workspace, sink: Sink, *, deep: bool) -> Finding:
    looked = 0

    def told(number: int, every: int) -> None:
        nonlocal looked
        looked = every
        sink(Progress("checking blobs", number, every, "blobs"))

    bad = ws.store.blobs.damaged(again=deep, told=told)
    if bad:
        return Finding(
            "blobs",
            ok=False,
            message=f"{counted(len(bad), 'blob is', 'blobs are')} damaged, of {looked}: {', '.join(bad[:3])}",
            hint="Restore them from a copy of the store, or remove them and run again.",
        )
    return Finding("blobs", ok=True, message=f"{looked}, all with the digest they are named by")


def _lost_blobs(ws: Workspace) -> list[Finding]:
    """Nothing where all that runs, models and releases need is there; ``_releases`` says which part of a release is not."""
    from tidemill.loop.needed import needed  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        kept = needed(ws, read)
    lost = sorted(kept - ws.store.blobs.all().keys())
    if not lost:
        return []
    return [
        Finding(
            "lost blobs",
            ok=False,
            message=f"{len(lost)} of {len(kept)} that runs, models or releases need are gone: {', '.join(lost[:3])}",
            hint="Restore them from a copy of the store. A run that needs one of them computes it again.",
        )
    ]


def _datasets(ws: Workspace, sink: Sink, *, deep: bool) -> list[Finding]:
    return [
        finding
        for name in ws.datasets.names()
        for finding in _each_alone(f"dataset {name}", partial(_dataset, ws, name, sink, deep=deep))
    ]


def _dataset(ws: Workspace, name: str, sink: Sink, *, deep: bool) -> list[Finding]:
    from tidemill.data import begin_log, is_older, remove_damaged_derived, wrong_files  # noqa: PLC0415

    # In a store of one person it is done at once; in a team's, whoever has an older Tidemill could not read it any more.
    begun = ws.store.objects.path("") is not None and begin_log(ws.store, name)
    wrong = wrong_files(ws.store, name, sink, deep=deep)
    if wrong:
        return [
            Finding(
                f"dataset {name}",
                ok=False,
                message=f"file {each.file} is {'gone' if each.lost else 'not as it was written'}"
                + (f"; commit {each.commit} needs it" if each.commit else "; no branch or tag needs it")
                + (
                    f", and {counted(each.commits - 1, 'more commit does', 'more commits do')}"
                    if each.commits > 1
                    else ""
                ),
                hint=f"Type 'tidemill data repair {name} --from ADDRESS'.",
            )
            for each in wrong[:_SHOWN]
        ] + (
            [Finding(f"dataset {name}", ok=False, message=f"and {counted(len(wrong) - _SHOWN, 'more file')}")]
            if wrong[_SHOWN:]
            else []
        )
    anew = remove_damaged_derived(ws.store, name) if deep else []
    snapshot = ws.datasets.open(name).snapshot()
    rows = len(snapshot.read(["_id"]))
    fine = rows == snapshot.rows
    text = f"commit {snapshot.commit.number}, {counted(rows, 'row')}"
    if begun:
        text += "; its files have digests from now on"
    elif is_older(ws.store, name):
        text += "; its files have no digests yet: 'tidemill store migrate'"
    if anew:
        text += f"; {counted(len(anew), 'derived file was damaged, and is', 'derived files were damaged, and are')} made anew when they are needed"
    hint = None if fine else "Its newest commit names another count; restore it from a copy."
    return [Finding(f"dataset {name}", fine, text, hint)]


def _releases(ws: Workspace, *, deep: bool) -> list[Finding]:
    from tidemill.loop.releases import releases  # noqa: PLC0415

    return [
        finding
        for release in releases(ws)
        for finding in _each_alone(
            f"release {release.name}/{release.number}", partial(_release, ws, release, deep=deep)
        )
    ]


def _release(ws: Workspace, release: ReleaseView, *, deep: bool) -> list[Finding]:
    from tidemill.loop.releases import verify_release  # noqa: PLC0415

    name = f"{release.name}/{release.number}"
    checked = verify_release(ws, name, again=deep)
    text = "every digest holds" if checked.ok else "; ".join(checked.problems[:3])
    return [Finding(f"release {name}", checked.ok, text)]


def _environments(ws: Workspace) -> list[Finding]:
    from tidemill.loop.environments import environments  # noqa: PLC0415

    return [_environment(e) for e in environments(ws) if e.number is not None or e.error]


def _environment(found: EnvironmentView) -> Finding:
    name = f"environment {found.environment}"
    if found.error:
        return Finding(name, ok=False, message=found.error["message"], hint=found.error.get("hint"))
    if found.not_ready:
        error = found.not_ready
        runs = f"runs at {found.address} and refuses every prediction" if found.running else "does not answer"
        return Finding(
            name,
            ok=False,
            message=f"release {found.number} {runs} ({error['code']}): {error['message']}",
            hint=error.get("hint"),
        )
    if found.not_renewed:
        error = found.not_renewed
        text = f"release {found.number} shows a certificate that is not renewed: {error['message']} {error.get('why') or ''}"
        return Finding(name, ok=False, message=text.rstrip(), hint=error.get("hint"))
    runs = f"running at {found.address}" if found.running else "not running"
    text = f"release {found.number}, {found.note if found.elsewhere and found.note else runs}"
    hint = (
        None
        if found.running or found.elsewhere
        else f"Type 'tidemill serve {found.environment}' to start it."
    )
    return Finding(name, ok=True, message=text, hint=hint)


def _tokens(ws: Workspace) -> list[Finding]:
    from tidemill.edge import token_file  # noqa: PLC0415

    found: list[Finding] = []
    for file in sorted(ws.store.environments_folder.glob("*.tokens.json")):
        try:
            token_file.read(file)
        except TidemillError as error:
            name = file.name.removesuffix(".tokens.json")
            found.append(Finding(f"tokens of {name}", ok=False, message=error.message, hint=error.hint))
    return found


def _written_files(ws: Workspace) -> list[Finding]:
    """Nothing where each record of a file that shows rows can be read: it is another matter what became of the file."""
    from tidemill.loop import written  # noqa: PLC0415

    for _ in written.records(ws.store):
        pass
    return []
