"""A release's manifest: what it says, how it is written and found again. Not the bytes that it names."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput, NotFound, StorageError
from tidemill.core.names import Digest
from tidemill.engine import content as contents
from tidemill.store.catalog import records
from tidemill.store.open import Store

LAYOUT = 1
KIND = "release"
"""The kind of the artifact record that leads from a release's digest to its blobs, the manifest's first."""


def content(
    name: str,
    run: records.Run,
    predictor: Digest,
    model: Digest,
    report: Digest,
    verdict: records.Verdict,
    data: Mapping[str, Mapping[str, Any]],
    code: Mapping[str, Digest],
    lock: Digest,
) -> dict[str, Any]:
    """The manifest of a release: plain JSON values, exactly as a reader will find them."""
    tree = {
        "layout": LAYOUT,
        "name": name,
        "run": {
            "id": run.id,
            "pipeline": run.pipeline,
            "file": run.file,
            "parameters": run.parameters,
            "trigger": run.trigger,
        },
        "predictor": predictor,
        "model": model,
        "report": report,
        "verdict": {
            "passed": verdict.passed,
            "against": verdict.against,
            "rules": verdict.rules,
            "decided_at": verdict.decided_at,
        },
        "data": {dataset: dict(facts) for dataset, facts in data.items()},
        "code": dict(code),
        "lock": lock,
        "tidemill": version("tidemill"),
    }
    # Through JSON and back: tuples become lists.
    return json.loads(canonical(tree))


def canonical(tree: Mapping[str, Any]) -> bytes:
    """JSON with one spelling for one manifest.

    Raises:
        InvalidInput: ``no-identity``.
    """
    try:
        text = json.dumps(tree, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"The release's manifest cannot be written: {error}.",
            why="A parameter of the run, or a fact about its data, is not a JSON value.",
            hint="Give the pipeline parameters of plain types (numbers, texts, lists of them).",
            code=codes.NO_IDENTITY,
        ) from error
    return text.encode("utf-8", "surrogatepass")


def read(store: Store, release: records.Release) -> dict[str, Any]:
    """What a release is made of, checked against its digest.

    Raises:
        NotFound: ``blob-not-found``.
        StorageError: ``release-damaged``.
    """
    try:
        found: dict[str, Any] | None = json.loads(store.blobs.get(blob_of(store, release)))
    except ValueError:
        found = None
    except StorageError as error:
        if error.code != codes.BLOB_DAMAGED:
            raise
        found = None
    if found is None or identity.release(found) != release.digest:
        raise StorageError(
            f"The manifest of release {release.name} {release.number} is not the one it was made with.",
            why=f"Its content does not hash to {release.digest}.",
            hint="Restore the store from a backup; do not deploy this release.",
            code=codes.RELEASE_DAMAGED,
        )
    return found


def blob_of(store: Store, release: records.Release) -> Digest:
    """The blob that holds a release's manifest.

    Raises:
        NotFound: ``blob-not-found``.
    """
    with store.catalog.read() as read:
        found = read.first(records.Artifact, {"digest": release.digest, "kind": KIND})
    if found is None:
        raise NotFound(
            f"The catalog does not say where the manifest of release {release.name} {release.number} is.",
            hint="Type 'tidemill doctor' to see what else is missing.",
            code=codes.BLOB_NOT_FOUND,
        )
    return Digest(found.meta["content"]["manifest"])


def parts(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Digest]]:
    """Each part that the manifest itself names, and its blob."""
    for part in ("predictor", "model", "report", "lock"):
        yield part, Digest(manifest[part])
    for path, digest in manifest["code"].items():
        yield f"code {path}", Digest(digest)


def all_parts(store: Store, manifest: Mapping[str, Any]) -> Iterator[tuple[str, Digest]]:
    """Those, and the further blobs that their artifact records say they need."""
    seen: set[Digest] = set()
    for part, digest in parts(manifest):
        if digest not in seen:
            yield part, digest
        seen.add(digest)
    with store.catalog.read() as read:
        for artifact in read.find(records.Artifact, {"digest": sorted(seen)}):
            for further in contents.blobs_of(artifact):
                if further not in seen:
                    seen.add(Digest(further))
                    yield f"{artifact.kind} piece", Digest(further)
