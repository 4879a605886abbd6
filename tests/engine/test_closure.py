"""What counts as a change of a step's code, and what does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.engine.closure import Closure, closure_of
from tidemill.pipeline import load

Closures = Callable[..., Closure]


@pytest.fixture
def closure(tmp_path: Path) -> Closures:
    """Write files, load the pipeline file as it is now, and take the closure of one of its components."""

    def of(pipeline: str, name: str = "work", **files: str) -> Closure:
        load.leave()
        (tmp_path / "pipeline.py").write_text(pipeline)
        for stem, text in files.items():
            target = tmp_path / f"{stem}.py"
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
        return closure_of(getattr(load.load_module(tmp_path / "pipeline.py"), name))

    return of


PLAIN = """
import tidemill as tm
import near
from near import far_limit

LIMIT = 3
TABLE = {"a": [1, 2], "b": {3}}

class Base:
    factor = 2
    def scale(self, x):
        return x * self.factor

class Scaler(Base):
    @property
    def offset(self):
        return 1

def helper(x):
    return x + LIMIT

def unrelated(x):
    return x

@tm.step
def work(x: int, by: int = 2) -> int:
    'What it does.'
    total = helper(x) + near.shift(x) + far_limit
    scaler = Scaler()
    return scaler.scale(total) + scaler.offset + len(TABLE["a"]) + (lambda y: y + 1)(by)
"""
NEAR = """
import deep

far_limit = 10

def shift(x):
    return deep.twice(x) + 1

def unused(x):
    return x
"""
DEEP = """
FACTOR = 2

def twice(x):
    return FACTOR * x
"""


def test_it_reaches_what_the_step_uses_and_nothing_else(closure: Closures) -> None:
    found = closure(PLAIN, near=NEAR, deep=DEEP)
    assert set(found.code) == {
        "pipeline:work",
        "pipeline:work(default 0)",
        "pipeline:helper",
        "pipeline:LIMIT",
        "pipeline:TABLE",
        "pipeline:Base",
        "pipeline:Base.factor",
        "pipeline:Base.scale",
        "pipeline:Scaler",
        "pipeline:Scaler.offset",
        "near:shift",
        "near:far_limit",
        "pipeline:far_limit",
        "deep:twice",
        "deep:FACTOR",
    } - {"near:far_limit"}
    assert set(found.packages) == {"python"}


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("pipeline", "total = helper(x) +", "total = helper(x) -", "pipeline:work"),
        ("pipeline", "x + LIMIT", "x - LIMIT", "pipeline:helper"),
        ("pipeline", "LIMIT = 3", "LIMIT = 4", "pipeline:LIMIT"),
        ("pipeline", "LIMIT = 3", "LIMIT = 3.0", "pipeline:LIMIT"),
        ("pipeline", '"a": [1, 2]', '"a": [2, 1]', "pipeline:TABLE"),
        ("pipeline", "{3}", "{4}", "pipeline:TABLE"),
        ("pipeline", "factor = 2", "factor = 3", "pipeline:Base.factor"),
        ("pipeline", "x * self.factor", "x / self.factor", "pipeline:Base.scale"),
        ("pipeline", "return 1\n", "return 2\n", "pipeline:Scaler.offset"),
        ("pipeline", "class Scaler(Base)", "class Scaler(Base, object)", "pipeline:Scaler"),
        ("pipeline", "y + 1", "y + 2", "pipeline:work"),
        ("pipeline", "by: int = 2", "by: int = 5", "pipeline:work(default 0)"),
        ("near", "+ 1", "+ 2", "near:shift"),
        ("near", "far_limit = 10", "far_limit = 11", "pipeline:far_limit"),
        ("deep", "FACTOR * x", "x * FACTOR", "deep:twice"),
        ("deep", "FACTOR = 2", "FACTOR = 3", "deep:FACTOR"),
    ],
)
def test_a_change_of_meaning_is_seen(closure: Closures, file: str, old: str, new: str, changed: str) -> None:
    texts = {"pipeline": PLAIN, "near": NEAR, "deep": DEEP}
    before = closure(PLAIN, near=NEAR, deep=DEEP)
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new)
    after = closure(texts["pipeline"], near=texts["near"], deep=texts["deep"])
    differing = {n for n in {*before.code, *after.code} if before.code.get(n) != after.code.get(n)}
    assert changed in differing
    assert differing <= {changed, "pipeline:work", changed.rpartition(".")[0]}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipeline", "total = helper", "total = (  # a comment\n        helper"),
        ("pipeline", "'What it does.'", "'Says something else.'"),
        ("pipeline", "def unrelated(x):\n    return x", "def unrelated(x):\n    return -x"),
        ("pipeline", "LIMIT = 3", "LIMIT = 2 + 1"),
        ("near", "def unused(x):\n    return x", "def unused(x):\n    return 2"),
        ("deep", "\nFACTOR", "\n\n\n# moved down\nFACTOR"),
    ],
)
def test_formatting_comments_and_strangers_are_not_seen(
    closure: Closures, file: str, old: str, new: str
) -> None:
    texts = {"pipeline": PLAIN, "near": NEAR, "deep": DEEP}
    before = closure(PLAIN, near=NEAR, deep=DEEP)
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new)
    if "comment" in new:
        texts[file] = texts[file].replace("+ far_limit\n", "+ far_limit\n    )\n")
    after = closure(texts["pipeline"], near=texts["near"], deep=texts["deep"])
    assert after.code == before.code


def changed_by(closure: Closures, text: str, old: str, new: str, **files: str) -> bool:
    """Whether the change is seen, in the pipeline or in the one file that has it."""
    before = closure(text, **files)
    changed = {n: t.replace(old, new) for n, t in files.items()}
    assert text.replace(old, new) != text or changed != files
    return closure(text.replace(old, new), **changed).code != before.code


def test_partials_closures_and_decorators_are_looked_through(closure: Closures) -> None:
    text = """
