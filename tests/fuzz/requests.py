"""Requests to a server: what clients send, what careless ones send, and what those send who mean harm."""

import copy
import gzip
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.mutations import mutated

ROUTES = (
    *(
        "/predict",
        "/feedback",
        "/metrics",
        "/openapi.json",
        "/",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
    ),
    *("/v2/models/ten", "/v2/models/ten/ready", "/v2/models/ten/infer", "/v2/models/ten/versions/1"),
    *("/v2/models/ten/versions/1/infer", "/v2/models/none/infer", "/v2/models/ten/versions/9/infer"),
)
_BODIES = ("/predict", "/feedback", "/v2/models/ten/infer", "/v2/models/ten/versions/1/infer")
_METHODS = (
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"get",
    b"PRI",
    b"",
)
_TARGETS = (
    *(
        b"*",
        b"//",
        b"/../etc/passwd",
        b"/%2e%2e/%00",
        b"/predict?a=b&a=c",
        b"/predict#x",
        b"http://other.example/predict",
    ),
    *(
        b"/\xc3\xa9",
        b"/\xff",
        b"/predict/",
        b"/PREDICT",
        b"/v2/models/%74en/infer",
        b"/v2/models/../predict",
        b"",
    ),
    *(
        b"/" + b"a" * 70_000,
        b"/v2/models/" + b"x/" * 500,
        b"\\predict",
        b"predict",
        b"/predict HTTP/1.1\r\nX: y",
    ),
)
_HEADERS = (
    *(
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
        b"Upgrade: websocket",
    ),
    *(
        b"Connection: Upgrade",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: \x00",
        b"Expect: 100-continue",
    ),
    *(
        b"Expect: 200-maybe",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Content-Encoding: gzip, gzip",
    ),
    *(
        b"Content-Type: application/json",
        b"Content-Type: text/plain",
        b"Content-Type: application/octet-stream",
    ),
    *(
        b"Content-Type: ",
        b"Origin: http://evil.example",
        b"Origin: null",
        b"Host: evil.example",
        b"Host: 127.0.0.1",
        b"Host:",
    ),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, chunked"),
    *(
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 0",
        b"Content-Length: 5",
    ),
    *(
        b"Content-Length: -1",
        b"Content-Length: +5",
        b"Content-Length: 0x10",
        b"Content-Length: 1_0",
        b"Content-Length: 5, 5",
    ),
    *(
        b"Content-Length: 99999999999999999999999999",
        b"Content-Length: 18446744073709551617",
        b"Content-Length:",
    ),
    *(
        b"Inference-Header-Content-Length: 10",
        b"Inference-Header-Content-Length: -1",
        b"Inference-Header-Content-Length: 9e9",
    ),
    *(
        b"Authorization: Bearer " + b"a" * 300,
        b"Authorization: Basic %%%",
        b"Cookie: " + b"c=" * 4000,
        b"X-Long: " + b"y" * 70_000,
    ),
    *(
        b"X-\xc3\xa9: \xff\xfe",
        b" folded: line",
        b": no-name",
        b"no-colon",
        b"X: a\rb",
        b"X: a\nY: b",
        b"Referer: http://a/",
        b"Te: trailers",
    ),
    *(
        b"Accept-Encoding: gzip",
        b"Range: bytes=0-1",
        b"X-Forwarded-For: 1.2.3.4",
        b"Forwarded: for=1.2.3.4;proto=https",
    ),
    b"\r\n".join(b"X-%d: 1" % n for n in range(300)),
)
_ODD = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**63,
        -(2**70),
        10**400,
        1e308,
        "",
        "a",
        "\u0000",
        "é\u202e",
        "x" * 5000,
        [],
        {},
        [[]],
        [None],
    ),
    *(
        ["a", 1],
        {"a": {"b": []}},
        [[1, [2]]],
        {"": ""},
        {"rows": []},
        [0] * 800,
        [[0] * 28] * 27,
        [[0.5] * 28] * 28,
        "NaN",
        "1e5",
    ),
)
_RAW = (
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"01",
        b"'a'",
        b'"\\ud800"',
        b'"\\u0000"',
        b"[" * 3000,
        b'{"a":' * 3000,
        b"\xff",
        b"//",
        b"nul",
    ),
    *(
        b"1" * 5000,
        b"0." + b"1" * 5000,
        b"[" + b"0," * 30_000 + b"0]",
        b'"' + b"x" * 30_000 + b'"',
        b'{"a":1,"a":2}',
        b"\xef\xbb\xbf1",
    ),
)


