"""Commands about tokens: who may ask an environment's server."""

import click

from tidemill.cli import streams
from tidemill.cli.command import Group, State, command, pass_state


@click.group(
    "token",
    cls=Group,
    example="tidemill token create prod --scope predict --until 2027-06-30",
    sections={"Commands": {"create": "tokens:create", "list": "tokens:list_", "revoke": "tokens:revoke"}},
)
def token() -> None:
    """Tokens: who may ask an environment's server, for what, until when.

    Once an environment has had a token, its server answers nobody without one.
    """


@command("create", example="tidemill token create prod --scope predict --until 2027-06-30")
@click.argument("environment")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["predict", "feedback", "read"]),
    default=("predict", "read"),
    show_default=True,
    help="What it is good for: to predict, to send labels, to read metadata and metrics; one more.",
)
@click.option("--until", metavar="DATE", help="Its last day, or a time, in UTC; without it, it has no end.")
@click.option("--note", default="", metavar="TEXT", help="What it is for.")
@pass_state
def create(state: State, environment: str, scopes: tuple[str, ...], until: str | None, note: str) -> None:
    """Make a token for an environment, on the machine that serves it, and show it this once.

    Standard output gets the token alone; what is kept is its SHA-256.
    """
    from tidemill.cli.render import tokens as render  # noqa: PLC0415
    from tidemill.loop import tokens as loop  # noqa: PLC0415

    made = loop.create(state.workspace(), environment, scopes, until, note)
    state.show(made, lambda view: view.secret)
    if not state.as_json:
        streams.note(render.made(made.token))


@command("list", example="tidemill token list prod")
@click.argument("environment", required=False)
@pass_state
def list_(state: State, environment: str | None) -> None:
    """List the tokens of an environment, or of all that no other machine serves; revoked ones too."""
    from tidemill.cli.render import tokens as render  # noqa: PLC0415
    from tidemill.loop import tokens as loop  # noqa: PLC0415

    workspace = state.workspace()
    found = loop.tokens(workspace, environment)
    if environment is None:
        for sentence in loop.elsewhere(workspace):
            streams.note(sentence)
    state.show_all(found, render.tokens)


@command("revoke", example="tidemill token revoke prod 3f9a1c07")
@click.argument("environment")
@click.argument("token")
@pass_state
def revoke(state: State, environment: str, token: str) -> None:
    """Take a token back: a server that runs refuses it at once.

    TOKEN is its id, as 'tidemill token list' shows it.
    """
    from tidemill.cli.render import tokens as render  # noqa: PLC0415
    from tidemill.loop import tokens as loop  # noqa: PLC0415

    state.show(loop.revoke(state.workspace(), environment, token), render.revoked)
