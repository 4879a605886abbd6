"""What ran where, and what may go there next."""

import pytest

from tidemill.core.errors import NotAllowed, NotFound
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.release import history
from tidemill.store.catalog import records
from tidemill.store.open import Store


def deployed(store: Store, environment: str, *numbers: int | str) -> None:
    """Deployments in order; the last is live, the others retired, one written as text failed."""
    with store.catalog.write() as write:
        for at, number in enumerate(numbers):
            last = at == len(numbers) - 1
            status = "failed" if isinstance(number, str) else "live" if last else "retired"
            write.add(
                records.Deployment(
                    id=f"{environment}-{at}",
                    environment=environment,
                    release_name="fashion",
                    release_number=int(number),
                    release_digest=f"sha256:{number}",
                    status=status,
                    author="ada",
                    started_at=f"2026-01-01T00:00:{at:02}.000000Z",
                    finished_at=None,
                    reason="",
                )
            )


def release(number: int) -> records.Release:
    return records.Release("fashion", number, f"sha256:{number}", "run", "ada", "")


def test_history_is_newest_first_and_current_is_the_live_one(store: Store):
    assert history.current(store, "prod") is None
    deployed(store, "prod", 1, "2", 3)
    assert [d.release_number for d in history.history(store, "prod")] == [3, 2, 1]
    current = history.current(store, "prod")
    assert current is not None
    assert current.release_number == 3


@pytest.mark.parametrize(
    ("numbers", "before"),
    [
        ([], None),
        ([1], None),
        ([1, 2], 1),
        ([1, "2", 3], 1),
        ([1, 2, 3], 2),
        ([1, 2, 3, 2], 1),
        ([1, 2, 3, 2, 1], None),
        ([1, 2, 3, 2, 4], 2),
        ([1, 2, 3, 1], 3),
        ([1, 2, 2], 1),
    ],
)
def test_each_rollback_goes_one_release_further_back(
    store: Store, numbers: list[int | str], before: int | None
):
    deployed(store, "prod", *numbers)
    found = history.previous(store, "prod")
    assert (found.release_number if found else None) == before


def test_a_release_must_have_been_live_where_it_must_come_from(store: Store):
    settings = Settings()
    history.check_order(store, settings, release(1), "dev")
    with pytest.raises(NotAllowed) as caught:
        history.check_order(store, settings, release(1), "test")
    assert caught.value.code == "promotion-order"
    assert caught.value.hint == "Type 'tidemill promote fashion/1 dev'."
    deployed(store, "dev", 1, "2", 3)
    for number in (1, 3):
        history.check_order(store, settings, release(number), "test")
    with pytest.raises(NotAllowed):
        history.check_order(store, settings, release(2), "test")


def test_an_unknown_environment_is_answered_with_the_nearest(store: Store):
    with pytest.raises(NotFound) as caught:
        history.environment_settings(Settings(), "pord")
    assert caught.value.hint == "Did you mean 'prod'?"
    with pytest.raises(NotFound):
        history.check_order(
            store, Settings(environments={"prod": EnvironmentSettings(after="gone")}), release(1), "prod"
        )
