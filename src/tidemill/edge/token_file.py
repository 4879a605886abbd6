"""The file that an environment's tokens are kept in: written whole or not at all, readable by its owner alone."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.clock import now, parse, stamp
from tidemill.core.errors import NotFound, StorageError
from tidemill.core.files import atomic_write
from tidemill.edge.tokens import SCOPES, Token

LAYOUT = 1
_NAMES = {field.name for field in fields(Token)}
_KINDS = {name: str | None if name in ("expires_at", "revoked_at") else str for name in _NAMES}


def token_file(folder: Path, environment: str) -> Path:
    """Where the tokens of an environment are."""
    return folder / f"{environment}.tokens.json"


def read(file: Path) -> list[Token]:
    """Every token that was made, revoked ones too, oldest first; none where there is no file.

    Raises:
        StorageError: ``tokens-damaged``; ``tokens-too-new``.
        OSError: When the system does not let it be read.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return []
    try:
        tree = json.loads(text)
        layout = tree["layout"]
        if isinstance(layout, int) and layout > LAYOUT:
            raise StorageError(
                f"{file} was written by a newer Tidemill.",
                hint="Upgrade Tidemill.",
                code=codes.TOKENS_TOO_NEW,
            )
        return [_token(row) for row in tree["tokens"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{file} is damaged: {error}.",
            why="Nobody is let in with a token that cannot be read.",
            hint="Bring it back from a backup, or remove it and make new tokens.",
            code=codes.TOKENS_DAMAGED,
        ) from error


def add(file: Path, token: Token) -> None:
    """Keep one more."""
    with _held(file):
        _write(file, [*read(file), token])


def revoke(file: Path, token_id: str) -> Token:
    """Take a token back; one that was taken back before stays as it is.

    Raises:
        NotFound: ``token-not-found``.
    """
    with _held(file):
        tokens = read(file)
        names = [token.id for token in tokens]
        if token_id not in names:
            raise NotFound(
                f"There is no token '{token_id}'.",
                hint="Look with 'tidemill token list ENVIRONMENT'.",
                code=codes.TOKEN_NOT_FOUND,
            )
        at = names.index(token_id)
        if tokens[at].revoked_at is None:
            tokens[at] = replace(tokens[at], revoked_at=stamp(now()))
            _write(file, tokens)
    return tokens[at]


def _token(row: dict[str, object]) -> Token:
    # What a later version adds to a row is no reason to let nobody in.
    known: dict[str, Any] = {name: value for name, value in row.items() if name in _NAMES}
    given = known.pop("scopes")
    wrong = [name for name, value in known.items() if not isinstance(value, _KINDS[name])]
    if wrong or not isinstance(given, list):
        raise TypeError(f"'{wrong[0] if wrong else 'scopes'}' of a token is not as it must be")
    if known["expires_at"] is not None:
        parse(known["expires_at"])
    return Token(scopes=tuple(scope for scope in SCOPES if scope in given), **known)


def _write(file: Path, tokens: list[Token]) -> None:
    body = json.dumps({"layout": LAYOUT, "tokens": [asdict(token) for token in tokens]}, indent=1)
    with (
        atomic_write(file) as part,
        os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out,
    ):
        out.write(body + "\n")
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def _held(file: Path) -> Generator[None]:
    """Only one command writes at a time; freed with its process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written: {error.strerror}.",
            hint="Free space there, or give yourself the right.",
            code=codes.TOKENS_NOT_WRITTEN,
        ) from error
    finally:
        os.close(handle)