import functools
import tidemill as tm

def times(factor):
    def multiply(x):
        return x * factor
    return multiply

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 0
    return wrapper

def power(x, exponent):
    return x ** exponent

double = times(2)
square = functools.partial(power, exponent=2)

@functools.lru_cache
def remembered(x):
    return x + 5

@logged
def inner(x):
    return x + 7

@tm.step
def work(x: int) -> int:
    return double(x) + square(x) + remembered(x) + inner(x)
"""
    for old, new in [
        ("times(2)", "times(3)"),
        ("exponent=2", "exponent=3"),
        ("x ** exponent", "x * exponent"),
        ("x + 5", "x + 6"),
        ("x + 7", "x + 8"),
        ("(*args) + 0", "(*args) + 1"),
        ("x * factor", "factor * x"),
    ]:
        assert changed_by(closure, text, old, new), old


def test_imports_inside_a_function_are_followed_without_importing(closure: Closures) -> None:
    text = """
import tidemill as tm

@tm.step
def work(x: int) -> int:
    from folder import inside
    import polars
    return inside.work(x)
"""
    files = {
        "folder/__init__": "",
        "folder/inside": "raise_if_imported = 1 / 0\nfrom . import beside\n\ndef work(x):\n    return x\n",
        "folder/beside": "VALUE = 1\n",
    }
    found = closure(text, **files)
    assert {"folder.inside:*", "folder.beside:*"} <= set(found.code)
    assert "polars" in found.packages
    assert changed_by(closure, text, "return x\n", "return -x\n", **files)
    assert changed_by(closure, text, "VALUE = 1", "VALUE = 2", **files)


def test_a_module_used_as_a_value_counts_whole(closure: Closures) -> None:
    text = """
import tidemill as tm
import near

