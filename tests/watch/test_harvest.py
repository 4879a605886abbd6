"""Harvest: what came back for logged predictions, the last label of each, in the order in which it came."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.release.conftest import IMAGES, add_run, create, predictor_tar
from tidemill.core.errors import NotFound
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.data import Datasets
from tidemill.models.signature import Signature, Tensor
from tidemill.release import environments
from tidemill.serve import log_layout
from tidemill.store.open import Store
from tidemill.store.table import Table
from tidemill.watch.feedback import as_rows, harvest

__all__ = ["predictor_tar"]

SIGNATURE = Signature(
    "fashion",
    (Tensor("image", "UINT8", (-1, 2, 2)), Tensor("maker", "BYTES", (-1,))),
    (Tensor("label", "BYTES", (-1,)), Tensor("probabilities", "FP32", (-1, 2))),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.create(tmp_path / "store")
    yield opened
    opened.close()


def write_log(store: Store, predictions: int, labels: list[tuple[str, str | float]]) -> None:
    """A log as a server writes it."""
    inputs = {
        "image": np.arange(4 * predictions, dtype=np.uint8).reshape(predictions, 2, 2),
        "maker": np.array([f"maker {i}" for i in range(predictions)], object),
    }
    outputs = {
        "label": np.array(["coat", "hat"] * predictions)[:predictions],
        "probabilities": np.full((predictions, 2), 0.5, np.float32),
    }
    log = log_layout.open_to_write(log_layout.log_file(store.environments_folder, "prod"))
    log.execute("INSERT INTO releases VALUES (1, 'sha256:ab', 3, ?)", (json.dumps(SIGNATURE.to_json()),))
    asked = log_layout.encode_rows(inputs, SIGNATURE.inputs)
    answered = log_layout.encode_rows(outputs, SIGNATURE.outputs)
    for i in range(predictions):
        values = (f"p{i}", "2026-01-01T00:00:00.000000Z", asked[i], answered[i])
        log.execute(
            "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES (?, ?, 1, 0, ?, ?)",
            values,
        )
    for prediction, label in labels:
        log.execute(
            "INSERT INTO feedback (prediction, label, time) VALUES (?, ?, 'then')", (prediction, label)
        )
    log.close()


def test_each_correction_has_what_was_asked_answered_and_given(store: Store):
    write_log(store, 3, [("p2", "boot")])
    [found] = harvest(store, "prod")
    assert (found.prediction, found.label, found.predicted) == ("p2", "boot", "coat")
    assert (found.release, found.number) == ("sha256:ab", 3)
    np.testing.assert_array_equal(found.inputs["image"], np.arange(8, 12, dtype=np.uint8).reshape(2, 2))
    assert found.inputs["maker"].item() == "maker 2"


def test_the_last_label_counts_and_the_next_harvest_goes_on(store: Store):
    write_log(store, 3, [("p0", "a"), ("p1", "b"), ("gone", "x"), ("p0", "c")])
    found = harvest(store, "prod")
    assert [(c.prediction, c.label) for c in found] == [("p1", "b"), ("p0", "c")]
    assert harvest(store, "prod", after=found[-1].sequence) == []
    assert [c.label for c in harvest(store, "prod", after=found[0].sequence)] == ["c"]


def test_a_number_may_be_the_label(store: Store):
    write_log(store, 1, [("p0", 2.5)])
    assert [c.label for c in harvest(store, "prod")] == [2.5]


def test_an_environment_that_never_served_says_so(store: Store):
    with pytest.raises(NotFound) as caught:
        harvest(store, "prod")
    assert caught.value.code == "log-not-found"


def post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=180) as answer:
        return json.load(answer)


def test_from_a_real_server_back_into_a_real_dataset(store: Store, predictor_tar: bytes):
    table = Table.of({"label": ["dark"] * len(IMAGES), "image": IMAGES})
    datasets = Datasets(store, "ada")
    datasets.create("fashion", table, message="first")
    imported = datasets.open("fashion")
    release = create(store, add_run(store, "a"), predictor_tar)
    settings = Settings(environments={"dev": EnvironmentSettings()})
    environments.promote(store, settings, release=release, environment="dev", author="ada")
    try:
        running = environments.status(store, "dev")
        assert running is not None
        asked = post(running.address, "/predict", {"rows": [{"image": cell.tolist()} for cell in IMAGES[:3]]})
        ids = [answer["prediction"] for answer in asked["predictions"]]
        labels = [{"prediction": name, "label": "bright"} for name in ids[1:]]
        post(running.address, "/feedback", {"feedback": labels})
    finally:
        environments.stop(store, settings, environment="dev", author="ada")
    corrections = harvest(store, "dev")
    # What the promotion asked to check the server is no traffic, and has no feedback.
    assert [c.prediction for c in corrections] == ids[1:]
    assert {c.release for c in corrections} == {release.digest}
    rows = as_rows(corrections, imported.snapshot().schema)
    np.testing.assert_array_equal(rows.numpy("image"), IMAGES[1:3])
    commit, changes = imported.commit(rows, message="feedback")
    assert (changes.added, commit.rows) == (2, len(IMAGES) + 2)
    again, unchanged = imported.commit(rows, message="feedback")
    assert (again.id, unchanged.added) == (commit.id, 0)
