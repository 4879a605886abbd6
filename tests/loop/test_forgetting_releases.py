"""What a release carries of a forgotten row is replaced; the release itself, its digest and its server go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tests.loop.test_loop import PIPELINE, SETTINGS, csv
from tidemill.core.names import Digest
from tidemill.loop import registry
from tidemill.loop.lookup import find_run
from tidemill.models import sample
from tidemill.pipeline import load
from tidemill.release import bundle
from tidemill.store.catalog import records

pytestmark = [pytest.mark.sklearn, pytest.mark.both_stores]


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "tidemill.toml").write_text(SETTINGS)
    (tmp_path / "points.csv").write_text(csv(1, 300))
    with tm.open(tmp_path) as opened:
        opened.import_data("points", tmp_path / "points.csv", tensors={"x": "x*:2"}, label="label")
        yield opened
        opened.stop("dev")
    load.leave()


def sampled(project: tm.Project) -> list[tuple[int, ...]]:
    """The rows of the release's sample, as its predictor is unpacked now."""
    store = project._ws.store
    folder = store.environments_folder / "bundles"
    unpacked = bundle.unpack(store, bundle.find(store, "small"), folder)
    return [tuple(x) for x in sample.read(unpacked)[0]["x"].tolist()]


def mistaken(project: tm.Project, run: str) -> list[int]:
    ws = project._ws
    digest = registry.digest_of_kind(ws, find_run(ws, run), "report")
    assert digest is not None
    with ws.store.catalog.read() as read:
        artifact = read.first(records.Artifact, {"digest": digest})
    assert artifact is not None
    return [int(m["id"]) for m in artifact.meta["content"]["mistakes"]]


def test_sample_rows_and_mistakes_leave_a_release_that_goes_on(project: tm.Project):
    made = project.run(project.folder / "pipeline.py")
    release = project.release(made.run)
    before = sampled(project)
    wrong = mistaken(project, made.run)
    assert wrong
    rows = project.read("points")
    ids = {tuple(x): int(i) for i, x in zip(rows.ids, rows.numpy("x").tolist(), strict=True)}
    gone = {ids[before[0]], ids[before[3]], wrong[0]}
    condition = f"_id in ({', '.join(map(str, gone))})"
    would = project.forget("points", condition, "asked for", dry_run=True)
    assert sampled(project) == before
    done = project.forget("points", condition, "asked for")
    assert done.samples == would.samples
    left = [x for x in before if ids[x] not in gone]
    assert len(left) < len(before)
    shown = done.samples[0]
    assert shown.startswith("small/1: ")
    assert f"{len(before) - len(left)} sample row" in shown
    assert "1 mistake" in shown
    assert sampled(project) == left
    assert mistaken(project, made.run) == wrong[1:]
    # The release has its name and digest, and all that it names can be read; only its data are told as changed.
    assert [(r.number, r.digest) for r in project.releases()] == [(1, release.digest)]
    problems = project.verify("small/1").problems
    assert [("data points@" in p, f"{len(gone)} rows forgotten on" in p) for p in problems] == [(True, True)]
    project.gc()
    assert len(project.verify("small/1").problems) == 1
    assert sampled(project) == left
    # It is promoted, and asked the rows that are left.
    assert project.promote("small/1", "dev")
    # The bytes as they were are nowhere: not in a blob, not in the unpacked folder.
    store = project._ws.store
    manifest = bundle.manifest(store, bundle.find(store, "small"))
    assert store.blobs.instead_of(Digest(manifest["predictor"])) is not None
    assert Digest(manifest["predictor"]) not in store.blobs.all()
