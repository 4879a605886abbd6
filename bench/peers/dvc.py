"""`dvc repro`: a step is a command with files; run again when a file that dvc.yaml names as its input has changed.

A file that is not named is not seen: helper.py is not, since its caller, step.py, is what a stage is told of.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DVC = Path(sys.executable).with_name("dvc")
STAGE = """\
  add_{n}:
    cmd: {python} step.py x{n} x{next}
    deps: [step.py, x{n}]
    outs: [x{next}]
"""
STEP = """\
import sys
from pathlib import Path

from helper import more

given, made = map(Path, sys.argv[1:])
made.write_text(str(more(int(given.read_text()))))
"""


def chain(steps: int, start: int) -> int:
    if not (HERE / ".dvc").exists():
        run("init", "--no-scm", "--quiet")
    (HERE / "step.py").write_text(STEP)
    (HERE / "x0").write_text(str(start))
    stages = [STAGE.format(python=sys.executable, n=n, next=n + 1) for n in range(steps)]
    (HERE / "dvc.yaml").write_text("stages:\n" + "".join(stages))
    run("repro", "--quiet")
    return int((HERE / f"x{steps}").read_text())


def run(*words: str) -> None:
    subprocess.run([DVC, *words], cwd=HERE, check=True)
