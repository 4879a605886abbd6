"""A value of Python stays what it is, or is refused; what was typed is read by the annotation."""

import datetime as dt
import enum
import json
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
)
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.core.given import Json, Text
from tidemill.pipeline import spelling, values
from tidemill.pipeline.parameters import EMPTY


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "quick"


class Bits(enum.Flag):
    A = 1
    B = 2


Count = NewType("Count", int)
BERLIN = dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)


class Config(TypedDict):
    weights: dict[int, float]
    day: Required[dt.date]
    color: "NotRequired[Color]"


class Partial(TypedDict, total=False):
    lr: float


class Pair(NamedTuple):
    a: int
    b: int


class Own(list[int]):
    pass


CONFIG = {"weights": {}, "day": dt.date(2026, 11, 30), "color": Color.RED}
TYPED: list[tuple[Any, str, Any]] = [
    (EMPTY, "1e5", "1e5"),
    (Any, "null", "null"),
    (object, "[1]", "[1]"),
    ("pl.DataFrame", "3", "3"),
    (int, "3", 3),
    (Count, "3", 3),
    (Annotated[int, "items"], "3", 3),
    (float, "1e-3", 0.001),
    (float, "inf", float("inf")),
    (bool, "no", False),
    (bool, "TRUE", True),
    (str, "3", "3"),
    (str, " a ", " a "),
    (bytes, "größe", "größe".encode()),
    (int | None, "none", None),
    (int | None, "7", 7),
    (str | None, "7", "7"),
    (Optional[float], "7", 7.0),  # noqa: UP045 - people write it
    (float | str, "fast", "fast"),
    (float | str, "2", 2.0),
    (Literal["mse", "bce"], "bce", "bce"),
    (Literal[1, 2], "2", 2),
    (Literal[True, "auto"], "true", True),
    (Path, "x/y", Path("x/y")),
    (dt.date, "2026-11-30", dt.date(2026, 11, 30)),
    (dt.datetime, "2026-11-30T09:00:00+01:00", dt.datetime.fromisoformat("2026-11-30T09:00:00+01:00")),
    (dt.time, "09:30", dt.time(9, 30)),
    (Decimal, "1.10", Decimal("1.10")),
    (uuid.UUID, "12345678123456781234567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
    (Color, "RED", Color.RED),
    (Color, "blue", Color.BLUE),
    (Level, "HIGH", Level.HIGH),
    (Level, "2", Level.HIGH),
    (float | int, "9007199254740993", 2**53 + 1),
    (float | int, "9007199254740992.5", 9007199254740992.5),
    (float, "1e23", 1e23),
    (float, "-Infinity", float("-inf")),
    (bool | int, "1", 1),
    (int | bool, "0", 0),
    (bool | int, "true", True),
    (bool | int | str, "no", False),
    (float | int | None, "1", 1),
    (Literal[True, 1], "1", 1),
    (Literal[True, 1], "yes", True),
    (Final[int], "3", 3),
    (Final[list[int]], "1,2", [1, 2]),
    (list, "1,true", ["1", "true"]),
    (list[int], "1, 2", [1, 2]),
    (list[str], "1,", ["1", ""]),
    (list[Color], "RED,blue", [Color.RED, Color.BLUE]),
    (list[Any], '["1", 1]', ["1", 1]),
    (tuple[int, ...], "[4, 5]", (4, 5)),
    (tuple[int, str], "4,a", (4, "a")),
    (set[int], "1,2", {1, 2}),
    (frozenset[str], "a,b", frozenset({"a", "b"})),
    (Sequence[int], "1,2", [1, 2]),
    (list[int], "", []),
    (
        Config,
        '{"weights": {"0": 1}, "day": "2026-11-30"}',
        {"weights": {0: 1.0}, "day": dt.date(2026, 11, 30)},
    ),
    (Config | None, '{"weights": {}, "day": "2026-11-30", "color": "red"}', CONFIG),
    (list[Partial], '[{}, {"lr": 1}]', [{}, {"lr": 1.0}]),
    (dict[str, float], '{"x": 1}', {"x": 1.0}),
    (dict[int, float], '{"0": 1, "1": 5}', {0: 1.0, 1: 5.0}),
    (Mapping[Level, list[int]], '{"LOW": [1]}', {Level.LOW: [1]}),
    (dict[str, Any], '{"a": "1"}', {"a": "1"}),
    (list[dict[str, tuple[int, int]]], '[{"a": [1, 2]}]', [{"a": (1, 2)}]),
    (tm.Dataset, "fashion@v1", tm.dataset("fashion@v1")),
    (tm.Model, "fashion@2", tm.model("fashion@2")),
    (tm.Model, "fashion/2", tm.model("fashion@2")),
    (tm.Secret, "env:TOKEN", tm.secret("TOKEN")),
]

NOT_TYPED: list[tuple[Any, str]] = [
    (int, "1.0"),
    (int, "1e3"),
    (int, ""),
    (float, "fast"),
    (bool, "perhaps"),
    (Literal["a", "b"], "c"),
    (Color, "green"),
    (list[int], "1,,2"),
    (list[int], '["1"]'),
    (list[int], "[1"),
    (tuple[int, int], "1"),
    (set[int], "1,1"),
    (dict[int, float], "0=1"),
    (dict[int, float], '{"a": 1}'),
    (dict[int, float], '{"1": 1, "01": 2}'),
    (dt.date, "30.11.2026"),
    (Decimal, "much"),
    (int | float, "many"),
    (float, "9007199254740993"),
    (float, "-9_007_199_254_740_993"),
    (list[float], "1,9007199254740993"),
    (float, "1e400"),
    (float | int, "-1e400"),
    (float, "1" * 400),
    (complex, "1e400+1j"),
    (float, "1e-400"),
    (float | int, "-0.01E-399"),
    (complex, "1e-400j"),
    (dict[str, float], '{"a": [1e-400]}'),
    (dict[str, float], '{"a": 1e400}'),
    (dict[int, int], '{"1": 2, "1": 3}'),
    (list[dict[str, Any]], '[{"a": {"b": 1, "b": 1}}]'),
    (Final[int], "a"),
    (Config, '{"weights": {}}'),
    (Config, '{"weights": {"a": 1}, "day": "2026-11-30"}'),
    (Partial, '{"lr": "1"}'),
    (Partial, '{"rate": 1}'),
    (Partial, "1"),
]


@pytest.mark.parametrize(("annotation", "text", "value"), TYPED)
def test_what_was_typed_is_read_by_the_annotation(annotation: Any, text: str, value: Any) -> None:
    found = values.given(Text(text), annotation)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(("annotation", "text"), NOT_TYPED)
def test_what_was_typed_and_does_not_fit_is_refused(annotation: Any, text: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        values.given(Text(text), annotation)


@pytest.mark.parametrize(
    ("annotation", "text", "why"),
    [
        (dict[int, int], '{"1": 2, "1": 3}', "The name '1' is there twice in an object."),
        (float, "9007199254740993", "The nearest float is 9007199254740992."),
        (float | None, "1e400", "1e400 is beyond what a float holds."),
        (float, "1e-400", "1e-400 is nearer to 0 than any other float."),
        (dict[str, float], '{"a": 1e-400}', "1e-400 is nearer to 0 than any other float."),
        (Partial, '{"rate": 1}', "Partial has no 'rate': it has lr."),
        (Config | None, '{"day": "2026-11-30"}', "Config needs 'weights'."),
        (Partial, '{"lr": "1"}', "'lr' does not fit."),
    ],
)
def test_a_refusal_says_what_would_be_lost(annotation: Any, text: str, why: str) -> None:
    assert values.wrong_type("Parameter", "x", Text(text), annotation).why == why


BY_NAME = (Path, tm.Dataset, tm.Model, tm.Secret)
"""What its text names altogether: Python may give that text."""


@pytest.mark.parametrize(("annotation", "text", "value"), TYPED)
def test_text_from_python_stays_or_is_refused(annotation: Any, text: str, value: Any) -> None:
    try:
        found = values.given(text, annotation)
    except ValueError:
        return
    if annotation in BY_NAME:
        assert found == value
    else:
        assert found == text
        assert type(found) is str


KEPT: list[tuple[Any, Any]] = [
    (EMPTY, "1e5"),
    (Any, '"1"'),
    (list, ["1", "true", "null"]),
    (dict[str, Any], {"a": "1"}),
    (str | None, "null"),
    (EMPTY, (28, 28)),
    (tuple[int, int], (28, 28)),
    (list | tuple, (28, 28)),
    (Sequence[str], ("a", "b")),
    (EMPTY, {0: 1.0, 1: 5.0}),
    (dict[int, float], {0: 1.0, 1: 5.0}),
    (Config, CONFIG),
    (Partial, {"lr": 0.5}),
    (dict, {(1, 2): "a", None: [1], True: {2: 3}}),
    (dict[str, Any], {"$secret": "env:HOME", "a": 1}),
    (EMPTY, {"$tuple": [1]}),
    (EMPTY, Path("x/y")),
    (Path, Path("x/y")),
    (list[Path], [Path("x"), Path("y")]),
    (Path | str, "x"),
    (Path | str, Path("x")),
    (EMPTY, b"\x00\xff"),
    (bytes, b"a"),
    (set[int], {3, 1, 2}),
    (EMPTY, frozenset({"a", "b"})),
    (Color, Color.RED),
    (EMPTY, Color.RED),
    (Color | None, Color.BLUE),
    (Level, Level.HIGH),
    (int, Level.HIGH),
    (EMPTY, Mode.FAST),
    (Mode, Mode.FAST),
    (str, Mode.FAST),
    (EMPTY, Bits.A | Bits.B),
    (Literal[1, "1"], "1"),
    (Literal[True, 1], 1),
    (dt.date, dt.date(2026, 11, 30)),
    (dt.date, dt.datetime(2026, 11, 30, 1)),  # noqa: DTZ001 - a datetime is a date too
    (EMPTY, BERLIN),
    (dt.datetime, BERLIN),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=3)),
    (Decimal, Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=7)),
    (complex, 1 - 2j),
    (float, float("nan")),
    (EMPTY, -0.0),
    (int, 2**70),
    (EMPTY, np.float32(0.1)),
    (EMPTY, np.int64(3)),
    (EMPTY, np.datetime64("2026-11-30")),
    (EMPTY, [np.bool_(True), (1, [2, {3: (4,)}])]),
    (EMPTY, None),
    (EMPTY, "\ud800"),
]


