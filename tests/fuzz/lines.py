"""Command lines that somebody could type, made of the real commands and options with odd words in them."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import click

from tests.fuzz import shop
from tests.fuzz.session import Finding, Session

_AT_ONCE = 100
"""Command lines that share a project."""

NAMES = [
    *(
        "d",
        "e",
        "d@main",
        "d@b",
        "d@c",
        "d@first",
        "d#1",
        "d@HEAD",
        "d@main~1",
        "d@main^",
        "d@2",
        "other",
        "main",
    ),
    *(
        "b",
        "c",
        "first",
        "1",
        "2",
        "latest",
        "latest~1",
        "shop",
        "shop/1",
        "hopeless",
        "double",
        "unlucky",
        "prod",
    ),
    *(
        "dev",
        "id",
        "name",
        "price",
        "label",
        "label=red",
        "id=1",
        "shop.py",
        "shop.py:shop",
        "shop.py:hopeless",
    ),
    *(
        "a.csv",
        "ours.csv",
        "theirs.csv",
        "conflicts.csv",
        "rows.json",
        "labels.csv",
        "\u00e9 name.csv",
        "images",
    ),
    *("n=1", "n:=3", "share=0.5", "name=x", "image=p*:2x2", "id=int64", "price=string", "price=decimal(9,2)"),
    *(
        "price > 1",
        "name = 'ada'",
        "label is null",
        "_id > 0",
        "accuracy >= 0.5",
        "ours",
        "theirs",
        "price=ours",
    ),
    *(
        "elsewhere",
        "out.csv",
        "out.parquet",
        "out.jsonl",
        "out.arrow",
        "out.xlsx",
        "page.html",
        "missing/page.html",
    ),
    *("sqlite:///shop.db", "select 1", "select * from d", "28x28", "text", "status=failed", "n > 1"),
]
"""Words that mean something here."""
ODD = [
    *(
        "",
        " ",
        "-",
        "--",
        "---",
        "-x",
        "-1",
        "0",
        "-0",
        "1e5",
        "1e400",
        "nan",
        "inf",
        "NaN",
        "0x10",
        "1_000",
        "007",
    ),
    *(
        "9" * 30,
        "-9223372036854775809",
        "18446744073709551616",
        "3.5",
        ".5",
        "true",
        "null",
        "[]",
        "{}",
        '{"a":1}',
    ),
    *(
        "\u00e9",
        "\u540d\u524d",
        "\U0001f600",
        "\u202e",
        "\u2028",
        "e\u0301",
        "\udc80",
        "a\udcff.csv",
        "\ud800",
        "\ufeffd",
    ),
    *(
        "a\nb",
        "\n",
        "a\rb",
        "\t",
        "\x00",
        "a\x00b",
        "\x1b[31m",
        "\x7f",
        "a" * 300,
        "x" * 20_000,
        "\u00e9" * 300,
    ),
    *(
        "*",
        "*.csv",
        "a?.csv",
        "[",
        "[a",
        "**",
        "~",
        "~nobody",
        "$HOME",
        "${HOME}",
        "${NOT_SET}",
        "%s",
        "{0}",
        "%(a)s",
    ),
    *(
        "'",
        '"',
        "\\",
        "`id`",
        "; ls",
        "a;b",
        "a|b",
        "a&b",
        "<a>",
        "#",
        "@",
        ":",
        "=",
        "=1",
        "a=",
        "a==b",
        "==",
        ",",
        "/",
    ),
    *(
        ".",
        "..",
        "./a.csv",
        "a/b",
        "a//b",
        "@main",
        "d@",
        "d@@b",
        "d@b@c",
        "d~",
        "d~99",
        "d#",
        "d#x",
        "d#999",
        "d^^^",
    ),
    *(
        "missing",
        "missing/a.csv",
        "missing.csv",
        ".tidemill",
        "tidemill.toml",
        "shop.py:",
        ":shop",
        "shop.py:x:y",
    ),
    *(
        "/dev/null",
        "/dev/full",
        "/proc/self/mem",
        "/dev/stdin",
        "a.csv/x",
        "images/x.csv",
        ".tidemill/catalog.db",
    ),
    *(
        "postgresql://",
        "postgresql://:bad",
        "sqlite://",
        "sqlite:///",
        "mysql://x/y",
        "://",
        "s3://",
        "file://",
        "ftp://x",
    ),
    *(
        "id = ",
        "drop table d",
        "1=1; delete",
        "(((",
        "'",
        "a" + " or 1=1" * 2000,
        "(" * 300,
        "not " * 500,
        "select",
    ),
    *(
        "CON",
        "NUL",
        "_id",
        "_prediction",
        "_x",
        ".hidden",
        "a.b",
        "A",
        "con.csv",
        "--help",
        "--json",
        "--version",
        "-p",
    ),
    *(
        "2024-01-01",
        "99999-99-99",
        "1x1",
        "0x0",
        "-1x5",
        "999999x999999",
        "x*:9999999x9999999",
        "p*:0",
        "p*:2x",
        "*:1",
    ),
]
"""Words that mean nothing, too much, or something else."""
_NUMBERS = [
    "0",
    "1",
    "2",
    "9",
    "-1",
    "10",
    "99999999999999999999",
    "1.5",
    "x",
    "",
    "+1",
    " 1",
    "1 ",
    "\u0663",
    "0x1",
    "1e3",
]

_NEVER = frozenset({"demo"})
"""Commands that fetch data: what they take is tried in processes of their own, elsewhere."""


@cache
def commands() -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command, with the words that lead to it."""
    from tidemill.cli.main import main

    return list(_below(main, (), click.Context(main, info_name="tidemill")))


