"""Runs the slow profile, the tests marked ``slow_profile``, and records its last result in slow-tests.md.

    python docs/slow_tests.py [ARGUMENT OF PYTEST...]

With arguments, which may choose some of the tests, nothing is recorded.
"""

import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent


def main(arguments: list[str], record: Path = HERE / "slow-tests.md") -> int:
    """Run the tests; returns pytest's exit status."""
    command = [sys.executable, "-m", "pytest", "-m", "slow_profile", "--durations=0", *arguments]
    if arguments:
        return subprocess.run(command, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        began = datetime.now(UTC)
        done = subprocess.run([*command, f"--junitxml={results}"], check=False)
        if not results.exists():
            print("The tests did not run to their end: nothing is recorded.")
            return done.returncode
        record.write_text(page(results.read_text("utf-8"), began), "utf-8")
    print(f"wrote {record}")
    return done.returncode


def page(results: str, began: datetime) -> str:
    """slow-tests.md, of pytest's JUnit XML."""
    root = ET.fromstring(results)  # noqa: S314 - pytest's own file, written a moment ago
    rows = sorted(_rows(root))
    seconds = sum(row[2] for row in rows)
    lines = [
        "# The slow profile, as it ran last",
        "",
        "Tests that take minutes each are marked `slow_profile`. The default suite leaves them out;",
        "`just test-slow` runs them and writes this page.",
        "",
        (
            f"{began:%Y-%m-%d %H:%M} UTC, commit {_commit()}, Python {platform.python_version()}, "
            f"{platform.system()} {platform.machine()}: {_counted(rows)} in {seconds:.0f} s."
        ),
        "",
        "| test | result | seconds |",
        "|---|---|---|",
        *(f"| `{name}` | {result} | {taken:.1f} |" for name, result, taken in rows),
    ]
    return "\n".join(lines) + "\n"


def _rows(root: ET.Element) -> Iterator[tuple[str, str, float]]:
    words = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    for case in root.iter("testcase"):
        result = next((words[part.tag] for part in case if part.tag in words), "passed")
        place = case.get("classname", "").replace(".", "/")
        name = case.get("name", "").replace("|", "\\|")
        yield f"{place}.py::{name}", result, float(case.get("time", "0"))


def _counted(rows: list[tuple[str, str, float]]) -> str:
    results = [result for _, result, _ in rows]
    known = ["failed", "passed", "skipped"]
    return ", ".join(f"{results.count(what)} {what}" for what in known if what in results) or "no tests"


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
