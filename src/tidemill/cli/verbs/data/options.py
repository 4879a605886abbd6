"""Options that several data commands have."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tidemill.cli.parameters import assignments


def branch_option(purpose: str, name: str = "--branch") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--branch``: where a change goes."""
    return click.option(name, metavar="NAME", help=f"{purpose}  [default: the one switched to, or main]")


def decision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is to be done where both sides changed the same; comes as one argument, ``decisions``."""
    options = [
        click.option("--ours", is_flag=True, help="Where both changed the same, keep what the branch has."),
        click.option("--theirs", is_flag=True, help="Where both changed the same, take what comes."),
        click.option(
            "--resolve",
            multiple=True,
            metavar="COLUMN=SIDE",
            help="In this column take 'ours', 'theirs' or 'base'; may be given several times.",
        ),
        click.option(
            "--choices",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A CSV list of conflicts with its column 'choice' filled in: ours, theirs, base or a value.",
        ),
    ]

    @functools.wraps(command)
    def with_decisions(
        *arguments: Any, ours: bool, theirs: bool, resolve: tuple[str, ...], choices: Path | None, **rest: Any
    ) -> Any:
        from tidemill.loop.datasets.choices import Decisions  # noqa: PLC0415

        if ours and theirs:
            raise click.UsageError(
                "--ours and --theirs exclude each other; --resolve COLUMN=SIDE is for one column."
            )
        side = "ours" if ours else "theirs" if theirs else None
        decisions = Decisions(side, assignments("--resolve", resolve), choices)
        return command(*arguments, decisions=decisions, **rest)

    for option in reversed(options):
        with_decisions = option(with_decisions)
    return with_decisions


def message_option(purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``-m``: the message of the commit that the command makes."""
    return click.option("-m", "--message", metavar="TEXT", help=purpose)
