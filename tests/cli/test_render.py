"""What a person reads, by its text."""

import dataclasses
import io
import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.cli import streams
from tidemill.cli.render import (
    circle,
    environments,
    errors,
    models,
    predictions,
    project,
    releases,
    runs,
    shapes,
    why,
)
from tidemill.cli.render.data import history, importing, merging, reading
from tidemill.core.clock import now, stamp
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import Failed
from tidemill.loop import views
from tidemill.loop.datasets import views as data_views
from tidemill.loop.serving import Serving

STAMP = "2026-11-24T11:59:41.050859Z"
DIGEST = "sha256:" + "ab" * 32


def text(renderable: object, width: int | None = None) -> str:
    return renderable if isinstance(renderable, str) else streams.text(renderable, io.StringIO(), width)


COMMIT = data_views.CommitView("a1b2c3d4e5f6", 2, "main", STAMP, "ada", "labels", 70000, ["x", "y"], ["v1"])
RULES: list[dict[str, Any]] = [
    {
        "name": "accuracy >= 0.87",
        "passed": False,
        "reason": "0.85 is 0.02 too low",
        "value": 0.85,
        "limit": 0.87,
    },
    {"name": "smoke", "passed": True, "reason": "agrees", "value": None, "limit": None},
]
VERDICT = views.VerdictView(False, RULES, "fashion/1")
STEP = views.StepView(
    "train", "computed", 1.234, "epochs changed", "q:train", "trainer", rows_out=49000, rows_computed=700
)
RUN = views.RunView(
    "20261124-115941-e1724f",
    "fashion",
    "succeeded",
    {"accuracy": 0.885, "model": {"kind": "model", "digest": DIGEST, "framework": "keras"}},
    [STEP, dataclasses.replace(STEP, name="clean", status="cached", why="")],
    12.5,
    {"units": 1024, "tune": False},
    {"fashion@main": "a1b2c3d4e5f6"},
    "person",
    STAMP,
    {"name": "fashion", "version": 3},
    VERDICT,
)


