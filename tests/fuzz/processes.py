"""Cases as processes of their own, as a shell starts them: real words, real streams, real exit statuses."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.fuzz import lines, seeds, shop
from tests.fuzz.campaign import Results
from tests.fuzz.mutations import mutated
from tests.fuzz.session import PATIENCE, SECONDS, Finding, Outcome, judged

_AT_ONCE = 20
"""Cases that share a project."""
_LONG = frozenset({"demo", "reproduce"})
"""Commands that fetch what they need, or make an environment: minutes of work, and no fault of theirs."""
_LOCALES = [
    {"LC_ALL": "C.UTF-8"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
]


def run(
    *,
    first: int = 0,
    count: int,
    results: Results | None = None,
    tell: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Try as many cases, each in a process of its own; ``results`` and ``tell`` as in a campaign."""
    results = results or Results()
    before, began = results.seconds, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root, project = Path(folder), Path(folder) / "work" / "project"
        shop.make(root / "made")
        for number in range(first + results.tried, first + count):
            if number % _AT_ONCE == 0 or not project.exists():
                shop.copy(root / "made", project)
            start = time.monotonic()
            findings = _tried(Random(number), project, root)
            results.findings += [{"number": number, **asdict(finding)} for finding in findings]
            if (taken := time.monotonic() - start) > results.longest_seconds:
                results.longest_seconds, results.longest = taken, number
            results.tried += 1
            results.seconds = before + time.monotonic() - began
            tell(results)
    return results


def _tried(random: Random, project: Path, root: Path) -> list[Finding]:
    words = _line(random, project)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "TMPDIR": str(root),
        **random.choice(_LOCALES),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", *map(os.fsencode, words)],
        cwd=project,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(random.choice([b"", b"y\n", b"red\n\xff\n"]), SECONDS * PATIENCE)
    except subprocess.TimeoutExpired:
        # A page is served until somebody ends it; whatever else is at work for so long hangs.
        served = "page" in words
        process.send_signal(signal.SIGINT if served else signal.SIGKILL)
        out, err = process.communicate(timeout=SECONDS * PATIENCE)
        if not served:
            return [
                Finding("hang", " ".join(words[:3]), err.decode("utf-8", "replace")[-3000:], tuple(words))
            ]
    status = process.returncode
    if status < 0:
        return [Finding("crash", f"signal {-status}", err.decode("utf-8", "replace")[-3000:], tuple(words))]
    outcome = Outcome(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), None)
    return judged(words, outcome)


def _line(random: Random, project: Path) -> list[str]:
    """Words that a process can be given, and a command that ends."""
    if random.random() < 0.4:
        seed = random.choice(seeds.tables())
        others = seeds.all_bytes(seeds.tables())
        name = random.choice([seed.name, "\udce9" + seed.name, "a b\n" + seed.name])
        (project / name).write_bytes(mutated(random, seed.data, others))
        return [
            "data",
            "import",
            f"n{random.randrange(10**9)}",
            name,
            *seed.options,
            *random.choice([[], ["--json"]]),
        ]
    made = lines.line(random)
    words = [word.replace("\x00", "").replace("\ud800", "\udc80") for word in made]
    return ["--help"] if _LONG & set(words) else words