def _below(
    command: click.Command, path: tuple[str, ...], context: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from _below(child, (*path, name), click.Context(child, parent=context, info_name=name))


class Lines:
    """Command lines, each of which is tried as it stands.

    Args:
        session: Where they are tried.
        made: A project that ``shop.make`` filled.
    """

    def __init__(self, session: Session, made: Path) -> None:
        self._session = session
        self._made = made
        self._work = session.root / "lines"
        self._turn = -1

    def try_one(self, number: int) -> list[Finding]:
        """Make the command line of this number, and type it."""
        random = Random(number)
        if number // _AT_ONCE != self._turn:
            self._turn = number // _AT_ONCE
            shop.copy(self._made, self._work)
        words = line(random)
        before = Path.cwd()
        os.chdir(self._work)
        try:
            stdin = random.choice([b"", b"", b"y\n", b"red\nquit\n", b"ours\n" * 5, b"\xff\x00", b"[{}]"])
            encoding = random.choice(["utf-8", "utf-8", "ascii"])
            return self._session.tried(words, stdin=stdin, encoding=encoding)[1]
        finally:
            os.chdir(before)


def line(random: Random) -> list[str]:
    """One command line."""
    path, command = random.choice(commands())
    words = [word for part in _parts(random, command) for word in part]
    if random.random() < 0.3:
        words.insert(0, "--json")
    before = (
        ["-C", random.choice([".", "images", "missing", "a.csv", "", "\udc80", "a\x00"])]
        if random.random() < 0.03
        else []
    )
    before += (
        random.choice([["--debug"], ["--log", "json"], ["--log", "x"], ["--version"], ["-x"]])
        if random.random() < 0.05
        else []
    )
    typed = [*before, *path, *words]
    if random.random() < 0.25:
        typed = _bent(random, typed)
    if path and path[0] in _NEVER:
        typed.append("--help")
    return typed


def _parts(random: Random, command: click.Command) -> list[list[str]]:
    arguments: list[list[str]] = []
    options: list[list[str]] = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            if parameter.required or random.random() < 0.5:
                count = random.choice([1, 1, 2, 3]) if parameter.nargs == -1 else parameter.nargs
                arguments += [[_word(random, parameter)] for _ in range(count)]
        elif (
            isinstance(parameter, click.Option) and random.random() < 0.25 and "--json" not in parameter.opts
        ):
            name = random.choice([*parameter.opts, *parameter.secondary_opts])
            for _ in range(random.choice([1, 1, 1, 2])):
                if parameter.is_flag:
                    options.append([name])
                elif name.startswith("--") and random.random() < 0.3:
                    options.append([f"{name}={_word(random, parameter)}"])
                else:
                    options.append([name, _word(random, parameter)])
    parts = [*arguments]
    for option in options:
        parts.insert(random.randrange(len(parts) + 1), option)
    return parts


def _word(random: Random, parameter: click.Parameter) -> str:
    odd = random.random() < 0.35
    if isinstance(parameter.type, click.Choice) and not odd:
        return str(random.choice(list(parameter.type.choices)))
    if isinstance(parameter.type, click.types.IntRange | click.types.FloatRange) and random.random() < 0.8:
        return random.choice(_NUMBERS)
    name = parameter.name or ""
    if not odd and name in {"ref", "a", "b", "name"} and random.random() < 0.7:
        return random.choice(NAMES[:13])
    if odd and random.random() < 0.2:
        return random.choice(ODD) + random.choice(NAMES)
    return random.choice(ODD if odd else NAMES)


def _bent(random: Random, line: list[str]) -> list[str]:
    """A line in which a word is lost, doubled, cut, or in the wrong place."""
    for _ in range(random.choice([1, 1, 2])):
        at = random.randrange(len(line) + 1)
        match random.randrange(6):
            case 0 if at < len(line):
                del line[at]
            case 1:
                line.insert(at, random.choice([*ODD, *NAMES]))
            case 2 if at < len(line):
                line.insert(random.randrange(len(line) + 1), line[at])
            case 3 if at < len(line):
                line[at] = line[at][:-1]
            case 4:
                line.insert(at, "--")
            case _:
                random.shuffle(line)
    # Whatever was bent, nothing is fetched.
    return ["--help" if word in _NEVER else word for word in line]
