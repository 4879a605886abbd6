"""docs/cli.md has an example of each command, and each of its examples can be typed."""

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.cli.test_help import LEAVES
from tidemill.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
TYPED = [
    shlex.split(line)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("tidemill ")
]


def test_each_command_has_an_example():
    missing = [path for path, _ in LEAVES if not any(tuple(w[1 : 1 + len(path)]) == path for w in TYPED)]
    assert missing == []


@pytest.mark.parametrize("words", TYPED, ids=shlex.join)
def test_an_example_can_be_typed(words: list[str]):
    rest = words[1:]
    command: click.Command = main
    while isinstance(command, click.Group):
        # Options may stand in front of the command.
        _, rest, _ = command.make_parser(click.Context(command)).parse_args(rest)
        _, found, rest = command.resolve_command(click.Context(command), rest)
        assert found is not None, rest
        command = found
    command.make_context(command.name, rest)


def test_the_exit_statuses_are_the_real_ones():
    from tidemill.cli import faults
    from tidemill.core import errors

    real = {
        e.exit_status
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.TidemillError)
    }
    documented = {int(n) for n in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert documented == {0, *real, faults.INTERRUPTED, faults.READER_GONE}
