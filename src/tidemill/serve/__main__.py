"""``python -m tidemill.serve``: one server process. Started by ``tidemill serve`` and by promotions, and in images."""

import argparse
import json
import sys
from pathlib import Path

from tidemill.core.errors import TidemillError
from tidemill.core.names import check_name
from tidemill.core.settings import LimitSettings


def main() -> int:
    """Serve; the exit status is 0 after an ordinary end, else the error's."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serve", description="Serve one release.")
    parser.add_argument("--bundle", type=Path, required=True, help="the predictor's folder")
    parser.add_argument("--name", required=True, help="the model's name in the inference protocol")
    parser.add_argument("--release", required=True, help="the release's digest")
    parser.add_argument("--number", type=int, required=True, help="the release's number")
    parser.add_argument("--environment", required=True, help="whose requests it answers")
    parser.add_argument("--folder", type=Path, required=True, help="where its control socket and log are")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to bind to; 0 takes a free one")
    parser.add_argument("--reached-as", action="append", default=[], help="a name by which clients reach it")
    parser.add_argument("--origin", action="append", default=[], help="a site whose pages may send requests")
    parser.add_argument("--no-auth", action="store_true", help="let everybody in, with no token")
    parser.add_argument("--tls-cert", type=Path, help="a file with the certificate that it shows")
    parser.add_argument("--tls-key", type=Path, help="a file with the certificate's key")
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], help="an address whose X-Forwarded-* is believed"
    )
    parser.add_argument(
        "--limits",
        type=_limits,
        default=LimitSettings(),
        help="what it refuses, as a JSON object of 'limits.*'",
    )
    parser.add_argument(
        "--keep-days", type=float, help="how old a prediction in its log may be (default: any)"
    )
    parser.add_argument("--keep-bytes", type=int, help="how large its log may be (default: any)")
    parser.add_argument(
        "--told",
        type=json.loads,
        default={},
        help="what its successor keeps of how it was started, as a JSON object",
    )
    parser.add_argument(
        "--standby", action="store_true", help="wait on a private port until told to take over"
    )
    given = parser.parse_args()
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    try:
        check_name("environment", given.environment)
        # Here, not above: a wrong word on the command line is answered at once.
        from tidemill.serve.options import Keep, Options  # noqa: PLC0415
        from tidemill.serve.server import serve  # noqa: PLC0415

        given.folder.mkdir(parents=True, exist_ok=True)
        serve(
            Options(
                bundle=given.bundle,
                name=given.name,
                release=given.release,
                number=given.number,
                environment=given.environment,
                folder=given.folder,
                host=given.host,
                port=given.port,
                hosts=tuple(given.reached_as),
                origins=tuple(given.origin),
                no_auth=given.no_auth,
                tls=None if given.tls_cert is None else (given.tls_cert, given.tls_key),
                proxies=tuple(given.trusted_proxy),
                limits=given.limits,
                keep=Keep(given.keep_days, given.keep_bytes),
                told=given.told,
                standby=given.standby,
            )
        )
    except TidemillError as error:
        body = {"error": error.to_json()}
        # The words first: whoever waits for the line on stdout ends this process once it is there.
        print(f"{error.message} {error.hint or ''}".strip(), file=sys.__stderr__, flush=True)
        print(json.dumps(body), file=sys.__stdout__, flush=True)
        return error.exit_status
    return 0


def _limits(text: str) -> LimitSettings:
    try:
        return LimitSettings(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"not an object of limits: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
