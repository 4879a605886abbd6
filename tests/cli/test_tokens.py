"""``tidemill token``: what is shown once, what is listed, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill


def test_a_token_is_shown_once_and_revoked_by_its_id(project: Path, tidemill: Tidemill):
    made = tidemill(
        "token", "create", "dev", "--scope", "predict", "--until", "2999-06-30", "--note", "scraper"
    )
    secret = made.stdout.strip()
    assert made.stdout == secret + "\n"
    token = secret.split("_")[1]
    assert f"Token {token} of dev is good for predict, until 2999-07-01 00:00:00 UTC." in made.stderr
    [listed] = json.loads(tidemill("token", "list", "--json").stdout)
    assert (listed["token"], listed["state"], listed["scopes"]) == (token, "valid", ["predict"])
    assert listed["note"] == "scraper"
    for file in (project / ".tidemill").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
    assert f"Token {token} of dev is revoked." in tidemill("token", "revoke", "dev", token).stdout
    shown = tidemill("token", "list", "dev").stdout
    assert "revoked" in shown
    assert "scraper" in shown
    assert secret not in shown


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "nowhere"), "environment-not-found"),
        (("create", "dev", "--until", "soon"), "invalid-date"),
        (("create", "dev", "--until", "2020-01-01"), "invalid-date"),
        (("revoke", "dev", "0000"), "token-not-found"),
        (("list", "nowhere"), "environment-not-found"),
    ],
)
def test_what_cannot_be_done_is_said(tidemill: Tidemill, words: tuple[str, ...], code: str):
    ended = tidemill("token", *words, "--json")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"]["code"] == code
