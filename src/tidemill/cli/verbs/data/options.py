"""Options that several data commands have."""

from collections.abc import Callable
from typing import Any

import click


def message_option(purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``-m``: the message of the commit that the command makes."""
    return click.option("-m", "--message", metavar="TEXT", help=purpose)
