"""Requests that come at once share a call of the model; none suffers from another's."""

import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serve.bundles import digest
from tests.services.waiting import until
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.serve import client
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader

STAGES = b'''
import numpy as np

SIZES = {"small": 1.0, "large": 10.0}


class Prepare:
    """Fills missing widths, looks sizes up, and fails on purpose."""

    def serve(self, columns, settings, state):
        width = np.ma.filled(np.ma.asarray(columns["width"]), 0.5)
        if (width == 13).any():
            raise RuntimeError("thirteen")
        size = np.array([SIZES[s] for s in columns["size"]])
        return {"_row": columns["_row"], "x": np.stack([width, size], 1)}


prepare = Prepare()
'''
MODEL = """
import time


def area(x):
    if (x[:, 0] >= 100).any():
        time.sleep(0.02 * len(x))
    return x[:, 0] * x[:, 1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("area")


@pytest.fixture(scope="module")
def address(folder: Path) -> Generator[str]:
    import importlib.util

    from tidemill.models import TrainedModel
    from tidemill.models.bundle import build_predictor
    from tidemill.store.table import Table

    file = folder / "served_area.py"
    file.write_text(MODEL)
    spec = importlib.util.spec_from_file_location("served_area", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build_predictor(
        folder / "bundle",
        name="area",
        model=TrainedModel.of(module.area, features="x", label="y"),
        stages=[
            {
                "name": "prepare",
                "kind": "row_step",
                "component": "stages:prepare",
                "settings": {},
                "state": None,
            }
        ],
        raw_sample=Table.of({"width": [2.0, 3.0], "size": ["small", "large"]}),
        expected=np.array([2.0, 30.0]),
        code_files={"stages.py": STAGES, "served_area.py": MODEL.encode()},
    )
    with client.start_standby(
        bundle=folder / "bundle", name="area", release=digest(1), number=1, environment="prod", folder=folder
    ) as standby:
        yield standby.take_over().address
    client.stop(folder, "prod")


def row(width: float | None, size: str = "small") -> dict[str, Any]:
    return {"width": width, "size": size}


def ask_at_once(address: str, requests: list[list[dict[str, Any]]]) -> list[Any]:
    """The values that each got, or its error."""
    found: list[Any] = [None] * len(requests)
    barrier = threading.Barrier(len(requests))

    def ask(at: int) -> None:
        with Client(address) as client:
            barrier.wait()
            try:
                found[at] = [a.values["value"] for a in client.predict(requests[at])]
            except TidemillError as error:
                found[at] = error

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_each_gets_the_answer_to_its_own_rows(address: str) -> None:
    requests = [[row(20.0 + n), row(50.0 + n, "large"), row(None)][: n % 3 + 1] for n in range(30)]
    expected = [
        [(0.5 if r["width"] is None else r["width"]) * (10 if r["size"] == "large" else 1) for r in rows]
        for rows in requests
    ]
    for _ in range(5):
        assert ask_at_once(address, requests) == expected


def test_what_is_wrong_with_one_is_told_to_it_alone(address: str) -> None:
    requests = [
        [row(1.0)],
        [row(13.0)],
        [row(2.0), row(3.0)],
        [{"width": 1.0}],
        [row(1.0, "medium")],
        [row(4.0)],
    ]
    for _ in range(5):
        good, failed, two, refused, stage, last = ask_at_once(address, requests)
        assert (good, two, last) == ([1.0], [2.0, 3.0], [4.0])
        assert isinstance(failed, InvalidInput) and failed.code == "row-not-answered"
        assert "RuntimeError: thirteen" in failed.message
        assert isinstance(refused, InvalidInput) and refused.code == "missing-column"
        assert isinstance(stage, InvalidInput) and stage.details["stage"] == "prepare"


def test_a_category_that_training_never_had_is_the_clients_row(address: str, folder: Path) -> None:
    rows = [row(1.0), row(2.0, "medium"), row(3.0)]
    refused = httpx.post(f"{address}/predict", json={"rows": rows})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["row"]) == (422, "row-not-answered", 1)
    assert (error["stage"], error["field"], error["value"]) == ("prepare", "size", "medium")
    line = next(n for n, text in enumerate(STAGES.decode().splitlines(), 1) if "SIZES[s]" in text)
    assert error["line"] == f"stages.py, line {line}"
    assert f"stages.py, line {line}" in error["message"]
    # Who wrote the step finds the trace in the server's log.
    logged = [
        json.loads(text) for text in (folder / "prod.log").read_text().splitlines() if "row-not" in text
    ]
    assert any("KeyError: 'medium'" in "".join(entry["trace"]) for entry in logged)
    tensors = [
        {"name": "width", "shape": [1], "datatype": "FP64", "data": [13.0]},
        {"name": "size", "shape": [1], "datatype": "BYTES", "data": ["small"]},
    ]
    answer = httpx.post(f"{address}/v2/models/area/infer", json={"inputs": tensors})
    assert (answer.status_code, answer.json()["code"]) == (422, "row-not-answered")
    assert "field" not in answer.json()


def test_a_slow_model_does_not_make_the_server_deaf(address: str) -> None:
    with Client(address) as asking:
        asking.predict([row(100.0)] * 10)
        before = calls(asking.metrics())
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.extend(ask_at_once(address, [[row(100.0)] * 50] * 4))
        )
        thread.start()
        # The model is busy for a second or more; liveness is answered meanwhile.
        until(lambda: calls(asking.metrics()) != before)
        assert asking.ready() and not answers
        thread.join()
    assert answers == [[100.0] * 50] * 4


def calls(metrics: str) -> int:
    return int(metrics.split("\ntidemill_predictor_calls_total ")[1].splitlines()[0])


def test_text_goes_in_binary_too_and_is_logged(address: str, folder: Path) -> None:
    columns = {"width": np.array([2.0, 3.0]), "size": np.array(["small", "large"])}
    with Client(address) as asking:
        found = asking.infer("area", columns)
        asking.predict([row(None)], id="missing")
    assert found.outputs["value"].tolist() == [2.0, 30.0]
    with LogReader(folder / "prod.predictions.db") as log:
        first, second, missing = log.predictions([*found.predictions, "missing"])
    assert [str(p.inputs["size"]) for p in (first, second)] == ["small", "large"]
    assert first.inputs["width"] == 2.0 and np.ma.getmaskarray(missing.inputs["width"]).all()
