"""Who last changed a cell, reverting, and commits named by steps and times."""

import numpy as np
import pytest

from tests.data.rows import put, rows_of
from tidemill.core.errors import Conflict, InvalidInput, NotFound
from tidemill.data import Choices, Commit, Dataset


def who(dataset: Dataset, row: int, column: str | None, at: str | None = None) -> Commit:
    return dataset.blame(at, {column: np.array([row], np.uint64)})[column][row]


def test_each_cell_has_the_commit_that_changed_it_last(shop: Dataset):
    first = shop.resolve()
    second = put(shop, {1: ("one", 0)})
    third = put(shop, {1: ("one", 5), 2: ("row 2", 7)})
    assert [who(shop, 1, c) for c in "ab"] == [second, third]
    assert [who(shop, 2, c) for c in "ab"] == [first, third]
    assert who(shop, 3, "a") == first
    assert who(shop, 1, "b", second.id) == first


def test_a_cell_that_came_back_is_who_brought_it_back(shop: Dataset):
    put(shop, {1: ("one", 0)})
    back = put(shop, {1: ("row 1", 0)})
    assert who(shop, 1, "a") == back


def test_the_going_and_coming_of_a_row(shop: Dataset):
    gone = put(shop, {}, gone=(1,))
    put(shop, {2: ("two", 0)})
    assert who(shop, 1, None) == gone
    again = put(shop, {1: ("row 1", 0)})
    assert [who(shop, 1, c) for c in ("a", "b", None)] == [again] * 3


def test_through_a_merge_a_cell_is_followed_to_the_side_it_came_from(shop: Dataset):
    first = shop.resolve()
    side = put(shop, {1: ("side", 0), 2: ("x", 0)}, "side")
    main = put(shop, {1: ("row 1", 3), 2: ("y", 0), 3: ("main", 0)})
    from tidemill.data import Value

    merged = shop.merge("side", choices=Choices(cells={(2, "a"): Value("z")})).commit
    assert [who(shop, 1, c) for c in "ab"] == [side, main]
    assert [who(shop, 2, c) for c in "ab"] == [merged, first]
    assert who(shop, 3, "a") == main
    assert who(shop, 4, "a") == first


def test_revert_undoes_one_commit_and_keeps_what_came_after(shop: Dataset):
    undone = put(shop, {1: ("wrong", 9), 8: ("eight", 0)}, gone=(5,))
    put(shop, {1: ("wrong", 10), 2: ("later", 0)})
    with pytest.raises(Conflict) as caught:
        shop.revert(undone.id)
    assert caught.value.code == "merge-conflict"
    done = shop.revert(undone.id, choices=Choices("theirs"))
    assert done.commit.message == f"Revert {undone.id}: {undone.message}"
    assert len(done.commit.parents) == 1
    assert rows_of(shop) == {
        1: ("row 1", 0),
        2: ("later", 0),
        3: ("row 3", 0),
        4: ("row 4", 0),
        5: ("row 5", 0),
    }
    assert shop.revert(undone.id).already
    shop.revert("main")
    assert rows_of(shop)[8] == ("eight", 0)


def test_what_cannot_be_reverted_says_why(shop: Dataset):
    first = shop.resolve()
    side = put(shop, {1: ("side", 0)}, "side")
    put(shop, {2: ("main", 0)})
    merge = shop.merge("side").commit
    apart = put(shop, {3: ("apart", 0)}, "side")
    for commit, words in ((first, "the first"), (merge, "is a merge"), (apart, "no part of branch 'main'")):
        with pytest.raises(InvalidInput, match=words) as caught:
            shop.revert(commit.id)
        assert caught.value.code == "cannot-revert"
    assert shop.resolve() == merge
    # What a merge brought can be undone by itself.
    shop.revert(side.id)
    assert rows_of(shop)[1] == ("row 1", 0)


def test_a_commit_is_named_by_steps_back_and_by_a_time(shop: Dataset):
    first = shop.resolve()
    second, third = put(shop, {1: ("x", 0)}), put(shop, {1: ("y", 0)})
    shop.tag("v1")
    assert [shop.resolve(at) for at in ("main~0", "main~", "main~2", "v1~1", "~", "3~2", f"{third.id}~")] == [
        third, second, first, second, second, first, second,
    ]  # fmt: skip
    assert shop.resolve(second.time) == second
    assert shop.resolve(second.time.replace("T", " ")) == second
    assert shop.resolve(third.time[:10]) == third
    assert shop.resolve("2999-01-01T00:00+02:00") == third
    for late in ("main~3", "1970-01-01", "2001-02-03T04:05"):
        with pytest.raises(NotFound) as caught:
            shop.resolve(late)
        assert caught.value.code == "commit-not-found"
    for bad in ("2026-13-01", "2026-11-31", "2026-1-1", "2026-11-01T25:00", "2026-11-01 noon"):
        with pytest.raises(InvalidInput) as wrong:
            shop.resolve(bad)
        assert wrong.value.code == "invalid-time"
    shop.branch("2026-11-01", "1")
    assert shop.resolve("2026-11-01") == first
