"""Any program of conditions and lists comes to what plain Python comes to: in a run, in memory, and from the cache."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidemill as tm
from tests.engine.projects import Project
from tidemill.engine.run import run

Program = tuple[Any, ...]


class Python:
    """What the steps do, done at once."""

    @staticmethod
    def start(x: int) -> int:
        return x

    @staticmethod
    def plus(x: int, y: int) -> int:
        return x + y

    @staticmethod
    def is_odd(x: int) -> bool:
        return x % 2 == 1

    @staticmethod
    def listed(x: int) -> list[int]:
        return [x + i for i in range(x % 4)]

    @staticmethod
    def total(xs: list[Any]) -> int:
        return sum(x for x in xs if x is not None)

    @staticmethod
    def some(x: int | None) -> int:
        return -7 if x is None else x

    @staticmethod
    def when(condition: bool, then: Callable[[], Any], otherwise: Callable[[], Any] | None = None) -> Any:
        return then() if condition else otherwise() if otherwise is not None else None

    @staticmethod
    def each(items: list[Any], function: Callable[[Any], Any]) -> list[Any]:
        return [function(item) for item in items]

    @staticmethod
    def nested(function: Callable[[Any], Any], x: Any) -> Any:
        return function(x)


class Steps:
    """The same by steps, of no file: they are computed in this process."""

    start = tm.step(lambda x: x)
    plus = tm.step(lambda x, y: x + y)
    is_odd = tm.step(lambda x: x % 2 == 1)
    listed = tm.step(lambda x: [x + i for i in range(x % 4)])
    total = tm.step(lambda xs: sum(x for x in xs if x is not None))
    some = tm.step(lambda x: -7 if x is None else x)
    when = staticmethod(tm.when)
    each = staticmethod(tm.each)

    @staticmethod
    def nested(function: Callable[[Any], Any], x: Any) -> Any:
        return tm.pipeline(name="inner")(lambda x: function(x))(x=x)


def value(program: Program, seen: tuple[Any, ...], by: Any) -> Any:
    """What a program comes to, by steps or by Python; ``seen`` are the values around it."""

    def of(inner: Program, *more: Any) -> Any:
        return value(inner, (*seen, *more), by)

    kind, *parts = program
    match kind:
        case "const":
            return by.start(parts[0])
        case "seen":
            return seen[parts[0] % len(seen)]
        case "plus":
            return by.plus(of(parts[0]), of(parts[1]))
        case "when":
            return by.when(by.is_odd(of(parts[0])), lambda: of(parts[1]), lambda: of(parts[2]))
        case "maybe":
            return by.some(by.when(by.is_odd(of(parts[0])), lambda: of(parts[1])))
        case "known":
            return by.total(by.each(list(parts[0]), lambda item: of(parts[1], by.start(item))))
        case "computed":
            return by.total(by.each(by.listed(of(parts[0])), lambda item: of(parts[1], item)))
        case "twice":
            once = by.each(by.listed(of(parts[0])), lambda item: of(parts[1], item))
            return by.total(by.each(once, lambda item: of(parts[2], item)))
        case "nested":
            return by.nested(lambda x: of(parts[1], x), of(parts[0]))
        case _:
            raise AssertionError(kind)


numbers = st.integers(0, 5)
programs: st.SearchStrategy[Program] = st.recursive(
    st.tuples(st.just("const"), numbers) | st.tuples(st.just("seen"), numbers),
    lambda inner: (
        st.tuples(st.sampled_from(["plus", "maybe", "computed", "nested"]), inner, inner)
        | st.tuples(st.sampled_from(["when", "twice"]), inner, inner, inner)
        | st.tuples(st.just("known"), st.lists(numbers, max_size=3), inner)
    ),
    max_leaves=7,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs)
def test_a_program_comes_to_what_python_comes_to(project: Project, program: Program) -> None:
    pipeline = tm.pipeline(name="p")(lambda: {"it": Steps.plus(value(program, (Steps.start(3),), Steps), 0)})
    expected = value(program, (3,), Python)
    assert pipeline() == {"it": expected}
    results = [
        run(project.store, pipeline.build(), pipeline_name="p", file=None, parameters={}) for _ in range(2)
    ]
    for result in results:
        assert project.value(result, "it") == expected
        names = [s.name for s in result.steps]
        assert len(names) == len(set(names))
    assert {s.status for s in results[1].steps} <= {"cached", "skipped"}
