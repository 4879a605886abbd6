"""What tests of several rooms use."""

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.services.disks import mounted

pytest_plugins = ["tests.services.fixtures"]
pytest.register_assert_rewrite("tests.suites")

# How long an example takes says more of the machine than of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """The folder of a real file system of one megabyte, to be filled up."""
    with mounted(tmp_path / "small", megabytes=1) as folder:
        yield folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow profile out, but where ``-m`` names it."""
    if "slow_profile" in (config.getoption("markexpr") or ""):
        return
    slow = [item for item in items if item.get_closest_marker("slow_profile")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]
