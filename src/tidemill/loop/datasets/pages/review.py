"""A review as a page: what it asks for, what it lacks, what was said, and the difference with its pictures."""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tidemill.evaluation import skeleton
from tidemill.loop.datasets.pages import diff as difference

if TYPE_CHECKING:
    from tidemill.data import Diff
    from tidemill.loop.datasets.review_views import ReviewShow

_CSS = """
section > ul.plain { margin: 0; padding-left: 1.2rem; }
td.words { white-space: pre-wrap; overflow-wrap: anywhere; }
.description { white-space: pre-wrap; }
"""


def render(view: "ReviewShow", diff: "Diff | None") -> str:
    """The page.

    Args:
        view: The review; its changed cells, rows and conflicts are what is drawn.
        diff: Where the pictures come from; None where a branch is gone.
    """
    about = view.about
    changes = difference.sections(diff, view.diff) if diff is not None and view.diff is not None else []
    return skeleton.document(
        f"{about.review}: {about.title}",
        heading=about.title,
        subtitle=[
            skeleton.pill(_state(view), good=about.state == "merged" or not _stopped(view)),
            f"review {html.escape(about.review)}",
            f"{html.escape(about.source)} into {html.escape(about.into)}",
            f"by {html.escape(about.author)}, {_when(about.opened_at)} UTC",
        ],
        sections=[
            _about(view),
            _lacking(view),
            _approvals(view),
            _checks(view),
            _conflicts(view),
            _comments(view),
            *changes,
        ],
        footer="Made by Tidemill. What changed is as it was when the page was made. Of two images, the first is before, the second after.",
        css=_CSS,
    )


def _stopped(view: "ReviewShow") -> bool:
    return view.about.state == "closed" or bool(view.lacking)


def _state(view: "ReviewShow") -> str:
    if view.about.state != "open":
        return view.about.state
    return "open, cannot be merged yet" if view.lacking else "open, can be merged"


def _about(view: "ReviewShow") -> str:
    about = view.about
    facts = [
        ("Commit", view.commit),
        ("Merge commit", about.merge_commit),
        (
            about.state.capitalize(),
            f"by {view.ended_by}, {_when(view.ended_at)} UTC" if view.ended_at else None,
        ),
        ("Rule", view.rule),
    ]
    rows = "".join(f"<tr><th>{name}</th><td>{html.escape(told)}</td></tr>" for name, told in facts if told)
    words = f'<p class="description">{html.escape(view.description)}</p>' if view.description else ""
    return f"<section>{words}<table class=facts><tbody>{rows}</tbody></table></section>"


def _lacking(view: "ReviewShow") -> str:
    if view.about.state != "open" or not view.lacking:
        return ""
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in view.lacking)
    return f'<section><h2>What it lacks</h2><ul class="plain">{items}</ul></section>'


def _approvals(view: "ReviewShow") -> str:
    if not view.approvals and not view.approvals_needed:
        return ""
    return _table(
        "Approvals",
        ["by", "time (UTC)", "commit", "counts"],
        (
            [
                f"<td>{html.escape(a.author)}",
                f"<td>{_when(a.time)}",
                f"<td>{a.commit}",
                _verdict(yes=a.counts),
            ]
            for a in view.approvals
        ),
        empty="Nobody has approved it yet.",
    )


def _checks(view: "ReviewShow") -> str:
    if not view.checks:
        return ""
    return _table(
        "Checks",
        ["check", "passed", "what is wrong", "rows"],
        (
            [
                f"<td>{html.escape(c.check)}",
                _verdict(yes=c.passed),
                f'<td class="words">{html.escape(c.reason)}',
                f"<td>{_rows(c.rows, c.ids)}",
            ]
            for c in view.checks
        ),
    )


def _conflicts(view: "ReviewShow") -> str:
    if not view.conflict_count:
        return ""
    return _table(
        f"Conflicts with {html.escape(view.about.into)}, {view.conflict_count:,}",
        ["row", "column", "base", "ours", "theirs"],
        (
            [
                f"<td>{c.id}",
                f"<td>{html.escape(c.column or 'the whole row')}",
                *(f"<td>{difference.text(value)}" for value in (c.base, c.ours, c.theirs)),
            ]
            for c in view.conflicts
        ),
    )


def _comments(view: "ReviewShow") -> str:
    if not view.comments:
        return ""
    return _table(
        "Comments",
        ["by", "time (UTC)", "row", "comment"],
        (
            [
                f"<td>{html.escape(c.author)}",
                f"<td>{_when(c.time)}",
                f"<td>{c.row or ''}",
                f'<td class="words">{html.escape(c.text)}',
            ]
            for c in view.comments
        ),
    )


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "") -> str:
    """A section with a table; each cell is its open tag and what is in it."""
    drawn = "".join(f"<tr>{''.join(cell + '</td>' for cell in row)}</tr>" for row in rows)
    if not drawn:
        return f"<section><h2>{title}</h2><p class=muted>{empty}</p></section>"
    names = "".join(f"<th>{name}</th>" for name in head)
    return (
        f"<section><h2>{title}</h2><div class=scroll><table><thead><tr>{names}</tr></thead>"
        f"<tbody>{drawn}</tbody></table></div></section>"
    )


def _verdict(*, yes: bool) -> str:
    return f'<td class="{"yes" if yes else "no"}">{"yes" if yes else "no"}'


def _rows(count: int, ids: Sequence[str]) -> str:
    if not count:
        return ""
    more = ", …" if count > len(ids) else ""
    return f"{count:,}: {', '.join(ids)}{more}"


def _when(moment: str | None) -> str:
    """A moment of the catalog as people read it, to the minute."""
    return (moment or "")[:16].replace("T", " ")