@pytest.mark.parametrize(("annotation", "value"), KEPT)
def test_a_value_from_python_arrives_as_it_is(annotation: Any, value: Any) -> None:
    found = values.given(value, annotation)
    assert type(found) is type(value)
    tree = values.setting(found, annotation)
    arrived = values.read(json.loads(json.dumps(spelling.written(tree))), annotation)
    assert type(arrived) is type(value)
    assert repr(arrived) == repr(value) if not isinstance(value, (set, frozenset)) else arrived == value


def test_a_name_that_can_be_read_two_ways_is_spelled_out() -> None:
    class Twisted(enum.StrEnum):
        a = "b"
        b = "a"

    Twisted.__module__, Twisted.__qualname__ = __name__, "Twisted"
    globals()["Twisted"] = Twisted
    for member in Twisted:
        assert values.read(values.setting(member, Twisted), Twisted) is member


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "3"),
        (int, True),
        (int, 3.0),
        (float, "1e5"),
        (float, 2**53 + 1),
        (bool, "yes"),
        (bool, 1),
        (list, "a,b"),
        (list[int], ["1"]),
        (Sequence[str], "ab"),
        (dict[int, float], {"0": 1.0}),
        (dict, '{"a": 1}'),
        (Literal[1], True),
        (Literal[1, 2], "1"),
        (Color, "RED"),
        (Color, "red"),
        (dt.date, "2026-11-30"),
        (Decimal, "1.10"),
        (bytes, "a"),
        (set, [1]),
        (list, {1}),
        (Config, {"weights": {"0": 1.0}, "day": dt.date(2026, 11, 30)}),
        (Config, {"weights": {}, "day": "2026-11-30"}),
        (Partial, {"rate": 1.0}),
        (Partial, [("lr", 1.0)]),
        (dict[str, int], Counter("aa")),
        (dict, OrderedDict(a=1)),
        (Partial, OrderedDict(lr=1.0)),
        (Mapping[str, int], defaultdict(int, a=1)),
        (list[int], Own([1])),
        (Sequence[int], Own([1])),
        (tuple[int, int], Pair(1, 2)),
    ],
)
def test_a_value_from_python_that_does_not_fit_is_refused(annotation: Any, value: Any) -> None:
    def body(x: Any) -> str:
        return repr(x)

    body.__annotations__["x"] = annotation
    step = tm.step(body)
    with pytest.raises(InvalidInput) as caught:
        tm.pipeline(name="p")(lambda: step(value)).build()
    assert caught.value.code == "wrong-parameter-type"
    assert "'x' must be" in caught.value.message

    def p(x: Any) -> Any:
        return step(x)

    p.__annotations__["x"] = annotation
    with pytest.raises(InvalidInput) as caught:
        tm.pipeline(p).build({"x": value})
    assert caught.value.code == "wrong-parameter-type"


