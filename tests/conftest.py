"""What tests of several rooms use."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["tests.services.fixtures"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """The folder of a real file system of one megabyte, to be filled up."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("making a small disk needs root and a kernel that allows mounts")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
