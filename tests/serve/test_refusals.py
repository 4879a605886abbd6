"""What a request gets that is not as it must be: a 4xx, a JSON error that names the field; the server goes on."""

import gzip
import json
import socket
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serve.bundles import Deploy, images
from tidemill.core.settings import LimitSettings
from tidemill.serve.client import Status

INFER = "/v2/models/ten/infer"
IMAGE = images(1)[0].tolist()


@pytest.fixture(autouse=True)
def goes_on(asked: httpx.Client) -> Generator[None]:
    yield
    assert asked.post("/predict", json={"rows": [{"image": IMAGE}]}).status_code == 200


def cell(row: int, column: int, value: Any) -> list[list[Any]]:
    image: list[list[Any]] = [[*line] for line in IMAGE]
    image[row][column] = value
    return image


@pytest.mark.parametrize(
    ("rows", "code", "where"),
    [
        ([], "no-rows", {"field": "rows"}),
        ([{}], "missing-column", {"field": "image", "row": 0}),
        ([{"image": IMAGE}, {"image": IMAGE, "pixels": 1}], "unknown-column", {"field": "pixels", "row": 1}),
        ([{"image": IMAGE[:27]}], "wrong-shape", {"field": "image", "row": 0}),
        ([{"image": IMAGE}, {"image": [*IMAGE[:27], [1, 2]]}], "wrong-shape", {"field": "image", "row": 1}),
        ([{"image": [n for line in IMAGE for n in line][1:]}], "wrong-shape", {"field": "image", "row": 0}),
        ([{"image": 7}], "wrong-shape", {"field": "image"}),
        ([{"image": IMAGE}, {"image": cell(3, 4, "x")}], "wrong-dtype", {"field": "image", "row": 1}),
        ([{"image": IMAGE}, {"image": cell(3, 4, True)}], "wrong-dtype", {"field": "image", "row": 1}),
        ([{"image": cell(3, 4, 1.5)}], "wrong-dtype", {"field": "image", "row": 0}),
        ([{"image": cell(3, 4, [1])}], "wrong-dtype", {"field": "image", "row": 0}),
        ([{"image": IMAGE}, {"image": cell(3, 4, 256)}], "out-of-range", {"field": "image", "row": 1}),
        ([{"image": cell(3, 4, -1)}], "out-of-range", {"field": "image", "row": 0}),
        ([{"image": cell(3, 4, 10**30)}], "out-of-range", {"field": "image", "row": 0}),
        ([{"image": IMAGE}, {"image": cell(3, 4, None)}], "row-refused", {"row": 1, "stage": "scale"}),
        ([{"image": IMAGE}] * 501, "too-many-rows", {"field": "rows"}),
        ([7], "wrong-field", {"field": "rows[0]"}),
    ],
)
def test_rows(asked: httpx.Client, rows: list[Any], code: str, where: dict[str, Any]) -> None:
    response = asked.post("/predict", json={"rows": rows})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, code)
    assert where.items() <= error.items()
    assert error["message"]


def test_a_number_that_is_whole_but_written_with_a_point_is_taken(asked: httpx.Client) -> None:
    assert asked.post("/predict", json={"rows": [{"image": cell(0, 0, 12.0)}]}).status_code == 200


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_nan_names_its_field(asked: httpx.Client, value: str) -> None:
    body = json.dumps({"rows": [{"image": IMAGE}, {"image": cell(3, 4, 77777)}]}).replace("77777", value)
    error = asked.post("/predict", content=body).json()["error"]
    assert error["code"] == "non-finite" and error["field"] == "image" and error["row"] == 1
    flat = [n for line in IMAGE for n in line]
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": [77777, *flat[1:]]}
    answer = asked.post(INFER, content=json.dumps({"inputs": [tensor]}).replace("77777", value))
    assert answer.status_code == 400
    assert answer.json()["code"] == "non-finite" and answer.json()["field"] == "image"


@pytest.mark.parametrize("path", ["/predict", "/feedback", INFER])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"rows=1", b"\xff\xfe", b'{"rows": [}', b"[" * 100_000, b'"\xff"']
)
def test_a_body_that_is_not_json(asked: httpx.Client, path: str, body: bytes) -> None:
    response = asked.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    tree = response.json() if path == INFER else response.json()["error"]
    assert tree["code"] in {"not-json", "wrong-field"} and tree["field"] in {"body", "rows"}


