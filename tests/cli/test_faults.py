"""Whatever goes wrong: what is said, where, and the exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill

BROKEN = """
import sys
from tidemill.cli.command import command
from tidemill.cli.main import main

@command("broken", example="tidemill broken")
def broken():
    '''Fail.'''
    raise {raised}

main.add_command(broken)
main(sys.argv[1:])
"""


def broken(raised: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BROKEN.format(raised=raised), *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_error_says_what_why_and_what_to_type(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "runs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    first, why, hint = done.stderr.splitlines()
    assert first == f"error[project-not-found]: There is no Tidemill project in {tmp_path}."
    assert why.startswith("  why: ")
    assert hint == "  try: Type 'tidemill init' here, or 'tidemill demo' to see a whole one."


def test_with_json_the_error_is_one_object_and_nothing_else_is_said(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "runs", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == ""
    assert set(json.loads(done.stdout)["error"]) == {"code", "message", "why", "hint"}


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["rnu"], "'tidemill' has no command 'rnu'.", "Did you mean 'tidemill run'?"),
        (
            ["data", "improt"],
            "'tidemill data' has no command 'improt'.",
            "Did you mean 'tidemill data import'?",
        ),
        (["zzzz"], "'tidemill' has no command 'zzzz'.", "Type 'tidemill --help' for all."),
        (["runs", "--jsno"], "'tidemill runs' has no option '--jsno'.", "Did you mean '--json'?"),
        (
            ["runs", "--zzzz"],
            "'tidemill runs' has no option '--zzzz'.",
            "Type 'tidemill runs --help' for its options.",
        ),
        (
            ["data", "list", "--debug"],
            "'tidemill data list' has no option '--debug'.",
            "It belongs before the command: 'tidemill --debug data list'.",
        ),
        (
            ["--json", "runs"],
            "'tidemill' has no option '--json'.",
            "It belongs after the command: 'tidemill runs --json'.",
        ),
        (["run"], "Missing argument 'FILE[:NAME]'.", "Type 'tidemill run --help'."),
        (["run", "x.py", "-p", "n"], "--parameter takes NAME=VALUE, not 'n'.", "Type 'tidemill run --help'."),
        (
            ["run", "x.py", "-p", "n=1", "-p", "n=2"],
            "--parameter gives 'n' twice.",
            "Type 'tidemill run --help'.",
        ),
        (
            ["runs", "--limit", "0"],
            "Invalid value for '--limit': 0 is not in the range 1<=x<=9223372036854775807.",
            "Type 'tidemill runs --help'.",
        ),
        (
            ["data", "branch", "fashion", "--delete"],
            "--delete needs the NAME of the branch.",
            "Type 'tidemill data branch --help'.",
        ),
        (
            ["feedback", "prod"],
            "Give a FILE, or --prediction with --label, or --collect.",
            "Type 'tidemill feedback --help'.",
        ),
        (
            ["feedback", "prod", "--label", "coat"],
            "--prediction and --label go together.",
            "Type 'tidemill feedback --help'.",
        ),
    ],
)
def test_what_is_typed_wrong_is_named_with_the_nearest_right(
    tidemill: Tidemill, words: list[str], message: str, hint: str
):
    plain = tidemill(*words)
    assert plain.returncode == 2
    if "--json" not in words:
        assert plain.stdout == ""
        assert plain.stderr.splitlines()[0] == f"error[usage]: {message}"
        assert plain.stderr.splitlines()[-1] == f"  try: {hint}"
        words = [*words, "--json"]
    as_json = tidemill(*words)
    assert (as_json.returncode, as_json.stderr) == (2, "")
    error = json.loads(as_json.stdout)["error"]
    assert (error["code"], error["message"], error["hint"]) == ("usage", message, hint)


def test_a_bug_says_that_it_is_one():
    done = broken("KeyError('colour')", "broken")
    assert done.returncode == 70
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "error[internal]: KeyError: 'colour'"
    assert "it is a bug" in done.stderr
    assert "tidemill --debug broken" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback():
    done = broken("KeyError('colour')", "--debug", "broken")
    assert done.returncode == 70
    assert done.stderr.startswith("Traceback")
    assert "error[internal]: KeyError: 'colour'" in done.stderr


def test_a_bug_in_json():
    done = broken("KeyError('colour')", "broken", "--json")
    assert done.returncode == 70
    assert json.loads(done.stdout)["error"]["code"] == "internal"
    assert done.stderr == ""


def test_a_pipe_that_breaks_inside_is_not_the_reader_going_away():
    assert broken("BrokenPipeError(32, 'Broken pipe')", "broken").returncode == 70


def test_interrupted_is_one_line_and_130():
    done = broken("KeyboardInterrupt()", "broken")
    assert done.returncode == 130
    assert done.stderr.splitlines()[0].startswith("error[interrupted]: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("NotFound", 2),
        ("InvalidInput", 2),
        ("Failed", 1),
        ("StorageError", 1),
        ("Interrupted", 1),
        ("InternalError", 70),
    ],
)
def test_an_errors_group_gives_the_exit_status(kind: str, status: int):
    assert (
        broken(f"__import__('tidemill.core.errors').core.errors.{kind}('x')", "broken").returncode == status
    )


def test_ctrl_c_in_a_run_ends_it_with_130_and_keeps_what_was_finished(project: Path, tidemill: Tidemill):
    (project / "slow.py").write_text(
        "import time\nfrom pathlib import Path\nimport tidemill as tm\n\n"
        "@tm.step\ndef quick(n: int) -> int:\n    return n\n\n"
        "@tm.step\ndef slow(n: int) -> int:\n"
        f"    Path({str(project / 'begun')!r}).touch()\n    time.sleep(60)\n    return n\n\n"
        "@tm.pipeline\ndef wait(n: int = 1) -> int:\n    return slow(quick(n))\n",
        "utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "run", "slow.py"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (project / "begun").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    [run] = json.loads(tidemill("runs", "--json").stdout)
    assert (run["status"], run["computed"]) == ("interrupted", 1)


def test_a_reader_that_goes_away_is_no_error(project: Path):
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "--help"],
        cwd=project,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    _, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("words", [["runs"], ["runs", "--json"], ["--help"]])
def test_output_that_cannot_be_written_is_said(project: Path, words: list[str]):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tidemill", *words],
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error[output-not-written]: The output could not be written."


def test_a_terminal_that_knows_only_ascii_gets_ascii(project: Path):
    (project / "umlaut.py").write_text(
        "import tidemill as tm\n\n@tm.step\ndef name(n: int) -> str:\n    return 'Grüße'\n\n"
        "@tm.pipeline\ndef greet(n: int = 1) -> str:\n    return name(n)\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "tidemill", "run", "umlaut.py"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    plain = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True)
    assert "Gr??e" in plain.stdout
    as_json = subprocess.run(
        [*command, "--json"], cwd=project, env=env, capture_output=True, text=True, check=True
    )
    assert json.loads(as_json.stdout)["outputs"] == {"result": "Grüße"}