@tm.step
def work(name: str) -> int:
    return getattr(near, name)(1)
"""
    assert changed_by(closure, text, "return x\n", "return -x\n", near=NEAR, deep=DEEP)


def test_versions_of_reached_packages_are_parts(closure: Closures) -> None:
    text = """
import numpy as np
import json
import tidemill as tm

def tidy(x):
    from sklearn.preprocessing import scale
    return scale(x)

@tm.step
def work(x: int) -> int:
    return int(np.ones(3).sum()) + len(json.dumps(tidy([x])))
"""
    found = closure(text)
    assert set(found.packages) == {"python", "numpy", "scikit-learn"}


def test_constants_of_many_kinds_have_one_digest_each(closure: Closures) -> None:
    text = """
import datetime
import enum
import logging
import re
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import tidemill as tm

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass
class Settings:
    name: str = "a"
    sizes: tuple = (1, 2)

log = logging.getLogger("x")
PATTERN = re.compile("a+")
ARRAY = np.arange(4)
WORDS = {"x", "y", "z", "longer", "words"}
SETTINGS = Settings()
WHERE = Path("data")
WHEN = datetime.date(2024, 1, 2)
MIXED = [None, True, 1.5, b"x", 1j, range(3), Colour.RED, max, Settings]

@tm.step
def work(x: int) -> int:
    log.info("x")
    return len((PATTERN, ARRAY, WORDS, SETTINGS, WHERE, WHEN, MIXED))
"""
    assert closure(text).code == closure(text).code
    for old, new in [
        ('"a+"', '"a*"'),
        ("np.arange(4)", "np.arange(5)"),
        ('"longer"', '"other"'),
        ("sizes: tuple = (1, 2)", "sizes: tuple = (1, 3)"),
        ('Path("data")', 'Path("more")'),
        ("date(2024, 1, 2)", "date(2024, 1, 3)"),
        ("Colour.RED, max", "Colour.BLUE, max"),
        ("RED, max", "RED, min"),
        ("range(3)", "range(4)"),
        ("RED = 1", "RED = 3"),
    ]:
        assert changed_by(closure, text, old, new), old


def test_what_has_no_content_is_an_error_that_says_what_to_do(closure: Closures) -> None:
    text = """
import threading
import tidemill as tm

guard = threading.Lock()

@tm.step
def work(x: int) -> int:
    with guard:
        return x
"""
    with pytest.raises(InvalidInput, match="'guard', a lock") as caught:
        closure(text)
    assert caught.value.code == "no-code-digest"
    assert "ignore=('guard',)" in (caught.value.hint or "")
    told = text.replace("@tm.step\n", "@tm.step(ignore=('guard',))\n")
    assert "pipeline:guard" not in closure(told).code


def test_recursion_and_mutual_calls_end(closure: Closures) -> None:
    text = """
import tidemill as tm

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

LOOP = [1]
LOOP.append(LOOP)

@tm.step
def work(x: int) -> bool:
    return even(x) and bool(LOOP) and work is not None
"""
    assert {"pipeline:even", "pipeline:odd", "pipeline:work"} <= set(closure(text).code)


def test_an_estimator_is_digested_by_its_parameters(closure: Closures) -> None:
    pytest.importorskip("sklearn")
    text = """
from sklearn.linear_model import LogisticRegression
import tidemill as tm

learn = tm.trainer(LogisticRegression(C=1.0), features="image", label="label")
"""
    found = closure(text, name="learn")
    assert "scikit-learn" in found.packages
    assert closure(text, name="learn").code == found.code
    assert closure(text.replace("C=1.0", "C=2.0"), name="learn").code != found.code


def test_a_built_in_part_is_digested_as_code(closure: Closures) -> None:
    text = "from tidemill.parts.clean import drop_missing as work\n"
    found = closure(text)
    assert "tidemill.parts.clean:drop_missing" in found.code
    assert "tidemill" in found.packages
