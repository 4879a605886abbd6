"""A server's log: whatever is written in its process is one JSON object a line."""

import json
import subprocess
import sys

CODE = """
import logging, os, sys, threading, warnings
from tidemill.edge.reports import report, report_all

report_all()
report("serving", port=1)
print("two\\nlines", end="")
print(" and the rest")
print("to stderr", file=sys.stderr)
warnings.warn("a warning")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("it %s", "failed")

def die():
    raise ValueError("in a thread")

thread = threading.Thread(target=die)
thread.start()
thread.join()
raise SystemError("at the end")
"""


def test_each_line_is_one_json_object() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [record["event"] for record in found] == [
        *("serving", "printed", "printed", "printed", "logged", "logged", "bug", "bug"),
    ]
    assert [record["text"] for record in found if record["event"] == "printed"] == [
        "two",
        "lines and the rest",
        "to stderr",
    ]
    warned, failed = (record for record in found if record["event"] == "logged")
    assert "a warning" in warned["message"]
    assert (failed["logger"], failed["message"]) == ("library", "it failed")
    assert "ZeroDivisionError" in failed["trace"][-1]
    assert [record["error"] for record in found[-2:]] == [
        "ValueError('in a thread')",
        "SystemError('at the end')",
    ]
