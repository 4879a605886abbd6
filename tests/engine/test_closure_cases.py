"""Every way in which a step can reach code, each with an edit that must miss and one that must hit."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.engine.closure import Closure, closure_of
from tidemill.pipeline import load


class Case(NamedTuple):
    """A pipeline file, edits of it that change what the step does, and edits that do not."""

    text: str
    misses: list[tuple[str, str]]
    hits: list[tuple[str, str]]


STRANGER = ("# here", "def stranger():\n    return 1")
"""An edit that no step cares about: a function that nobody calls."""

CASES = {
    "decorator": Case(
        """
import functools
import tidemill as tm

def scaled(by):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) * by
        return wrapper
    return decorate

# here
@tm.step
@scaled(2)
def work(x: int) -> int:
    "Words."
    return x + 1
""",
        [("scaled(2)", "scaled(3)"), ("* by", "+ by"), ("x + 1", "x + 2")],
        [STRANGER, ('"Words."', '"Other words."'), ("return x + 1", "return (x  # one more\n        + 1)")],
    ),
    "decorator of a library": Case(
        """
import contextlib
import functools
import tidemill as tm

@functools.lru_cache(maxsize=3)
def cached(x):
    return x + 1

@contextlib.contextmanager
def opened(x):
    yield x * 3

@functools.singledispatch
def kind(x):
    return 1

@kind.register
def _of_int(x: int):
    return 2

@kind.register
def _of_str(x: str):
    return 4

# here
@tm.step
def work(x: int) -> int:
    with opened(x) as y:
        return cached(y) + kind(y)
""",
        [
            ("x + 1", "x + 2"),
            ("x * 3", "x * 4"),
            ("return 1", "return 5"),
            ("return 2", "return 6"),
            ("x: int):\n    return 2", "x: bool):\n    return 2"),
        ],
        [STRANGER],
    ),
    "partial": Case(
        """
import functools
import tidemill as tm

def power(x, exponent=1, plus=0):
    return x ** exponent + plus

square = functools.partial(power, exponent=2)
nested = functools.partial(square, plus=1)

class Tool:
    cube = functools.partialmethod(power, 3)

# here
@tm.step
def work(x: int) -> int:
    return nested(x) + Tool().cube()
""",
        [
            ("exponent=2", "exponent=4"),
            ("plus=1", "plus=2"),
            ("** exponent", "* exponent"),
            ("(power, 3)", "(power, 5)"),
        ],
        [STRANGER],
    ),
    "methods, bases and properties": Case(
        """
import functools
import tidemill as tm

class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)

class Root:
    def shared(self):
        return 1

class Base(Root):
    factor = 2
    @classmethod
    def made(cls):
        return cls()
    @staticmethod
    def plain(x):
        return x - 1

class Tool(Base, metaclass=Meta):
    @property
    def width(self):
        return 3
    @functools.cached_property
    def height(self):
        return 4
    @functools.singledispatchmethod
    def kind(self, x):
        return 5
    def __add__(self, other):
        return 6
    class Inner:
        depth = 7

# here
@tm.step
def work(x: int) -> int:
    t = Tool.made()
    return t.shared() + t.plain(x) + t.width + t.height + t.kind(x) + (t + 1) + Tool.Inner.depth * t.factor
""",
        [
            ("return super()", "return 0 or super()"),
            *((f"return {n}", f"return {n}0") for n in (1, 3, 4, 5, 6)),
            ("factor = 2", "factor = 20"),
            ("cls()\n", "(cls())()\n"),
            ("x - 1", "x - 2"),
            ("depth = 7", "depth = 8"),
            ("class Base(Root)", "class Base"),
        ],
        [STRANGER, ("class Root:", 'class Root:\n    "What it is."')],
    ),
    "bound methods": Case(
        """
import re
import tidemill as tm

class Adder:
    def __init__(self, by):
        self.by = by
    def add(self, x):
        return x + self.by

add = Adder(3).add
find = re.compile("a+").search
known = {"a": 1}.get

# here
@tm.step
def work(x: int) -> int:
    return add(x) + bool(find("a")) + known("a", 0)
""",
        [("Adder(3)", "Adder(4)"), ("x + self.by", "x - self.by"), ('"a+"', '"b+"'), ('"a": 1', '"a": 2')],
        [STRANGER],
    ),
    "closures": Case(
        """
import tidemill as tm

def times(factor):
    def multiply(x):
        return x * factor
    return multiply

def after(f, g):
    return lambda x: g(f(x))

def more(x):
    return x + 1

one = times(2)
two = times(3)
three = times(2)
both = after(times(5), more)

# here
@tm.step
def work(x: int) -> int:
    return one(x) - two(x) - three(x) + both(x)
