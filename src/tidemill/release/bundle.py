"""A release: the immutable bundle of all that a model was made of, its manifest, and how it is checked.

The digest names the content and the run, not the number and not the author
(``docs/decisions/what-a-release-digest-covers.md``).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tidemill.core import codes, identity
from tidemill.core.clock import now, stamp
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.core.names import Digest, check_name, did_you_mean, hex_of
from tidemill.engine import content as contents
from tidemill.release import archive
from tidemill.release import manifest as manifests
from tidemill.store.blobs import Blobs
from tidemill.store.catalog import records
from tidemill.store.open import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a release that is not as it was.

    Attributes:
        part: Which part, such as ``predictor`` or ``code pipeline.py``.
        digest: What the release names there.
        problem: ``missing``: the store does not hold it. ``damaged``: its bytes have another digest.
            ``changed``: it can be read and says something else than the release.
    """

    part: str
    digest: str
    problem: Literal["missing", "damaged", "changed"]

    def to_json(self) -> dict[str, str]:
        """The finding as a JSON object."""
        return {"part": self.part, "digest": self.digest, "problem": self.problem}


def create(
    store: Store,
    *,
    name: str,
    run: records.Run,
    predictor: Digest,
    model: Digest,
    report: Digest,
    verdict: records.Verdict | None,
    data: Mapping[str, Mapping[str, Any]],
    code: Mapping[str, Digest],
    lock: Digest,
    author: str,
) -> records.Release:
    """Make a run's release, with the next number of ``name``. A run has one release: asked again, it is returned.

    Args:
        store: Where everything named here already is.
        name: The release's name, which is the pipeline's.
        run: The run that made it.
        predictor: Blob: the predictor bundle, as a tar.
        model: The trained model.
        report: The report.
        verdict: What the gate said of the run.
        data: Each dataset that was read: ``commit``, ``number``, ``rows`` and ``content``.
        code: Blob of each source file, by its path in the project.
        lock: Blob: the environment lock.
        author: Who made it.

    Raises:
        NotAllowed: ``gate-not-passed``, ``no-verdict`` or ``run-not-succeeded``.
        NotFound: ``blob-not-found``, when the store does not hold one of the digests.
    """
    check_name("release", name)
    with store.catalog.read() as read:
        there = read.first(records.Release, {"run": run.id})
    if there is not None:
        return there
    check_allowed(run, verdict)
    assert verdict is not None
    manifest = manifests.content(name, run, predictor, model, report, verdict, data, code, lock)
    for _, digest in manifests.parts(manifest):
        _make_blob(store, digest)
    held = [held for _, held in manifests.all_parts(store, manifest)]
    text = manifests.canonical(manifest)
    blob = store.blobs.put(text)
    digest, created_at = identity.release(manifest), stamp(now())
    # The transaction holds the catalog's write lock from its start, so no number is given twice; and
    # either both records are there afterwards or none: a killed `create` leaves at most a blob for `gc`.
    with store.catalog.write() as write:
        there = write.first(records.Release, {"run": run.id})
        if there is not None:
            return there
        number = write.greatest(records.Release, "number", {"name": name}) + 1
        release = records.Release(name, number, digest, run.id, author, created_at)
        meta = {"content": {"manifest": blob}, "blobs": [blob, *held]}
        write.put(records.Artifact(digest, manifests.KIND, len(text), meta, created_at))
        write.add(release)
    return release


def manifest(store: Store, release: records.Release) -> dict[str, Any]:
    """What a release is made of, checked against its digest.

    Raises:
        NotFound: ``blob-not-found``.
        StorageError: ``release-damaged``.
    """
    return manifests.read(store, release)


def holds(store: Store, release: records.Release) -> list[Digest]:
    """Every digest that must stay in the store for the release to be whole: what ``gc`` keeps."""
    return [
        manifests.blob_of(store, release),
        *(digest for _, digest in manifests.all_parts(store, manifest(store, release))),
    ]


def verify(
    store: Store,
    release: records.Release,
    digest_of: Callable[[str, Mapping[str, Any]], str | None] | None = None,
    *,
    again: bool = True,
) -> list[Finding]:
    """Hash every byte of a release again.

    Args:
        store: Where it is.
        release: The release.
        digest_of: Says what a dataset's commit holds now, as the digest that ``create`` was given for it among its
            facts (``content`` in releases of before commits had digests, which is of its files); None where it
            is gone, empty where it is damaged. Without it the data are not looked at.
        again: Also what did not change since this machine looked at it.

    Returns:
        What is missing or damaged, each part by name; empty when all is as it was.
    """
    try:
        blob = manifests.blob_of(store, release)
    except NotFound:
        return [Finding("manifest", release.digest, "missing")]
    found = _check(store.blobs, "manifest", blob, again=again)
    if found is not None:
        return [found]
    content = json.loads(store.blobs.get(blob))
    if identity.release(content) != release.digest:
        return [Finding("manifest", release.digest, "changed")]
    checks = [
        _check(store.blobs, part, digest, again=again) for part, digest in manifests.all_parts(store, content)
    ]
    if digest_of is not None:
        checks += [_check_data(name, facts, digest_of) for name, facts in content["data"].items()]
    return [finding for finding in checks if finding is not None]


