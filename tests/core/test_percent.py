"""A share in percent: rounded, and never to a whole or to nothing that it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.percent import percent


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [
        (0, 1, "0.0 %"),
        (1, 1, "100.0 %"),
        (0.1234, 1, "12.3 %"),
        (0.5, 0, "50 %"),
        (0.9999, 1, ">99.9 %"),
        (0.996, 0, ">99 %"),
        (0.0001, 1, "<0.1 %"),
        (1e-9, 2, "<0.01 %"),
        (0.9949, 0, "99 %"),
    ],
)
def test_it_reads(share: float, digits: int, told: str):
    assert percent(share, digits) == told


@given(st.floats(0, 1), st.integers(0, 3))
def test_it_is_what_the_share_is(share: float, digits: int):
    told = percent(share, digits)
    number = float(told.strip("<> %"))
    assert abs(number - share * 100) <= 1.001 * 10.0**-digits
    assert (told.startswith("<"), told.startswith(">")) == (
        0 < share < 1 and round(share * 100, digits) == 0,
        0 < share < 1 and round(share * 100, digits) == 100,
    )
