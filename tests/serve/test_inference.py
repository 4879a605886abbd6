"""The Open Inference Protocol v2, as a client sees it that knows nothing of Tidemill."""

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serve.bundles import CLASSES, Bundle, digest, images

INFER = "/v2/models/ten/infer"


def tensor(values: Any, **more: Any) -> dict[str, Any]:
    return {"name": "image", "shape": list(values.shape), "datatype": "UINT8", **more}


def test_health_and_metadata(asked: httpx.Client) -> None:
    assert asked.get("/v2/health/live").status_code == 200
    assert asked.get("/v2/health/ready").status_code == 200
    assert asked.get("/v2/models/ten/ready").json() == {"name": "ten", "ready": True}
    server = asked.get("/v2").json()
    assert server["name"] == "tidemill"
    assert server["extensions"] == ["binary_tensor_data"]
    model = asked.get("/v2/models/ten").json()
    assert model["name"] == "ten" and model["versions"] == ["7"]
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28]}]
    assert model["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
    ]
    assert asked.get("/v2/models/ten/versions/7").json() == model
    assert asked.head("/v2/health/live").status_code == 200


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("path", [INFER, "/v2/models/ten/versions/7/infer"])
def test_json_tensors_are_answered_as_the_model_answers(
    asked: httpx.Client, bundle: Bundle, flat: bool, path: str
) -> None:
    sent = images(3)
    data = sent.ravel().tolist() if flat else sent.tolist()
    answer = asked.post(path, json={"id": "", "inputs": [tensor(sent, data=data)]}).json()
    assert answer["model_name"] == "ten" and answer["model_version"] == "7"
    label, probabilities = answer["outputs"]
    expected = bundle.probabilities(sent)
    assert label == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [3],
        "data": [CLASSES[n] for n in expected.argmax(1)],
    }
    assert probabilities["datatype"] == "FP32" and probabilities["shape"] == [3, 10]
    np.testing.assert_allclose(np.reshape(probabilities["data"], (3, 10)), expected, atol=1e-5)
    assert answer["parameters"]["release"] == digest(7)
    assert answer["parameters"]["predictions"] == ",".join(f"{answer['id']}/{row}" for row in range(3))
    assert all(isinstance(value, (str, int, bool, float)) for value in answer["parameters"].values())


def test_one_row_has_the_id_of_its_request(asked: httpx.Client) -> None:
    sent = images(1, 5)
    answer = asked.post(INFER, json={"inputs": [tensor(sent, data=sent.ravel().tolist())]}).json()
    assert answer["parameters"]["predictions"] == answer["id"]
    again = asked.post(INFER, json={"inputs": [tensor(sent, data=sent.ravel().tolist())]}).json()
    assert again["id"] != answer["id"]


def test_binary_tensors_in_and_out(asked: httpx.Client, bundle: Bundle) -> None:
    sent = images(4, 1)
    head = {
        "inputs": [tensor(sent, parameters={"binary_data_size": sent.nbytes})],
        "outputs": [
            {"name": "probabilities", "parameters": {"binary_data": True}},
            {"name": "label", "parameters": {"binary_data": True}},
        ],
    }
    text = json.dumps(head).encode()
    response = asked.post(
        INFER, content=text + sent.tobytes(), headers={"Inference-Header-Content-Length": str(len(text))}
    )
    length = int(response.headers["Inference-Header-Content-Length"])
    answer, rest = json.loads(response.content[:length]), response.content[length:]
    assert [o["name"] for o in answer["outputs"]] == ["probabilities", "label"]
    assert all("data" not in o for o in answer["outputs"])
    size = answer["outputs"][0]["parameters"]["binary_data_size"]
    expected = bundle.probabilities(sent)
    found = np.frombuffer(rest[:size], np.float32).reshape(4, 10)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    labels: list[str] = []
    at = size
    while at < len(rest):
        (n,) = struct.unpack_from("<I", rest, at)
        labels.append(rest[at + 4 : at + 4 + n].decode())
        at += 4 + n
    assert labels == [CLASSES[n] for n in expected.argmax(1)]


def test_binary_in_and_json_out_and_the_other_way(asked: httpx.Client) -> None:
    sent = images(2, 2)
    text = json.dumps({"inputs": [tensor(sent, parameters={"binary_data_size": sent.nbytes})]}).encode()
    plain = asked.post(
        INFER, content=text + sent.tobytes(), headers={"Inference-Header-Content-Length": str(len(text))}
    )
    assert plain.headers["content-type"] == "application/json"
    assert len(plain.json()["outputs"][1]["data"]) == 20
    binary = asked.post(
        INFER,
        json={
            "inputs": [tensor(sent, data=sent.ravel().tolist())],
            "parameters": {"binary_data_output": True},
        },
    )
    length = int(binary.headers["Inference-Header-Content-Length"])
    sizes = [o["parameters"]["binary_data_size"] for o in json.loads(binary.content[:length])["outputs"]]
    assert sum(sizes) == len(binary.content) - length and sizes[1] == 80


def test_only_the_outputs_that_were_asked_for(asked: httpx.Client) -> None:
    sent = images(1)
    body = {"inputs": [tensor(sent, data=sent.ravel().tolist())], "outputs": [{"name": "label"}]}
    assert [o["name"] for o in asked.post(INFER, json=body).json()["outputs"]] == ["label"]


def test_metrics_are_prometheus_text(asked: httpx.Client) -> None:
    sent = images(2)
    asked.post(INFER, json={"inputs": [tensor(sent, data=sent.ravel().tolist())]})
    asked.post("/predict", content=b"no")
    response = asked.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples: dict[str, float] = {}
    typed: set[str] = set()
    for line in response.text.splitlines():
        if line.startswith("#"):
            _, word, name, *_ = line.split(" ", 3)
            typed |= {name} if word == "TYPE" else set()
        else:
            name, _, value = line.rpartition(" ")
            assert name not in samples
            samples[name] = float(value)
    for name in samples:
        family = name.partition("{")[0]
        assert (
            family in typed
            or family.removesuffix("_bucket") in typed
            or family[:-4] in typed
            or family[:-6] in typed
        )
    assert samples['tidemill_requests_total{route="/v2/models/ten/infer",status="200"}'] >= 1
    assert samples['tidemill_requests_total{route="/predict",status="400"}'] >= 1
    assert samples["tidemill_predictions_logged_total"] >= 2
    assert samples["tidemill_requests_in_flight"] == 1
    buckets = [
        v
        for n, v in samples.items()
        if n.startswith('tidemill_request_seconds_bucket{route="/predict",status="400"')
    ]
    assert buckets == sorted(buckets)
    assert any(n.startswith("tidemill_release_info{") and digest(7) in n for n in samples)
