"""Tries cases by the thousand in one process, and starts it anew behind a case that took it down."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.fuzz.session import PATIENCE, SECONDS

ROOT = Path(__file__).parents[2]
Kind = Literal["files", "lines"]
_SILENCE_SECONDS = 3 * SECONDS * PATIENCE
"""A process that has not begun another case for so long is ended: it does not hear its own alarms."""


@dataclass(slots=True)
class Results:
    """What a campaign tried and found.

    Attributes:
        tried: Cases.
        seconds: In all.
        longest_seconds: Of one case.
        longest: Its number.
        findings: Each as a dict: its number, the promise that was broken, where, the text, and the words typed.
    """

    tried: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0
    longest: int = -1
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def kinds(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The findings by what was broken and where."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for finding in self.findings:
            found.setdefault((finding["promise"], finding["where"]), []).append(finding)
        return found


def run(
    kind: Kind,
    *,
    first: int = 0,
    count: int,
    seconds: float = float("inf"),
    results: Results | None = None,
    tell: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Try the cases ``first`` to ``first + count``, at most for so many seconds.

    Args:
        kind: Of what.
        first: The first case's number.
        count: How many.
        seconds: At most, from now on.
        results: What an earlier run of the same, which was ended, had tried and found: it is gone on from there.
        tell: Called with the results so far, at each finding and every hundred cases.
    """
    results = results or Results()
    before, began, end = results.seconds, time.monotonic(), first + count
    first += results.tried
    with tempfile.TemporaryDirectory() as folder:
        at, errors = Path(folder) / "at", Path(folder) / "errors"
        while first < end and (left := seconds - (time.monotonic() - began)) > 0:
            tried, ended = results.tried, False
            options = {"--first": first, "--count": end - first, "--seconds": left, "--at": at}
            for line in _lines(kind, options, at, errors):
                if "promise" in line:
                    results.findings.append(line)
                else:
                    results.tried, ended = tried + line["tried"], line["ended"]
                    if line["longest_seconds"] > results.longest_seconds:
                        results.longest_seconds, results.longest = line["longest_seconds"], line["longest"]
                results.seconds = before + time.monotonic() - began
                tell(results)
            if ended:
                break
            # It is gone: the case that it was at took it down.
            last = int(at.read_text("utf-8")) if at.exists() else first
            results.findings.append(_taken_down(last, errors.read_text("utf-8", "replace")))
            results.tried = tried + last + 1 - first
            first = last + 1
    results.seconds = before + time.monotonic() - began
    tell(results)
    return results


def _taken_down(number: int, said: str) -> dict[str, Any]:
    promise = "crash" if "Fatal Python error" in said else "hang"
    return {
        "number": number,
        "promise": promise,
        "where": _innermost(said),
        "text": said[:4000],
        "words": [],
    }


def _lines(kind: Kind, options: Mapping[str, object], at: Path, errors: Path) -> Iterator[dict[str, Any]]:
    words = [word for name, value in options.items() for word in (name, str(value))]
    at.unlink(missing_ok=True)
    with errors.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz", kind, *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        assert process.stdout
        watch = threading.Thread(target=_watch, args=(process, at), daemon=True)
        watch.start()
        try:
            for line in process.stdout:
                # What a library in C prints by itself is no finding.
                if line.startswith('{"'):
                    yield json.loads(line)
            process.wait(_SILENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            watch.join()


def _watch(process: "subprocess.Popen[str]", at: Path) -> None:
    """End the process where it has not begun another case for too long; it then writes where it is."""
    seen, since = "", time.monotonic()
    while process.poll() is None:
        time.sleep(1)
        now = at.read_text("utf-8") if at.exists() else ""
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _SILENCE_SECONDS:
            process.send_signal(signal.SIGUSR1)
            since = time.monotonic()


def _innermost(said: str) -> str:
    """The innermost place in Tidemill's own code of a stack that ``faulthandler`` wrote."""
    current = said.partition("Current thread")[2] or said
    for line in current.splitlines():
        if "/src/tidemill/" in line:
            file, _, function = line.partition(", line")
            return f"{file.rpartition('/')[2].strip(chr(34))}:{function.rpartition(' ')[2]}"
    return said.strip().partition("\n")[0][:100]
