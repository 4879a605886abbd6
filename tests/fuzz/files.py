"""A damaged file, brought in the way that a file of its kind comes in."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz import seeds, shop
from tests.fuzz.mutations import mutated
from tests.fuzz.roundtrip import lost
from tests.fuzz.session import Finding, Session

_AT_ONCE = 100
"""Cases that share a project: a new one is made then, so that what an import has left is soon gone."""
_LOOKS = [
    *(
        "data list",
        "data log d",
        "data show d",
        "data show d@b --json",
        "data diff d@first d",
        "data blame d",
    ),
    *("data export d out.csv", "data export d out.parquet", "data profile d", "data check d", "review list"),
    *(
        "review show 1",
        "label status",
        "label status d",
        "runs",
        "runs --json",
        "show",
        "logs",
        "why latest double",
    ),
    *(
        "models",
        "release list",
        "status",
        "lineage d",
        "gc --dry-run",
        "doctor",
        "data tag d",
        "data branch d",
    ),
    *("data merge d b", "data import d a.csv", "data list --json", "data forget d --where id=1 --dry-run"),
    *("report", "compare latest latest~1", "resume latest", "explain latest latest", "data delete e --yes"),
]
"""What is typed at a project whose store is damaged."""


_CHANGING = frozenset({"data merge d b", "data import d a.csv"})
_EXPORT = "data export d out.csv"


class Files:
    """Damaged files, each in one call or a few.

    Args:
        session: Where they are tried.
        made: A project that ``shop.make`` filled.
    """

    def __init__(self, session: Session, made: Path) -> None:
        self._session = session
        self._made = made
        self._work = session.root / "files"
        self._others = seeds.all_bytes([*seeds.tables(), *seeds.images(), seeds.SETTINGS])
        self._turn = -1
        self._whole: bytes | None = None

    def try_one(self, number: int) -> list[Finding]:
        """Make the file of this number, and bring it in."""
        random = Random(number)
        if number // _AT_ONCE != self._turn:
            self._turn = number // _AT_ONCE
            self._fresh()
        ways: list[tuple[int, Callable[[Random, int], list[Finding]]]] = [
            (60, self._import),
            (10, self._images),
            (6, self._settings),
            (5, self._predict),
            (3, self._feedback),
            (4, self._choices),
            (4, self._answers),
            (8, self._store),
        ]
        [way] = random.choices([way for _, way in ways], [weight for weight, _ in ways])
        before = Path.cwd()
        os.chdir(self._work)
        try:
            return way(random, number)
        finally:
            os.chdir(before)

    def _fresh(self) -> None:
        shop.copy(self._made, self._work)

    def _import(self, random: Random, number: int) -> list[Finding]:
        seed = random.choice(seeds.tables())
        data = mutated(random, seed.data, self._others)
        name = random.choice(
            [seed.name] * 8 + [random.choice(seeds.tables()).name, "a", "a.txt", "\u00e9 a.csv"]
        )
        Path(name).write_bytes(data)
        options = seed.options if random.random() < 0.8 else ()
        dataset = "d" if random.random() < 0.05 else f"n{number % _AT_ONCE}"
        # A dry run reads the whole file too, and is quicker than a commit.
        trial = random.random() < 0.6
        words = ["data", "import", dataset, name, *options, *(["--dry-run"] if trial else []), *_json(random)]
        outcome, found = self._session.tried(words, encoding=_encoding(random))
        if outcome is not None and outcome.status == 0 and not trial and dataset != "d":
            found += self._exported(random, dataset, Path(name), words)
        Path(name).unlink(missing_ok=True)
        return found

    def _exported(self, random: Random, dataset: str, source: Path, words: Sequence[str]) -> list[Finding]:
        """What an import kept comes out as it came in."""
        target = random.choice(["out.csv", "out.csv", "out.parquet", "out.jsonl"])
        outcome, found = self._session.tried(["data", "export", dataset, target])
        if outcome is not None and outcome.status == 0:
            text = lost(source, Path(target), tensors="--tensor" in words)
            if text:
                found.append(Finding("cells", source.suffix, text, tuple(words)))
            again, more = self._session.tried(["data", "import", f"{dataset}-again", target, "--json"])
            found += more
            if again is not None and again.status == 2 and target != "out.csv":
                found.append(Finding("cells", "again", again.out, tuple(words)))
        Path(target).unlink(missing_ok=True)
        return found

    def _images(self, random: Random, number: int) -> list[Finding]:
        folder = Path("pictures")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "red").mkdir(parents=True)
        for at in range(random.choice([1, 1, 2])):
            seed = random.choice(seeds.images())
            data = mutated(random, seed.data, self._others) if at == 0 else seed.data
            (folder / "red" / f"{at}{Path(seed.name).suffix}").write_bytes(data)
        if random.random() < 0.2:
            table = b"file,label\nred/0.png,red\n"
            (folder / "labels.csv").write_bytes(mutated(random, table, self._others))
        resize = ["--resize", "2x2"] if random.random() < 0.3 else []
        words = ["data", "import", f"p{number % _AT_ONCE}", "pictures", "--dry-run", *resize, *_json(random)]
        return self._session.tried(words, encoding=_encoding(random))[1]

    def _settings(self, random: Random, number: int) -> list[Finding]:
        kept = Path("tidemill.toml").read_bytes()
        Path("tidemill.toml").write_bytes(mutated(random, seeds.SETTINGS.data, self._others))
        look = random.choice(
            ["data list", "data check d", "data import d a.csv --dry-run", "release list", "doctor"]
        )
        try:
            return self._session.tried([*look.split(), *_json(random)])[1]
        finally:
            Path("tidemill.toml").write_bytes(kept)

    def _predict(self, random: Random, number: int) -> list[Finding]:
        seed = random.choice(seeds.PREDICT)
        Path(seed.name).write_bytes(mutated(random, seed.data, self._others))
        return self._session.tried(["predict", "dev", seed.name, *seed.options, *_json(random)])[1]

    def _feedback(self, random: Random, number: int) -> list[Finding]:
        [seed] = seeds.FEEDBACK
        Path("back.csv").write_bytes(mutated(random, seed.data, self._others))
        return self._session.tried(["feedback", "dev", "back.csv", *_json(random)])[1]

    def _choices(self, random: Random, number: int) -> list[Finding]:
        written = (
            Path("conflicts.csv")
            .read_bytes()
            .replace(b",\n", random.choice([b",ours\n", b",=15\n", b",theirs\n"]))
        )
        written = written.replace(b",\r\n", b",ours\r\n")
        Path("choices.csv").write_bytes(mutated(random, written, self._others))
        words = ["data", "merge", "d", "b", "--choices", "choices.csv", *_json(random)]
        outcome, found = self._session.tried(words)
        if outcome is not None and outcome.status == 0:
            self._fresh()
        return found

    def _answers(self, random: Random, number: int) -> list[Finding]:
        words = ["label", "start", "d", "--column", "label", *_json(random)]
        data = mutated(random, seeds.ANSWERS.data, self._others)
        return self._session.tried(words, stdin=data, encoding=_encoding(random))[1]

    def _store(self, random: Random, number: int) -> list[Finding]:
        """A file of the store itself, damaged: what it says is what was written, or it is said that it is damaged."""
        shop.copy(self._made, Path("damaged"))
        os.chdir("damaged")
        if self._whole is None:
            self._session.tried(_EXPORT.split())
            self._whole = Path("out.csv").read_bytes()
            Path("out.csv").unlink()
        files = sorted(p for p in Path(".tidemill").rglob("*") if p.is_file())
        path = random.choice(files)
        data = path.read_bytes()
        path.unlink()
        if random.random() < 0.85:
            path.write_bytes(mutated(random, data, self._others))
        found: list[Finding] = []
        for look in random.sample(_LOOKS, 2):
            _, more = self._session.tried(look.split())
            found += [Finding(f.promise, f.where, f"{path}\n{f.text}", f.words) for f in more]
            # Some of them change the dataset.
            if not found and look in _CHANGING:
                return found
        outcome, more = self._session.tried(_EXPORT.split())
        if outcome is not None and outcome.status == 0 and Path("out.csv").read_bytes() != self._whole:
            more.append(Finding("cells", path.parent.name, f"{path}: other cells than were stored", ()))
        return [*found, *more]


def _json(random: Random) -> list[str]:
    return ["--json"] if random.random() < 0.4 else []


def _encoding(random: Random) -> str:
    return random.choice(["utf-8", "utf-8", "utf-8", "ascii", "cp1252"])
