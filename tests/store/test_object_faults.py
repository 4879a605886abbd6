"""S3 that answers 500 or 503, or drops the connection: by a real proxy in front of the real server."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.services.proxy import Fault, Proxy, proxy_to
from tests.services.s3 import BUCKET, S3Server
from tidemill.core.errors import Conflict, StorageError
from tidemill.store.bucket import Bucket
from tidemill.store.faults import fault

FAULTS: list[Fault] = ["500", "503", "drop-before", "drop-answer", "drop-midway"]


@pytest.fixture
def proxy(s3: S3Server) -> Generator[Proxy]:
    with proxy_to(s3.url) as running:
        yield running


@pytest.fixture
def objects(proxy: Proxy, s3: S3Server) -> Bucket:
    options = {
        "endpoint": proxy.url,
        "region": "us-east-1",
        "access_key_id": s3.key,
        "secret_access_key": s3.secret,
    }
    return Bucket(BUCKET, s3.fresh().rpartition("/")[2], options, retries=4)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_by_itself_is_not_noticed(objects: Bucket, proxy: Proxy, fault: Fault, tmp_path: Path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(18_000_000))
    proxy.spoil(fault, fault)
    objects.put("a", b"1")
    assert len(proxy.met) == 2
    proxy.spoil(fault, of="GET")
    got = objects.get("a")
    assert got is not None and got[0] == b"1"
    # Sent in pieces: some of them fail.
    proxy.spoil(fault, fault, of="partNumber")
    objects.put_file("big", source)
    assert len(proxy.met) == 2
    for request in (r"POST .*\?uploads", r"POST .*\?uploadId"):
        proxy.spoil(fault, of=request)
        objects.put_file("big", source)
        assert len(proxy.met) == 1
    proxy.spoil(fault, of="GET")
    objects.get_file("big", target)
    assert len(proxy.met) == 1
    assert target.read_bytes() == source.read_bytes()
    proxy.spoil(fault)
    assert [e.key for e in objects.list()] == ["a", "big"]
    proxy.spoil(fault)
    objects.delete(["a", "big"])
    assert list(objects.list()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_swap_is_done_once_whatever_became_of_its_answer(objects: Bucket, proxy: Proxy, fault: Fault):
    proxy.spoil(fault, fault)
    first = objects.put_if("refs", b"1", None)
    assert len(proxy.met) >= 1
    proxy.spoil(fault, of="PUT")
    second = objects.put_if("refs", b"2", first)
    assert objects.get("refs") == (b"2", second)
    proxy.spoil(fault, of="PUT")
    with pytest.raises(Conflict):
        objects.put_if("refs", b"3", first)
    assert objects.get("refs") == (b"2", second)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("500", "500 Internal Server Error InternalError"),
        ("503", "503 Service Unavailable SlowDown"),
        ("drop-answer", "The connection failed"),
    ],
)
def test_what_does_not_pass_is_said(
    objects: Bucket, proxy: Proxy, s3: S3Server, fault: Fault, why: str, tmp_path: Path
):
    objects.put("a", b"1")
    proxy.spoil_all(fault)
    for attempt in (
        lambda: objects.put("a", b"2"),
        lambda: objects.get("a"),
        lambda: objects.put_if("b", b"2", None),
        lambda: list(objects.list()),
        lambda: objects.get_file("a", tmp_path / "a"),
    ):
        with pytest.raises(StorageError) as said:
            attempt()
        assert said.value.code == "store-unreachable"
        assert why in (said.value.why or "")
        assert s3.secret not in str(said.value.to_json())
    assert not (tmp_path / "a").exists()
    assert list(tmp_path.iterdir()) == []


def test_where_in_its_source_a_client_was_is_left_out():
    said = "Unable to copy data to file: File too large (os error 27), /build/rust/src/io/commit.rs:1663:50"
    error = fault(OSError(said), "/folder/store")
    assert error.why == "Unable to copy data to file: File too large (os error 27)"
