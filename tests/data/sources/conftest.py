"""What the sources' tests read back."""

from collections.abc import Callable
from typing import Any

import pytest

from tidemill.data import Datasets

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def rows(datasets: Datasets) -> Rows:
    """A dataset's rows, the user's columns only."""

    def read(name: str = "d") -> list[dict[str, Any]]:
        snapshot = datasets.open(name).snapshot()
        return snapshot.read(snapshot.columns).to_arrow().to_pylist()

    return read
