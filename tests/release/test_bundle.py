"""A release: numbered once, never changed, checked to the last byte, unpacked whole or not at all."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.release.conftest import Release, add_run, create, tar_of
from tidemill.core import identity
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.core.names import Digest
from tidemill.engine import artifacts
from tidemill.release import bundle
from tidemill.store.catalog import records
from tidemill.store.open import Store


def test_releases_are_numbered_from_one(store: Store, make_release: Release):
    assert [make_release(run).number for run in ("a", "b", "c")] == [1, 2, 3]
    assert [r.number for r in bundle.releases(store, "fashion")] == [3, 2, 1]


def test_each_name_has_its_own_numbers(make_release: Release):
    make_release("a")
    assert make_release("b", name="digits").number == 1


def test_a_run_has_one_release(store: Store, make_release: Release):
    first = make_release("a")
    with store.catalog.read() as read:
        run = read.first(records.Run, {"id": "a"})
    assert run is not None
    assert create(store, run, author="somebody else") == first
    assert len(bundle.releases(store)) == 1


def test_the_manifest_says_all_that_the_release_was_made_of(store: Store, make_release: Release):
    release = make_release("a")
    manifest = bundle.manifest(store, release)
    assert manifest["name"] == "fashion"
    assert manifest["run"] == {
        "id": "a",
        "pipeline": "fashion",
        "file": "pipeline.py",
        "parameters": {"epochs": 3, "lr": 0.001},
        "trigger": "person",
    }
    assert manifest["data"]["fashion"]["commit"] == "0123456789ab"
    assert store.blobs.get(Digest(manifest["code"]["pipeline.py"])) == b"# the pipeline"
    assert manifest["verdict"]["rules"][0]["name"] == "accuracy >= 0.87"
    assert identity.release(manifest) == release.digest


def test_the_digest_does_not_depend_on_the_number_or_the_author(tmp_path: Path):
    digests: list[str] = []
    for index, author in enumerate(("ada", "grace")):
        store = Store.create(tmp_path / str(index))
        for run in "xyz"[:index]:
            create(store, add_run(store, run))
        run = add_run(store, "same")
        verdict = records.Verdict("same", True, None, [], "2026-01-01T00:00:00.000000Z")
        digests.append(create(store, run, author=author, verdict=verdict).digest)
        store.close()
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("passed", "status", "code"),
    [
        (False, "succeeded", "gate-not-passed"),
        (None, "succeeded", "no-verdict"),
        (True, "failed", "run-not-succeeded"),
        (True, "running", "run-not-succeeded"),
    ],
)
def test_what_did_not_pass_is_no_release(store: Store, passed: bool | None, status: str, code: str):
    run = add_run(store, "a", passed=passed, status=status)
    with pytest.raises(NotAllowed) as caught:
        create(store, run)
    assert caught.value.code == code
    if code == "gate-not-passed":
        assert "accuracy >= 0.87" in (caught.value.why or "")
    assert bundle.releases(store) == []


def test_another_runs_verdict_does_not_count(store: Store):
    good, run = add_run(store, "good"), add_run(store, "a", passed=None)
    verdict = records.Verdict(good.id, True, None, [], "")
    with pytest.raises(NotAllowed, match="no gate has judged"):
        create(store, run, verdict=verdict)


def test_a_part_that_the_store_does_not_hold_is_refused(store: Store):
    with pytest.raises(NotFound) as caught:
        create(store, add_run(store, "a"), lock=Digest("sha256:" + "0" * 64))
    assert caught.value.code == "blob-not-found"
    assert bundle.releases(store) == []


def test_a_parameter_that_is_no_json_is_refused(store: Store):
    data = {"fashion": {"rows": float("nan")}}
    with pytest.raises(InvalidInput):
        create(store, add_run(store, "a"), data=data)


def test_verify_finds_nothing_in_a_whole_release(store: Store, make_release: Release):
    assert bundle.verify(store, make_release("a")) == []


PARTS = ["manifest", "predictor", "model", "report", "lock", "code pipeline.py"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("problem", ["missing", "damaged"])
def test_verify_names_what_is_missing_or_damaged(
    store: Store, make_release: Release, part: str, problem: str
):
    release = make_release("a")
    held = dict(zip(PARTS, [*bundle.holds(store, release)], strict=True))
    file = store.blobs.path_of(held[part])
    if problem == "missing":
        file.unlink()
    else:
        # One bit, at any place, so that the length stays.
        data = bytearray(file.read_bytes())
        data[random.Random(7).randrange(len(data))] ^= 1
        file.chmod(0o644)
        file.write_bytes(data)
    found = bundle.verify(store, release)
    assert [(f.part, f.digest, f.problem) for f in found] == [(part, held[part], problem)]


def test_another_manifest_under_the_same_release_is_noticed(store: Store, make_release: Release):
    release = make_release("a")
    text = store.blobs.get(bundle.holds(store, release)[0]).replace(b'"epochs":3', b'"epochs":9')
    with store.catalog.write() as write:
        write.change(
            records.Artifact,
            {"digest": release.digest},
            meta={"content": {"manifest": store.blobs.put(text)}},
        )
    assert [f.problem for f in bundle.verify(store, release)] == ["changed"]
    with pytest.raises(StorageError, match="not the one it was made with"):
        bundle.manifest(store, release)


def test_a_manifest_whose_bytes_were_damaged_is_not_read(store: Store, make_release: Release):
    release = make_release("a", FILES)
    file = store.blobs.path_of(bundle.holds(store, release)[0])
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StorageError) as caught:
        bundle.manifest(store, release)
    assert caught.value.code == "release-damaged"


def test_further_blobs_of_an_artifact_are_held_and_verified(store: Store):
    piece = store.blobs.put(b"a piece of the model")
    model = store.blobs.put(b"a model in pieces")
    with store.catalog.write() as write:
        write.add(records.Artifact(model, "model", 17, {"blobs": [piece]}, ""))
    release = create(store, add_run(store, "a"), model=model)
    assert piece in bundle.holds(store, release)
    store.blobs.delete(piece)
    assert [(f.part, f.problem) for f in bundle.verify(store, release)] == [("model piece", "missing")]


def test_a_small_report_that_lives_in_its_record_becomes_a_blob(store: Store):
    saved = artifacts.save(store.blobs, {"accuracy": 0.9, "name": "é"}, "evaluate")
    assert not store.blobs.exists(Digest(saved.digest))
    with store.catalog.write() as write:
        write.add(records.Artifact(saved.digest, saved.kind, saved.size_bytes, saved.meta, ""))
    release = create(store, add_run(store, "a"), report=Digest(saved.digest))
    assert json.loads(store.blobs.get(Digest(saved.digest))) == {"accuracy": 0.9, "name": "é"}
    assert bundle.verify(store, release) == []


def test_what_gc_keeps_for_a_release_is_all_of_it(store: Store, make_release: Release):
    release = make_release("a")
    record = artifacts.artifact(store, release.digest)
    assert set(artifacts.blobs_of(record)) == set(bundle.holds(store, release))


def test_verify_looks_at_the_data_where_it_is_told_how(store: Store, make_release: Release):
    release = make_release("a")
    assert bundle.verify(store, release, lambda dataset, commit: "sha256:00") == []
    [gone] = bundle.verify(store, release, lambda dataset, commit: None)
    assert (gone.part, gone.problem) == ("data fashion@0123456789ab", "missing")
    assert [f.problem for f in bundle.verify(store, release, lambda dataset, commit: "other")] == ["changed"]
    assert [f.problem for f in bundle.verify(store, release, lambda dataset, commit: "")] == ["damaged"]


def test_find(store: Store, make_release: Release):
    one, two = make_release("a"), make_release("b")
    assert bundle.find(store, "fashion") == two
    assert bundle.find(store, "fashion", "latest") == two
    assert bundle.find(store, "fashion", 1) == one
    assert bundle.find(store, "fashion", "1") == one
    assert bundle.find(store, "fashion", one.digest) == one
    assert bundle.find(store, "fashion", one.digest[7:19]) == one


@pytest.mark.parametrize("which", ["3", "abcd0", "sha256:", "a", ""])
def test_a_release_that_is_not_there(store: Store, make_release: Release, which: str):
    make_release("a")
    with pytest.raises(NotFound) as caught:
        bundle.find(store, "fashion", which)
    assert caught.value.code == "release-not-found"
    assert caught.value.hint == "There are: 1."


def test_a_name_that_has_no_release_is_answered_with_the_nearest(store: Store, make_release: Release):
    make_release("a")
    with pytest.raises(NotFound) as caught:
        bundle.find(store, "fasion")
    assert caught.value.hint == "Did you mean 'fashion'?"
    # What nothing is near to is no reason to make one that is there.
    with pytest.raises(NotFound) as caught:
        bundle.find(store, "latest")
    assert caught.value.hint == "There are releases of: fashion; 'latest' alone is the newest of all."


def test_where_no_release_is_there_one_is_to_be_made(store: Store):
    with pytest.raises(NotFound) as caught:
        bundle.find(store, "fashion")
    assert "tidemill release create" in (caught.value.hint or "")


FILES = {
    "predictor.json": b"{}",
    "model.onnx": b"\0\1\2" * 1000,
    "code/pipeline.py": b"x = 1\n",
    "states/empty": b"",
}


def files_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_unpack_lays_out_the_predictor_and_nothing_else(store: Store, make_release: Release, tmp_path: Path):
    release = make_release("a", FILES)
    folder = bundle.unpack(store, release, tmp_path / "bundles")
    assert files_below(folder) == FILES
    assert [p.name for p in (tmp_path / "bundles").iterdir()] == [folder.name]


def test_unpack_uses_what_is_there_and_mends_what_was_changed(
    store: Store, make_release: Release, tmp_path: Path
):
    release = make_release("a", FILES)
    folder = bundle.unpack(store, release, tmp_path)
    inode = folder.stat().st_ino
    (folder / "code" / "__pycache__").mkdir()
    assert bundle.unpack(store, release, tmp_path).stat().st_ino == inode
    (folder / "code" / "pipeline.py").write_bytes(b"x = 2\n")
    assert files_below(bundle.unpack(store, release, tmp_path)) == FILES
    (folder / "model.onnx").unlink()
    assert files_below(bundle.unpack(store, release, tmp_path)) == FILES
    (folder / "code" / "__pycache__").mkdir(exist_ok=True)
    (folder / "code" / "__pycache__" / "pipeline.cpython-311.pyc").write_bytes(b"planted")
    assert files_below(bundle.unpack(store, release, tmp_path)) == FILES
    (folder / "code" / "numpy.py").symlink_to("pipeline.py")
    assert files_below(bundle.unpack(store, release, tmp_path)) == FILES


def test_a_damaged_predictor_is_not_unpacked(store: Store, make_release: Release, tmp_path: Path):
    release = make_release("a", FILES)
    file = store.blobs.path_of(Digest(bundle.manifest(store, release)["predictor"]))
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data.replace(b"x = 1", b"x = 9"))
    with pytest.raises(StorageError) as caught:
        bundle.unpack(store, release, tmp_path / "bundles")
    assert caught.value.code == "release-damaged"
    assert not (tmp_path / "bundles").exists()


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        member.size = 4 if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(b"evil"))
    return out.getvalue()


@pytest.mark.parametrize(
    "tar",
    [
        hostile("../outside"),
        hostile("a/../../outside"),
        hostile("/tmp/outside"),
        hostile("link", tarfile.SYMTYPE, "/etc/passwd"),
        hostile("hard", tarfile.LNKTYPE, "predictor.json"),
        hostile("pipe", tarfile.FIFOTYPE),
        hostile("device", tarfile.CHRTYPE),
        tar_of({"a": b"1", "a/b": b"1"}),
    ],
    ids=["up", "up-inside", "absolute", "symlink", "hardlink", "pipe", "device", "file-as-folder"],
)
def test_a_tar_that_wants_out_is_refused(store: Store, make_release: Release, tmp_path: Path, tar: bytes):
    release = make_release("a", tar)
    with pytest.raises(StorageError) as caught:
        bundle.unpack(store, release, tmp_path / "bundles")
    assert caught.value.code == "bundle-unsafe"
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("tar", [b"", b"no tar at all", tar_of(FILES)[:2000]])
def test_a_predictor_that_is_no_tar_is_refused(
    store: Store, make_release: Release, tmp_path: Path, tar: bytes
):
    with pytest.raises(StorageError) as caught:
        bundle.unpack(store, make_release("a", tar), tmp_path)
    assert caught.value.code == "bundle-damaged"


CREATE = """
import sys
from pathlib import Path
from tests.release.conftest import add_run, create
from tidemill.store.open import Store
store = Store.open(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    run = f"{sys.argv[2]}-{number}"
    release = create(store, add_run(store, run), b"tar of " + run.encode())
    print(release.number, release.digest, flush=True)
"""


def start_creating(store: Store, prefix: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CREATE, str(store.folder), prefix, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_two_processes_never_give_one_number_twice(store: Store):
    assert store.catalog
    processes = [start_creating(store, prefix, 15) for prefix in ("a", "b")]
    lines = [line for process in processes for line in process.communicate(timeout=180)[0].splitlines()]
    assert sorted(int(line.split()[0]) for line in lines) == list(range(1, 31))


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_leaves_no_half_release(store: Store, seed: int):
    assert store.catalog
    process = start_creating(store, "a", 100_000)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0.0, 0.2))
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    there = bundle.releases(store, "fashion")
    assert [r.number for r in there] == list(range(len(there), 0, -1))
    # What it said it had made is there; and whatever is there is whole.
    acknowledged = {line.split()[1] for line in said if len(line.split()) == 2 and len(line.split()[1]) == 71}
    assert acknowledged <= {r.digest for r in there}
    assert [finding for release in there for finding in bundle.verify(store, release)] == []
    # The run that was cut off can be released by running the same command again.
    with store.catalog.read() as read:
        runs = read.find(records.Run)
    assert all(create(store, run, b"tar of " + run.id.encode()) for run in runs[-1:])
