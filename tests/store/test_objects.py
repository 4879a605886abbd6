"""One suite over both kinds of place; then what is each one's own."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.services.s3 import BUCKET, S3Server
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.store.address import open_objects
from tidemill.store.bucket import Bucket
from tidemill.store.folder import Folder
from tidemill.store.objects import Objects


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return open_objects(tmp_path / "store")
    return open_objects(request.getfixturevalue("s3").fresh())


def bucket(server: S3Server, **changed: str) -> Bucket:
    options = {
        "endpoint": server.url,
        "region": "us-east-1",
        "access_key_id": server.key,
        "secret_access_key": server.secret,
    }
    return Bucket(BUCKET, "own", options | changed, retries=1)


def test_what_was_put_is_there(objects: Objects):
    objects.put("a/b c/ü=1%.json", b"one")
    got = objects.get("a/b c/ü=1%.json")
    assert got is not None and got[0] == b"one"
    objects.put("a/b c/ü=1%.json", b"two")
    again = objects.get("a/b c/ü=1%.json")
    assert again is not None and again[0] == b"two" and again[1] != got[1]
    assert objects.get("a") is None
    assert objects.get("nothing/here") is None
    assert objects.get("a/b c/ü=1%.json/below") is None


def test_the_second_of_two_writers_loses(objects: Objects):
    first = objects.put_if("refs.json", b"1", None)
    seen = objects.get("refs.json")
    assert seen == (b"1", first)
    with pytest.raises(Conflict) as lost:
        objects.put_if("refs.json", b"2", None)
    assert lost.value.code == "object-changed"
    second = objects.put_if("refs.json", b"2", first)
    with pytest.raises(Conflict):
        objects.put_if("refs.json", b"3", first)
    assert objects.get("refs.json") == (b"2", second)
    objects.delete(["refs.json"])
    with pytest.raises(Conflict):
        objects.put_if("refs.json", b"3", second)
    assert objects.get("refs.json") is None


COUNT = """
import sys
from tidemill.core.errors import Conflict
from tidemill.store.address import open_objects
objects, done = open_objects(sys.argv[1]), 0
while done < 15:
    data, tag = objects.get("count") or (b"0", None)
    try:
        objects.put_if("count", str(int(data) + 1).encode(), tag)
    except Conflict:
        continue
    done += 1
