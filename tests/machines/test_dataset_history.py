"""Whatever a team does to a dataset, its history is what a plain-dict model of it is, also after ``kill -9``.

The default suite takes a few hundred steps. At least 2,000 are taken by::

    TIDEMILL_TEST_PROFILE=thorough pytest tests/machines -p no:randomly --hypothesis-seed=6 -s -o faulthandler_timeout=0
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.history import History, as_rows
from tests.machines.killing import Worker
from tests.machines.worker import as_table
from tests.services.fixtures import NewStore
from tidemill.data import Datasets
from tidemill.store.open import Store

if TYPE_CHECKING:
    from tests.machines.model import State

THOROUGH = os.environ.get("TIDEMILL_TEST_PROFILE") == "thorough"
EXAMPLES_AND_STEPS = {
    "folder": (80, 50) if THOROUGH else (6, 25),
    "remote": (15, 50) if THOROUGH else (2, 20),
}
SLOWEST_KILL_SECONDS = {"folder": 0.12, "remote": 0.8}
"""About as long as the longest of what is killed takes."""


@pytest.mark.both_stores
def test_a_dataset_is_what_its_model_is(new_store: NewStore):
    folder = new_store.kind == "folder"
    examples, steps = EXAMPLES_AND_STEPS[new_store.kind]
    taken = Counter[str]()
    worker = Worker(SLOWEST_KILL_SECONDS[new_store.kind])
    quiet = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        # Over S3 it would take too long to look for the shortest history that fails.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if folder else [])],
    )

    class Here(History):
        def __init__(self) -> None:
            super().__init__(new_store, worker, taken)

    try:
        run_state_machine_as_test(Here, settings=quiet)
    finally:
        worker.stop()
        if THOROUGH:
            sys.stdout.write(f"\n{new_store.kind}: {dict(taken)}\n")
    assert taken["steps"] >= examples * steps // 2


owner = st.sampled_from(["one", "two", "three", None])
deed = st.one_of(
    st.tuples(st.just("cells"), owner, owner),
    st.tuples(st.just("gone"), owner),
    st.tuples(st.just("new"), owner),
)


@given(
    deeds=st.lists(deed, min_size=8, max_size=8),
    orders=st.tuples(*2 * [st.permutations(["one", "two", "three"])]),
)
@settings(max_examples=60 if THOROUGH else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_without_conflicts_the_order_of_merges_does_not_matter_and_no_row_is_lost(
    deeds: list[tuple[Any, ...]], orders: tuple[list[str], list[str]]
):
    base: State = {i: ("x", 0) for i, (kind, *_) in enumerate(deeds) if kind != "new"}
    work: dict[str, State] = {b: dict(base) for b in ("one", "two", "three")}
    expected: State = dict(base)
    for i, (kind, *owners) in enumerate(deeds):
        if kind == "cells":
            for at, branch in enumerate(owners):
                for state in [work[branch], expected] if branch else []:
                    cells = list(state[i])
                    cells[at] = ("y", 1)[at]
                    state[i] = tuple(cells)
        elif owners[0]:
            for state in (work[owners[0]], expected):
                if kind == "gone":
                    del state[i]
                else:
                    state[i] = ("new", 5)
    with tempfile.TemporaryDirectory() as folder:
        datasets = Datasets(Store.create(Path(folder)), "model")
        datasets.create("d", as_table(base), message="Base")
        d = datasets.open("d")
        for branch, state in work.items():
            d.branch(branch, "1")
            d.commit(as_table(state), branch=branch, message=branch, replace=True)
        # One after the other in two orders; and two of them first, then the third.
        for name, order in zip(("left", "right"), orders, strict=True):
            d.branch(name, "1")
            for branch in order:
                d.merge(branch, into=name)
        first, second, third = orders[0]
        d.branch("pair", second)
        d.merge(third, into="pair")
        d.merge("pair", into=first)
        assert [as_rows(d, n) for n in ("left", "right", first)] == [expected] * 3
