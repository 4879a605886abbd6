"""Releases: make one from a run that passed its gate, list, look into, verify."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput, NotFound, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.core.names import Digest, hex_of
from tidemill.loop import judging, registry
from tidemill.loop.lookup import find_run
from tidemill.loop.quiet import naming
from tidemill.loop.view_of import view_of
from tidemill.loop.views import CreatedRelease, ReleaseView, Verified
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Snapshot
    from tidemill.store.catalog import records


def create_release(ws: Workspace, run: str = "latest", *, sink: Sink = silent) -> CreatedRelease:
    """Make the release of a run; asked again, the same one is returned.

    Raises:
        NotFound: ``run-not-found``.
        NotAllowed: ``gate-not-passed``, ``no-verdict``, ``run-not-succeeded``.
        InvalidInput: ``nothing-to-release``, when the run made no predictor or report.
    """
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.release.lock import environment_lock  # noqa: PLC0415

    del sink
    record = find_run(ws, run, with_report=run == "latest")
    made = {name: registry.digest_of_kind(ws, record, name) for name in ("model", "report", "predictor")}
    lacking = [n for n, digest in made.items() if digest is None or digest != record.outputs.get(n)]
    if record.status == "succeeded" and lacking:
        raise InvalidInput(
            f"Run {record.id} has nothing to release: it made no {' and no '.join(lacking)}.",
            why="A release serves a predictor, which is cut from the graph of a trained model.",
            hint="Return {'model': model, 'report': parts.evaluate(model, test)} from the pipeline.",
            code=codes.NOTHING_TO_RELEASE,
        )
    before = _released_before(ws, record)
    if before is not None:
        verdict = judging.verdict_of(ws, record.id)
        if before.run != record.id and verdict is not None:
            # What it repeats was released under other rules, or before something better ran.
            bundle.check_allowed(record, verdict)
        return _created(ws, before, already=True)
    predictor, code, packages = judging.predictor_facts(ws, record)
    hashes, source = _lock_text(ws)
    lock = environment_lock(packages, hashes=hashes, hashes_from=source)
    with naming(ws):
        release = bundle.create(
            ws.store,
            name=record.pipeline,
            run=record,
            predictor=predictor,
            model=Digest(record.outputs["model"]),
            report=Digest(record.outputs["report"]),
            verdict=judging.verdict_of(ws, record.id),
            data={
                ref: data_facts(ws, ref.partition("@")[0], commit) for ref, commit in record.inputs.items()
            },
            code={path: ws.store.blobs.put(text.encode()) for path, text in code.items()},
            lock=ws.store.blobs.put(lock.encode()),
            author=ws.project.author,
        )
    return _created(ws, release, already=False)


def releases(ws: Workspace, name: str | None = None) -> list[ReleaseView]:
    """The releases, newest first.

    Raises:
        NotFound: ``release-not-found``, where there are releases of other names.
    """
    from tidemill.loop.lookup import check_listed  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415

    found = bundle.releases(ws.store, name)
    if name and not found:
        check_listed(ws, "release", name, {r.name for r in bundle.releases(ws.store)})
    return [_view(ws, r) for r in found]


def show_release(ws: Workspace, ref: str = "latest") -> dict[str, Any]:
    """A release's record and its manifest."""
    import dataclasses  # noqa: PLC0415

    from tidemill.release import bundle  # noqa: PLC0415

    release = find_release(ws, ref)
    return {**dataclasses.asdict(_view(ws, release)), "manifest": bundle.manifest(ws.store, release)}


def verify_release(ws: Workspace, ref: str = "latest", *, again: bool = True) -> Verified:
    """Hash every byte of a release again, and the files of the data it was trained on.

    Args:
        ws: The project.
        ref: The release.
        again: Also what did not change since this machine looked at it.
    """
    from tidemill.release import bundle  # noqa: PLC0415

    release = find_release(ws, ref)

    findings = bundle.verify(ws.store, release, lambda ref, facts: _digest_now(ws, ref, facts), again=again)
    damaged = (
        _damaged_files(ws, release, again=again) if not any(f.part == "manifest" for f in findings) else []
    )
    forgotten = _forgotten_since(ws, release) if findings else []
    problems = [
        "; ".join([f"{f.part} is {f.problem} ({f.digest})", *(t for t in forgotten if _is_of(t, f.part))])
        for f in findings
    ] + damaged
    checked = len(bundle.holds(ws.store, release)) if not problems else 0
    return Verified(release.name, release.number, release.digest, checked, problems, ok=not problems)


def _damaged_files(ws: Workspace, release: "records.Release", *, again: bool) -> list[str]:
    """A sentence for each file of the release's data that is not as it was written."""
    from tidemill.release import bundle  # noqa: PLC0415

    found: list[str] = []
    for name, facts in bundle.manifest(ws.store, release)["data"].items():
        try:
            wrong = (
                ws.datasets.open(name.partition("@")[0]).snapshot(facts["commit"]).wrong_files(again=again)
            )
        except TidemillError as error:
            if error.code == codes.STORE_DAMAGED:
                found.append(error.message)
            continue
        found += [
            f"file {key} of data {name}@{facts['commit']} is {'gone' if lost else 'not as it was written'}"
            for key, lost in wrong.items()
        ]
    return found