"""


def test_processes_that_swap_lose_nothing(objects: Objects):
    command = [sys.executable, "-c", COUNT, objects.address]
    for process in [subprocess.Popen(command) for _ in range(3)]:
        assert process.wait(60) == 0
    got = objects.get("count")
    assert got is not None and got[0] == b"45"


def test_files_go_and_come_whole(objects: Objects, tmp_path: Path):
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    source.write_bytes(os.urandom(20_000_000))
    objects.put_file("data/big.bin", source)
    objects.get_file("data/big.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert [p.name for p in target.parent.iterdir()] == ["target"]
    entry = objects.look("data/big.bin")
    assert entry is not None and entry.size_bytes == 20_000_000
    assert objects.look("data") is None
    with pytest.raises(NotFound) as absent:
        objects.get_file("data/none.bin", target)
    assert absent.value.code == "object-not-found"
    assert target.read_bytes() == source.read_bytes()


def test_a_listing_is_of_one_folder_and_in_order(objects: Objects):
    for key in ("a/2", "a/10/x", "ab/1", "b", "a/1"):
        objects.put(key, key.encode())
    assert [e.key for e in objects.list("a")] == ["a/1", "a/10/x", "a/2"]
    assert {e.key: e.size_bytes for e in objects.list()} == {
        "a/1": 3,
        "a/10/x": 6,
        "a/2": 3,
        "ab/1": 4,
        "b": 1,
    }
    assert list(objects.list("none")) == []
    objects.delete(["a/1", "a/10/x", "not/there"])
    objects.delete([])
    assert [e.key for e in objects.list("a")] == ["a/2"]


@pytest.mark.parametrize("kinds", [("folder", "s3"), ("s3", "folder"), ("s3", "s3"), ("folder", "folder")])
def test_copying_between_places(kinds: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest):
    here, there = (
        open_objects(tmp_path / str(n) if kind == "folder" else request.getfixturevalue("s3").fresh())
        for n, kind in enumerate(kinds)
    )
    big = os.urandom(9_000_000)
    here.put("a/big", big)
    here.put("a/empty", b"")
    for key in ("a/big", "a/empty"):
        here.copy(key, there)
    assert [(e.key, e.size_bytes) for e in there.list()] == [("a/big", 9_000_000), ("a/empty", 0)]
    got = there.get("a/big")
    assert got is not None and got[0] == big
    with pytest.raises(NotFound):
        here.copy("a/none", there)


def test_lance_reads_and_writes_where_the_uri_says(objects: Objects):
    import lance
    import pyarrow as pa

    uri, options = objects.uri("datasets/d.lance")
    lance.write_dataset(pa.table({"a": [1, 2]}), uri, storage_options=options)
    assert lance.dataset(uri, storage_options=options).to_table().to_pydict() == {"a": [1, 2]}
    assert any(e.key.endswith(".manifest") for e in objects.list("datasets/d.lance/_versions"))


def test_one_who_reads_while_another_writes_sees_one_of_both(tmp_path: Path):
    objects, stop = Folder(tmp_path), threading.Event()
    objects.put("x", b"a" * 100_000)

    def write() -> None:
        while not stop.is_set():
            for letter in (b"a", b"b"):
                objects.put("x", letter * 100_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            got = objects.get("x")
            assert got is not None and len(got[0]) == 100_000 and len(set(got[0])) == 1
    finally:
        stop.set()
        writer.join()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_keeps_what_was_there(small_disk: Path):
    objects = Folder(small_disk)
    objects.put("x", b"old")
    with pytest.raises(StorageError) as full:
        objects.put("x", b"0" * 2_000_000)
    assert full.value.code == "disk-full"
    kept = objects.get("x")
    assert kept is not None and kept[0] == b"old"
    assert [e.key for e in objects.list()] == ["x"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"access_key_id": "eve"}, "InvalidAccessKeyId"),
        ({"secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_refused(s3: S3Server, changed: dict[str, str], reason: str):
    other = bucket(s3, **changed)
    for attempt in (
        lambda: other.get("x"),
        lambda: other.look("x"),
        lambda: other.put("x", b""),
        lambda: other.put_if("x", b"", None),
        lambda: list(other.list()),
        lambda: other.delete(["x"]),
    ):
        with pytest.raises(NotAllowed) as refused:
            attempt()
        assert refused.value.code == "access-denied"
        assert s3.secret not in str(refused.value.to_json())
    with pytest.raises(NotAllowed) as refused:
        other.get("x")
    assert reason in (refused.value.why or "")


def test_a_bucket_that_is_not_there(s3: S3Server):
    absent = open_objects("s3://no-such-bucket/x")
    for attempt in (lambda: absent.get("x"), lambda: list(absent.list("x"))):
        with pytest.raises(NotFound) as error:
            attempt()
        assert error.value.code == "bucket-not-found"


def test_a_server_that_is_not_there():
    away = Bucket(
        "b", "", {"endpoint": "http://127.0.0.1:1", "access_key_id": "a", "secret_access_key": "b"}, retries=2
    )
    with pytest.raises(StorageError) as error:
        away.put("x", b"")
    assert (error.value.code, error.value.why) == (
        "store-unreachable",
        "The connection failed; tried 3 times.",
    )


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://", "s3:///x"])
def test_an_address_that_is_none(address: str):
    with pytest.raises(InvalidInput) as error:
        open_objects(address)
    assert error.value.code == "invalid-store-address"
