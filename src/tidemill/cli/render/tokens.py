"""Tokens, drawn. None of them shows a secret."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import damaged, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.unreadable import Unreadable
    from tidemill.loop.views import TokenView


def made(view: "TokenView") -> str:
    """What the token that stands above is good for."""
    until = f"until {when(view.expires_at)} UTC" if view.expires_at else "without an end"
    return (
        f"Token {view.token} of {view.environment} is good for {', '.join(view.scopes)}, {until}. "
        "It is not shown again; send it as 'Authorization: Bearer TOKEN'."
    )


def revoked(view: "TokenView") -> str:
    """That it is good for nothing any more."""
    return f"Token {view.token} of {view.environment} is revoked."


def tokens(views: "Sequence[TokenView | Unreadable]") -> "RenderableType":
    """One line a token; one for all of an environment whose file cannot be read."""
    from tidemill.loop.unreadable import Unreadable  # noqa: PLC0415

    return table(
        ["environment", "token", "state", "scopes", "until (UTC)", "author", "created (UTC)", "note"],
        [
            (v.name, damaged(), *[None] * 6)
            if isinstance(v, Unreadable)
            else (
                v.environment,
                v.token,
                v.state,
                ", ".join(v.scopes),
                when(v.expires_at) if v.expires_at else None,
                v.author,
                when(v.created_at),
                v.note or None,
            )
            for v in views
        ],
        empty="There are no tokens. 'tidemill token create ENVIRONMENT' makes one.",
    )