def infer(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": [IMAGE]}
    return {"inputs": [{**tensor, **changes}]}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"inputs": []}, "missing-column", "image"),
        (infer(name="imago"), "unknown-column", "imago"),
        (infer(shape=[1, 784]), "wrong-shape", "image"),
        (infer(shape=[2, 28, 28]), "wrong-shape", "image"),
        (infer(shape=[-1, 28, 28]), "wrong-shape", "image"),
        (infer(shape=[0, 28, 28], data=[]), "no-rows", "image"),
        (infer(shape=[]), "wrong-shape", "image"),
        (infer(shape=[10**15, 28, 28]), "too-many-rows", "image"),
        (infer(datatype="FP32"), "wrong-dtype", "image"),
        (infer(datatype="UINT9"), "wrong-dtype", "image"),
        (infer(datatype="BYTES"), "wrong-dtype", "image"),
        (infer(data=None), "no-data", "image"),
        (infer(data=[cell(3, 4, False)]), "wrong-dtype", "image"),
        (infer(data="AAAA"), "wrong-field", "data"),
        (infer(parameters={"binary_data_size": 784}), "wrong-size", "image"),
        (infer(parameters={"binary_data_size": -1}), "wrong-size", "image"),
        (infer(parameters={"binary_data_size": "784"}), "wrong-size", "image"),
        ({"inputs": [*infer()["inputs"], *infer()["inputs"]]}, "duplicated-input", "image"),
        ({**infer(), "outputs": [{"name": "probability"}]}, "unknown-output", "probability"),
        ({**infer(), "id": "two\nlines"}, "invalid-id", "id"),
        ({**infer(), "id": "x" * 257}, "invalid-id", "id"),
        ({**infer(), "id": 7}, "wrong-field", "id"),
        ({"rows": []}, "wrong-field", "inputs"),
    ],
)
def test_tensors(asked: httpx.Client, body: Any, code: str, field: str) -> None:
    response = asked.post(INFER, json=body)
    error = response.json()
    assert (response.status_code, error["code"]) == (400, code)
    # The protocol wants a text here.
    assert isinstance(error["error"], str)
    assert field in error["field"]


@pytest.mark.parametrize("header", ["-1", "x", "99999999", ""])
def test_a_header_length_that_is_none(asked: httpx.Client, header: str) -> None:
    response = asked.post(INFER, json=infer(), headers={"Inference-Header-Content-Length": header})
    assert response.status_code == 400


