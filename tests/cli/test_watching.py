"""What is told while work goes on."""

import io
import threading

import pytest

from tidemill.cli import streams, watching
from tidemill.cli.render import progress
from tidemill.cli.render.tree import lines
from tidemill.core.events import (
    Event,
    Note,
    PlannedStep,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    StepFinished,
    StepsAdded,
    StepStarted,
)

STORY: list[Event] = [
    StageStarted("import", "Import the CSV", 1, 2),
    Progress("Reading a.csv", 50_000_000, 155_000_000, "bytes"),
    Progress("Reading a.csv", 155_000_000, 155_000_000, "bytes"),
    StageFinished("import", "70,000 rows", 3.2),
    StageStarted("run", "Run the pipeline", 2, 2),
    StepStarted("r", "train", "epochs changed"),
    Progress("train: training", 3, 10, "epochs"),
    Note("something odd"),
    StepFinished("r", "train", "computed", 1.5, "epochs changed", 700),
    StepFinished("r", "data", "computed", 0.069, "first time"),
    StepFinished("r", "clean", "cached", 0.0, ""),
    StepFinished("r", "test", "failed", 0.2, ""),
    StageFinished("run", "done", 2.0),
]
TOLD = [
    "[1/2] Import the CSV",
    "[1/2] Import the CSV: 70,000 rows (3.2 s)",
    "[2/2] Run the pipeline",
    "  train: computing (epochs changed)",
    "something odd",
    "  train: computed in 1.5 s, 700 rows, 467 rows/s",
    "  data: computed in 69 ms (first time)",
    "  clean: cached",
    "  test: failed after 0.2 s",
    "[2/2] Run the pipeline: done (2 s)",
]


def drawn(board: progress.Board, now: float) -> str:
    return streams.text(progress.live(board, now), io.StringIO(), 120)


def test_lines_tell_the_story(capsys: pytest.CaptureFixture[str]):
    sink = watching.lines()
    for event in STORY:
        sink(event)
    output = capsys.readouterr()
    assert output.err.splitlines() == TOLD
    assert output.out == ""


def test_the_board_shows_what_runs_now():
    board = progress.Board()
    for moment, event in enumerate(STORY[:7]):
        board.take(event, float(moment))
    lines = drawn(board, 10.0).splitlines()
    assert lines[0].startswith("[2/2] Run the pipeline")
    assert lines[0].endswith("6 s")
    assert lines[1].startswith("  train")
    assert lines[1].endswith("3 of 10 epochs  5 s")
    assert len(lines) == 2


def test_the_board_is_empty_when_all_is_done():
    board = progress.Board()
    for event in STORY:
        board.take(event, 0.0)
    assert drawn(board, 1.0) == ""


PLAN = RunStarted(
    "r1",
    "fashion",
    tuple(
        PlannedStep(name, "step", tuple(after.split()))
        for name, after in [
            ("data", ""),
            ("clean", "data"),
            ("split", "clean"),
            ("fit", "split"),
            ("report", "fit split"),
            ("export", "fit"),
            ("profile", "clean"),
        ]
    ),
)


def test_a_tree_has_each_step_under_the_last_that_it_takes():
    assert [guide + name for guide, name in lines(PLAN)] == [
        "data",
        "clean",
        "├─ split",
        "│  fit",
        "│  ├─ report",
        "│  └─ export",
        "└─ profile",
    ]


