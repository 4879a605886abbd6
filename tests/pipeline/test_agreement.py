"""What a step returns and what another takes are held against each other before anything runs."""

# Wrong calls are the subject here.
# pyright: reportCallIssue=false, reportArgumentType=false

from typing import Any

import numpy as np
import pandas as pd
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput


@tm.step
def number() -> float:
    return 1.0


@tm.step
def maybe() -> float | None:
    return 1.0


@tm.step
def unknown():
    return 1.0


@tm.step
def both() -> tuple[pd.DataFrame, int]:
    return pd.DataFrame(), 1


@tm.step
def array() -> np.ndarray:
    return np.zeros(3)


@tm.step
def frame(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


@tm.step
def rows_of(rows: tm.Table | None) -> int:
    return len(rows or ())


@tm.step
def ratio(x: float) -> float:
    return x


@tm.step
def several(xs: list[float]) -> float:
    return sum(xs)


@tm.step
def word(x: str) -> str:
    return x


@tm.trainer
def learn(rows: tm.Table) -> Any:
    return None


data = tm.dataset("points")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda: frame(number()), "Step 'frame' wants DataFrame as 'rows', but step 'number' returns float."),
        (
            lambda: rows_of(number()),
            "wants tidemill.store.table.Table | None as 'rows', but step 'number' returns float",
        ),
        (lambda: ratio(frame(data)), "wants float as 'x', but step 'frame' returns DataFrame"),
        (lambda: ratio(data), "wants float as 'x', but step 'points' returns rows"),
        (lambda: frame(both()[1]), "but step 'both.1' returns int"),
        (lambda: frame(array()), "but step 'array' returns ndarray"),
        (lambda: frame(learn(data)), "but step 'learn' returns a model"),
        (lambda: word(number()), "wants str as 'x', but step 'number' returns float"),
        (lambda: frame([number(), number()]), "but it gets a list of results"),
        (lambda: frame(tm.each([1], lambda _: number())), "returns a list"),
        (lambda: ratio(tm.when(True, lambda: frame(data))), "returns DataFrame"),
    ],
)
def test_what_surely_does_not_fit_names_both_steps_and_both_types(body: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        tm.pipeline(body).build()
    assert error.value.code == "wrong-input-kind"
    assert words in error.value.message


@pytest.mark.parametrize(
    "body",
    [
        lambda: frame(both()[0]),
        lambda: frame(data),
        lambda: rows_of(maybe()),
        lambda: frame(unknown()),
        lambda: ratio(rows_of(data)),
        lambda: several([number(), number()]),
        lambda: several(tm.each([1], lambda _: number())),
        lambda: several(array()),
        lambda: ratio(tm.when(unknown(), lambda: number(), lambda: number())),
        lambda: frame(tm.when(unknown(), lambda: number(), lambda: frame(data))),
    ],
)
def test_what_may_fit_is_left_to_the_run(body: Any) -> None:
    assert tm.pipeline(body).build().outputs