""",
        [
            ("one = times(2)\ntwo = times(3)", "one = times(3)\ntwo = times(2)"),
            ("three = times(2)", "three = times(3)"),
            ("after(times(5), more)", "after(more, times(5))"),
            ("x * factor", "factor * x"),
            ("g(f(x))", "f(g(x))"),
        ],
        [STRANGER],
    ),
    "which name holds what": Case(
        """
import math
import numpy as np
from math import floor, ceil
import tidemill as tm

def add(x):
    return x + 1

def double(x):
    return x * 2

first, second = add, double
root = math.sqrt
wave = np.sin
shape = dict

# here
@tm.step
def work(x: int) -> int:
    return int(first(x) - second(x) + root(4) + wave(0) + len(shape()) + floor(0.5) + ceil(0.5))
""",
        [
            ("first, second = add, double", "first, second = double, add"),
            ("math.sqrt", "math.cbrt"),
            ("np.sin", "np.cos"),
            ("shape = dict", "shape = list"),
            ("import floor, ceil", "import ceil as floor, floor as ceil"),
            ("import numpy as np", "import numpy.ma as np"),
        ],
        [STRANGER],
    ),
    "containers of functions": Case(
        """
import types
from collections import OrderedDict, defaultdict
import tidemill as tm

def add(x):
    return x + 1

def double(x):
    return x * 2

class Table:
    ways = {"a": add}

WAYS = {"add": add, "double": double}
CHAIN = [add, (double, add)]
FROZEN = types.MappingProxyType({"limit": 3})
ORDERED = OrderedDict(a=add, b=5)
DEFAULTS = defaultdict(list, a=[6])

# here
@tm.step
def work(name: str) -> int:
    return WAYS[name](1) + CHAIN[0](1) + FROZEN["limit"] + ORDERED["b"] + len(DEFAULTS) + Table.ways["a"](1)
""",
        [
            ("x + 1", "x + 2"),
            ("x * 2", "x * 3"),
            ('"add": add, "double": double', '"add": double, "double": add'),
            ("[add, (double, add)]", "[double, (add, add)]"),
            ('"limit": 3', '"limit": 4'),
            ("b=5", "b=7"),
            ("a=[6]", "a=[8]"),
            ('{"a": add}', '{"a": double}'),
        ],
        [STRANGER, ('{"add": add', '{\n    # the sum\n    "add": add')],
    ),
    "dataclasses and enums": Case(
        """
import enum
from dataclasses import dataclass, field
from typing import NamedTuple
import tidemill as tm

LIMIT = 3

def words():
    return ["a"]

class Colour(enum.Enum):
    RED = LIMIT
    def shade(self):
        return 1

class Pair(NamedTuple):
    left: int = 5
    right: int = LIMIT

@dataclass(frozen=True, order=False)
class Point:
    x: int = 1
    names: list = field(default_factory=words)
    y: int = field(default=LIMIT)
    def norm(self):
        return self.x

# here
@tm.step
def work(a: int) -> int:
    return Point(a).norm() + Colour.RED.value + Colour.RED.shade() + Pair().left
""",
        [
            ("LIMIT = 3", "LIMIT = 4"),
            ('["a"]', '["b"]'),
            ("x: int = 1", "x: int = 2"),
            ("order=False", "order=True"),
            ("return self.x", "return -self.x"),
            ("return 1", "return 2"),
            ("left: int = 5", "left: int = 6"),
        ],
        [STRANGER],
    ),
    "attributes of a function": Case(
        """
import tidemill as tm

def helper(x):
    return x + helper.step

helper.step = 2

# here
@tm.step
def work(x: int) -> int:
    return helper(x)
""",
        [("helper.step = 2", "helper.step = 3")],
        [STRANGER],
    ),
    "instances": Case(
        """
import tidemill as tm

class Model:
    def __init__(self, weights, link):
        self.weights, self.link = weights, link
    def __call__(self, x):
        return self.link(x * self.weights[0])

def relu(x):
    return max(x, 0)

class Held:
    model = Model([2, 3], relu)

model = Model([5], relu)

# here
@tm.step
def work(x: int) -> int:
    return model(x) + Held.model(x)
""",
        [("[5]", "[6]"), ("[2, 3]", "[2, 4]"), ("max(x, 0)", "max(x, 1)"), ("x * self", "x + self")],
        [STRANGER],
    ),
    "defaults and annotations": Case(
        """
import enum
import tidemill as tm

def near(x):
    return x + 1

def far(x):
    return x + 2

class Mode(enum.Enum):
    FAST = "fast"

# here
@tm.step
def work(x: int, mode: Mode = Mode.FAST, *, how=near) -> int:
    return how(x)
""",
        [("how=near", "how=far"), ("x + 1", "x + 3"), ('"fast"', '"slow"')],
        [STRANGER, ("x + 2", "x + 4")],
    ),
    "steps that call steps": Case(
        """
