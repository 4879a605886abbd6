"""The environment lock: what ran, pinned, with hashes where a given lock knows them, without any address."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tidemill.engine.installed import normal
from tidemill.release.lock import environment_lock, read_hashes

ROOT = Path(__file__).parents[2]
LOCKED = (ROOT / "requirements" / "demo.txt").read_text("utf-8")


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s\\]+)", text, re.MULTILINE))


def test_tidemill_and_all_that_it_needs_are_pinned_as_installed():
    found = pins(environment_lock({}))
    for name in ("tidemill", "numpy", "uvicorn", "sqlalchemy", "h11", "mako", "protobuf", "flatbuffers"):
        assert found[name] == version(name), name
    assert "keras" not in found
    assert "pytest" not in found


@pytest.mark.keras
def test_what_the_steps_imported_brings_what_it_needs():
    found = pins(environment_lock({"keras": version("keras")}))
    assert {"keras", "h5py", "optree", "namex"} <= set(found)


def test_the_version_of_the_run_is_pinned_not_the_one_of_today():
    assert pins(environment_lock({"NumPy": "1.0.0"}))["numpy"] == "1.0.0"


def test_a_package_removed_since_the_run_is_still_pinned():
    assert pins(environment_lock({"Gone_With.it": "3"}))["gone-with-it"] == "3"


def test_hashes_are_taken_where_name_and_version_agree():
    text = environment_lock({"numpy": "1.0.0"}, hashes=LOCKED, hashes_from="requirements/demo.txt")
    assert "Hashes are those of requirements/demo.txt." in text
    known = read_hashes(LOCKED)
    got = read_hashes(text)
    assert got
    assert all(known[pin] == hashes for pin, hashes in got.items())
    assert ("numpy", "1.0.0") not in got
    bare = re.search(r"# (\d+) of (\d+) pins have no hash: (.*)\.", text)
    assert bare is not None
    assert int(bare[2]) - int(bare[1]) == len(got)
    assert "numpy" in bare[3].split(", ")


def test_a_tidemill_without_a_hash_does_not_cost_the_others_theirs():
    every = "\n".join(
        f"{name}=={number} --hash=sha256:{'0' * 64}"
        for name, number in pins(environment_lock({})).items()
        if name != "tidemill"
    )
    text = environment_lock({}, hashes=every)
    assert f"# Beside these, without dependencies: tidemill=={version('tidemill')}" in text
    assert "no hash" not in text
    assert set(pins(text)) == {name for name, _ in read_hashes(text)}


def test_no_address_is_in_it():
    text = environment_lock({}, hashes="--index-url https://mirror.example/simple\n" + LOCKED)
    assert "://" not in text
    assert "index" not in text


def test_it_is_the_same_text_every_time():
    packages = {"numpy": version("numpy"), "click": version("click")}
    first = environment_lock(packages, hashes=LOCKED)
    assert first == environment_lock(dict(reversed(packages.items())), hashes=LOCKED)


def test_names_have_one_spelling():
    assert normal("Foo__bar.-baz") == "foo-bar-baz"


def distribution(folder: Path, name: str, requires: list[str]) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        "Version: 1.0",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")


def test_extras_are_followed_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    distribution(
        tmp_path, "top", ["mid[fast, Loud]>=1", "absent; sys_platform == 'win32'", "testing; extra == 'test'"]
    )
    distribution(
        tmp_path, "mid", ["speed; extra == 'fast'", "noise ; python_version > '3' and extra == \"loud\""]
    )
    for name in ("speed", "testing", "noise"):
        distribution(tmp_path, name, ["top"] if name == "speed" else [])
    monkeypatch.syspath_prepend(str(tmp_path))
    found = pins(environment_lock({"top": "1.0"}))
    assert {"top", "mid", "speed", "noise"} <= set(found)
    assert "testing" not in found
    assert "absent" not in found


def wheel(folder: Path, name: str) -> str:
    import hashlib

    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pip_reads_the_lines_and_holds_them_to_the_hash(tmp_path: Path):
    good = wheel(tmp_path, "lonely_thing")
    for digest, status in ((good, 0), ("0" * 64, 1)):
        given = f"lonely-thing==1.0 --hash=sha256:{digest}"
        text = environment_lock({"lonely-thing": "1.0"}, hashes=given)
        pin = "\n".join(re.findall(r"^lonely-thing.*(?:\n    .*)*", text, re.MULTILINE))
        (tmp_path / "lock.txt").write_text(pin + "\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-index", "--no-deps", "--require-hashes"]
        command += [
            "--find-links",
            str(tmp_path),
            "-d",
            str(tmp_path / "out"),
            "-r",
            str(tmp_path / "lock.txt"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
