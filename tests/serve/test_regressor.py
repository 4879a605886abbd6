"""A model without classes and without ONNX: a function over single-precision numbers, as its clients see it."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serve.bundles import digest
from tidemill.serve import client
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader

CODE = "def twice(x):\n    return x * 2.0\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twice")


@pytest.fixture(scope="module")
def address(folder: Path) -> Generator[str]:
    import importlib.util

    from tidemill.models import TrainedModel
    from tidemill.models.bundle import build_predictor
    from tidemill.store.table import Table

    file = folder / "served_twice.py"
    file.write_text(CODE)
    spec = importlib.util.spec_from_file_location("served_twice", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x = np.array([1.5, 2.5], np.float32)
    build_predictor(
        folder / "bundle",
        name="twice",
        model=TrainedModel.of(module.twice, features="x", label="y"),
        stages=[],
        raw_sample=Table.of({"x": x}),
        expected=x * 2,
        code_files={"served_twice.py": CODE.encode()},
    )
    with client.start_standby(
        bundle=folder / "bundle",
        name="twice",
        release=digest(1),
        number=1,
        environment="prod",
        folder=folder,
    ) as standby:
        yield standby.take_over().address
    client.stop(folder, "prod")


def infer(address: str, datatype: str, value: Any, id: str) -> httpx.Response:  # noqa: A002
    tensor = {"name": "x", "shape": [1], "datatype": datatype, "data": [value]}
    return httpx.post(f"{address}/v2/models/twice/infer", json={"id": id, "inputs": [tensor]})


@pytest.mark.parametrize(
    ("datatype", "value"), [("UINT8", 3), ("INT16", -300), ("FP16", 1.5), ("BOOL", True)]
)
def test_a_narrower_datatype_is_taken_and_logged_as_the_models_own(
    address: str, folder: Path, datatype: str, value: float
) -> None:
    name = f"narrow-{datatype}"
    answer = infer(address, datatype, value, name)
    assert answer.json()["outputs"][0]["data"] == [value * 2]
    with LogReader(folder / "prod.predictions.db") as log:
        (logged,) = log.predictions([name])
    assert logged.inputs["x"].dtype == np.float32 and logged.inputs["x"] == value
    assert logged.outputs["value"] == value * 2
    # The same question in the model's own words: one id, one answer.
    assert infer(address, "FP32", float(value), name).json() == answer.json()


def test_a_wider_datatype_is_refused(address: str) -> None:
    answer = infer(address, "FP64", 1.5, "wide")
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong-dtype")


def test_values_come_back_as_numbers(address: str) -> None:
    with Client(address) as asking:
        assert [a.values for a in asking.predict([{"x": 1.5}, {"x": 2}])] == [{"value": 3.0}, {"value": 4.0}]


@pytest.mark.parametrize("label", [2.5, 3, "3", 2**63 - 1, -(2**63)])
def test_a_label_comes_back_as_it_was_given(address: str, folder: Path, label: float | str) -> None:
    with Client(address) as asking:
        (answer,) = asking.predict([{"x": 1.0}])
        assert asking.feedback({answer.prediction: label}) == 1
    with LogReader(folder / "prod.predictions.db") as log:
        given = log.labels([answer.prediction])[answer.prediction].label
    assert given == label and type(given) is type(label)


@pytest.mark.parametrize("label", [2**63, -(2**63) - 1, 10**30])
def test_a_label_that_the_log_cannot_hold_is_the_clients_fault(address: str, label: int) -> None:
    with Client(address) as asking:
        (answer,) = asking.predict([{"x": 1.0}])
    refused = httpx.post(
        f"{address}/feedback", json={"feedback": [{"prediction": answer.prediction, "label": label}]}
    )
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["field"], error["row"]) == (
        400,
        "out-of-range",
        "label",
        0,
    )


@pytest.mark.parametrize("label", ["two", "", "nan", "Infinity", "1_000", True, "\u0661"])
def test_a_label_that_is_no_finite_number_is_refused_and_the_others_are_taken(
    address: str, label: str | bool
) -> None:
    with Client(address) as asking:
        (one, other) = asking.predict([{"x": 1.0}, {"x": 2.0}])
        found = asking.send_labels([(one.prediction, label), (other.prediction, "1e-3")])
    assert found.recorded == 1
    assert [(e.code, e.details["row"]) for e in found.refused] == [("label-not-a-number", 0)]