import tidemill as tm

@tm.step(ignore=("nothing",))
def inner(x: int) -> int:
    return x + 1

# here
@tm.step
def work(x: int) -> int:
    return inner(x)
""",
        [("x + 1", "x + 2")],
        [STRANGER, ('"nothing"', '"something"')],
    ),
    "lambdas, comprehensions and nested functions": Case(
        """
import tidemill as tm

LIMIT = 3
key = lambda x: x + 1

def helper(x):
    return x + 4

# here
@tm.step
def work(x: int) -> int:
    def inner(y):
        return [helper(z) for z in range(y) if z < LIMIT]
    class Local:
        size = helper(1)
    return sum(sorted(inner(x), key=key)) + Local.size
""",
        [("LIMIT = 3", "LIMIT = 4"), ("x + 1", "x + 2"), ("x + 4", "x + 5"), ("z < LIMIT", "z > LIMIT")],
        [STRANGER],
    ),
    "lambdas of one line": Case(
        """
import tidemill as tm

LOSS = {"abs": lambda x: abs(x), "sq": lambda x: x * x, "in": lambda x: x in {"a", "b", ("c", 1)}}
chosen = LOSS["abs"]

# here
@tm.step
def work(x: int) -> int:
    return chosen(x)
""",
        [('chosen = LOSS["abs"]', 'chosen = LOSS["sq"]'), ("abs(x)", "-abs(x)")],
        [STRANGER, ("# here", "\n\n# elsewhere"), ("lambda x: abs(x)", "lambda x:  abs( x )")],
    ),
    "functions made of a text": Case(
        """
import tidemill as tm

def made(source, name, **names):
    exec(source, names)
    return names[name]

one = made("def f(x): return x + 1", "f")
two = made("def f(x, y=2): return len(str(x)) + LIMIT", "f", LIMIT=3)
called = made("f = [lambda x: x, lambda x: -x][0]", "f")
three = eval("lambda x: x * 4", {"__name__": "nowhere"})
Made = type("Made", (), {"run": made("def run(self): return 5", "run"), "__call__": made("def c(s): return 6", "c")})

# here
@tm.step
def work(x: int) -> int:
    return one(x) + two(x) + called(x) + three(x) + Made().run() + Made()()
""",
        [
            ("x + 1", "x + 2"),
            ("y=2", "y=3"),
            ("LIMIT=3", "LIMIT=4"),
            ("[0]", "[1]"),
            ("x * 4", "x * 5"),
            ("return 5", "return 50"),
            ("return 6", "return 60"),
        ],
        [STRANGER, ("# here", "\n\n# elsewhere")],
    ),
    "make_dataclass": Case(
        """
import dataclasses
import tidemill as tm

Point = dataclasses.make_dataclass(
    "Point",
    [("x", int, 1), ("y", list, dataclasses.field(default_factory=lambda: [2], kw_only=True)), ("z", float, 3.0)],
    namespace={"more": lambda self: 4},
    order=True,
)

# here
@tm.step
def work(x: int) -> object:
    return Point(x)
""",
        [
            ("int, 1", "int, 10"),
            ("[2]", "[20]"),
            ("kw_only=True", "kw_only=False"),
            ('"z", float', '"z", int'),
            ('("z"', '("w"'),
            ("self: 4", "self: 40"),
            ("order=True", "order=False"),
        ],
        [STRANGER, ("# here", "\n\n# elsewhere")],
    ),
}


def closure(folder: Path, text: str, **files: str) -> Closure:
    """The closure of ``work`` as the file is now."""
    load.leave()
    for name, content in {"pipeline": text, **files}.items():
        file = folder / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return closure_of(load.load_module(folder / "pipeline.py").work)


def edited(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize("name", CASES)
def test_a_change_of_what_it_does_misses_and_any_other_hits(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    before = closure(tmp_path, case.text).code
    assert closure(tmp_path, case.text).code == before
    for old, new in case.misses:
        assert closure(tmp_path, edited(case.text, old, new)).code != before, f"{old} -> {new} is not seen"
    for old, new in case.hits:
        assert closure(tmp_path, edited(case.text, old, new)).code == before, f"{old} -> {new} is seen"


REEXPORTED = """
from package import helper
import package.deep.inner as deep
import tidemill as tm

@tm.step
def work(x: int) -> int:
    from package.lazy import later
    return helper(x) + deep.low(x) + later(x)
