"""Sharing datasets with other stores."""

from typing import Any

import click

from tidemill.cli.command import State, command, pass_state

_REMOTE: Any = {"required": False, "default": "origin"}


@command("push", example="tidemill data push fashion origin")
@click.argument("name")
@click.argument("remote", **_REMOTE)
@click.option(
    "--branch",
    "branches",
    multiple=True,
    metavar="NAME",
    help="A branch to send; may be given several times. Without it, the one you are on.",
)
@click.option("--all", "every", is_flag=True, help="Send every branch.")
@pass_state
def push(state: State, name: str, remote: str, branches: tuple[str, ...], *, every: bool) -> None:
    """Send dataset NAME to another store.

    REMOTE is its name under 'remotes' in tidemill.toml. Only what is not there yet is sent; where somebody else
    pushed in between, nothing is changed: pull, then push again.
    """
    from tidemill.cli.render.data import sharing as render  # noqa: PLC0415
    from tidemill.loop.datasets import sharing as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.push(state.workspace(), name, remote, branches, every=every, sink=sink)
    state.show(done, render.pushed)


@command("fetch", example="tidemill data fetch fashion")
@click.argument("name")
@click.argument("remote", **_REMOTE)
@pass_state
def fetch(state: State, name: str, remote: str) -> None:
    """Get what another store has of dataset NAME.

    Its branches can be read as REMOTE/BRANCH afterwards, such as fashion@origin/main; no branch of yours moves.
    """
    from tidemill.cli.render.data import sharing as render  # noqa: PLC0415
    from tidemill.loop.datasets import sharing as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.fetch(state.workspace(), name, remote, sink=sink)
    state.show(done, render.fetched)


@command("pull", example="tidemill data pull fashion origin")
@click.argument("name")
@click.argument("remote", **_REMOTE)
@click.option("--branch", metavar="NAME", help="The branch, here and there. Without it, the one you are on.")
@pass_state
def pull(state: State, name: str, remote: str, branch: str | None) -> None:
    """Fetch dataset NAME, and merge what is new into your branch.

    A branch that has nothing of its own just moves on.
    """
    from tidemill.cli.render.data import sharing as render  # noqa: PLC0415
    from tidemill.loop.datasets import sharing as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.pull(state.workspace(), name, remote, branch, sink=sink)
    state.show(done, render.pulled)


@command("clone", example="tidemill data clone s3://team/store fashion")
@click.argument("address")
@click.argument("name")
@pass_state
def clone(state: State, address: str, name: str) -> None:
    """Get dataset NAME with all its history from the store at ADDRESS.

    The store is written into tidemill.toml as a remote: origin, if that name is free.
    """
    from tidemill.cli.render.data import sharing as render  # noqa: PLC0415
    from tidemill.loop.datasets import sharing as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.clone(state.workspace(make=True), address, name, sink=sink)
    state.show(done, render.cloned)


@command("repair", example="tidemill data repair fashion --from origin")
@click.argument("name")
@click.option(
    "--from",
    "address",
    metavar="ADDRESS",
    help="A store that has the dataset too, to get lost files from: a folder, s3://bucket/prefix, or a remote's name.",
)
@pass_state
def repair(state: State, name: str, address: str | None) -> None:
    """Put back what of dataset NAME is not as it was written.

    Every file is read through. Branches and tags come from the dataset's own log, files from the store at ADDRESS.
    Exits 1 when something is wrong still.
    """
    from tidemill.cli.render.data import sharing as render  # noqa: PLC0415
    from tidemill.loop.datasets import sharing as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.repair(state.workspace(), name, address, sink=sink)
    state.show(done, render.repaired)
    state.exit_unless(not done.left)
