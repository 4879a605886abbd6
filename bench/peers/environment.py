"""A peer's own virtual environment, below the user's cache folder: made by the first run, kept for the next."""

import subprocess
import sys
from pathlib import Path

LIMIT_SECONDS = 900


def environment(name: str, *requirements: str) -> Path | None:
    """The environment's ``bin`` folder with just these requirements, or None, with the reason printed."""
    from tidemill.core.config import cache_folder

    home = cache_folder() / "bench" / name
    # Written last: what an interrupted run left is made anew.
    installed = home / "requirements.txt"
    wanted = "".join(f"{r}\n" for r in requirements)
    if installed.exists() and installed.read_text("utf-8") == wanted:
        return home / "bin"
    print(f"Installing {' '.join(requirements)} into {home} ...", flush=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", home],
        [home / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name} IS LEFT OUT: not installed within {LIMIT_SECONDS} seconds.", flush=True)
            return None
        if done.returncode:
            print(f"{name} IS LEFT OUT: {(done.stderr or done.stdout).strip()[-1000:]}", flush=True)
            return None
    installed.write_text(wanted, "utf-8")
    return home / "bin"
