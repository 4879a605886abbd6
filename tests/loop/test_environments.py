"""A run's packages are brought back where others are installed now: real wheels, installed by the real ``uv``."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
import gauge
import tidemill as tm

@tm.step
def read(weight: int) -> int:
    return gauge.value() * weight

@tm.pipeline
def gauged(weight: int = 1):
    return read(weight)
"""


class Elsewhere:
    """A project with an environment of its own, in which a package ``gauge`` comes and goes.

    It lies over the environment of the tests, so that Tidemill and all it needs are there.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.wheels, base = folder / "home", folder / "wheels", folder / "base"
        self.home.mkdir()
        self.wheels.mkdir()
        (self.home / "pipeline.py").write_text(PIPELINE)
        self.environment = {**os.environ, "UV_FIND_LINKS": str(self.wheels), "UV_OFFLINE": "1"}
        self.environment["UV_CACHE_DIR"] = str(folder / "cache")
        for version in ("1.0", "2.0"):
            self._make_wheel(version)
        self.uv = Path(sys.executable).parent / "uv"
        self._call(self.uv, "venv", "--python", sys.executable, base)
        self.python = base / "bin" / "python"
        behind = [p for p in sys.path if Path(p).name == "site-packages"]
        lines = [f"import site; site.addsitedir({p!r})" for p in behind]
        next(base.glob("lib/*/site-packages")).joinpath("behind.pth").write_text("\n".join(lines) + "\n")

    def tidemill(self, *words: str, status: int = 0) -> str:
        """What it says on both streams."""
        return self._call(self.python, "-m", "tidemill", "--log", "off", *words, status=status)

    def run(self, **parameters: int) -> str:
        """The id of a run."""
        given = [word for n, v in parameters.items() for word in ("-p", f"{n}={v}")]
        return re.findall(r"run (\S+) succeeded", self.tidemill("run", "pipeline.py", *given))[0]

    def install(self, version: str) -> None:
        self._call(self.uv, "pip", "install", "--no-deps", "--python", self.python, f"gauge=={version}")

    def lose(self, version: str) -> None:
        """Let no registry have it any more, and no cache."""
        (self.wheels / f"gauge-{version}-py3-none-any.whl").unlink()
        self.environment["UV_CACHE_DIR"] += "-cold"

    def _make_wheel(self, version: str) -> None:
        info = f"gauge-{version}.dist-info"
        with zipfile.ZipFile(self.wheels / f"gauge-{version}-py3-none-any.whl", "w") as made:
            made.writestr("gauge.py", f"def value():\n    return {version.partition('.')[0]}\n")
            made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: gauge\nVersion: {version}\n")
            made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            made.writestr(
                f"{info}/RECORD", f"gauge.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
            )

    def _call(self, *command: str | Path, status: int = 0) -> str:
        words = [str(c) for c in command]
        done = subprocess.run(
            words, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path)


def test_another_version_of_a_package_is_noticed_and_brought_back(elsewhere: Elsewhere):
    elsewhere.install("1.0")
    made = elsewhere.run()
    elsewhere.install("2.0")
    assert "result  int 2" in elsewhere.tidemill("run", "pipeline.py")
    said = elsewhere.tidemill("reproduce", made)
    assert "gauge 1.0 (here 2.0)" in said
    assert "identical: its 1 step gave" in said
    elsewhere.lose("1.0")
    said = elsewhere.tidemill("reproduce", made, status=1)
    assert "The environment of the run could not be made again" in said
    assert "gauge==1.0" in said


def test_what_a_package_changed_is_a_share_where_it_can_be_replayed(elsewhere: Elsewhere):
    def explained() -> dict[str, Any]:
        return json.loads(elsewhere.tidemill("explain", first, second, "--json"))

    elsewhere.install("1.0")
    first = elsewhere.run(weight=1)
    elsewhere.install("2.0")
    second = elsewhere.run(weight=10)
    found = explained()
    # From 1 * 1 to 2 * 10: the package adds 1 or 10, the weight 9 or 18.
    (metric,) = found["metrics"]
    assert {s["factor"]: s["share"] for s in metric["shares"]} == {"settings": 13.5, "environment": 5.5}
    assert metric["remainder"] == 0
    assert found["factors"][-1]["changes"] == ["gauge: 1.0 → 2.0"]
    elsewhere.lose("1.0")
    found = explained()
    (metric,) = found["metrics"]
    assert {s["factor"]: s["share"] for s in metric["shares"]} == {"settings": 18}
    assert (metric["remainder"], metric["a"], metric["a_again"]) == (1, 1, 2)
    environment = found["factors"][-1]
    assert (environment["differs"], environment["replayed"]) == (True, False)
    assert "gauge==1.0" in environment["note"]
    assert "not replayed" in elsewhere.tidemill("explain", first, second)
