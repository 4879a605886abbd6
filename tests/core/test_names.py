"""Names and references as a user types them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidemill
from tidemill.core.errors import InvalidInput
from tidemill.core.names import RESERVED, Reference, check_name, did_you_mean, nearest


@pytest.mark.parametrize("name", ["a", "0", "fashion", "fashion-mnist_2.1", "a" * 64])
def test_good_names(name: str):
    assert check_name("dataset", name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a-", ".a", "a/b", "a b", "a..b", "../a", "é", "a" * 65, "a\n", "a@b"]
)
def test_bad_names_are_refused_with_a_good_one_to_type(name: str):
    with pytest.raises(InvalidInput) as caught:
        check_name("dataset", name)
    assert caught.value.code == "invalid-name"
    suggested = (caught.value.hint or "").removeprefix("Try '").removesuffix("'.")
    assert check_name("dataset", suggested) == suggested


@given(st.text(max_size=80))
def test_whatever_is_typed_the_suggestion_is_a_name(text: str):
    try:
        check_name("branch", text)
    except InvalidInput as error:
        check_name("branch", (error.hint or "").removeprefix("Try '").removesuffix("'."))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_words_name_nothing(name: str):
    with pytest.raises(InvalidInput, match="cannot name a tag") as caught:
        check_name("tag", name)
    assert caught.value.code == "invalid-name"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("fashion", Reference("fashion")),
        ("fashion@main", Reference("fashion", "main")),
        ("fashion@3", Reference("fashion", "3")),
    ],
)
def test_references_read_as_they_print(text: str, reference: Reference):
    assert Reference.parse(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(("text", "code"), [("fashion@", "invalid-reference"), ("Fashion", "invalid-name")])
def test_bad_references(text: str, code: str):
    with pytest.raises(InvalidInput) as caught:
        Reference.parse(text)
    assert caught.value.code == code


def test_the_nearest_name_is_close_or_none():
    assert nearest("fasion", ["fashion", "digits"]) == "fashion"
    assert nearest("weather", ["fashion", "digits"]) is None


def test_a_wrong_name_is_answered_with_the_nearest_or_with_what_there_is():
    assert did_you_mean("fasion", ["fashion", "digits"]) == "Did you mean 'fashion'?"
    assert did_you_mean("rnu", ["run"], before="tidemill ") == "Did you mean 'tidemill run'?"
    assert did_you_mean("weather", ["fashion", "digits"]) == "There are: fashion, digits."
    assert did_you_mean("weather", iter(["fashion"]), "Import it.") == "Import it."
    assert did_you_mean("weather", []) == "There are: none."
    many = did_you_mean("weather", [f"{i}" for i in range(30)])
    assert many.endswith("18, 19 and 10 more.")


def test_one_place_asks_what_was_meant():
    files = Path(tidemill.__file__).parent.rglob("*.py")
    assert [file.name for file in files if "Did you mean '" in file.read_text("utf-8")] == ["names.py"]
