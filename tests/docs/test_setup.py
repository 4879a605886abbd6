"""The locks, the floors and the decisions keep their promises."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = [ROOT / "requirements" / "demo.txt", ROOT / "requirements" / "dev.txt"]


def plain(name: str) -> str:
    """A distribution's name in its one normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return plain(found[0])


def pins(lock: Path) -> dict[str, str]:
    """Name to ``version ; marker`` of each line of a lock."""
    lines = lock.read_text("utf-8").replace("\\\n", " ").splitlines()
    return {name_of(line): re.sub(r"\s*--hash=\S+", "", line).partition("==")[2] for line in lines}


def wanted(*extras: str) -> set[str]:
    """The names that pyproject.toml asks for."""
    optional = PROJECT["project"]["optional-dependencies"]
    asked = PROJECT["project"]["dependencies"] + [r for extra in extras for r in optional[extra]]
    return {name_of(requirement) for requirement in asked}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_a_lock_pins_every_line_with_hashes_and_names_no_address(lock: Path):
    text = lock.read_text("utf-8")
    lines = text.replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.-]+==[^\s;]+( ; [^\\]*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), (
            line
        )
    assert "://" not in text
    assert " @ " not in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_no_lock_pulls_in_an_accelerator_build(lock: Path):
    assert [
        n for n in pins(lock) if re.search(r"nvidia|cuda|cu1\d|rocm|triton|^torch|tensorflow|-tpu", n)
    ] == []


def test_the_locks_have_what_pyproject_asks_for():
    groups = PROJECT["dependency-groups"]
    build, dev = ({name_of(r) for r in groups[group]} for group in ("build", "dev"))
    demo, full = pins(LOCKS[0]), pins(LOCKS[1])
    assert wanted("keras", "sklearn", "tune") | build <= set(demo)
    assert wanted("keras", "sklearn", "tune", "pandas") | build | dev <= set(full)


def test_the_runtime_lock_is_a_part_of_the_developers():
    demo, full = pins(LOCKS[0]), pins(LOCKS[1])
    assert {n: v.partition(" ")[0] for n, v in demo.items()} == {n: full[n].partition(" ")[0] for n in demo}


def test_the_drawn_floors_are_the_checked_ones():
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter", "utf-8")
    checked = [
        {room.strip("( )") for room in line.split("|")}
        for line in config["importlinter:contract:floors"]["layers"].split("\n")
        if line
    ]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = re.findall(r"^ (\d)  (.+)$", page, re.MULTILINE)
    assert [int(number) for number, _ in drawn] == list(range(8, 0, -1))
    rooms = [set(re.split(r" {6,}", text)[0].replace("│", " ").split()) for _, text in drawn]
    assert [{"__main__"}, *rooms] == checked


def test_every_dependency_has_its_reasons():
    notes = " ".join(p.read_text("utf-8") for p in (ROOT / "docs" / "decisions").glob("*.md")).lower()
    extras = PROJECT["project"]["optional-dependencies"]
    silent = {n for n in wanted(*extras) if n not in notes and n.replace("-", " ") not in notes}
    assert silent == set()


def test_the_changelog_has_a_place_for_what_comes():
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")
