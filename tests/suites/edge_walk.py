"""What holds for every route of every server of the package: whom it refuses, and how."""

from collections.abc import Callable, Iterable

import httpx

Place = Callable[[str | None], tuple[str, dict[str, str]]]
"""Where a server's routes begin for who has a token (None: for a stranger), and what that one sends along."""
OPEN = "/v2/health/"
FOREIGN = "https://evil.example"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    tree = answer.json()
    return answer.status_code, tree["code"] if isinstance(tree["error"], str) else tree["error"]["code"]


def routes_of(place: Place, token: str) -> list[str]:
    """Every path that there is, as the server itself says to who asks for another."""
    base, headers = place(token)
    told = httpx.get(f"{base}/{'z' * 40}", headers=headers, timeout=180).json()
    return told["error"]["hint"].removeprefix("There are: ").rstrip(".").split(", ")


def walk(place: Place, token: str, paths: Iterable[str], said: str = "token-missing") -> None:
    """Ask for each path in the ways in which nobody may; ``said`` is what is said to a stranger."""
    with httpx.Client(timeout=180) as asking:

        def ask(method: str, path: str, given: str | None, **more: str) -> httpx.Response:
            base, own = place(given)
            headers = {"content-type": "application/json", **own, **more}
            return asking.request(method, base + path, headers=headers, content=b"{}")

        for path in paths:
            is_open = path.startswith(OPEN)
            for method in ("GET", "POST", "PUT", "OPTIONS"):
                where = f"{method} {path}"
                if is_open and method == "GET":
                    answer = ask(method, path, None, host="evil.example", origin=FOREIGN)
                    assert answer.json() in ({"live": True}, {"ready": True}), where
                    continue
                assert refusal(ask(method, path, None)) == (401, said), where
                assert refusal(ask(method, path, token[:-1] + "!")) == (401, "token-refused"), where
                assert refusal(ask(method, path, token, host="evil.example")) == (403, "foreign-host"), where
                if method != "GET":
                    sent = ask(method, path, token, origin=FOREIGN)
                    assert refusal(sent) == (403, "foreign-origin"), where
                    assert "access-control-allow-origin" not in sent.headers
            assert ask("HEAD", path, None).status_code == (200 if is_open else 401), path