"""
PACKAGE = {
    "package/__init__": "from package.inside import helper, unused\nFLAG = 1\n",
    "package/inside": "def helper(x):\n    return x + 1\n\ndef unused(x):\n    return x\n",
    "package/lazy": "from package.beside import LIMIT\n\ndef later(x):\n    return x + LIMIT\n",
    "package/beside": "LIMIT = 3\n",
    "package/deep/__init__": "",
    "package/deep/inner": "def low(x):\n    return x - 1\n\ndef high(x):\n    return x\n",
}


def test_re_exports_and_imports_in_a_body_are_followed(tmp_path: Path) -> None:
    (tmp_path / "package" / "deep").mkdir(parents=True)
    before = closure(tmp_path, REEXPORTED, **PACKAGE).code
    for file, old, new, seen in [
        ("package/inside", "x + 1", "x + 2", True),
        ("package/beside", "LIMIT = 3", "LIMIT = 4", True),
        ("package/__init__", "FLAG = 1", "FLAG = 2", True),
        ("package/deep/inner", "x - 1", "x - 2", True),
        ("package/deep/inner", "return x\n", "return -x\n", False),
    ]:
        files = {**PACKAGE, file: edited(PACKAGE[file], old, new)}
        assert (closure(tmp_path, REEXPORTED, **files).code != before) == seen, f"{file}: {old} -> {new}"


VAGUE = """
import threading
import tidemill as tm

class Lexicon:
    def __init__(self, path, version):
        self.path, self.version, self.lock = path, version, threading.Lock()

# declared
lexicon = Lexicon("words.txt", 1)

@tm.step
def work(x: int) -> int:
    return x + lexicon.version
"""
DECLARED = edited(
    VAGUE, "# declared", "@tm.digest_of(Lexicon)\ndef _told(value):\n    return [value.path, value.version]"
)


def test_what_cannot_be_digested_is_an_error_that_says_how_to_declare_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'lexicon', a lock") as caught:
        closure(tmp_path, VAGUE)
    assert caught.value.code == "no-code-digest"
    for way in ("ignore=('lexicon',)", "@tidemill.digest_of(", "code_version="):
        assert way in str(caught.value.hint)


def test_digest_of_says_what_of_a_type_counts(tmp_path: Path) -> None:
    before = closure(tmp_path, DECLARED).code
    assert closure(tmp_path, edited(DECLARED, '"words.txt", 1', '"words.txt", 2')).code != before
    assert closure(tmp_path, edited(DECLARED, '"words.txt"', '"other.txt"')).code != before
    again = closure(tmp_path, edited(DECLARED, "lexicon = ", "unused = 1\nlexicon = ")).code
    assert again == before
    sub = edited(DECLARED, "lexicon = Lexicon(", "class More(Lexicon):\n    pass\n\nlexicon = More(")
    assert "pipeline:lexicon" in closure(tmp_path, sub).code


def test_code_version_stands_for_all_of_the_code(tmp_path: Path) -> None:
    text = edited(VAGUE, "@tm.step", '@tm.step(code_version="1")')
    before = closure(tmp_path, text).code
    assert list(before) == ["pipeline:work"]
    assert closure(tmp_path, edited(text, "return x + lexicon.version", "return 0")).code == before
    assert closure(tmp_path, edited(text, 'code_version="1"', 'code_version="2"')).code != before


def test_code_version_of_a_step_that_another_calls_counts_there(tmp_path: Path) -> None:
    text = """
import tidemill as tm

@tm.row_step(code_version="1")
def inner(rows: tm.Table) -> tm.Table:
    return rows

@tm.step
def work(x: int) -> int:
    return 0 if inner is None else x
"""
    before = closure(tmp_path, text).code
    assert closure(tmp_path, edited(text, "return rows", "return rows[:]")).code == before
    assert closure(tmp_path, edited(text, '"1"', '"2"')).code != before


def test_a_library_decorator_is_looked_through(tmp_path: Path) -> None:
    """A wrapper whose code is installed leads to the project's function, and shows what it was told."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "retrying.py").write_text(
        "import functools, threading\n"
        "class Policy:\n"
        "    def __init__(self, times):\n"
        "        self.times, self.lock = times, threading.Lock()\n"
        "def retry(times):\n"
        "    policy = Policy(times)\n"
        "    def decorate(function):\n"
        "        @functools.wraps(function)\n"
        "        def wrapped(*args):\n"
        "            return function(*args) if policy.times and times else None\n"
        "        return wrapped\n"
        "    return decorate\n"
    )
    text = f"""
import sys
sys.path.insert(0, {str(library)!r})
import retrying
import tidemill as tm

@retrying.retry(3)
def helper(x):
    return x + 1

# here
@tm.step
def work(x: int) -> int:
    return helper(x)
"""
    before = closure(tmp_path, text)
    assert before.packages["retrying"].startswith("files ")
    assert closure(tmp_path, edited(text, "x + 1", "x + 2")).code != before.code
    assert closure(tmp_path, edited(text, "retry(3)", "retry(4)")).code != before.code
    assert closure(tmp_path, edited(text, *STRANGER)).code == before.code
