"""Metaflow on this machine: each step is a process of its own, its results are files. It has no cache by content."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FLOW = """\
from helper import more
from metaflow import FlowSpec, Parameter, step

class Added(FlowSpec):
    begin = Parameter("begin", type=int)

    @step
    def start(self):
        self.x = self.begin
        self.next(self.add_0)
"""
ADD = """
    @step
    def add_{n}(self):
        self.x = more(self.x)
        self.next(self.{next})
"""
END = """
    @step
    def end(self):
        with open("answer", "w") as answer:
            answer.write(str(self.x))

if __name__ == "__main__":
    Added()
"""


def chain(steps: int, start: int) -> int:
    adds = [ADD.format(n=n, next="end" if n + 1 == steps else f"add_{n + 1}") for n in range(steps)]
    (HERE / "flow.py").write_text("".join([FLOW, *adds, END]))
    subprocess.run(
        [sys.executable, "flow.py", "--quiet", "run", "--begin", str(start)],
        cwd=HERE,
        env=os.environ | {"METAFLOW_HOME": str(HERE / "metaflow"), "USERNAME": "bench"},
        check=True,
    )
    return int((HERE / "answer").read_text())
