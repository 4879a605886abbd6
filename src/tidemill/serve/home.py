"""The page of a server for a person: what it is, what it takes, and how it is asked.

Loaded only in a server, never by ``import tidemill``.
"""

import html
import json
import shlex
from collections.abc import Sequence
from typing import Any

from tidemill.core.errors import TidemillError
from tidemill.models.signature import Signature, Tensor
from tidemill.serve.described import words

KIND = b"text/html; charset=utf-8"
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]
_SHORT = 600
"""Characters of JSON that are shown as they are."""
_CSS = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8886;border-radius:6px}td,th{text-align:left;padding:.1rem 1.2rem .1rem 0}"
)


def page(
    signature: Signature,
    number: int,
    environment: str,
    row: dict[str, Any],
    *,
    works: bool,
    address: str,
    tokens: bool,
) -> bytes:
    """The page of a release.

    Args:
        signature: The model's.
        number: The release's.
        environment: Where it is served.
        row: An example.
        works: Whether the model answers it.
        address: How whoever asks reaches the server.
        tokens: Whether it asks for tokens.
    """
    name = html.escape(signature.name)
    what = (
        f"Release {number} of the model <b>{name}</b>, in <b>{html.escape(environment)}</b>, served by Tidemill. "
        "What it answers is logged, with its inputs."
    )
    more = (
        "A cell that is missing is <code>null</code>. Programs read <a href=/openapi.json>openapi.json</a>; "
        f"clients of the Open Inference Protocol v2 ask <code>/v2/models/{name}/infer</code>."
    )
    told = (
        "Each answer names its <code>prediction</code>. What it should have been is kept beside it, and may become a row "
        "to learn from:"
    )
    parts = [
        f"<h1>{name}</h1><p>{what}</p>",
        f"<h2>It takes</h2>{_table(signature.inputs)}",
        f"<h2>It answers</h2>{_table(signature.outputs)}",
        "<h2>Ask it</h2>" + ("" if works else "<p>Put values of your own in place of these.</p>"),
        f"<pre>{html.escape(curl(row, address, tokens=tokens))}</pre>",
        f"<pre>{html.escape(python(row, address, tokens=tokens))}</pre>",
        f"<p>{more}</p>",
        f"<h2>Tell it what was right</h2><p>{told}</p>",
        f"<pre>{html.escape(feedback(signature, address, tokens=tokens))}</pre>",
    ]
    return _document(signature.name, "".join(parts))


def stranger(error: TidemillError) -> bytes:
    """What who brings no token is told: that one is needed, and how to send it."""
    why = html.escape(error.message)
    return _document(
        "A token is needed",
        f"<h1>A token is needed</h1><p>{why}</p><p>A browser asks for it as a password; any user name will do. "
        "A program sends it as a header:</p><pre>Authorization: Bearer TOKEN</pre>",
    )


def curl(row: dict[str, Any], address: str, *, tokens: bool) -> str:
    """A command that asks with a row; one that is long is made by Python on the way."""
    header = _header(tokens=tokens)
    body = json.dumps({"rows": [row]})
    if len(body) <= _SHORT:
        return f"curl {shlex.quote(address + '/predict')}{header} --json {shlex.quote(body)}"
    code = f"import json; print(json.dumps({{'rows': [{_short(row)}]}}))"
    return f"python3 -c {shlex.quote(code)} |\n  curl {shlex.quote(address + '/predict')}{header} --json @-"


def feedback(signature: Signature, address: str, *, tokens: bool) -> str:
    """A command that says what a prediction should have been."""
    label = "LABEL" if any(t.name == "label" for t in signature.outputs) else 0.0
    body = json.dumps({"feedback": [{"prediction": "PREDICTION", "label": label}]})
    return f"curl {shlex.quote(address + '/feedback')}{_header(tokens=tokens)} --json {shlex.quote(body)}"


def _header(*, tokens: bool) -> str:
    return ' -H "Authorization: Bearer $TOKEN"' if tokens else ""


def python(row: dict[str, Any], address: str, *, tokens: bool) -> str:
    """The same in Python, with the standard library."""
    token = ', "Authorization": "Bearer " + os.environ["TOKEN"]' if tokens else ""
    return (
        f"import json{', os' if tokens else ''}, urllib.request\n\n"
        f"body = json.dumps({{'rows': [{_short(row)}]}}).encode()\n"
        f'headers = {{"Content-Type": "application/json"{token}}}\n'
        f"request = urllib.request.Request({address + '/predict'!r}, body, headers)\n"
        "print(json.load(urllib.request.urlopen(request)))"
    )


def _short(row: dict[str, Any]) -> str:
    """A row as Python, in which a list of equal values is written as one value many times."""
    return "{" + ", ".join(f"{name!r}: {_written(value)}" for name, value in row.items()) + "}"


def _written(value: Any) -> str:
    if isinstance(value, list) and len(value) > 3:
        # Made by ``described.example``, where all are equal.
        return f"[{_written(value[0])}] * {len(value)}"
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else repr(value)


def _table(tensors: Sequence[Tensor]) -> str:
    lines = "".join(f"<tr><td><code>{html.escape(t.name)}</code><td>{html.escape(words(t))}" for t in tensors)
    return f"<table>{lines}</table>"


def _document(title: str, body: str) -> bytes:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_CSS}</style>{body}</html>"
    ).encode()
