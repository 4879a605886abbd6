"""A bundle's code sees its own modules, now and later, and nobody else's."""

import importlib.machinery
import importlib.util
import marshal
import struct
import sys
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput, NotFound
from tidemill.models.isolation import IsolatedCode


def project(folder: Path, number: int) -> Path:
    (folder / "shapes").mkdir(parents=True)
    (folder / "pipeline.py").write_text(
        "import dataclasses\nimport numbers_of\nimport shapes.round as r\nfrom shapes import square\n"
        "@dataclasses.dataclass\nclass Box:\n    side: 'int' = numbers_of.NUMBER\n"
        "def now(): return (numbers_of.NUMBER, r.RADIUS, square.SIDE, Box().side)\n"
        "def later():\n    import late\n    return late.NUMBER\n"
    )
    (folder / "numbers_of.py").write_text(f"NUMBER = {number}\n")
    (folder / "late.py").write_text("from numbers_of import NUMBER\n")
    (folder / "shapes" / "round.py").write_text(f"from . import square\nRADIUS = square.SIDE + {number}\n")
    (folder / "shapes" / "square.py").write_text("import numbers_of\nSIDE = numbers_of.NUMBER * 10\n")
    return folder


def test_two_bundles_do_not_see_each_other(tmp_path: Path) -> None:
    names = ("pipeline", "numbers_of", "late", "shapes")
    before = [sys.modules.get(name) for name in names]
    one, two = IsolatedCode(project(tmp_path / "one", 1)), IsolatedCode(project(tmp_path / "two", 2))
    assert one.component("pipeline:now")() == (1, 11, 10, 1)
    assert two.component("pipeline:now")() == (2, 22, 20, 2)
    assert one.component("pipeline:later")() == 1
    assert two.component("pipeline:later")() == 2
    assert [sys.modules.get(name) for name in names] == before
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_module_of_the_process_does_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = project(tmp_path / "outside", 7)
    monkeypatch.syspath_prepend(str(outside))
    import numbers_of  # type: ignore[import-not-found]

    try:
        inside = IsolatedCode(project(tmp_path / "inside", 8))
        assert inside.component("pipeline:now")()[0] == 8
        assert numbers_of.NUMBER == 7
    finally:
        del sys.modules["numbers_of"]


def test_an_installed_module_is_found_and_a_missing_one_named(tmp_path: Path) -> None:
    code = IsolatedCode(project(tmp_path / "one", 1))
    assert code.component("pathlib:Path.cwd") == Path.cwd
    for reference in ("pipeline:absent", "nowhere_at_all:thing", "shapes.absent:thing"):
        with pytest.raises(NotFound) as caught:
            code.component(reference)
        assert caught.value.code == "component-not-found"


def test_code_that_fails_to_import_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    with pytest.raises(InvalidInput, match="a_package_that_is_not_there") as caught:
        IsolatedCode(tmp_path).component("broken:f")
    assert caught.value.code == "code-not-importable"


def bytecode(source: Path, code: str) -> bytes:
    """What Python would take for ``source`` compiled, by its time and size."""
    found = source.stat()
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(found.st_mtime), found.st_size)
    return head + marshal.dumps(compile(code, str(source), "exec"))


def test_bytecode_beside_the_source_is_not_run(tmp_path: Path) -> None:
    folder = project(tmp_path / "one", 1)
    for source in [folder / "pipeline.py", folder / "shapes" / "square.py", folder / "late.py"]:
        cache = Path(importlib.util.cache_from_source(str(source)))
        cache.parent.mkdir(exist_ok=True)
        cache.write_bytes(bytecode(source, "raise AssertionError('planted')"))
    code = IsolatedCode(folder)
    assert code.component("pipeline:now")() == (1, 11, 10, 1)
    assert code.component("pipeline:later")() == 1


@pytest.mark.parametrize("ending", [".pyc", importlib.machinery.EXTENSION_SUFFIXES[0]])
def test_what_is_no_source_is_not_run(tmp_path: Path, ending: str) -> None:
    folder = project(tmp_path / "one", 1)
    source = folder / "shapes" / "square.py"
    planted = bytecode(source, "SIDE = 666")
    source.unlink()
    source.with_suffix(ending).write_bytes(planted)
    with pytest.raises(InvalidInput, match="no source of Python"):
        IsolatedCode(folder).component("pipeline:now")