def connection(
    random: Random, ids: Sequence[str], described: Sequence[tuple[str, bytes]]
) -> tuple[bytes, int | None]:
    """What one client sends on one connection; and how many requests it is, where no byte of it was damaged.

    Args:
        random: What decides.
        ids: Predictions that feedback may be about.
        described: Paths and bodies that the server's own description led to.
    """
    count = random.choice([1, 1, 1, 2, 3])
    sent = [_request(random, ids, described) for _ in range(count)]
    whole = b"".join(raw for raw, _ in sent)
    if random.random() < 0.25:
        return mutated(random, whole, [raw for raw, _ in sent]), None
    return whole, count if all(is_plain for _, is_plain in sent) else None


def _request(
    random: Random, ids: Sequence[str], described: Sequence[tuple[str, bytes]]
) -> tuple[bytes, bool]:
    """A request; and whether it is one that a careful client sends."""
    if random.random() < 0.2:
        path, body = random.choice(described)
        if random.random() < 0.5:
            body = mutated(random, body, [body])
        return _written(
            b"POST", path.encode(), [b"Content-Type: application/json"], body, chunked=random.random() < 0.2
        ), True
    if random.random() < 0.3:
        path = random.choice(_BODIES)
        body = json.dumps(_body(random, path, ids)).encode()
        return _written(
            b"POST", path.encode(), [b"Content-Type: application/json"], body, chunked=random.random() < 0.2
        ), True
    method = random.choice(_METHODS) if random.random() < 0.4 else b"POST"
    target = random.choice(_TARGETS) if random.random() < 0.15 else random.choice(ROUTES).encode()
    headers = random.sample(_HEADERS, random.choice([0, 0, 1, 1, 2, 3]))
    body = _odd_body(random, ids) if method in (b"POST", b"PUT") or random.random() < 0.3 else b""
    if random.random() < 0.8:
        headers.append(b"Content-Type: application/json")
    return _written(method, target, headers, body, chunked=random.random() < 0.3), False


def _written(method: bytes, target: bytes, headers: Sequence[bytes], body: bytes, *, chunked: bool) -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1"]
    if not any(h.startswith(b"Host") for h in headers):
        lines.append(b"Host: localhost")
    lines += headers
    if chunked:
        at = len(body) // 2
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:at], body[at:]) if p)
        return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + pieces + b"0\r\n\r\n"
    if body or method == b"POST":
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + body


def _body(random: Random, path: str, ids: Sequence[str]) -> dict[str, Any]:
    image = [[random.randrange(256) for _ in range(28)] for _ in range(28)]
    rows = random.choice([1, 1, 2, 20])
    if path == "/predict":
        return {"rows": [{"image": image}] * rows} | (
            {"id": f"c{random.randrange(10**6)}"} if random.random() < 0.3 else {}
        )
    if path == "/feedback":
        known = [random.choice(ids) for _ in range(rows)] if ids else ["none"]
        return {
            "feedback": [
                {"prediction": name, "label": random.choice(["coat", "bag", "none"])} for name in known
            ]
        }
    tensor = {"name": "image", "shape": [rows, 28, 28], "datatype": "UINT8", "data": [image] * rows}
    return {"inputs": [tensor]}


def _odd_body(random: Random, ids: Sequence[str]) -> bytes:
    # Its rows are one and the same object: each a copy of its own, so that one of them can be odd.
    body: Any = json.loads(json.dumps(_body(random, random.choice(_BODIES), ids)))
    for _ in range(random.choice([0, 1, 1, 2])):
        _replace(random, body)
    data = json.dumps(body).encode()
    change = random.random()
    if change < 0.2:
        data = _put_raw(random, data)
    elif change < 0.4:
        data = mutated(random, data, [data])
    elif change < 0.5:
        data = random.choice(
            [gzip.compress(data), gzip.compress(b"[" * 2_000_000), gzip.compress(data)[:-5], b"\x1f\x8b"]
        )
    return data


def _replace(random: Random, body: Any) -> None:
    """Put something odd in the place of a value, or beside it, somewhere in a tree."""
    place: Any = body
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = random.choice(keys)
        if isinstance(place[key], (dict, list)) and random.random() < 0.75:
            place = place[key]
            continue
        match random.randrange(3):
            case 0:
                place[key] = copy.deepcopy(random.choice(_ODD))
            case 1:
                place.pop(key)
            case _:
                _add(random, place)
        return


def _add(random: Random, place: Any) -> None:
    if isinstance(place, dict):
        place[random.choice(["id", "parameters", "rows", "x", "", "data", "outputs", "new_class"])] = (
            copy.deepcopy(random.choice(_ODD))
        )
    else:
        place.append(copy.deepcopy(random.choice(_ODD)))


def _put_raw(random: Random, data: bytes) -> bytes:
    at = [n for n, byte in enumerate(data[:4000]) if byte in b":,["]
    where = random.choice(at or [0]) + 1
    return data[:where] + random.choice(_RAW) + data[where:]
