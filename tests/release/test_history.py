"""What ran where, and what may go there next."""

import dataclasses

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
    found = history.previous(history.history(store, "prod"))
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


def test_an_unknown_environment_is_answered_with_the_nearest():
    with pytest.raises(NotFound) as caught:
        history.environment_settings(Settings(), "pord")
    assert caught.value.hint == "Did you mean 'prod'?"


def entry(number: int, release: int, *, back_from: int | None = None, clock: int = 0) -> records.Deployment:
    return records.Deployment(
        id=f"{number}",
        environment="prod",
        release_name="fashion",
        release_number=release,
        release_digest=f"sha256:{release}",
        status="retired",
        author="ada",
        started_at=f"2026-01-01T00:00:{clock:02}.000000Z",
        finished_at=None,
        reason="",
        number=number,
        back_from=back_from,
    )


def test_the_first_environment_is_each_machines_own_unless_the_settings_say_otherwise():
    def personal(first: bool | None) -> list[bool]:
        places = {"dev": EnvironmentSettings(personal=first), "prod": EnvironmentSettings()}
        return [history.is_personal(Settings(environments=places), name) for name in (*places, "other")]

    assert personal(None) == [True, False, False]
    assert personal(False) == [False, False, False]
    both = {"dev": EnvironmentSettings(), "prod": EnvironmentSettings(personal=True)}
    assert history.is_personal(Settings(environments=both), "prod")


def test_what_another_machine_takes_over_is_no_promotion():
    entries = [entry(1, 1), entry(2, 2), entry(3, 1, back_from=2)]
    for kind in ("take-over", "found"):
        entries.append(dataclasses.replace(entry(len(entries) + 1, 1), kind=kind))
        # Release 2 was rolled back from, and nothing was promoted since.
        assert history.previous(history.in_order(entries)) is None
    entries.append(dataclasses.replace(entry(6, 3), kind="promotion"))
    found = history.previous(history.in_order(entries))
    assert found is not None
    assert found.release_number == 1


def test_what_ran_is_ordered_by_number_whatever_the_clocks_of_machines_say():
    entries = [entry(1, 1, clock=9), entry(2, 2, clock=5), entry(3, 3, clock=7)]
    assert [d.number for d in history.in_order(entries)] == [3, 2, 1]
    found = history.previous(history.in_order(entries))
    assert found is not None
    assert found.number == 2


def test_a_rollback_goes_to_nothing_that_was_rolled_back_from_since_the_last_promotion():
    entries = [entry(1, 1), entry(2, 2), entry(3, 3), entry(4, 2, back_from=3)]
    assert history.previous(history.in_order(entries)) == entries[0]
    # Promoted by hand after it had been live: no rollback, so what was there before is what lies beneath.
    entries = [entry(1, 1), entry(2, 2), entry(3, 3), entry(4, 2)]
    assert history.previous(history.in_order(entries)) == entries[2]
    # Also when that lies right beneath, and in what an older Tidemill recorded, without numbers.
    entries = [entry(1, 1), entry(2, 2), entry(3, 1)]
    assert history.previous(history.in_order(entries)) == entries[1]
    older = [
        dataclasses.replace(entry(n, r, clock=n), number=None, reason=history.PROMOTED)
        for n, r in ((1, 1), (2, 2), (3, 1))
    ]
    assert history.previous(history.in_order(older)) == older[1]
    # A promotion begins anew.
    entries = [entry(1, 1), entry(2, 2), entry(3, 1, back_from=2), entry(4, 3)]
    assert history.previous(history.in_order(entries)) == entries[2]
