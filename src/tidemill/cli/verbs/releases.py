"""Commands about releases. One is named by its number, ``name/number``, ``latest``, or its digest's beginning."""

import click

from tidemill.cli.command import Group, State, command, pass_state


@click.group(
    "release",
    cls=Group,
    example="tidemill release create latest",
    sections={
        "Commands": {
            "create": "releases:create",
            "list": "releases:list_",
            "show": "releases:show",
            "verify": "releases:verify",
        }
    },
)
def release() -> None:
    """Releases: immutable bundles of a model and all it was made of.

    One is named by its number, 'name/number', 'latest', or the beginning of its digest.
    """


@command("create", example="tidemill release create latest")
@click.argument("run", default="latest")
@pass_state
def create(state: State, run: str) -> None:
    """Make a release of a run that its gate let pass."""
    from tidemill.cli.render import releases as render  # noqa: PLC0415
    from tidemill.loop import releases as loop  # noqa: PLC0415

    with state.watch() as sink:
        created = loop.create_release(state.workspace(), run, sink=sink)
    state.show(created, render.created)


@command("list", example="tidemill release list fashion")
@click.argument("name", required=False)
@pass_state
def list_(state: State, name: str | None) -> None:
    """List the releases, and where each is live."""
    from tidemill.cli.render import releases as render  # noqa: PLC0415
    from tidemill.loop import releases as loop  # noqa: PLC0415

    state.show(loop.releases(state.workspace(), name), render.releases)


@command("show", example="tidemill release show latest")
@click.argument("release", default="latest")
@pass_state
def show(state: State, release: str) -> None:
    """Show what a release is made of."""
    from tidemill.cli.render import releases as render  # noqa: PLC0415
    from tidemill.loop import releases as loop  # noqa: PLC0415

    state.show(loop.show_release(state.workspace(), release), render.release)


@command("verify", example="tidemill release verify latest")
@click.argument("release", default="latest")
@pass_state
def verify(state: State, release: str) -> None:
    """Compute every digest of a release again, and compare.

    Exits 1 when a byte differs.
    """
    from tidemill.cli.render import releases as render  # noqa: PLC0415
    from tidemill.loop import releases as loop  # noqa: PLC0415

    verified = loop.verify_release(state.workspace(), release)
    state.show(verified, render.verified)
    state.exit_unless(verified.ok)