class Odd:
    pass


@pytest.mark.parametrize(
    "value",
    [
        Odd(),
        [Odd()],
        {"a": {1: Odd()}},
        np.zeros(3),
        np.longdouble(1),
        range(3),
        object,
    ],
)
def test_what_no_record_can_hold_is_refused(value: Any) -> None:
    step = tm.step(lambda x: x)
    with pytest.raises(InvalidInput) as caught:
        tm.pipeline(name="p")(lambda: step(value)).build()
    assert caught.value.code == "not-a-setting"
    assert set(values.recorded(value, EMPTY)) == {"$object"}


@pytest.mark.parametrize("wrapped", [lambda n: n, lambda n: {"a": [n]}, lambda n: {n: 1}])
def test_a_number_that_python_does_not_write_is_refused(wrapped: Callable[[int], Any]) -> None:
    assert values.setting(10**3999, EMPTY) == 10**3999
    step = tm.step(lambda x: x)
    with pytest.raises(InvalidInput, match="an? int as 'x'") as caught:
        tm.pipeline(name="p")(lambda: step(wrapped(10**5000))).build()
    assert caught.value.code == "not-a-setting"
    assert "4,000 digits" in str(caught.value.why)
    assert set(values.recorded(wrapped(10**5000), EMPTY)) == {"$object"}