def test_bytes_that_belong_to_no_input(asked: httpx.Client) -> None:
    text = json.dumps(infer(data=None, parameters={"binary_data_size": 784})).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    assert asked.post(INFER, content=text + bytes(785), headers=headers).json()["code"] == "wrong-size"
    assert asked.post(INFER, content=text + bytes(783), headers=headers).json()["code"] == "wrong-size"
    assert asked.post(INFER, content=text + bytes(784), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v2/models/nine/infer", 404, "model-not-found"),
        ("GET", "/v2/models/nine", 404, "model-not-found"),
        ("GET", "/v2/models/", 404, "model-not-found"),
        ("POST", "/v2/models/ten/versions/9/infer", 404, "version-not-found"),
        ("GET", "/v2/models/ten/metrics", 404, "route-not-found"),
        ("GET", "/nothing", 404, "route-not-found"),
        ("GET", "/predict", 405, "wrong-method"),
        ("DELETE", INFER, 405, "wrong-method"),
        ("POST", "/metrics", 405, "wrong-method"),
        ("PUT", "/feedback", 405, "wrong-method"),
    ],
)
def test_routes(asked: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    response = asked.request(method, path, content=b"{}")
    tree = response.json() if path.startswith("/v2") else response.json()["error"]
    assert (response.status_code, tree["code"]) == (status, code)
    assert tree["field"]
    if status == 405:
        assert response.headers["allow"] in {"GET", "POST"}


def every_route(asked: httpx.Client) -> list[str]:
    return (
        asked.get("/" + "z" * 40).json()["error"]["hint"].removeprefix("There are: ").rstrip(".").split(", ")
    )


def test_each_route_but_a_probe_s_refuses_another_host_and_a_page_of_another_site(
    asked: httpx.Client,
) -> None:
    found = every_route(asked)
    assert {"/predict", "/feedback", INFER, "/metrics", "/v2", "/v2/health/live"} <= set(found)
    for path in found:
        probe = path.startswith("/v2/health/")
        for method in ("GET", "POST"):
            foreign = asked.request(method, path, headers={"host": "evil.example"})
            tree = foreign.json() if path.startswith("/v2") else foreign.json()["error"]
            assert probe or (foreign.status_code, tree["code"]) == (403, "foreign-host"), path
        sent = asked.post(path, headers={"origin": "https://evil.example"}, content=b"{}")
        tree = sent.json() if path.startswith("/v2") else sent.json()["error"]
        assert probe or (sent.status_code, tree["code"]) == (403, "foreign-origin"), path


def test_feedback_is_taken_as_json_alone(asked: httpx.Client) -> None:
    answer = asked.post("/feedback", content=b"{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "wrong-content-type")


def test_names_and_sites_that_the_settings_name_may_ask(deploy: Deploy) -> None:
    address = deploy(hosts=["mine.example"], origins=["https://app.example"]).address
    site = {"origin": "https://app.example"}
    with httpx.Client(base_url=address, headers={"host": "mine.example"}) as asked:
        asks_first = asked.options("/predict", headers={**site, "access-control-request-method": "POST"})
        assert (asks_first.status_code, asks_first.headers["access-control-allow-headers"]) == (
            200,
            "authorization, content-type",
        )
        sent = asked.post("/predict", json={"rows": [{"image": IMAGE}]}, headers=site)
        assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, site["origin"])
        assert "access-control-allow-origin" not in asked.get("/v2").headers


@pytest.mark.parametrize("told", [True, False])
def test_a_body_of_100_megabytes_is_refused_and_not_kept(
    asked: httpx.Client, live: Status, told: bool
) -> None:
    pieces, piece = 100, b" " * 1_000_000
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(pieces):
            sent += 1
            yield piece

    headers = {"content-length": str(pieces * len(piece))} if told else {}
    response = asked.post("/predict", content=body(), headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (413, "body-too-large", "body")
    assert response.headers["connection"] == "close"
    assert peak_bytes(live.pid) < 300_000_000


def peak_bytes(pid: int) -> int:
    from pathlib import Path

    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_body_that_trickles_in_is_given_up(deploy: Deploy) -> None:
    slow = deploy(limits=LimitSettings(body_seconds=0.3))
    parts = urlsplit(slow.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
            if b"body-too-slow" in answer:
                break
    assert answer.startswith(b"HTTP/1.1 408")
    with httpx.Client(base_url=slow.address) as another:
        assert another.get("/v2/health/ready").status_code == 200


def test_a_client_that_only_announces_a_large_body_is_answered_at_once(live: Status) -> None:
    parts = urlsplit(live.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
        assert b" 413 " in connection.recv(65536).split(b"\r\n")[0]


def test_what_is_no_http_is_refused(live: Status) -> None:
    parts = urlsplit(live.address)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]


def test_a_client_that_hangs_up_half_way_costs_nothing(live: Status) -> None:
    parts = urlsplit(live.address)
    for _ in range(5):
        with socket.create_connection((parts.hostname, parts.port), 30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["image", "rows", "inputs", "name", "shape", "data", "id", "datatype"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything, st.sampled_from(["/predict", INFER, "/feedback"]))
def test_no_json_makes_it_fail(asked: httpx.Client, body: Any, path: str) -> None:
    if path == INFER:
        body = {"inputs": [{"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": body}]}
    elif path == "/predict":
        body = {"rows": [{"image": body}]}
    response = asked.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text


BESIDE = 1_500_000
"""Bytes of a body that is read beside the event loop, and not once more."""


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("/predict", b'{"rows":[{"image":[' + b"[]," * (BESIDE // 3) + b"[]]}]}", "wrong-shape", "body"),
        ("/predict", b'{"rows":[' + b"{}," * (BESIDE // 3) + b"{}]}", "wrong-shape", "body"),
        (INFER, b'{"inputs":[' + b"{}," * (BESIDE // 3) + b"{}]}", "wrong-shape", "body"),
        ("/predict", b'{"rows":[{"image":[' + b"0," * (BESIDE // 2) + b"NaN]}]}", "non-finite", "body"),
        ("/predict", b'{"rows":[{"' + b"a" * BESIDE + b'":1}]}', "unknown-column", "a" * 200),
        (
            INFER,
            b'{"inputs":[{"name":"' + b"a" * BESIDE + b'","shape":[1],"datatype":"FP32"}]}',
            "unknown-column",
            "a" * 200,
        ),
        ("/predict", b'{"rows":[], "' + b"a" * BESIDE + b'":1}', "wrong-field", None),
        ("/predict", b'{"rows":[{"image":"' + b"NaN" * (BESIDE // 3) + b'"', "not-json", "body"),
    ],
)
def test_a_large_body_is_refused_in_few_words(
    asked: httpx.Client, path: str, body: bytes, code: str, field: str | None
) -> None:
    response = asked.post(path, content=body)
    tree = response.json() if path == INFER else response.json()["error"]
    assert (response.status_code, tree["code"]) == (400, code)
    assert field is None or tree["field"] == field
    assert len(response.content) < 4_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", b'{"rows": [{"image": 1, "image": 2}]}'),
        ("/predict", b'{"id": "a", "rows": [], "id": "b", "rows": [{"image": 1}]}'),
        (INFER, b'{"inputs": [{"name": "image", "shape": [1], "shape": [2], "datatype": "UINT8"}]}'),
        (INFER, b'{"inputs": [], "parameters": {"a": 1, "a": 2}}'),
        ("/feedback", b'{"feedback": [{"prediction": "a", "label": "1", "label" : "2"}]}'),
    ],
)
def test_a_name_that_is_there_twice_is_refused(asked: httpx.Client, path: str, body: bytes) -> None:
    response = asked.post(path, content=body, headers={"content-type": "application/json"})
    tree = response.json() if path == INFER else response.json()["error"]
    assert (response.status_code, tree["code"]) == (400, "duplicated-name"), tree


@pytest.mark.parametrize("odd", [b'"a\xff": 1', b'"a": "\xff"', b'"a": {"b": ["\xc3("]}'])
def test_a_body_is_utf_8_in_what_is_passed_over_too(asked: httpx.Client, odd: bytes) -> None:
    for path, body in ((INFER, infer()), ("/predict", {"rows": [{"image": IMAGE}]})):
        response = asked.post(path, content=b"{" + odd + b", " + json.dumps(body).encode()[1:])
        error = response.json().get("error")
        code = response.json()["code"] if path == INFER else error["code"]
        assert (response.status_code, code) == (400, "not-json"), response.text


def test_a_number_that_is_passed_over_may_be_as_long_as_it_likes(asked: httpx.Client) -> None:
    body = b'{"x": {"y": ' + b"1" * 5000 + b', "z": 2}, ' + json.dumps(infer()).encode()[1:]
    assert asked.post(INFER, content=body).status_code == 200


def test_null_is_as_good_as_nothing(asked: httpx.Client) -> None:
    body = {**infer(parameters=None), "parameters": None, "outputs": None, "id": None}
    assert asked.post(INFER, json=body).status_code == 200
    assert asked.post("/predict", json={"rows": [{"image": IMAGE}], "id": None}).status_code == 200


def test_a_cell_may_be_flat(asked: httpx.Client) -> None:
    flat = [number for line in IMAGE for number in line]
    answers = [
        asked.post("/predict", json={"rows": [{"image": image} for image in images]}).json()["predictions"]
        for images in ([IMAGE, IMAGE], [flat, flat], [IMAGE, flat], [flat, IMAGE])
    ]
    assert len({json.dumps([{**row, "prediction": ""} for row in answer]) for answer in answers}) == 1


def test_a_cell_that_is_missing_as_a_whole_is_told_by_its_row(asked: httpx.Client) -> None:
    error = asked.post("/predict", json={"rows": [{"image": IMAGE}, {"image": None}]}).json()["error"]
    assert (error["code"], error["row"]) == ("row-refused", 1)


def test_a_compressed_body_is_taken_within_the_limit_of_a_plain_one(asked: httpx.Client) -> None:
    def sent(body: bytes, how: str = "gzip") -> tuple[int, str | None]:
        response = asked.post("/predict", content=body, headers={"content-encoding": how})
        return response.status_code, response.json().get("error", {}).get("code")

    plain = json.dumps({"rows": [{"image": IMAGE}]}).encode()
    packed = gzip.compress(plain)
    assert sent(packed) == (200, None)
    assert sent(gzip.compress(plain[:10]) + gzip.compress(plain[10:])) == (200, None)
    assert sent(packed[:-9]) == sent(plain) == (415, "wrong-content-encoding")
    assert sent(packed, "br") == (415, "wrong-content-encoding")
    assert sent(gzip.compress(bytes(100_000_000))) == (413, "body-too-large")