@pytest.mark.parametrize(
    ("renderable", "parts"),
    [
        (
            importing.imported(
                data_views.ImportView(
                    "fashion",
                    "a1b2",
                    1,
                    views.RowCounts(69000, 0, 0),
                    69000,
                    False,
                    [data_views.ColumnView("image", "uint8[28x28]", "found in the cells")],
                    [data_views.ColumnChange("price", "int64", "double")],
                    False,
                )
            ),
            [
                "fashion: commit 1 (a1b2), rows: 69,000 added; 69,000 in all.",
                "uint8[28x28]  found in the cells",
                "price           int64     double",
            ],
        ),
        (
            reading.datasets([data_views.DatasetView("fashion", "main", 2, 1, 70000, "a1b2", 2, STAMP)]),
            ["70,000", "2026-11-24 11:59:41"],
        ),
        (reading.datasets([]), ["There are no datasets."]),
        (history.log([COMMIT]), ["a1b2c3d4e5f6", "labels", "v1", "ada"]),
        (
            reading.show(
                data_views.DataShow(
                    "fashion",
                    COMMIT,
                    [{"name": "image", "type": "uint8[2x2]"}],
                    [{"_id": 12345678901234567890, "image": [[0, 1], [2, 3]], "label": "coat"}],
                    views.RowCounts(1, 2, 0),
                )
            ),
            [
                "2 (a1b2c3d4e5f6) on main",
                "1 added, 2 changed",
                "uint8[2x2]",
                "[2x2 values]",
                "coat",
                "12345678901234567890",
            ],
        ),
        (
            history.diff(
                data_views.DiffView(
                    "a", "b", 1, 2, 0, [{"id": "7", "column": "label", "old": "hat", "new": None}], []
                )
            ),
            ["a to b: 1 added, 2 changed.", "7    label   hat  -"],
        ),
        (history.diff(data_views.DiffView("a", "b", 0, 0, 0, [], [])), ["a to b: nothing."]),
        (
            runs.run(RUN),
            [
                "succeeded in 12.5 s (1 computed, 1 cached)",
                "accuracy  float 0.885",
                "abababababab",
                "not passed",
            ],
        ),
        (
            runs.run_in_full(RUN),
            [
                "units  1024",
                "tune   false",
                "fashion@main = a1b2c3d4e5f6",
                "epochs changed",
                "49,000",
                "version 3",
            ],
        ),
        (
            runs.verdict(VERDICT),
            ["Gate: not passed (against fashion/1)", "no  accuracy >= 0.87  0.85 is 0.02 too low"],
        ),
        (
            runs.runs(
                [views.RunSummary("r1", "fashion", "failed", STAMP, None, "person", {"accuracy": 0.88}, 3, 4)]
            ),
            ["r1", "failed", "accuracy 0.88"],
        ),
        (
            why.why(
                views.WhyView(
                    "r2",
                    "train",
                    "computed",
                    "epochs changed",
                    "r1",
                    [
                        {"kind": "setting", "name": "epochs", "before": 3, "after": 10},
                        {
                            "kind": "code",
                            "name": "q:train",
                            "before": DIGEST,
                            "after": DIGEST,
                            "diff": "-a\n+b",
                        },
                        {"kind": "code", "name": "q:old", "before": DIGEST, "after": None, "diff": None},
                        {
                            "kind": "input",
                            "name": "rows",
                            "before": DIGEST,
                            "after": DIGEST,
                            "made_by": "fashion",
                            "dataset": "fashion",
                            "commits": ["a1", "b2"],
                            "rows": {"added": 3, "changed": 1, "removed": 0},
                        },
                    ],
                )
            ),
            [
                "(compared with run r1)",
                "setting epochs: 3 -> 10",
                "code q:train",
                "  -a",
                "  +b",
                "not kept",
                "input rows: fashion from commit a1 to b2, rows: 3 added, 1 changed",
            ],
        ),
        (
            models.models(
                [
                    views.ModelView(
                        "fashion", 3, "r1", "keras", {"accuracy": 0.88, "x": {}}, DIGEST, STAMP, [1]
                    )
                ]
            ),
            ["keras", "abababababab", "accuracy 0.88"],
        ),
        (
            releases.releases([views.ReleaseView("fashion", 2, DIGEST, "r1", STAMP, "ada", ["dev", "prod"])]),
            ["fashion/2", "dev, prod"],
        ),
        (
            releases.verified(views.Verified("fashion", 2, DIGEST, 0, ["model is missing"], False)),
            ["NOT what was released", "model is missing"],
        ),
        (
            releases.release(
                {"name": "fashion", "number": 2, "manifest": {"code": {"pipeline.py": DIGEST}, "layout": 1}}
            ),
            ["name    fashion", "code", f"pipeline.py  {DIGEST}"],
        ),
        (
            # No rule of the gate is cut.
            releases.release(
                {"gate": {"rules": [{"rule": f"rule {n}", "said": "word " * 60} for n in (1, 2)]}}
            ),
            ["rule 1", "rule 2"],
        ),
        (
            environments.deployment(
                views.DeploymentView("prod", "fashion", 2, DIGEST, "http://127.0.0.1:9", "live", 1, 0.5)
            ),
            ["prod: release fashion/2 is live at http://127.0.0.1:9, in place of 1 (0.5 s)"],
        ),
        (
            environments.environments(
                [
                    views.EnvironmentView(
                        "prod",
                        "fashion",
                        2,
                        "http://127.0.0.1:9",
                        running=False,
                        predictions=None,
                        note="served by ada:/p",
                        machine="ada:/p",
                        elsewhere=True,
                        wanted="fashion/3",
                        runs="fashion/2",
                        wish=views.WishView(
                            *(
                                4,
                                "promote fashion/3",
                                "grace",
                                "grace:/q",
                                "better",
                                "2026-01-01T00:00:00.0Z",
                            ),
                            *("wanted", None, None, None),
                        ),
                    ),
                    views.EnvironmentView("dev", None, None, None, False, 0, personal=True),
                    views.EnvironmentView(
                        *("test", "fashion", 1, "http://127.0.0.1:7", True, 5),
                        runs="fashion/1",
                        not_ready={"code": "log-replaced", "message": "It is gone.", "hint": "Stop it."},
                        not_renewed={"code": "tls-not-usable", "message": "No TLS.", "why": "No key."},
                    ),
                    views.EnvironmentView(
                        *("shop", "fashion", 2, None, False, None),
                        elsewhere=True,
                        machine="ada:/p",
                        runs="fashion/2",
                        looked_at=stamp(now() - timedelta(minutes=3)),
                    ),
                    views.EnvironmentView(
                        *("kiosk", "fashion", 2, None, False, None), elsewhere=True, stopped=True
                    ),
                    views.EnvironmentView(
                        *("mill", "fashion", 2, None, False, 0),
                        not_ready={
                            "code": "server-ended",
                            "message": "No server answers.",
                            "hint": "Serve it.",
                        },
                    ),
                ]
            ),
            [
                "prod         shared    fashion/3  fashion/2                 ada:/p   http://127.0.0.1:9            -",
                "dev          personal  -          empty",
                "test         shared    -          fashion/1, not ready",
                "shop         shared    -          fashion/2, 3 minutes ago  ada:/p",
                "kiosk        shared    -          stopped",
                "mill         shared    -          not answering",
                "mill: not answering (server-ended): No server answers. Serve it.",
                "test: not ready, every prediction is refused (log-replaced): It is gone. Stop it.",
                "test: its certificate is not renewed, and the one before is shown: No TLS. No key.",
                "prod: served by ada:/p.",
                "prod: grace at grace:/q wants 'promote fashion/3' since 2026-01-01 00:00:00 UTC (better)",
            ],
        ),
        (
            predictions.predicted(
                views.Predicted(
                    "prod",
                    "fashion",
                    2,
                    25,
                    [{"prediction": f"p{i}", "label": "coat", "probability": 0.91234} for i in range(25)],
                )
            ),
            [
                "p19",
                "label  probability",
                "coat   0.91234",
                "25 predictions of fashion, release 2, in prod. 5 more than shown",
            ],
        ),
        (
            predictions.feedback(
                {
                    "environment": "prod",
                    "accepted": 2,
                    "refused": [views.LeftOut("p3", "unknown-class", "'cow' is no class of the model.")],
                    "collected": views.Collected(
                        "fashion",
                        "feedback",
                        "a1",
                        3,
                        views.RowCounts(2, 0, 0),
                        waiting=1,
                        review="fashion#1",
                        left=[views.LeftOut("p4", "no-key", "Its request did not have 'id'.")],
                    ),
                }
            ),
            [
                "prod: 2 labels taken.",
                "1 label: refused.",
                "p3: 'cow' is no class",
                "2 added",
                "p4: Its request did not have 'id'.",
                "tidemill review show fashion#1",
                "tidemill data merge fashion feedback",
            ],
        ),
        (
            circle.refit(
                views.RefitView(
                    "person", "fashion@main", "r2", VERDICT, None, False, "the gate said no", 1000
                )
            ),
            [
                "the gate said no (fashion@main)",
                "1,000 rows prepared",
                "no  accuracy >= 0.87: 0.85 is 0.02 too low",
            ],
        ),
        (
            circle.lineage(
                views.Lineage(
                    "p1",
                    [
                        {"kind": "prediction", "id": "p1", "text": "answered coat"},
                        {"kind": "code", "id": DIGEST, "text": "pipeline.py"},
                    ],
                )
            ),
            ["prediction  p1  answered coat", "code        abababababab  pipeline.py"],
        ),
        (circle.lineage(views.Lineage("p1", [])), ["Nothing is known"]),
        (
            project.gc(
                views.Freed(
                    [views.FreedKind("blobs", 3, 1_500_000), views.FreedKind("cache entries", 2, 0)],
                    1_500_000,
                    True,
                )
            ),
            ["Would free 1.5 MB: 3 blobs (1.5 MB), 2 cache entries."],
        ),
        (
            project.doctor(
                [views.Finding("disk", False, "full", "Free space."), views.Finding("python", True, "3.11")]
            ),
            ["no  disk", "full. Try: Free space.", "1 of 2 checks failed."],
        ),
        (
            project.demo(
                views.DemoSummary(
                    "/d",
                    [views.StageView("import", "done", 1.26)],
                    {"accuracy": 0.8792759476, "preparation_seconds": 6.862907812997946, "rows": 69_000},
                    ["cd /d", "tidemill serve prod"],
                ),
                program="/x/bin/tidemill",
            ),
            [
                "import      1.3  done",
                "accuracy     0.8793",
                "preparation  6.86 s",
                "rows         69,000",
                "  cd /d",
                "  /x/bin/tidemill serve prod",
            ],
        ),
        (project.initialised(views.Initialised("/p", "/p/.tidemill", [])), ["is a project already"]),
    ],
)
def test_a_view_reads_as(renderable: object, parts: list[str]):
    drawn = text(renderable)
    assert [part for part in parts if part not in drawn] == [], drawn
    assert "\x1b" not in drawn
    assert all(line == line.rstrip() for line in drawn.splitlines())


