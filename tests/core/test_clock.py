"""Stamps sort as time does, and ids do not repeat."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tidemill.core import clock

MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(MOMENTS, MOMENTS)
def test_text_order_is_time_order(one: datetime, other: datetime):
    assert (clock.stamp(one) < clock.stamp(other)) == (one < other)


@given(MOMENTS)
def test_a_stamp_reads_back(moment: datetime):
    assert clock.parse(clock.stamp(moment)) == moment


def test_another_time_zone_is_the_same_moment():
    here = datetime(2026, 11, 24, 12, tzinfo=timezone(timedelta(hours=2)))
    assert clock.stamp(here) == "2026-11-24T10:00:00.000000Z"


def test_an_age_is_in_the_greatest_unit_that_says_it():
    for seconds, said in (
        (0, "just now"),
        (61, "1 minute ago"),
        (2 * 3600 + 5, "2 hours ago"),
        (3e5, "3 days ago"),
    ):
        assert clock.ago(clock.stamp(clock.now() - timedelta(seconds=seconds))) == said


def test_run_ids_start_with_the_time_and_differ():
    ids = {clock.new_run_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(datetime.fromisoformat(i[:15].replace("-", "T")) for i in ids)
    assert len({clock.new_id() for _ in range(50)}) == 50