def test_a_tree_shows_each_state_and_goes_when_the_run_is_over():
    board = progress.Board(room=7)
    for moment, event in enumerate(
        [
            PLAN,
            StepFinished("r1", "data", "cached", 0.0, ""),
            StepStarted("r1", "clean", "code changed"),
            StepFinished("r1", "clean", "computed", 2.0, "code changed", 700),
            StepStarted("r1", "split", "input changed"),
            StepStarted("r1", "profile", "first"),
            Progress("profile: columns", 300, 600, "rows"),
        ]
    ):
        assert board.take(event, float(moment)) is None
    shown = [" ".join(line.split()) for line in drawn(board, 8.0).splitlines()]
    assert shown[:4] == [
        "fashion run r1 2 of 7 steps 8 s",
        "data cached",
        "clean computed 2 s 700 rows, 350/s code changed",
        "├─ split computing 4 s input changed",
    ]
    assert shown[4:7] == [
        "│ fit waits for split",
        "│ ├─ report waits for fit, split",
        "│ └─ export waits for fit",
    ]
    assert shown[7].startswith("└─ profile")
    assert shown[7].endswith("3 s 300 of 600 rows, 100/s first")
    assert len(shown) == 8
    assert progress.tree(board, 8.0) is not None
    board.take(RunFinished("r1", "succeeded", 8.0), 8.0)
    assert progress.tree(board, 8.0) is None


def test_the_items_of_a_list_are_counted_on_one_line_and_those_that_run_have_their_own():
    plan = RunStarted(
        "r1",
        "sweep",
        (
            PlannedStep("settings", "step", ()),
            PlannedStep("train[*]", "trainer", ("settings",)),
            PlannedStep("pick", "step", ("train[*]",)),
        ),
    )
    steps = tuple(PlannedStep(f"train[{i}]", "trainer", ("settings",), "train[*]") for i in range(100))
    board = progress.Board(room=7)
    for moment, event in enumerate(
        [
            plan,
            StepFinished("r1", "settings", "computed", 1.0, "first"),
            StepsAdded("r1", steps),
            StepFinished("r1", "train[0]", "cached", 0.0, ""),
            StepFinished("r1", "train[1]", "failed", 2.0, "first"),
            StepStarted("r1", "train[2]", "first"),
        ]
    ):
        assert board.take(event, float(moment)) is None
    assert [" ".join(line.split()) for line in drawn(board, 8.0).splitlines()] == [
        "sweep run r1 3 of 102 steps 8 s",
        "settings computed 1 s first",
        "train[*] 2 of 100 1 cached, 1 failed",
        "train[1] failed 2 s first",
        "train[2] computing 3 s first",
        "pick waits for train[*]",
    ]


def test_a_run_of_more_steps_than_the_terminal_has_lines_is_counted():
    board = progress.Board(room=6)
    board.take(PLAN, 0.0)
    assert board.take(StepFinished("r1", "data", "cached", 0.0, ""), 1.0) == "  data: cached"
    board.take(StepStarted("r1", "clean", "code changed"), 1.0)
    shown = [line.split() for line in drawn(board, 3.0).splitlines()]
    assert shown[0][0] == "fashion"
    assert shown[0][-6:] == ["1", "of", "7", "steps", "3", "s"]
    assert shown[1] == ["clean", "code", "changed", "2", "s"]


def test_a_bar_goes_when_it_is_full():
    board = progress.Board()
    board.take(STORY[1], 0.0)
    assert "50 MB of 155 MB" in drawn(board, 0.0)
    board.take(STORY[2], 0.0)
    assert drawn(board, 0.0) == ""


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Progress("a", 3, 10, "epochs"), "  a: 3 of 10 epochs (30 %)"),
        (Progress("a", 3000, None, "rows"), "  a: 3,000 rows"),
        (Progress("a", 0, 0, "rows"), "  a: 0 of 0 rows"),
        (Progress("a", 1500, 3000, "bytes"), "  a: 1.5 kB of 3 kB (50 %)"),
    ],
)
def test_a_progress_as_a_line(event: Progress, line: str):
    assert progress.amount_line(event) == line


def test_events_may_come_from_many_threads(capsys: pytest.CaptureFixture[str]):
    sink = watching.lines()

    def work(name: str) -> None:
        for number in range(50):
            sink(StepFinished("r", f"{name}-{number}", "cached", 0.0, ""))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == sorted(f"  {name}-{number}: cached" for name in "abcd" for number in range(50))
