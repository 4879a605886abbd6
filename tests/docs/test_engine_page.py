"""docs/engine.md teaches by commands: each is run as it stands, in order, as a reader would type it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "engine.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"^```\n(forecast in run.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_command_of_the_page_works(tmp_path: Path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    printed = ""
    for block in BLOCK.finditer(PAGE):
        line = PAGE.count("\n", 0, block.start()) + 1
        command = ["bash", "-euo", "pipefail", "-c", block[1]]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"docs/engine.md, line {line}:\n{block[1]}\n{done.stderr}"
        printed += re.sub(r"run [0-9a-z-]{8,}", "run ...", done.stdout)
    for answer in SHOWN.finditer(PAGE):
        assert answer[1] in printed