def unpack(store: Store, release: records.Release, folder: Path) -> Path:
    """Lay a release's predictor out as files, ready to be served.

    Args:
        store: Where the release is.
        release: The release.
        folder: Where unpacked predictors lie, one folder each; one that is there and whole is used again.

    Returns:
        The predictor's own folder in ``folder``.

    Raises:
        StorageError: ``release-damaged``, when the predictor's bytes are not what the release names.
        NotFound: ``blob-not-found``.
    """
    predictor = Digest(manifest(store, release)["predictor"])
    if not store.blobs.verify(predictor):
        raise StorageError(
            f"The predictor of release {release.name} {release.number} is damaged.",
            why=f"Its bytes do not hash to {predictor}.",
            hint=f"Type 'tidemill release verify {release.name}/{release.number}' to see what else is.",
            code=codes.RELEASE_DAMAGED,
        )
    tar = store.blobs.path(predictor)
    target = folder / f"{release.name}-{predictor.partition(':')[2][:16]}"
    with store.locks.hold("unpack"):
        if archive.is_whole(tar, target):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".part-*"):
            shutil.rmtree(left)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
        archive.extract(tar, part)
        if target.exists():
            # Someone changed or cut what lay there. Out of the way, not emptied: a server may run from it.
            target.rename(part.with_name(f"{part.name}-old"))
        part.rename(target)
    return target


def find(store: Store, name: str, which: str | int = "latest") -> records.Release:
    """A release by ``latest``, its number, or the start of its digest (4 hex digits or more).

    Raises:
        NotFound: ``release-not-found``.
        InvalidInput: ``ambiguous-release``, when several digests start so.
    """
    known = releases(store, name)
    if not known:
        with store.catalog.read() as read:
            names = {release.name for release in read.find(records.Release)}
        there = f"There are releases of: {', '.join(sorted(names))}; 'latest' alone is the newest of all."
        make = "Type 'tidemill release create' after a run."
        raise NotFound(
            f"There is no release of '{name}'.",
            hint=did_you_mean(name, names, there if names else make),
            code=codes.RELEASE_NOT_FOUND,
        )
    text = str(which)
    if text == "latest":
        return known[0]
    exact = [release for release in known if text == str(release.number)]
    start = hex_of(text)
    exact = exact or [r for r in known if len(start) >= 4 and r.digest.startswith(f"sha256:{start}")]
    if len(exact) == 1:
        return exact[0]
    numbers = ", ".join(str(release.number) for release in reversed(known))
    if exact:
        raise InvalidInput(
            f"'{text}' is the start of {len(exact)} releases of '{name}'.",
            hint="Give more digits, or the number.",
            code=codes.AMBIGUOUS_RELEASE,
        )
    raise NotFound(
        f"There is no release '{text}' of '{name}'.",
        hint=f"There are: {numbers}.",
        code=codes.RELEASE_NOT_FOUND,
    )


def releases(store: Store, name: str | None = None) -> list[records.Release]:
    """The releases of ``name``, or of all names, newest first."""
    with store.catalog.read() as read:
        if name is None:
            return read.find(records.Release, order=("-created_at", "-number"))
        return read.find(records.Release, {"name": name}, order=("-number",))


def check_allowed(run: records.Run, verdict: records.Verdict | None) -> None:
    """Refuse a run that cannot become a release.

    Raises:
        NotAllowed: ``gate-not-passed``, ``no-verdict`` or ``run-not-succeeded``.
    """
    if run.status != "succeeded":
        raise NotAllowed(
            f"Run {run.id} cannot become a release: it {_ended(run.status)}.",
            hint=f"Type 'tidemill show {run.id}' to see where, then run it again.",
            code=codes.RUN_NOT_SUCCEEDED,
        )
    if verdict is None or verdict.run != run.id:
        raise NotAllowed(
            f"Run {run.id} cannot become a release: no gate has judged it.",
            why="Only what passed its gate is released.",
            hint=f"Type 'tidemill release create {run.id}', which judges it first.",
            code=codes.NO_VERDICT,
        )
    if not verdict.passed:
        failed = [f"{r['name']}: {r['reason']}" for r in verdict.rules if not r["passed"]]
        raise NotAllowed(
            f"Run {run.id} cannot become a release: it did not pass the gate.",
            why="; ".join(failed),
            hint=f"Type 'tidemill report {run.id}' to see the model; change the pipeline or the gate's rules.",
            code=codes.GATE_NOT_PASSED,
            details={"run": run.id, "failed": failed},
        )


def _ended(status: records.RunStatus) -> str:
    return {"running": "is still running", "failed": "failed", "interrupted": "was interrupted"}.get(
        status, status
    )


def _make_blob(store: Store, digest: Digest) -> None:
    """See to it that ``digest`` is a blob. A small report lives in its record: a release wants its bytes."""
    if store.blobs.exists(digest):
        return
    with store.catalog.read() as read:
        found = read.first(records.Artifact, {"digest": digest})
    if found is not None and "content" in found.meta:
        store.blobs.put(contents.canonical(found.meta["content"]))
    store.blobs.path(digest)


def _check_data(
    name: str, facts: Mapping[str, Any], digest_of: Callable[[str, Mapping[str, Any]], str | None]
) -> Finding | None:
    then, now_there = facts.get("digest") or facts["content"], digest_of(name, facts)
    if now_there == then:
        return None
    part = f"data {name}@{facts['commit']}"
    problem = "missing" if now_there is None else "changed" if now_there else "damaged"
    return Finding(part, then, problem)


def _check(blobs: Blobs, part: str, digest: Digest, *, again: bool) -> Finding | None:
    if not blobs.exists(digest):
        return Finding(part, digest, "missing")
    return None if blobs.verify(digest, again=again) else Finding(part, digest, "damaged")
