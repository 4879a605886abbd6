"""What is told while work goes on."""

import io
import threading

import pytest

from tidemill.cli import streams, watching
from tidemill.cli.render import progress
from tidemill.core.events import Event, Note, Progress, StageFinished, StageStarted, StepFinished, StepStarted

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
    "  train: computed in 1.5 s, 700 rows",
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