def test_a_prediction_is_written_with_all_its_digits():
    values = [519_312.4375, 1234567, 0.1 + 0.2, 1e-7]
    answers: list[dict[str, Any]] = [{"prediction": f"p{at}", "value": v} for at, v in enumerate(values)]
    head, *rows = text(predictions.predicted(views.Predicted("prod", "homes", 1, 4, answers))).splitlines()
    assert head.split() == ["prediction", "value"]
    assert [float(row.split()[1]) for row in rows[:4]] == values


def test_one_is_no_more_than_one():
    [*_, last] = text(
        predictions.predicted(views.Predicted("prod", "homes", 1, 1, [{"prediction": "p"}]))
    ).splitlines()
    assert last == "1 prediction of homes, release 1, in prod."
    told = {"environment": "prod", "accepted": 1, "refused": [], "note": "", "collected": None}
    assert text(predictions.feedback(told)).strip() == "prod: 1 label taken."


@pytest.mark.parametrize("every", ["0.0.0.0", "[::]"])  # noqa: S104
def test_what_listens_on_every_address_says_one_that_others_can_ask(every: str):
    workspace: Any = None
    ten = Serving("prod", "ten", 1, f"http://{every}:8000", 7, workspace, [])
    said = environments.serving(ten, "mill")
    assert said == "prod serves release ten/1. Other machines ask http://mill:8000. Ctrl-C stops it."
    ten = dataclasses.replace(ten, address="http://127.0.0.1:8000")
    over = dataclasses.replace(ten, taken_over="taken over from ada:/p: ada is ill")
    assert " It was taken over from ada:/p: ada is ill. Ctrl-C stops it." in environments.serving(
        over, "mill"
    )
    assert environments.serving(ten, "mill") == "prod serves release ten/1. Ctrl-C stops it."
    refuses = {"code": "log-replaced", "message": "It is gone.", "hint": "Stop it."}
    said = environments.serving(dataclasses.replace(ten, not_ready=refuses), "mill")
    assert said.startswith(
        "prod has release ten/1 and is not ready, every prediction is refused (log-replaced): It is gone. Stop it."
    )
    said = environments.serving(dataclasses.replace(ten, started=False), "mill")
    assert said.endswith("It ran already, as process 7: Ctrl-C leaves it, 'tidemill stop prod' stops it.")


