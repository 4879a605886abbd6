"""What every page of Tidemill has in common: one HTML file that needs no network and no script.

Not what a page says: each page makes its own sections, of parts that are escaped already.
"""

import base64
import hashlib
import html
import importlib.resources
from collections.abc import Iterable, Sequence


def document(
    title: str,
    *,
    heading: str,
    subtitle: Sequence[str],
    sections: Iterable[str],
    footer: str,
    css: str = "",
    script: str = "",
) -> str:
    """A self-contained page, light or dark as its reader has it.

    Args:
        title: Of the window, as plain text.
        heading: Over the page, as plain text.
        subtitle: Small facts under it, each as HTML.
        sections: As HTML; empty ones are left out.
        footer: As HTML.
        css: What this kind of page needs beyond the common style.
        script: What a page that is served runs, and nothing else: it may ask its own server only.
    """
    common = importlib.resources.files("tidemill.evaluation").joinpath("page.css").read_text("utf-8")
    under = "".join(f"<span>{s}</span>" for s in subtitle)
    body = "\n".join(s for s in sections if s)
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        runs = f"; script-src 'sha256-{digest}'; connect-src 'self'"
        body += f"\n<script>{script}</script>"
    else:
        runs = ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'{runs}\">\n"
        f"<title>{html.escape(title)}</title>\n<style>\n{common}{css}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{html.escape(heading)}</h1><div class="sub">{under}</div></header>\n{body}\n'
        f"<footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
    )


def pill(words: str, *, good: bool) -> str:
    """A verdict in its colour; it stands in the subtitle."""
    return f'<b class="pill {"yes" if good else "no"}">{html.escape(words)}</b>'


def tiles(numbers: Iterable[tuple[str, str]], *, lead: str | None = None) -> str:
    """The main numbers, each with what it is; the one whose words are ``lead`` stands out."""
    made = "".join(
        f'<div class="tile{" lead" if words == lead else ""}">'
        f"<b>{html.escape(number)}</b><span>{html.escape(words)}</span></div>"
        for number, words in numbers
    )
    return f'<section class="tiles" aria-label="Main numbers">{made}</section>'


def image(png: bytes, words: str) -> str:
    """A PNG file in the page; ``words`` say what it shows to who cannot see it."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}">'
