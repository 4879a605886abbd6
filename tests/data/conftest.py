"""A store, and small real CSV files."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.services.fixtures import opened_store
from tidemill.data import Dataset, Datasets
from tidemill.store.open import Store


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Store]:
    with opened_store(request, tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def datasets(store: Store) -> Datasets:
    return Datasets(store, "ada")


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Write a file and give its path."""

    def write(text: str | bytes, name: str = "some.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def shop(datasets: Datasets) -> Dataset:
    """Five plain rows on ``main``, and a branch ``side``."""
    from tests.data.rows import as_table

    datasets.create("shop", as_table({i: (f"row {i}", 0) for i in range(1, 6)}), message="First")
    dataset = datasets.open("shop")
    dataset.branch("side")
    return dataset
