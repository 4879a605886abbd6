"""Who is let in by a token, for what and until when, and what is kept of it."""

import base64
import hashlib
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.clock import now, stamp
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.edge import token_file, tokens
from tidemill.edge.access import Access, check_start
from tidemill.edge.tokens import Scope


def made(file: Path, *scopes: Scope, **more: Any) -> tuple[str, str]:
    """A new token's id, and its secret."""
    token, secret = tokens.make(scopes or ("predict",), "ada", **more)
    token_file.add(file, token)
    return token.id, secret


def said(
    access: Access, secret: str | None, scope: Scope | None = "predict", method: str = "POST"
) -> str | None:
    """Why it is refused; None where it is not."""
    headers = [] if secret is None else [(b"authorization", secret.encode())]
    try:
        access.check(scope, method, headers)
    except NotAllowed as error:
        return error.code
    return None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return token_file.token_file(tmp_path, "prod")


def test_a_token_lets_in_for_what_it_is_good_for(file: Path):
    _, one = made(file, "predict")
    _, other = made(file, "read", "feedback")
    access = Access(file)
    assert access.on
    assert said(access, f"Bearer {one}") is None
    assert said(access, f"bearer  {one}") is None
    assert said(access, f"Bearer {one}", "feedback") == "token-scope"
    assert said(access, f"Bearer {other}", "feedback") is None
    assert said(access, f"Bearer {other}") == "token-scope"
    # What any token is good for: to hear that there is no such path.
    assert said(access, f"Bearer {other}", None) is None
    assert said(access, f"Bearer {access.own}") is None


@pytest.mark.parametrize(
    "sent",
    [
        *("Bearer", "Bearer ", "Bearer tm_", "Bearer {}x", "Bearer {}"[:-2], "{}", "Basic {}", "Token {}"),
        *("Bearer tm_own_x", "Bearer tm_00000000_x", "Bearer \u00e4", "Bearer " + "x" * 10_000),
    ],
)
def test_anything_else_is_refused(file: Path, sent: str):
    _, secret = made(file)
    access = Access(file)
    assert said(access, sent.format(secret)) == "token-refused"
    assert said(access, None) == "token-missing"


def test_the_secret_of_one_with_the_id_of_another_is_refused(file: Path):
    (first, _), (_, other) = made(file), made(file)
    forged = f"tm_{first}_{other.split('_', 2)[2]}"
    assert said(Access(file), f"Bearer {forged}") == "token-refused"


def test_a_browser_gives_it_as_a_password_to_look_at_something_alone(file: Path):
    _, secret = made(file, "read", "predict")
    access = Access(file)
    basic = "Basic " + base64.b64encode(f"anybody:{secret}".encode()).decode()
    assert said(access, basic, "read", "GET") is None
    # A browser sends a password by itself, whatever page asks for it.
    assert said(access, basic, "predict", "POST") == "token-refused"
    # It is a good one: what is wrong is how it is sent, and so it is with another word before it.
    for sent, why in ((basic, "HTTP Basic"), (secret, "another way"), (f"Token {secret}", "another way")):
        with pytest.raises(NotAllowed) as caught:
            access.check("predict", "POST", [(b"authorization", sent.encode())])
        assert why in caught.value.message
        assert "Authorization: Bearer" in (caught.value.hint or "")
    for wrong in ("Basic", "Basic %%%", "Basic " + base64.b64encode(b"anybody:").decode()):
        assert said(access, wrong, "read", "GET") == "token-refused"


def test_it_ends_with_its_date(file: Path):
    _, over = made(file, expires_at=stamp(now() - timedelta(seconds=1)))
    _, lasting = made(file, expires_at=stamp(now() + timedelta(days=1)))
    access = Access(file)
    assert said(access, f"Bearer {over}") == "token-expired"
    assert said(access, f"Bearer {lasting}") is None


