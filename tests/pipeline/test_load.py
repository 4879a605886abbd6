"""A pipeline's file is loaded as it is now; what is wrong with it is told by file and line."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput, NotFound
from tidemill.pipeline import load

GOOD = """
import tidemill as tm
from near import one

@tm.step
def add(x: int) -> int:
    return x + one

@tm.pipeline
def first(n: int = 1):
    return add(n)
"""


@pytest.fixture(autouse=True)
def forget() -> Generator[None]:
    yield
    load.leave()


def test_a_file_is_loaded_again_when_it_or_its_neighbour_changed(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text("one = 1\n")
    file = tmp_path / "flow.py"
    file.write_text(GOOD)
    before = load.load(file)
    assert load.load(file) is before
    assert before.name == "first"
    (tmp_path / "near.py").write_text("one = 100\n")
    after = load.load(file)
    assert after is not before
    assert after.function.__globals__["one"] == 100


def test_edits_within_one_second_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own bytecode is not: it goes by the size and the whole second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "near.py").write_text("one = 0\n")
    (tmp_path / "parts" / "__init__.py").write_text("")
    file = tmp_path / "flow.py"
    moment = 1_700_000_000_000_000_000
    for edit in range(1, 5):
        for path, text in (
            (tmp_path / "parts" / "near.py", f"one = {edit}\n"),
            (file, GOOD.replace("from near", "from parts.near") + f"two = {edit}\n"),
        ):
            path.write_text(text)
            os.utime(path, ns=(moment, moment + edit))
        seen = load.load(file).function.__globals__
        assert (seen["one"], seen["two"]) == (edit, edit)
    assert not list(tmp_path.rglob("*.pyc"))


def test_two_projects_do_not_see_each_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "near.py").write_text(f"one = '{name}'\n")
        (tmp_path / name / "flow.py").write_text(GOOD)
    for name in ("a", "b", "a"):
        pipeline = load.load(tmp_path / name / "flow.py")
        assert pipeline.function.__globals__["one"] == name
    load.leave()
    assert "near" not in sys.modules
    assert str(tmp_path / "a") not in sys.path


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ny = (\n", 2, "SyntaxError"),
        ("import tidemill as tm\n\nx = 1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name\n", 1, "ModuleNotFoundError"),
        ("import tidemill as tm\ntm.stepp\n", 2, "AttributeError"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = tmp_path / "flow.py"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load.load(file)
    assert caught.value.code == "invalid-pipeline-file"
    assert f"{file}, line {line}: {words}" in caught.value.message
    file.write_text("import tidemill as tm\n@tm.pipeline\ndef p(n: int = 1):\n    return None\n")
    assert load.load(file).name == "p"


def test_no_file_no_pipeline_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        load.load(tmp_path / "flow.py")
    (tmp_path / "circle.py").symlink_to("circle.py")
    with pytest.raises(NotFound, match="There is no file"):
        load.load(tmp_path / "circle.py")
    file = tmp_path / "flow.py"
    file.write_text("import tidemill as tm\n")
    with pytest.raises(NotFound, match="has no pipeline"):
        load.load(file)
    file.write_text(
        "import tidemill as tm\n@tm.pipeline\ndef one(n=1): ...\n@tm.pipeline(name='second')\ndef two(n=1): ...\n"
    )
    with pytest.raises(InvalidInput, match="2 pipelines: one, second"):
        load.load(file)
    assert load.load(file, "second").name == "second"
    with pytest.raises(NotFound) as caught:
        load.load(file, "secnd")
    assert caught.value.hint == "Did you mean 'second'?"


def test_the_pipeline_that_calls_the_others_is_the_one_that_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "several.py"
    file.write_text(
        "import tidemill as tm\n@tm.pipeline\ndef one(n=1): ...\n@tm.pipeline\ndef two(n=1): ...\n"
        "@tm.pipeline\ndef all_of_it():\n    return tm.when(True, lambda: one()), two()\n"
    )
    assert load.load(file).name == "all-of-it"
    assert load.load(file, "two").name == "two"


def test_objects_that_compare_in_their_own_way_stand_beside_pipelines(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text(
        "import numpy as np\nimport pandas as pd\nimport polars as pl\n"
        "FRAME = pd.DataFrame({'x': [1, 2]})\nSERIES = FRAME['x']\nPOLARS = pl.DataFrame({'x': [1, 2]})\n"
        "class Odd:\n    def __eq__(self, other): raise TypeError('not comparable')\nODD = Odd()\n"
    )
    file = tmp_path / "flow.py"
    file.write_text(
        "import numpy as np\nimport tidemill as tm\nfrom near import FRAME, ODD, POLARS, SERIES\n"
        "ARRAY = np.arange(3)\n@tm.pipeline\ndef part(n=ARRAY): ...\n@tm.pipeline\ndef whole():\n    return part()\n"
    )
    assert load.load(file).name == "whole"


def test_a_file_named_as_an_installed_module_hides_nothing(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text(
        "import tidemill as tm\n@tm.step\ndef s() -> int:\n    return 1\n@tm.pipeline\ndef p():\n    return s()\n"
    )
    pipeline = load.load(file)
    import json

    assert json.dumps(1) == "1"
    assert pipeline.build().node("s").component.name == "json_pipeline:s"


def test_importing_tidemill_and_building_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text("one = 1\n")
    (tmp_path / "flow.py").write_text(
        GOOD.replace("x: int", "x: 'tm.Table'").replace("add(n)", "add(tm.dataset('d'))")
    )
    code = f"""
import sys
from pathlib import Path
import tidemill as tm
tm.Table
from tidemill.pipeline.load import load
load(Path({str(tmp_path / "flow.py")!r})).build()
heavy = {{"numpy", "polars", "pyarrow", "lance", "sqlalchemy", "obstore", "keras"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180)
