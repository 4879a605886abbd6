"""Commands about what runs where: promote, rollback, serve, stop, status."""

import socket
from typing import Any

import click

from tidemill.cli import streams
from tidemill.cli.command import State, command, pass_state
from tidemill.cli.signals import ending_is_interrupt

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)


@command("promote", example="tidemill promote latest dev")
@click.argument("release")
@click.argument("environment")
@click.option("--reason", metavar="TEXT", help="Kept with the deployment.")
@pass_state
def promote(state: State, release: str, environment: str, reason: str | None) -> None:
    """Put a release into an environment, once it answered real requests.

    The one that runs there goes on until the new one is ready, and no request fails. Where another machine serves ENVIRONMENT,
    the release is wanted there: its 'tidemill serve' brings it in within seconds, and this waits a short time for its answer.
    """
    from tidemill.cli.render import environments as render  # noqa: PLC0415
    from tidemill.loop import deploy as loop  # noqa: PLC0415

    with state.watch() as sink:
        deployed = loop.promote(state.workspace(), release, environment, reason, sink=sink)
    state.show(deployed, render.deployment)


@command("rollback", example="tidemill rollback prod --reason 'too many coats'")
@click.argument("environment")
@click.option("--reason", metavar="TEXT", help="Kept with the deployment.")
@pass_state
def rollback(state: State, environment: str, reason: str | None) -> None:
    """Put the release back that ran in an environment before, also where another machine serves it."""
    from tidemill.cli.render import environments as render  # noqa: PLC0415
    from tidemill.loop import deploy as loop  # noqa: PLC0415

    with state.watch() as sink:
        deployed = loop.rollback(state.workspace(), environment, reason, sink=sink)
    state.show(deployed, render.deployment)


@command("serve", example="tidemill serve prod --port 8000")
@click.argument("environment")
@click.option("--host", metavar="ADDRESS", help="Address to bind to, instead of the one in the settings.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port, instead of the one in the settings; 0 is a free one.",
)
@click.option(
    "--no-auth", is_flag=True, help="Let everybody who reaches it ask, without a token, and warn of it."
)
@click.option(
    "--tls-cert", type=_FILE, metavar="FILE", help="Speak HTTPS with this certificate; with --tls-key."
)
@click.option("--tls-key", type=_FILE, metavar="FILE", help="The certificate's key.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Of a proxy before it, or its network: its X-Forwarded-Host and -Proto are believed; one more.",
)
@click.option(
    "--take-over", is_flag=True, help="Serve here what another machine does, whose server then ends."
)
@click.option("--reason", metavar="TEXT", help="Kept with the take-over, which needs it.")
@pass_state
def serve(state: State, environment: str, reason: str | None, *, take_over: bool, **given: Any) -> None:
    """Serve an environment's release until Ctrl-C.

    Where it is served already, this follows that server, which Ctrl-C then leaves; 'tidemill stop' stops it.
    The first line of output is the address; with --json, an object that holds it. What others want of ENVIRONMENT, who type
    'promote', 'rollback' or 'stop' on their machines, is done here within seconds.
    """
    from tidemill.cli import watching  # noqa: PLC0415
    from tidemill.cli.render import environments as render  # noqa: PLC0415
    from tidemill.loop import serving as loop  # noqa: PLC0415

    if take_over != (reason is not None):
        raise click.UsageError("--take-over and --reason TEXT belong together.")
    workspace = state.workspace()
    told = {
        name: value
        for name, value in given.items()
        if value is not None and value is not False and value != ()
    }
    with ending_is_interrupt():
        serving = loop.serve(workspace, environment, told=told, take_over=reason)
        try:
            for warning in serving.warnings:
                streams.note(warning)
            if state.as_json:
                streams.write_json({name: getattr(serving, name) for name in render.SERVING})
            else:
                streams.write(serving.address)
                streams.note(render.serving(serving, socket.gethostname()))
            known = len(serving.warnings)
            # Lines, also on a terminal: this may go on for weeks.
            with watching.watch("lines" if state.log == "auto" else state.log, terminal=False) as sink:
                serving.wait(sink)
            for told_since in serving.warnings[known:]:
                streams.note(told_since)
            if len(serving.warnings) == known:
                streams.note(f"Nothing serves {environment} any more: another command stopped it.")
        except BaseException as end:
            if serving.started:
                serving.stop()
            if not isinstance(end, KeyboardInterrupt):
                raise
            streams.note(f"{environment} stopped." if serving.started else f"{environment} goes on.")
        finally:
            serving.leave()


@command("stop", example="tidemill stop prod")
@click.argument("environment")
@click.option("--reason", metavar="TEXT", help="Kept in the environment's history.")
@pass_state
def stop(state: State, environment: str, reason: str | None) -> None:
    """Stop what serves an environment, after it answered what it had accepted; also on another machine."""
    from tidemill.cli.render import environments as render  # noqa: PLC0415
    from tidemill.loop import deploy as loop  # noqa: PLC0415

    with state.watch() as sink:
        done = loop.stop(state.workspace(), environment, reason, sink=sink)
    state.show(done, render.stopped)


@command("status", example="tidemill status")
@click.argument("environment", required=False)
@click.option(
    "--history",
    is_flag=True,
    help="Show what ran in ENVIRONMENT, who brought it there, from where and why, and what was wanted in vain.",
)
@pass_state
def status(state: State, environment: str | None, *, history: bool) -> None:
    """Show what is wanted and what runs in each environment, or in one, and on which machine.

    Exits 1 when an environment does not answer here that should, or a prediction log cannot be read.
    """
    from tidemill.cli.parameters import only  # noqa: PLC0415
    from tidemill.cli.render import environments as render  # noqa: PLC0415
    from tidemill.loop import environments as loop  # noqa: PLC0415

    if history:
        if environment is None:
            raise click.UsageError("--history needs an ENVIRONMENT.")
        state.show(loop.deployments(state.workspace(), environment), render.deployments)
        return
    every = loop.environments(state.workspace())
    shown = only(environment, every) if environment else every
    state.show_all(shown, render.environments)
    state.exit_unless(all(view.not_ready is None for view in shown))
