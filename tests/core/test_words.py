"""Words are found whole: never as a part of another word, or of a number."""

import pytest

from tidemill.core import words


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("00084", "it is +0.000846 above the limit", False),
        ("84", "0.84", False),
        ("0840", "it is 0840.5 ms", False),
        ("00084", "row 00084.", True),
        ("00084", "see user_00084, twice", True),
        ("00084", "100084", False),
        ("Ann", "Annual", False),
        ("Ann", "('Ann', 1)", True),
        ("ann@b.org", "mail ann@b.org!", True),
        ("ann@b.org", "joann@b.org", False),
        ("(Ann)", "f(Ann)x", True),
        ("Zoë", "Zoës", False),
        # Scripts without a space between words, or with endings right behind a name.
        ("山田", "昨日山田さんが来た", True),
        ("김철수", "김철수는", True),
    ],
)
def test_a_word_is_found_whole(word: str, text: str, there: bool):
    assert words.found(text, [word]) == [word] * there
    assert words.replaced(text, [word], "") == (text.replace(word, "") if there else text)


def test_the_longer_word_goes_first_and_a_message_shows_few():
    assert words.replaced("Ann Lee, Ann", ["Ann", "Ann Lee"], "[x]") == "[x], [x]"
    assert words.named(["b", "a"]) == "'a', 'b'"
    assert words.named(["a" * 50, "b", "c", "d"]) == f"'{'a' * 39}…', 'b', 'c' and 1 more"
