"""Words in texts, found whole: ``Ann`` is not in ``Annual``, and ``00084`` not in ``0.000846``."""

import re
from collections.abc import Collection

# Scripts that set no space between words (Thai to Burmese, Khmer, kana, Han), or endings right behind a name (Hangul).
_JOINED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
_BESIDE = rf"[^\W_{_JOINED}]"
"""A letter or digit beside which a word is a part of another one."""
_SHOWN = 40
_NAMED = 3


def found(text: str, words: Collection[str]) -> list[str]:
    """Those of these words that a text has: with no letter or digit beside them, and not as a part of a number."""
    return [word for word in words if word in text and re.search(_whole(word), text)]


def replaced(text: str, words: Collection[str], instead: str) -> str:
    """A text with another one in the place of these words, where ``found`` finds them."""
    # A longer word first, so that no part of it is left.
    for word in sorted(found(text, words), key=len, reverse=True):
        text = re.sub(_whole(word), lambda _: instead, text)
    return text


def named(words: Collection[str]) -> str:
    """Words for a message: ``'Ann', 'Bob'``; of long ones the beginning, of many the first."""
    shown = [f"'{w if len(w) <= _SHOWN else w[: _SHOWN - 1] + '…'}'" for w in sorted(words)[:_NAMED]]
    return ", ".join(shown) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")


def _whole(word: str) -> str:
    before = rf"(?<!{_BESIDE})" if re.match(_BESIDE, word[0]) else ""
    after = rf"(?!{_BESIDE})" if re.match(_BESIDE, word[-1]) else ""
    if word[0].isdigit():
        before += r"(?<!\d\.)"
    if word[-1].isdigit():
        after += r"(?!\.\d)"
    return before + re.escape(word) + after
