"""Which requests a server takes for its own: by the host that they name, and by the page that sends them."""

import pytest

from tidemill.core.errors import InvalidInput, NotAllowed
from tidemill.edge.guard import Guard, check_json

HOST = (b"host", b"127.0.0.1:8000")


def refused(guard: Guard, *headers: tuple[bytes, bytes], method: str = "POST") -> str | None:
    try:
        guard.check(method, headers)
    except NotAllowed as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "10.1.2.3",
        "[::1]:8000",
        "LOCALHOST:9",
        "localhost.",
        "app.localhost:80",
        "mine.example:443",
    ],
)
def test_its_own_names_are_taken(host: str):
    guard = Guard(hosts=["Mine.example"])
    # Twice: a name that was taken is remembered.
    assert [refused(guard, (b"host", host.encode()), method="GET") for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8000", "[evil]", "1.2.3.4.5"],
)
def test_a_name_of_somebody_else_is_refused(host: str):
    guard = Guard(hosts=["mine.example"])
    assert refused(guard, (b"host", host.encode()), method="GET") == "foreign-host"
    assert refused(Guard(hosts=["*"]), (b"host", host.encode()), method="GET") is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], None),
        ([(b"origin", b"http://127.0.0.1:8000"), (b"sec-fetch-site", b"same-origin")], None),
        ([(b"sec-fetch-site", b"none")], None),
        ([(b"origin", b"https://app.example")], None),
        ([(b"origin", b"https://evil.example")], "foreign-origin"),
        ([(b"origin", b"http://127.0.0.1:8001")], "foreign-origin"),
        ([(b"origin", b"null")], "foreign-origin"),
        ([(b"sec-fetch-site", b"cross-site")], "foreign-origin"),
        ([(b"sec-fetch-site", b"same-site")], "foreign-origin"),
    ],
)
def test_a_page_of_another_site_may_not_send(headers: list[tuple[bytes, bytes]], code: str | None):
    guard = Guard(origins=["https://app.example/"])
    assert refused(guard, HOST, *headers) == code
    assert refused(guard, HOST, *headers, method="OPTIONS") == code
    assert refused(guard, HOST, *headers, method="GET") is None


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; charset=utf-8", b"application/vnd.x+json"]
)
def test_json_is_taken(kind: bytes):
    check_json([(b"content-type", kind)])


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/x-www-form-urlencoded", b"application/jsonx", b""]
)
def test_what_a_page_can_send_unasked_is_no_json(kind: bytes):
    with pytest.raises(InvalidInput) as refusal:
        check_json([(b"content-type", kind)])
    assert refusal.value.code == "wrong-content-type"
    with pytest.raises(InvalidInput):
        check_json([])
