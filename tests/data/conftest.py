"""A store, and small real CSV files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.data import Datasets
from tidemill.store.open import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


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