def test_a_list_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(spelling.NoSpelling):
        spelling.spell(circle)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.integers() | st.text() | st.booleans() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    PLAIN
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(Color)
    | st.builds(Path, st.just("a/b")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value_makes_the_trip_through_json(value: Any) -> None:
    """Through the spelling, what records do with it, and JSON: the same value, of the same types."""
    tree = values.setting(values.given(value, EMPTY), EMPTY)
    back = values.read(json.loads(json.dumps(spelling.written(tree))), EMPTY)
    assert spelling.is_same(spelling.spell(back), spelling.spell(value))


@settings(max_examples=200, deadline=None)
@given(
    st.text(),
    st.sampled_from([EMPTY, Any, str, str | None, list, dict[str, Any], Literal["1"], int, float | str]),
)
def test_no_text_from_python_becomes_something_else(text: str, annotation: Any) -> None:
    try:
        found = values.given(text, annotation)
    except ValueError:
        return
    assert type(found) is str
    assert found == text


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from([annotation for annotation, _, _ in TYPED]))
def test_whatever_is_typed_is_read_or_refused(text: str, annotation: Any) -> None:
    try:
        values.given(Text(text), annotation)
    except (ValueError, InvalidInput):
        return


@pytest.mark.parametrize(
    "tree",
    [
        {"$tuple": 3},
        {"$enum": ["no", "such", "thing", 1]},
        {"$what": 1},
        {"$dict": [1]},
        {"$date": "x"},
        {"$object": "x"},
        {"$numpy": ["O", "AA=="]},
        {"$datetime": {}},
    ],
)
def test_json_that_spells_nothing_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.given(Json(tree), EMPTY)


def test_settings_that_json_says_have_the_spelling_they_always_had() -> None:
    """What was right before keeps its key."""
    cases: list[tuple[Any, Any, Any]] = [
        (tuple[int, int], (28, 28), [28, 28]),
        (tuple[str, ...] | None, ("a",), ["a"]),
        (Path, Path("a/b"), "a/b"),
        (float, 2, 2.0),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Level, Level.HIGH, 2),
        (Mode, Mode.FAST, "quick"),
        (EMPTY, "linear", "linear"),
        (list[tuple[int, int]], [(1, 2)], [[1, 2]]),
    ]
    for annotation, value, tree in cases:
        found = values.setting(values.given(value, annotation), annotation)
        assert spelling.is_same(found, tree) or found == tree
        assert json.dumps(found) == json.dumps(tree)


def test_a_parameter_without_annotation_takes_typed_text_as_text() -> None:
    @tm.pipeline
    def p(n, m=None, k=1):
        return {}

    found = p.values({"n": Text("1e5"), "m": Text("null"), "k": Text("3")})
    assert found == {"n": "1e5", "m": "null", "k": 3}, "a default says what is wanted, as an annotation does"
    assert p.values({"n": Json(3), "m": Json([1])}) == {"n": 3, "m": [1], "k": 1}


def test_the_reserved_name_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidInput) as caught:

        @tm.pipeline
        def p(options: int = 1):
            return None

    assert caught.value.code == "reserved-parameter"


def test_plain_results_of_branches_are_exact_or_refused() -> None:
    decide = tm.step(lambda: True)

    def build(value: Any) -> Any:
        return tm.pipeline(name="p")(
            lambda: {"a": tm.when(decide(), lambda: [value], lambda: [value])}
        ).build()

    assert build("1e5")
    for odd in ((1, 2), {1: 2}, Path("a"), Color.RED):
        with pytest.raises(InvalidInput) as caught:
            build(odd)
        assert caught.value.code == "not-a-setting"


def test_a_default_that_compares_in_its_own_way_is_shown_beside_a_value_that_does_not_fit() -> None:
    default = np.arange(2)
    assert values.wrong_type("Parameter", "n", "a", int, default).hint == f"Give a value such as {default!r}."
