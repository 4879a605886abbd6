"""Predictions that left a log, as the project tells of them."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.clock import now, stamp
from tidemill.core.errors import NotFound
from tidemill.loop.workspace import init
from tidemill.serve import ids, log_layout


@pytest.fixture
def project(tmp_path: Path) -> tm.Project:
    init(tmp_path)
    (tmp_path / "tidemill.toml").write_text("[environments.prod]\nkeep_days = 30\n[environments.dev]\n")
    return tm.open(tmp_path)


def log_of(project: tm.Project, environment: str, *predictions: str) -> Path:
    """A log that has answered these a year ago."""
    file = log_layout.log_file(project.folder / ".tidemill" / "environments", environment)
    with closing(log_layout.open_to_write(file)) as log:
        log.execute("INSERT INTO releases VALUES (1, 'sha256:1', 1, '{}')")
        for name in predictions:
            log.execute(
                "INSERT INTO predictions VALUES (NULL, ?, ?, 1, 0, x'90', x'90')",
                (name, stamp(now() - timedelta(days=365))),
            )
    return file


def left_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as log:
        return log.execute("SELECT count(*) FROM predictions").fetchone()[0]


def test_gc_lets_go_of_what_an_environment_does_not_keep(project: tm.Project) -> None:
    prod, dev = log_of(project, "prod", "a", "b"), log_of(project, "dev", "c")
    assert next(k.count for k in project.gc(dry_run=True).kinds if k.kind == "predictions") == 2
    assert left_in(prod) == 2
    assert next(k.count for k in project.gc().kinds if k.kind == "predictions") == 2
    assert (left_in(prod), left_in(dev)) == (0, 1)


def test_lineage_says_that_a_prediction_was_pruned_and_when(project: tm.Project) -> None:
    a_year_ago = f"{int((now() - timedelta(days=366)).timestamp() * 1000):012x}" + "0" * 20
    log_of(project, "prod", a_year_ago)
    project.gc()
    with pytest.raises(NotFound) as refused:
        project.lineage(a_year_ago)
    assert refused.value.code == "prediction-pruned"
    assert f"the log of 'prod' was pruned on {stamp(now())[:10]}" in str(refused.value)
    # What is set now is to be changed, and nothing else.
    for kept, told in {
        "keep_days = 30": "raise 'environments.prod.keep_days' in",
        "keep_bytes = 9000": "raise 'environments.prod.keep_bytes' in",
        "keep_days = 30\nkeep_bytes = 9000": "'environments.prod.keep_days' and 'environments.prod.keep_bytes' in",
        "": "later ones stay",
    }.items():
        (project.folder / "tidemill.toml").write_text(f"[environments.prod]\n{kept}\n")
        with tm.open(project.folder) as again, pytest.raises(NotFound) as refused:
            again.lineage(a_year_ago)
        assert told in (refused.value.hint or "")
    # It came later than all that left: it was never in a log.
    with pytest.raises(NotFound) as refused:
        project.lineage(ids.new_id())
    assert refused.value.code == "nothing-of-that-name"
    # When a client's own id was used is not known; what has the form of another thing is none.
    for ref, why in {
        "order-77": "If it was a prediction, it may have left the log of 'prod'.",
        "digits/9": None,
        "model:digits/9": None,
        "digitz@main": None,
        ids.new_id(): None,
    }.items():
        with pytest.raises(NotFound) as refused:
            project.lineage(ref)
        assert (refused.value.code, refused.value.why) == ("nothing-of-that-name", why)
