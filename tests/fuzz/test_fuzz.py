"""No damaged file, odd command line or request is answered by a traceback, a bug, a hang or a changed cell.

A share of what ``bench/fuzz.py`` tries, the same cases each time.
"""

import pytest

from tests.fuzz import campaign, processes, wire

SECONDS = 30
"""Of each campaign: what is left then is for ``bench/fuzz.py``, which tries all of it."""


def told(results: campaign.Results) -> str:
    kinds = results.kinds().items()
    return "\n\n".join(
        f"{len(found)} x {promise}: {where}\ncase {found[0]['number']}: {found[0]['words']}\n{found[0]['text'][-1500:]}"
        for (promise, where), found in kinds
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", [500_000, 501_000])
@pytest.mark.parametrize("kind", ["files", "lines"])
def test_what_comes_in_damaged_is_taken_or_refused_in_words(kind: campaign.Kind, first: int):
    seen: list[int] = []
    results = campaign.run(
        kind, first=first, count=1_000, seconds=SECONDS, tell=lambda so_far: seen.append(so_far.tried)
    )
    assert results.tried > 0
    assert not results.findings, told(results)
    assert seen == sorted(seen)
    assert seen[-1] == results.tried


@pytest.mark.slow
def test_what_a_shell_starts_ends_as_it_should():
    before = processes.run(count=5)
    results = processes.run(count=15, results=before)
    assert results.tried == 15
    assert results.longest >= 0
    assert not results.findings, told(results)


@pytest.mark.slow
def test_no_request_hurts_a_server_or_another_client():
    results = wire.run(first=500_000, count=4_000)
    assert results.tried >= 4_000
    assert not results.findings, told(results)
