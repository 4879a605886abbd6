"""Harvest: what came back for logged predictions, the last label of each, in the order in which it came."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tidemill.core.errors import NotFound
from tidemill.models.signature import Signature, Tensor
from tidemill.serve import log_layout
from tidemill.store.open import Store
from tidemill.watch.feedback import harvest

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
    assert (found.release, found.number, found.given_at) == ("sha256:ab", 3, "then")
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