def _forgotten_since(ws: Workspace, release: "records.Release") -> list[str]:
    from tidemill.loop.factors import forgotten_since  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        run = read.first(records.Run, {"id": release.run})
    return [] if run is None else forgotten_since(ws, run)


def _is_of(told: str, part: str) -> bool:
    """Whether what is told (``data people: 1 row forgotten ...``) is about a part (``data people@0123456789ab``)."""
    return told.partition(":")[0] == part.partition("@")[0]


def find_release(ws: Workspace, ref: str) -> "records.Release":
    """``2``, ``fashion/2``, ``latest``, ``fashion`` or the start of a digest.

    Raises:
        NotFound: ``release-not-found``.
        InvalidInput: ``ambiguous-release``.
    """
    from tidemill.release import bundle  # noqa: PLC0415

    every = bundle.releases(ws.store)
    names = {r.name for r in every}
    name, separator, which = ref.partition("/")
    if separator:
        return bundle.find(ws.store, name, which or "latest")
    if ref in names:
        return bundle.find(ws.store, ref, "latest")
    if not every:
        raise NotFound(
            "There is no release yet.",
            hint="Type 'tidemill release create' after a run.",
            code=codes.RELEASE_NOT_FOUND,
        )
    if ref == "latest":
        return every[0]
    start = hex_of(ref)
    found = [r for r in every if ref == str(r.number)]
    found = found or [r for r in every if len(start) >= 4 and r.digest.startswith(f"sha256:{start}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"'{ref}' names {len(found)} releases.",
            hint=f"Name the pipeline too: {', '.join(f'{r.name}/{r.number}' for r in found[:5])}.",
            code=codes.AMBIGUOUS_RELEASE,
        )
    raise NotFound(
        f"There is no release '{ref}'.",
        hint="Type 'tidemill release list' to see them.",
        code=codes.RELEASE_NOT_FOUND,
    )


def data_facts(ws: Workspace, name: str, commit: str) -> dict[str, Any]:
    """What a release says of a dataset's commit; ``digest`` is of its rows and columns."""
    from tidemill.data import digest_of  # noqa: PLC0415

    snapshot = ws.datasets.open(name).snapshot(commit)
    return {
        "commit": commit,
        "number": snapshot.commit.number,
        "rows": snapshot.rows,
        "digest": digest_of(snapshot),
    }


def _digest_now(ws: Workspace, ref: str, facts: Mapping[str, Any]) -> str | None:
    """What a release's dataset holds now, every cell of it read; None where it is gone, empty where it is damaged."""
    from tidemill.data import digest_again  # noqa: PLC0415

    try:
        snapshot = ws.datasets.open(ref.partition("@")[0]).snapshot(facts["commit"])
        return digest_again(snapshot) if "digest" in facts else _files_of(snapshot)
    except TidemillError as error:
        return "" if error.code == codes.STORE_DAMAGED else None


def _files_of(snapshot: "Snapshot") -> str:
    """What releases said of a commit before commits had digests: of its files, and of the rows in each."""
    return identity.value([[f.digest, identity.blob(f.ids().tobytes())] for f in snapshot.fragments()])


def _released_before(ws: Workspace, run: "records.Run") -> "records.Release | None":
    """The release of this run, or of an earlier one of which this is a repetition from the cache."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        own = read.first(records.Release, {"run": run.id})
        if own is not None:
            return own
        same = read.find(records.Release, {"name": run.pipeline}, order=("-number",))
        earlier = {r.id: r for r in read.find(records.Run, {"id": [r.run for r in same]})}
    for release in same:
        other = earlier[release.run]
        if (other.outputs, other.inputs, other.parameters) == (run.outputs, run.inputs, run.parameters):
            return release
    return None


def _lock_text(ws: Workspace) -> tuple[str, str]:
    from tidemill.loop.resources import runtime_lock  # noqa: PLC0415

    own = ws.folder / "requirements.txt"
    if own.is_file():
        return own.read_text("utf-8"), own.name
    shipped = runtime_lock()
    return shipped.read_text("utf-8"), f"Tidemill's own {shipped.parent.name}/{shipped.name}"


def _created(ws: Workspace, release: "records.Release", *, already: bool) -> CreatedRelease:
    return view_of(CreatedRelease, _view(ws, release), already=already)


def _view(ws: Workspace, release: "records.Release") -> ReleaseView:
    from tidemill.release.history import standing  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        live = [d for d in standing(read, None, "live") if d.release_digest == release.digest]
    order = list(ws.settings.environments)
    names = sorted({d.environment for d in live}, key=lambda n: order.index(n) if n in order else len(order))
    return view_of(ReleaseView, release, environments=names)