def test_what_is_made_and_revoked_meanwhile_holds_at_the_next_look(file: Path):
    access = Access(file)
    assert not access.on
    assert said(access, None) is None
    name, secret = made(file)
    _, other = made(file)
    access.refresh()
    assert said(access, None) == "token-missing"
    assert said(access, f"Bearer {secret}") is None
    revoked = token_file.revoke(file, name)
    assert token_file.revoke(file, name) == revoked
    access.refresh()
    assert said(access, f"Bearer {secret}") == "token-refused"
    assert said(access, f"Bearer {other}") is None
    assert said(access, f"Bearer {access.own}") is None
    with pytest.raises(NotFound):
        token_file.revoke(file, "nothing")
    # Without its file nobody gets in, and tokens do not go off.
    file.unlink()
    access.refresh()
    assert said(access, None) == "token-missing"
    assert said(access, f"Bearer {other}") == "token-refused"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"layout": 1}', '{"layout": 1, "tokens": [7]}', '{"layout": 1, "tokens": [{}]}'),
        (
            '{"layout": 1, "tokens": [{"id": 7, "sha256": "", "scopes": [], "author": "", "created_at": "",'
            ' "expires_at": null, "revoked_at": null, "note": ""}]}'
        ),
    ],
)
def test_a_damaged_file_lets_nobody_in(file: Path, text: str, capfd: pytest.CaptureFixture[str]):
    _, secret = made(file)
    access = Access(file)
    file.write_text(text, "utf-8")
    with pytest.raises(StorageError) as caught:
        token_file.read(file)
    assert caught.value.code == "tokens-damaged"
    access.refresh()
    assert said(access, f"Bearer {secret}") == "token-refused"
    assert said(access, f"Bearer {access.own}") is None
    assert json.loads(capfd.readouterr().err)["event"] == "tokens-not-read"


def test_a_file_of_a_newer_version_is_refused_and_one_with_more_in_a_row_is_read(file: Path):
    made(file)
    tree = json.loads(file.read_text("utf-8"))
    tree["tokens"][0]["more"] = 1
    file.write_text(json.dumps(tree), "utf-8")
    assert len(token_file.read(file)) == 1
    for newer in ({"layout": 2, "tokens": []}, {"layout": 3, "more": {}}):
        file.write_text(json.dumps(newer), "utf-8")
        with pytest.raises(StorageError) as caught:
            token_file.read(file)
        assert caught.value.code == "tokens-too-new"


def test_at_rest_there_is_a_sha256_for_the_owner_alone(file: Path):
    name, secret = made(file, "read", note="the scraper")
    text = file.read_text("utf-8")
    assert secret.split("_", 2)[2] not in text
    (kept,) = json.loads(text)["tokens"]
    assert kept["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert (kept["id"], kept["scopes"], kept["note"]) == (name, ["read"], "the scraper")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # 256 random bits, in base 64.
    assert len(secret.split("_", 2)[2]) == 43


def test_beyond_loopback_a_server_starts_with_a_token_or_for_everybody(file: Path):
    def start(*, beyond: bool, off: bool = False) -> None:
        check_start("prod", beyond_loopback=beyond, off=off, file=file)

    start(beyond=False)
    start(beyond=True, off=True)
    with pytest.raises(NotAllowed) as caught:
        start(beyond=True)
    assert caught.value.code == "tokens-needed"
    assert "and it has no token." in (caught.value.why or "")
    # A promotion gives it too, and has no such option.
    assert "'tidemill serve prod --no-auth'" in (caught.value.hint or "")
    # What was typed is typed again.
    told = {"host": "0.0.0.0", "port": 80, "tls_cert": "my cert", "trusted_proxies": ("::1", "10.0.0.0/8")}  # noqa: S104
    with pytest.raises(NotAllowed) as caught:
        check_start("prod", beyond_loopback=True, off=False, file=file, told=told)
    assert (
        "'tidemill serve prod --host 0.0.0.0 --port 80 --tls-cert 'my cert' --trusted-proxy ::1 --trusted-proxy 10.0.0.0/8 "
        "--no-auth'"
    ) in (caught.value.hint or "")
    name, _ = made(file)
    start(beyond=True)
    token_file.revoke(file, name)
    with pytest.raises(NotAllowed) as caught:
        start(beyond=True)
    assert "and all its tokens are revoked." in (caught.value.why or "")


def test_where_it_is_reached_from_elsewhere_it_asks_for_one_though_there_is_none(file: Path):
    assert said(Access(file, required=True), None) == "token-missing"
    made(file)
    assert said(Access(file, required=True, off=True), None) is None


def test_an_unknown_scope_is_refused():
    assert tokens.scopes_of(("read", "predict", "read")) == ("predict", "read")
    with pytest.raises(InvalidInput) as caught:
        tokens.scopes_of(("write",))
    assert caught.value.code == "unknown-scope"