def test_history_shows_what_was_wanted_in_vain_between_what_became_of_a_deployment():
    at = "2026-01-01T00:0{}:00.000000Z".format
    change = views.ChangeView("stopped", "ada", "ada:/p", at(1), "for the night")
    again = views.ChangeView("live", "ada", "ada:/p", at(3), "it is served again")
    wish = views.WishView(
        *(4, "promote fashion/3", "grace", "grace:/q", "better", at(0)),
        *("replaced", at(2), "ada:/p", "ada wants something else: promote fashion/4"),
    )
    line = views.HistoryLine(
        *("d1", "prod", "fashion", 2, "sha256:1", "live", "ada", at(0), None, "the first", 1, None),
        *("p1", "ada:/p", "promotion", None, None, [change, again], [wish]),
    )
    shown = [row.split() for row in text(environments.deployments([line])).splitlines() if row.strip()]
    assert [row[0] for row in shown[2:]] == ["stopped", "replaced", "live"]
    said = " ".join(shown[3])
    assert said.startswith("replaced grace grace:/q")
    assert said.endswith("promote fashion/3 (better): ada wants something else: promote fashion/4")


def test_a_merge_tells_what_it_set_off():
    refit = views.RefitView("trigger:new-labels", "a1", "r2", None, 2, True, "release 2 is live in prod")
    view = data_views.MergeView(
        "fashion", "feedback", "main", "a1", 3, views.RowCounts(1000, 0, 0), False, [refit]
    )
    assert merging.merge(view).splitlines()[1] == "Trigger new-labels: release 2 is live in prod (a1)"


