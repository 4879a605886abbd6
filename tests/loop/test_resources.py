"""The same files are found in a checkout and in an installed wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.core.errors import InternalError
from tidemill.loop import resources

ROOT = Path(__file__).parents[2]


def test_a_checkout_has_them_at_its_root():
    assert resources.runtime_lock() == ROOT / "requirements" / "demo.txt"
    assert resources.example("fashion") == ROOT / "examples" / "fashion"


def test_what_is_not_there_is_said_to_be_missing():
    with pytest.raises(InternalError, match="lacks examples/nonsense") as caught:
        resources.example("nonsense")
    assert caught.value.code == "incomplete-installation"


@pytest.mark.slow
def test_a_wheel_carries_them(tmp_path: Path):
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*wheel, "--no-build-isolation", "--wheel-dir", tmp_path, ROOT], check=True)
    [built] = tmp_path.glob("tidemill-*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", target, built], check=True)
    show = "from tidemill.loop.resources import *; print(example('fashion'), runtime_lock(), sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {show}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    shipped = target / "tidemill" / "_shipped"
    assert found == [str(shipped / "examples" / "fashion"), str(shipped / "requirements" / "demo.txt")]
    assert (shipped / "requirements" / "demo.txt").read_bytes() == resources.runtime_lock().read_bytes()
