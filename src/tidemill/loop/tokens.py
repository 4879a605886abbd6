"""The tokens of an environment: made, listed, taken back, on the machine that serves it.

A server that runs takes each change at once.
"""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, Failed, InvalidInput, TidemillError
from tidemill.loop import wishing
from tidemill.loop.unreadable import Unreadable, error_of_one
from tidemill.loop.view_of import view_of
from tidemill.loop.views import NewToken, TokenView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.edge.tokens import Token


def create(
    ws: Workspace, environment: str, scopes: tuple[str, ...], until: str | None = None, note: str = ""
) -> NewToken:
    """Make a token for an environment; from now on its server asks for one.

    Args:
        ws: The project.
        environment: Whose server takes it.
        scopes: What it is good for: ``predict``, ``feedback``, ``read``.
        until: A date, which is its last day, or a time; UTC where it names no zone. None for no end.
        note: What it is for.

    Raises:
        NotFound: ``environment-not-found``.
        Conflict: ``served-elsewhere``.
        InvalidInput: ``unknown-scope``; ``invalid-date``, when it is none, or is over.
        StorageError: ``tokens-damaged``, ``tokens-too-new``, ``tokens-not-written``.
    """
    from tidemill.edge import token_file, tokens  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    _refuse_elsewhere(ws, environment)
    expires_at = None if until is None else stamp(_end(until))
    token, secret = tokens.make(tokens.scopes_of(scopes), ws.project.author, expires_at=expires_at, note=note)
    token_file.add(token_file.token_file(ws.store.environments_folder, environment), token)
    _tell(ws, environment)
    if ws.store.is_shared and _is_nobodys(ws, environment):
        ws.tell(
            f"Nobody serves {environment} yet: this machine alone knows the token, which holds if the first "
            f"'tidemill promote' to {environment} is typed here."
        )
    return NewToken(secret, _view(environment, token))


def tokens(ws: Workspace, environment: str | None = None) -> list[TokenView | Unreadable]:
    """The tokens of an environment, or of all that no other machine serves, oldest first; revoked ones too.

    Raises:
        NotFound: ``environment-not-found``.
        Conflict: ``served-elsewhere``, for one that was named.
    """
    from tidemill.edge import token_file  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    if environment is not None:
        environment_settings(ws.settings, environment)
        _refuse_elsewhere(ws, environment)
        names = [environment]
    else:
        names = [name for name in ws.settings.environments if wishing.elsewhere(ws, name) is None]
    folder = ws.store.environments_folder
    found: list[TokenView | Unreadable] = []
    for name in names:
        try:
            found += [_view(name, token) for token in token_file.read(token_file.token_file(folder, name))]
        except TidemillError as error:
            found.append(Unreadable(name, error_of_one(error)))
    return found


def revoke(ws: Workspace, environment: str, token: str) -> TokenView:
    """Take a token back: the environment's server refuses it from now on.

    Raises:
        NotFound: ``environment-not-found``, ``token-not-found``.
        Conflict: ``served-elsewhere``.
        StorageError: As ``create``.
    """
    from tidemill.edge import token_file  # noqa: PLC0415
    from tidemill.edge.tokens import id_of  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    _refuse_elsewhere(ws, environment)
    file = token_file.token_file(ws.store.environments_folder, environment)
    revoked = token_file.revoke(file, id_of(token) or token)
    _tell(ws, environment)
    return _view(environment, revoked)


def elsewhere(ws: Workspace) -> list[str]:
    """A sentence for each environment that another machine serves: its tokens are there."""
    found = ((name, wishing.elsewhere(ws, name)) for name in ws.settings.environments)
    return [
        f"{name} is served by {live.machine}: its tokens are listed there." for name, live in found if live
    ]


def _refuse_elsewhere(ws: Workspace, environment: str) -> None:
    """Refuse to keep a token where no server hears of it: the one that answers would go on without."""
    live = wishing.elsewhere(ws, environment)
    if live is None:
        return
    raise Conflict(
        f"'{environment}' is served by {live.machine}, and not here.",
        why="Its server knows the tokens that are made there, and hears of none that is made or revoked here.",
        hint="Type it there.",
        code=codes.SERVED_ELSEWHERE,
        details={"environment": environment, "machine": live.machine},
    )


def _is_nobodys(ws: Workspace, environment: str) -> bool:
    from tidemill.release import settling  # noqa: PLC0415
    from tidemill.release.history import is_personal, live_of  # noqa: PLC0415

    return (
        not is_personal(ws.settings, environment)
        and live_of(settling.seen(ws.store, ws.settings, environment)) is None
    )


def _tell(ws: Workspace, environment: str) -> None:
    from tidemill.serve import client  # noqa: PLC0415

    try:
        client.read_tokens(ws.store.environments_folder, environment)
    except Failed:
        # It looks at the file each second, whoever tells it so.
        return


def _end(until: str) -> datetime:
    try:
        found = datetime.fromisoformat(until)
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput(
            f"'{until}' is no date.",
            hint="Type a date such as 2027-01-31, or a time such as 2027-01-31T12:00.",
            code=codes.INVALID_DATE,
        )
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if "T" not in until.upper() and " " not in until and found.time() == time():
        found += timedelta(days=1)
    if found <= now():
        raise InvalidInput(
            f"'{until}' is over.", hint="Type a date that is to come.", code=codes.INVALID_DATE
        )
    return found


def _view(environment: str, token: "Token") -> TokenView:
    over = token.expires_at is not None and token.expires_at <= stamp(now())
    state = "revoked" if token.revoked_at else "expired" if over else "valid"
    return view_of(
        TokenView, token, environment=environment, token=token.id, state=state, scopes=[*token.scopes]
    )
