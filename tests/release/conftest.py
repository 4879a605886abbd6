"""Stores, runs and predictors for the tests of the release room."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.release.brightness import brightness
from tidemill.core.clock import now, stamp
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.engine import artifacts
from tidemill.models import TrainedModel, build_predictor
from tidemill.release import bundle, environments
from tidemill.store.catalog import records
from tidemill.store.open import Store
from tidemill.store.table import Table


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.create(tmp_path / "store")
    yield opened
    opened.close()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A deterministic tar of plain files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return out.getvalue()


def add_run(
    store: Store, run_id: str, *, passed: bool | None = True, status: str = "succeeded"
) -> records.Run:
    """A finished run of pipeline ``fashion`` in the catalog, and what the gate said of it."""
    run = records.Run(
        id=run_id,
        pipeline="fashion",
        file="pipeline.py",
        parameters={"epochs": 3, "lr": 0.001},
        trigger="person",
        status=status,  # pyright: ignore[reportArgumentType]
        started_at=stamp(now()),
        finished_at=stamp(now()),
        host="here",
        pid=1,
    )
    rule = {
        "name": "accuracy >= 0.87",
        "passed": bool(passed),
        "reason": "it is 0.9",
        "value": 0.9,
        "limit": 0.87,
    }
    with store.catalog.write() as write:
        write.add(run)
        if passed is not None:
            write.add(records.Verdict(run_id, passed, None, [rule], stamp(now())))
    return run


Release = Callable[..., records.Release]


@pytest.fixture
def make_release(store: Store) -> Release:
    """Makes a release of a new run, with the files given as its predictor."""

    def make(
        run_id: str, predictor: Mapping[str, bytes] | bytes | None = None, **more: Any
    ) -> records.Release:
        run = add_run(store, run_id)
        return create(store, run, predictor, **more)

    return make


def create(
    store: Store, run: records.Run, predictor: Mapping[str, bytes] | bytes | None = None, **more: Any
) -> records.Release:
    """``bundle.create`` with small parts."""
    tar = predictor if isinstance(predictor, bytes) else tar_of(predictor or {"predictor.json": b"{}"})
    with store.catalog.read() as read:
        verdict = read.first(records.Verdict, {"run": run.id})
    put = store.blobs.put
    arguments: dict[str, Any] = {
        "name": "fashion",
        "run": run,
        "predictor": put(tar),
        "model": put(b"model of " + run.id.encode()),
        "report": put(b"report of " + run.id.encode()),
        "verdict": verdict,
        "data": {"fashion": {"commit": "0123456789ab", "number": 1, "rows": 5, "content": "sha256:00"}},
        "code": {"pipeline.py": put(b"# the pipeline")},
        "lock": put(b"numpy==2.1.0\n"),
        "author": "ada",
    }
    return bundle.create(store, **(arguments | more))


IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)


@pytest.fixture(scope="session")
def predictor_tar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real predictor, as the engine stores it."""
    folder = tmp_path_factory.mktemp("predictor") / "bundle"
    model = TrainedModel.of(brightness, features="image", label="label", classes=("dark", "bright"))
    build_predictor(
        folder,
        name="fashion",
        model=model,
        stages=[],
        raw_sample=Table.of({"image": IMAGES}),
        expected=brightness(IMAGES),
        code_files={},
    )
    return tar_of_folder(folder)


def tar_of_folder(folder: Path) -> bytes:
    out = io.BytesIO()
    artifacts.write_tar(folder, out)
    return out.getvalue()


@pytest.fixture
def servers(store: Store) -> Iterator[Settings]:
    """Settings with two environments; whatever serves in them at the end is stopped."""
    settings = Settings(environments={"dev": EnvironmentSettings(), "prod": EnvironmentSettings(after="dev")})
    yield settings
    for environment in settings.environments:
        environments.stop(store, settings, environment=environment, author="ada")
