"""Tries cases by the thousand in one process, and starts it anew behind a case that took it down."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
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
        findings: Each as a dict: its number, the promise that was broken, where, the text, and the words typed.
    """

    tried: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def kinds(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The findings by what was broken and where."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for finding in self.findings:
            found.setdefault((finding["promise"], finding["where"]), []).append(finding)
        return found


def run(kind: Kind, *, first: int = 0, count: int, seconds: float = float("inf")) -> Results:
    """Try the cases ``first`` to ``first + count``, at most for so many seconds."""
    results, end = Results(), first + count
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        at, errors = Path(folder) / "at", Path(folder) / "errors"
        while first < end and (left := seconds - (time.monotonic() - began)) > 0:
            options = {"--first": first, "--count": end - first, "--seconds": left, "--at": at}
            summary = None
            for line in _lines(kind, options, at, errors):
                if "promise" in line:
                    results.findings.append(line)
                else:
                    summary = line
            if summary is not None:
                results.tried += summary["tried"]
                results.longest_seconds = max(results.longest_seconds, summary["longest_seconds"])
                break
            # It is gone: the case that it was at took it down.
            last = int(at.read_text("utf-8")) if at.exists() else first
            said = errors.read_text("utf-8", "replace")
            promise = "crash" if "Fatal Python error" in said else "hang"
            results.findings.append(
                {
                    "number": last,
                    "promise": promise,
                    "where": _innermost(said),
                    "text": said[:4000],
                    "words": [],
                }
            )
            results.tried += last + 1 - first
            first = last + 1
    results.seconds = time.monotonic() - began
    return results


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
