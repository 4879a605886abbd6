"""Numbers as a person reads them."""

from tidemill.core.figures import counted


def test_one_thing_is_counted_as_one():
    assert counted(1, "row") == "1 row"
    assert [counted(n, "row") for n in (0, 2, 1200)] == ["0 rows", "2 rows", "1,200 rows"]
    assert [counted(n, "file is", "files are") for n in (1, 3)] == ["1 file is", "3 files are"]