def test_a_long_text_is_never_cut_where_no_terminal_shows_it():
    view = dataclasses.replace(COMMIT, message="word " * 200)
    lines = text(history.log([view])).splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("word")


def test_a_narrow_terminal_folds_instead_of_losing_words():
    drawn = text(history.log([COMMIT]), width=60).replace("\n", "")
    assert all(letter in drawn for letter in "ada")


def test_what_looks_like_markup_is_text():
    view = dataclasses.replace(COMMIT, message="[bold]not bold[/bold] :smile:")
    assert "[bold]not bold[/bold] :smile:" in text(history.log([view]))


def test_an_error_reads_as():
    body = Failed(
        "a\nb", why="c", hint="d", code=ErrorCode("e"), details={"traceback": "Traceback\n  x\n"}
    ).to_json()
    assert errors.error(body, color=False) == "error[e]: a\n    b\n  why: c\n  try: d\n\n  Traceback\n    x"
    assert "\x1b[" in errors.error(body, color=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0042, "4 ms"), (1.234, "1.23 s"), (59.94, "59.9 s"), (125.2, "2 min 5 s"), (None, "-")],
)
def test_durations(seconds: float | None, words: str):
    assert shapes.seconds(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (155_000_000, "155 MB"), (5 * 10**12, "5,000 GB")],
)
def test_sizes(count: int, words: str):
    assert shapes.size(count) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_json_is_one_line_that_reads_back(tree: Any):
    line = streams.to_json(tree)
    assert "\n" not in line
    assert json.loads(line) == tree


@given(JSON)
def test_any_value_is_written_on_one_short_line(tree: Any):
    written = shapes.written(tree)
    assert len(written) <= 40


def test_what_datasets_hold_has_a_json_form():
    import numpy as np

    tree = {
        "nan": math.nan,
        "inf": np.float32("inf"),
        "n": np.uint8(7),
        "array": np.zeros((1, 2)),
        "day": date(2026, 11, 24),
        "time": datetime(2026, 11, 24, tzinfo=UTC),
        "price": Decimal("1.10"),
        "path": PurePosixPath("/x"),
        "bytes": b"\x01",
        "view": views.RowCounts(1, 2, 3),
    }
    assert json.loads(streams.to_json(tree)) == {
        "nan": None,
        "inf": None,
        "n": 7,
        "array": [[0.0, 0.0]],
        "day": "2026-11-24",
        "time": "2026-11-24T00:00:00+00:00",
        "price": "1.10",
        "path": "/x",
        "bytes": "01",
        "view": {"added": 1, "changed": 2, "removed": 3},
    }


def test_what_has_no_json_form_is_a_bug_that_says_so():
    with pytest.raises(TypeError, match="object has no JSON form"):
        streams.to_json({"x": object()})


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (754890.71, "754890.71"),
        (5.0, "5"),
        (123456789012345.0, "123456789012345"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_cell_keeps_its_digits(cell: float, words: str):
    assert shapes.written(cell) == words


@pytest.mark.parametrize(
    ("value", "words"), [(62060.37, "62060"), (0.123456, "0.1235"), (9999.7, "10000"), (-1e20, "-1e+20")]
)
def test_a_metric_is_short_and_has_every_whole_digit(value: float, words: str):
    assert shapes.measured({"mae": value}) == f"mae {words}"
