"""Whatever happens to a project, a run gives what one without any cache gives, and computes only what is new.

The default suite takes some sequences and some kills. A thousand, and fifty kills in a row, are taken by::

    TIDEMILL_TEST_PROFILE=thorough pytest tests/machines/test_engine.py -p no:randomly --hypothesis-seed=7 -s -o faulthandler_timeout=0
"""

import os
import random
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.edits import Tools
from tests.machines.engine import Project
from tests.machines.engines import Engines
from tests.machines.plain import Plain
from tidemill.loop.workspace import open_workspace

THOROUGH = os.environ.get("TIDEMILL_TEST_PROFILE") == "thorough"
SEQUENCES = int(os.environ.get("TIDEMILL_TEST_SEQUENCES") or (1000 if THOROUGH else 15))
STEPS = 12
KILLS = 50 if THOROUGH else 8
ENGINES = 0.7
"""The share of kills that hit an engine, not a worker."""
SLOWEST_WORKER_SECONDS = 0.4
SLOWEST_ENGINE_SECONDS = 1.5
"""About as long as a run takes whose steps are new; an engine of its own has no warm process to give them to."""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Tools]:
    # As Python is by default, in this process and in those that it starts.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (tmp_path / "template").mkdir()
    template = open_workspace(tmp_path / "template", make=True)
    assert template.store
    template.close()
    made = Tools(tmp_path / "template", Engines(SLOWEST_ENGINE_SECONDS), Plain(), SLOWEST_WORKER_SECONDS)
    yield made
    made.engines.stop()
    made.plain.stop()


def test_a_project_gives_what_it_gives_without_a_cache(tools: Tools):
    def told() -> None:
        if THOROUGH and tools.taken["sequences"] % 25 == 0:
            sys.stdout.write(f"\n{dict(tools.taken)}\n")
            sys.stdout.flush()

    tools.told = told

    class Here(Project):
        def __init__(self) -> None:
            super().__init__(tools)

    quiet = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        # To look for the shortest sequence that fails would take longer than to read the one that was found.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    run_state_machine_as_test(Here, settings=quiet)
    assert tools.taken["sequences"] >= SEQUENCES


def test_processes_killed_one_after_the_other_change_nothing(tools: Tools):
    """Engines and workers, at random moments, with no undisturbed run between them."""
    project = Project(tools)
    try:
        project.create({i: (i % 11, "ab"[i % 2] if i % 3 else None) for i in range(1, 40)})
        project.run_it()
        finished = True
        for number in range(KILLS):
            # What is not finished is what is killed again.
            if finished:
                project.put(
                    project.code.edited("decorator", number + 2).edited("constant", number % 4), go=False
                )
            if random.random() < ENGINES:
                finished = project.engine_killed()
            else:
                project.worker_killed()
                finished = True
        project.run_it()
        project.records_are_whole()
        if THOROUGH:
            sys.stdout.write(f"\n{dict(tools.taken)}\n")
        assert tools.taken["kills of engines"] + tools.taken["kills of workers"] == KILLS
    finally:
        project.teardown()
