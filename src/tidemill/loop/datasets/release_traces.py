"""What releases carry of forgotten rows: the sample that proves a predictor, and the mistakes that a report shows.

A release stays what it is, by its digest; the bytes that had the rows are replaced by others without them.
"""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.figures import counted
from tidemill.core.names import Digest
from tidemill.loop.datasets.asked import Sought
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction


def clear_releases(
    ws: Workspace, write: "Transaction", runs: Collection[str], sought: Sought, *, do: bool
) -> list[str]:
    """Replace what the releases of these runs carry of the rows; ``NAME/NUMBER: 2 sample rows, 1 mistake``."""
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    told: list[str] = []
    for release in write.find(records.Release, order=("name", "number")):
        if release.run not in runs:
            continue
        manifest = bundle.manifest(ws.store, release)
        samples = _sample(ws, release, Digest(manifest["predictor"]), sought, do=do)
        mistakes = _report(ws, write, Digest(manifest["report"]), sought.ids, do=do)
        parts = [
            f"{counted(count, noun)}"
            for count, noun in ((samples, "sample row"), (mistakes, "mistake"))
            if count
        ]
        if parts:
            told.append(f"{release.name}/{release.number}: {', '.join(parts)}")
    return told


def _sample(ws: Workspace, release: "records.Release", predictor: Digest, sought: Sought, *, do: bool) -> int:
    from tidemill.engine.artifacts import untar, write_tar  # noqa: PLC0415
    from tidemill.models import sample  # noqa: PLC0415

    blobs = ws.store.blobs
    with tempfile.TemporaryDirectory(prefix="tidemill-") as name:
        folder = Path(name)
        untar(blobs.path(predictor), folder)
        if not (folder / sample.FILE).is_file():
            return 0
        gone = _gone(folder, sought)
        if gone.any() and do:
            sample.without(folder, gone)
            scratch = blobs.scratch()
            try:
                with scratch.open("wb") as out:
                    write_tar(folder, out)
                new = blobs.put_file(scratch)
            finally:
                scratch.unlink(missing_ok=True)
            blobs.replace(predictor, new)
        count = int(gone.sum())
    if do:
        _clear_unpacked(ws, release, predictor, sought)
    return count


def _clear_unpacked(ws: Workspace, release: "records.Release", predictor: Digest, sought: Sought) -> None:
    """Take the rows out of the predictor that lies unpacked for a server; it goes on from the same folder."""
    from tidemill.models import sample  # noqa: PLC0415

    for folder in (ws.store.environments_folder / "bundles").glob(
        f"{release.name}-{predictor.partition(':')[2][:16]}*"
    ):
        if (folder / sample.FILE).is_file() and (gone := _gone(folder, sought)).any():
            sample.without(folder, gone)


def _gone(folder: Path, sought: Sought) -> "np.ndarray[Any, Any]":
    """Which rows of a bundle's sample are among those that are forgotten."""
    import json  # noqa: PLC0415

    from tidemill.models import sample  # noqa: PLC0415
    from tidemill.models.predictor import FILE  # noqa: PLC0415
    from tidemill.models.signature import Signature  # noqa: PLC0415

    signature = Signature.from_json(json.loads((folder / FILE).read_text("utf-8"))["signature"])
    columns, _ = sample.read(folder)
    return sought.among(signature, by_key=True)(columns)


def _report(ws: Workspace, write: "Transaction", digest: Digest, ids: Collection[int], *, do: bool) -> int:
    from tidemill.engine.content import canonical, content_of  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    artifact = write.first(records.Artifact, {"digest": digest})
    if artifact is None:
        return 0
    content = dict(content_of(ws.store.blobs, artifact))
    texts = {str(i) for i in ids}
    left = [m for m in content.get("mistakes", ()) if m.get("id") not in texts]
    count = len(content.get("mistakes", ())) - len(left)
    if count and do:
        content["mistakes"] = left
        if "content" in artifact.meta:
            write.change(records.Artifact, {"digest": digest}, meta={**artifact.meta, "content": content})
        # A release has its report's bytes as a blob too, also where the record has its content.
        if ws.store.blobs.exists(digest):
            ws.store.blobs.replace(digest, ws.store.blobs.put(canonical(content)))
    return count
