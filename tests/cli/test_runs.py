"""``tidemill init``, ``run`` and what shows a run."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill


def test_run_prints_one_object_with_what_was_promised(tidemill: Tidemill):
    done = tidemill("run", "quadruple.py:quadruple", "-p", "n=3", "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    view = json.loads(done.stdout)
    assert (view["status"], view["outputs"]) == ("succeeded", {"result": 12})
    assert [(s["name"], s["status"]) for s in view["steps"]] == [
        ("double", "computed"),
        ("double-2", "computed"),
    ]
    assert all(s["seconds"] >= 0 and s["why"] for s in view["steps"])
    again = json.loads(tidemill("run", "quadruple.py:quadruple", "-p", "n=3", "--json").stdout)
    assert [s["status"] for s in again["steps"]] == ["cached", "cached"]
    assert again["run"] != view["run"]


def test_a_failed_run_still_prints_its_object_and_exits_1(tidemill: Tidemill):
    done = tidemill("run", "quadruple.py:hopeless", "--json")
    assert done.returncode == 1
    view = json.loads(done.stdout)
    assert {"run", "status", "outputs", "steps", "error"} <= set(view)
    assert view["status"] == "failed"
    assert [s["status"] for s in view["steps"]] == ["computed", "failed", "skipped"]
    assert "unlucky" in view["error"]["message"]
    assert "error[" not in done.stderr


def test_a_failed_run_shows_the_users_own_traceback_and_only_that(tidemill: Tidemill):
    done = tidemill("run", "quadruple.py:hopeless")
    assert done.returncode == 1
    assert "failed" in done.stdout.splitlines()[0]
    assert 'raise ValueError("no luck")' in done.stderr
    assert "site-packages" not in done.stderr
    assert "tidemill/engine" not in done.stderr
    assert done.stderr.count("error[") == 1


def test_progress_is_lines_on_standard_error(tidemill: Tidemill):
    done = tidemill("run", "quadruple.py:quadruple", "-p", "n=5")
    assert "  double: computing" in done.stderr
    assert "  double-2: computed in" in done.stderr
    assert "\x1b" not in done.stderr
    assert "double: comput" not in done.stdout


def test_log_json_is_one_object_a_line(tidemill: Tidemill):
    done = tidemill("--log", "json", "run", "quadruple.py:quadruple", "-p", "n=6")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    steps = ["step-started", "step-finished"] * 2
    assert [e["event"] for e in events] == ["run-started", *steps, "run-finished"]
    assert [(s["name"], s["after"]) for s in events[0]["steps"]] == [("double", []), ("double-2", ["double"])]
    assert (events[2]["status"], events[2]["rows_per_second"]) == ("computed", None)
    assert (events[-1]["status"], events[-1]["run"]) == ("succeeded", events[0]["run"])
    assert events[0]["time"].endswith("Z")


def test_a_failed_run_says_so_in_the_stream(tidemill: Tidemill):
    done = tidemill("--log", "json", "run", "quadruple.py:hopeless", "--json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    ended = {e["step"]: e["status"] for e in events if e["event"] == "step-finished"}
    assert ended == {"double": "computed", "unlucky": "failed", "double-2": "skipped"}
    assert events[-1]["status"] == "failed"


def test_log_off_is_silent(tidemill: Tidemill):
    assert tidemill("--log", "off", "run", "quadruple.py:quadruple", "-p", "n=7").stderr == ""


def test_on_a_terminal_the_steps_are_live_and_stay_when_done(project: Path):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "run", "quadruple.py:quadruple", "--json"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(leader)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    assert json.loads(output)["outputs"] == {"result": 4}
    assert b"2 of 2 steps" in seen
    told = [line.split() for line in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).splitlines()]
    assert [words[:2] for words in told if words][-2:] == [
        [b"double", b"computed"],
        [b"double-2", b"computed"],
    ]
    assert b"\x1b[" in seen


def test_runs_show_and_why(tidemill: Tidemill):
    tidemill("run", "quadruple.py:quadruple", "-p", "n=3")
    tidemill("run", "quadruple.py:quadruple", "-p", "n=4")
    [latest, first] = json.loads(tidemill("runs", "--json").stdout)
    assert (latest["pipeline"], latest["computed"], latest["cached"]) == ("quadruple", 2, 0)
    assert len(json.loads(tidemill("runs", "--limit", "1", "--json").stdout)) == 1
    assert json.loads(tidemill("show", "latest", "--json").stdout)["run"] == latest["run"]
    text = tidemill("show", first["run"]).stdout
    assert f"run       {first['run']}" in text
    assert "result  int 12" in text
    why = json.loads(tidemill("why", "latest", "double", "--json").stdout)
    assert (why["step"], why["status"]) == ("double", "computed")
    assert why["changes"]
    assert "3 -> 4" in tidemill("why", "latest", "double").stdout


def test_runs_where(tidemill: Tidemill):
    for n in ("3", "4"):
        tidemill("run", "quadruple.py:quadruple", "-p", f"n={n}")
    done = tidemill("runs", "--where", "n > 3 and status = 'succeeded'", "--json")
    [found] = json.loads(done.stdout)
    assert json.loads(tidemill("show", found["run"], "--json").stdout)["parameters"] == {"n": 4}
    assert tidemill("runs", "--where", "n > 4").stdout == "There is no such run: n > 4\n"
    wrong = tidemill("runs", "--where", "nn > 4")
    assert wrong.returncode == 2
    assert "error[unknown-run-field]" in wrong.stderr


def test_compare(tidemill: Tidemill, project: Path):
    runs = [
        json.loads(tidemill("run", "quadruple.py:quadruple", "-p", f"n={n}", "--json").stdout)["run"]
        for n in ("3", "4")
    ]
    text = tidemill("compare", runs[0][:-1], "--html", "page.html").stdout
    assert "n          3  4" in text
    assert "result  12  16" in text
    assert "Equal: code, packages." in text
    assert (project / "page.html").read_text("utf-8").startswith("<!doctype html>")
    view = json.loads(tidemill("compare", *runs, "--json").stdout)
    assert [(s["name"], s["a"], s["b"]) for s in view["parameters"]] == [("n", 3, 4)]
    assert view["b"]["run"] == runs[1]


def test_logs(tidemill: Tidemill, project: Path):
    file = project / "loud.py"
    file.write_text(
        "import tidemill as tm\n\n@tm.step\ndef loud(n: int) -> int:\n    print('a [bold] word', n)\n    print('two')\n"
        "    return n\n\n@tm.pipeline\ndef talk(n: int = 1) -> int:\n    return loud(n)\n"
    )
    tidemill("run", "loud.py")
    assert tidemill("logs").stdout == "loud  a [bold] word 1\nloud  two\n"
    assert tidemill("logs", "latest", "loud", "--grep", "WORD").stdout == "a [bold] word 1\n"
    assert (
        tidemill("logs", "--limit", "1").stdout
        == "(1 more lines before these: --limit shows more)\nloud  two\n"
    )
    assert "printed a line with 'three'" in tidemill("logs", "--grep", "three").stdout
    view = json.loads(tidemill("logs", "--grep", "two", "--json").stdout)
    assert [(x["step"], x["number"], x["text"]) for x in view["lines"]] == [("loud", 2, "two")]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["runs", "--where", "n >"], "invalid-run-condition", "n >"),
        (["run", "nowhere.py"], "file-not-found", "nowhere.py"),
        (["run", "quadruple.py:quadruple", "-p", "m=3"], "unknown-parameter", "'m'"),
        (["run", "quadruple.py:quadruple", "-p", "n=three"], "wrong-parameter-type", "'n'"),
        (["show", "nothing"], "run-not-found", "'nothing'"),
        (["report"], "run-not-found", "no run"),
    ],
)
def test_what_is_wrong_is_named(tidemill: Tidemill, words: list[str], code: str, says: str):
    done = tidemill(*words, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert says in error["message"]


def test_reproduce_says_what_came_of_it(tidemill: Tidemill, project: Path):
    tidemill("run", "quadruple.py:quadruple", "-p", "n=3")
    done = tidemill("reproduce")
    assert done.returncode == 0, done.stderr
    assert "identical: all 2 steps gave what they had given" in done.stdout
    assert "those that are installed here are the run's" in done.stdout
    text = (project / "quadruple.py").read_text("utf-8")
    (project / "quadruple.py").write_text(
        text.replace("return 2 * x", "import os\n    return os.getpid()"), "utf-8"
    )
    tidemill("run", "quadruple.py:quadruple")
    done = tidemill("reproduce", "--keep", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["identical"], found["first"]) == (False, "double")
    assert "double is the first step that differs" in tidemill("reproduce").stdout
    assert tidemill("-C", found["folder"], "show").returncode == 0


def test_init_makes_a_project_that_runs_and_stays_as_it_is(tidemill: Tidemill, project: Path):
    first = tidemill("init", "fresh")
    assert first.returncode == 0
    assert "tidemill.toml" in first.stdout
    before = (project / "fresh" / "pipeline.py").read_text("utf-8")
    again = json.loads(tidemill("init", "fresh", "--json").stdout)
    assert again["files"] == []
    assert (project / "fresh" / "pipeline.py").read_text("utf-8") == before
    done = tidemill("-C", "fresh", "run", project / "fresh" / "pipeline.py", "-p", "n=3", "--json")
    assert json.loads(done.stdout)["outputs"] == {"result": 12}


def test_nothing_yet_says_what_to_type(tidemill: Tidemill):
    for words in (["runs"], ["models"], ["release", "list"], ["data", "list"]):
        done = tidemill(*words)
        assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
        assert json.loads(tidemill(*words, "--json").stdout) == []


def test_doctor_and_gc(tidemill: Tidemill, tmp_path: Path):
    tidemill("run", "quadruple.py:quadruple")
    assert "All is well." in tidemill("doctor").stdout
    findings = json.loads(tidemill("doctor", "--json").stdout)
    assert all(f["ok"] for f in findings)
    bad = tidemill("-C", tmp_path, "doctor")
    assert bad.returncode == 1
    assert "tidemill init" in bad.stdout
    freed = json.loads(tidemill("gc", "--dry-run", "--json").stdout)
    assert freed["dry_run"] is True
    assert tidemill("gc").stdout.startswith("Freed ")


def test_explain_says_what_would_be_computed_and_computes_nothing(tidemill: Tidemill, project: Path):
    tidemill("run", "quadruple.py:quadruple", "-p", "n=3")
    file = project / "quadruple.py"
    file.write_text(file.read_text("utf-8").replace("2 * x", "x + x"), "utf-8")
    shown = tidemill("run", "quadruple.py:quadruple", "-p", "n=3", "--explain").stdout
    assert shown.startswith("quadruple: 2 to compute, 0 in the cache\n")
    assert "code quadruple:double changed; its input x will be new (step double)" in shown
    assert shown.count("  -    return 2 * x\n  +    return x + x") == 1
    view = json.loads(tidemill("run", "quadruple.py:quadruple", "-p", "n=3", "--explain", "--json").stdout)
    assert [s["status"] for s in view["steps"]] == ["computed", "computed"]
    assert len(json.loads(tidemill("runs", "--json").stdout)) == 1


def test_an_audit_says_what_it_computed_again_and_fails_where_it_differs(tidemill: Tidemill, project: Path):
    text = "import tidemill as tm\n\n@tm.step\ndef read() -> str:\n    return open('{}').read()\n"
    other = project / "other.txt"
    other.write_text("one", "utf-8")
    (project / "reader.py").write_text(
        text.format(other) + "\n@tm.pipeline\ndef reading():\n    return read()\n", "utf-8"
    )
    assert "Audit" not in tidemill("run", "reader.py", "--audit", "1").stdout
    good = tidemill("run", "reader.py", "--audit", "0.05")
    assert "Audit: computed again, with the same result: read" in good.stdout
    other.write_text("two", "utf-8")
    assert tidemill("run", "reader.py").returncode == 0
    bad = tidemill("run", "reader.py", "--audit", "0.05")
    assert bad.returncode == 1
    assert "error[audit-failed]: Step 'read' has another 'result'" in bad.stderr


def test_parameters_are_read_by_their_annotation_or_given_as_json(tidemill: Tidemill, project: Path):
    (project / "typed.py").write_text(
        "import tidemill as tm\n\n@tm.step\ndef shown(text: str) -> str:\n    return text\n\n"
        "@tm.pipeline\ndef all_typed(a, b: int, c: list[float], d=None):\n    return shown(repr((a, b, c, d)))\n",
        "utf-8",
    )

    def result(*more: str) -> object:
        said = tidemill("run", "typed.py:all_typed", "-p", "b=3", "-p", "c=1,2.5", *more, "--json").stdout
        return json.loads(said)["outputs"]["result"]

    assert result("-p", "a=1e5") == "('1e5', 3, [1.0, 2.5], None)"
    assert result("-p", "a:=1e5", "-p", "d=null") == "(100000.0, 3, [1.0, 2.5], 'null')"
    assert result("-p", 'a:={"x": "1"}', "-p", "d:=[null]") == "({'x': '1'}, 3, [1.0, 2.5], [None])"
    wrong = tidemill("run", "typed.py", "-p", "a=1", "-p", "b=1.0", "-p", "c=1")
    assert wrong.returncode == 2
    assert "'b' must be int, not '1.0'" in wrong.stderr


def test_an_output_says_its_type(tidemill: Tidemill, project: Path):
    (project / "typed.py").write_text(
        "import tidemill as tm\n\n\n@tm.step\ndef given(value):\n    return value\n\n\n"
        "@tm.pipeline\ndef typed():\n    return {'text': given('2'), 'number': given(2), 'nothing': given(None)}\n"
    )
    words = [line.split(maxsplit=1) for line in tidemill("run", "typed.py").stdout.splitlines()[-3:]]
    assert dict(words) == {"text": "str 2", "number": "int 2", "nothing": "none"}
