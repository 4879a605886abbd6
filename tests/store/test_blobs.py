"""Blobs: whole or not there, stored once, checked; on a full disk and under kill -9 too."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.s3 import S3Server
from tidemill.core.errors import NotFound, StorageError
from tidemill.core.identity import blob as digest_of
from tidemill.core.names import Digest
from tidemill.store.address import open_objects
from tidemill.store.blobs import Blobs

ABSENT = Digest("sha256:" + "0" * 64)


def opened(folder: Path) -> Blobs:
    return Blobs(open_objects(folder), folder)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return opened(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.binary(max_size=10_000))
def test_what_is_put_is_got(blobs: Blobs, data: bytes):
    digest = blobs.put(data)
    assert digest == digest_of(data)
    assert blobs.get(digest) == data
    assert blobs.size_bytes(digest) == len(data)
    assert blobs.verify(digest)


def test_the_same_bytes_are_stored_once(blobs: Blobs, tmp_path: Path):
    first = blobs.put(b"same")
    stamp = blobs.path(first).stat().st_mtime_ns
    file = tmp_path / "file"
    file.write_bytes(b"same")
    assert blobs.put(memoryview(b"same")) == blobs.put_file(file) == first
    assert blobs.path(first).stat().st_mtime_ns == stamp
    assert list(blobs.all()) == [first]


def test_a_file_is_copied_in_or_moved_in(blobs: Blobs, tmp_path: Path):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(9_000_000))  # more than one piece
    digest = blobs.put_file(file)
    assert file.exists()
    assert blobs.verify(digest)
    scratch = blobs.scratch()
    scratch.write_bytes(b"made in place")
    blobs.adopt_file(scratch, digest_of(b"made in place"))
    assert not scratch.exists()
    assert blobs.get(digest_of(b"made in place")) == b"made in place"
    assert set(blobs.all()) == {digest, digest_of(b"made in place")}


def test_a_missing_blob_is_named(blobs: Blobs):
    assert not blobs.exists(ABSENT)
    for look in (blobs.get, blobs.path, blobs.size_bytes, blobs.verify):
        with pytest.raises(NotFound, match=ABSENT) as caught:
            look(ABSENT)
        assert caught.value.code == "blob-not-found"
    blobs.delete(ABSENT)


def test_a_deleted_blob_is_gone_and_can_come_back(blobs: Blobs):
    digest = blobs.put(b"once")
    blobs.delete(digest)
    assert not blobs.exists(digest)
    assert blobs.put(b"once") == digest
    assert blobs.verify(digest)


def test_a_flipped_bit_is_seen(blobs: Blobs):
    digest = blobs.put(b"precious")
    path = blobs.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"precioux")
    assert not blobs.verify(digest)


def test_what_is_damaged_is_no_result_and_is_written_again(blobs: Blobs, tmp_path: Path):
    digests = [blobs.put(b"one"), blobs.put(b"two")]
    assert blobs.are_whole(digests)
    assert not blobs.are_whole([*digests, ABSENT])
    blobs.path_of(digests[1]).write_bytes(b"twp")
    assert not opened(tmp_path).are_whole(digests)
    assert blobs.put(b"two") == digests[1]
    assert blobs.are_whole(digests)
    assert blobs.get(digests[1]) == b"two"


def test_an_object_that_is_another_one_than_was_seen_is_read_through(s3: S3Server, tmp_path: Path):
    objects = open_objects(s3.fresh())
    blobs = Blobs(objects, tmp_path)
    digest = blobs.put(b"precious")
    # Of what was never looked at, nothing is fetched only to be looked at.
    assert blobs.are_whole([digest])
    assert blobs.verify(digest)
    assert blobs.are_whole([digest])
    objects.put(f"blobs/sha256/{digest[7:9]}/{digest[7:]}", b"precioux")
    assert not blobs.are_whole([digest])
    assert blobs.put(b"precious") == digest
    assert blobs.are_whole([digest])


def test_writers_of_the_same_bytes_do_not_disturb_each_other(blobs: Blobs):
    data = os.urandom(500_000)
    threads = [threading.Thread(target=blobs.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.verify(digest_of(data))
    assert list(blobs.all()) == [digest_of(data)]


def test_a_full_disk_is_said_and_leaves_nothing_half(small_disk: Path, tmp_path: Path):
    blobs = opened(small_disk)
    kept = blobs.put(b"k" * 100_000)
    big = os.urandom(2_000_000)
    file = tmp_path / "big"
    file.write_bytes(big)
    for attempt in (lambda: blobs.put(big), lambda: blobs.put_file(file)):
        with pytest.raises(StorageError, match="is full") as caught:
            attempt()
        assert caught.value.code == "disk-full"
        assert str(small_disk) in caught.value.message
    assert list(blobs.all()) == [kept]
    assert blobs.verify(kept)
    assert blobs.put(b"s" * 100_000)  # there is room again: the failed ones left nothing behind


def test_a_killed_writer_leaves_only_whole_blobs(tmp_path: Path):
    folder = tmp_path / "blobs"
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tidemill.store.blobs import Blobs; from tidemill.store.address import open_objects\n"
        "blobs = Blobs(open_objects(sys.argv[1]), Path(sys.argv[1]))\n"
        "while True: print(blobs.put(os.urandom(3_000_000)), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        acknowledged = [writer.stdout.readline().strip() for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
    blobs = opened(tmp_path)
    found = list(blobs.all())
    assert set(acknowledged) <= set(found)
    assert all(blobs.verify(digest) for digest in found)
    blobs.remove_unfinished(older_than_seconds=-1)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        d.removeprefix("sha256:") for d in found
    }


def test_what_a_process_was_writing_is_removed_when_it_is_gone(tmp_path: Path):
    script = """
import sys
from pathlib import Path
from tidemill.store.blobs import Blobs
from tidemill.store.folder import Folder
blobs = Blobs(Folder(Path(sys.argv[1])), Path(sys.argv[1]))
blobs.scratch().write_bytes(b"half")
folder = blobs.scratch()
folder.mkdir()
(folder / "file").write_bytes(b"half")
"""
    with subprocess.Popen([sys.executable, "-c", script, tmp_path]) as writer:
        assert writer.wait() == 0
    blobs = opened(tmp_path)
    own = blobs.scratch()
    own.write_bytes(b"mine")
    blobs.remove_unfinished_of(writer.pid)
    assert list(own.parent.iterdir()) == [own]


def test_a_folder_that_a_killed_step_left_is_removed(blobs: Blobs):
    folder = blobs.scratch()
    folder.mkdir()
    (folder / "file").write_bytes(b"half")
    blobs.remove_unfinished(older_than_seconds=-1)
    assert not folder.exists()


def test_what_is_being_written_now_is_no_blob_and_is_not_swept(blobs: Blobs):
    kept = blobs.put(b"finished")
    scratch, beside = blobs.scratch(), blobs.path(kept).with_name(blobs.path(kept).name + "#1")
    for unfinished in (scratch, beside):
        unfinished.write_bytes(b"not finished yet")
    assert list(blobs.all()) == [kept]
    blobs.remove_unfinished()
    assert scratch.exists()
    assert beside.exists()
    blobs.remove_unfinished(older_than_seconds=-1)
    assert not scratch.exists()
    assert not beside.exists()
    assert blobs.verify(kept)
