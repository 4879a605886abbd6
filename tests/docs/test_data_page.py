"""docs/data.md teaches by commands: each is run as it stands, in order, as a reader would type it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_command_of_the_page_works(tmp_path: Path):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TIDEMILL_AUTHOR": "ada",
    }
    found = list(BLOCK.finditer(PAGE))
    assert len(found) > 10
    for block in found:
        language, text = block.groups()
        line = PAGE.count("\n", 0, block.start()) + 1
        command = (
            ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        )
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"docs/data.md, line {line}:\n{text}\n{done.stdout}\n{done.stderr}"
