"""redun, in one process: results are in SQLite, cached by a task's source and its inputs."""

from pathlib import Path

from helper import more
from redun import Scheduler, task
from redun.config import Config

HERE = Path(__file__).parent
redun_namespace = "bench"


@task()
def add(x: int) -> int:
    return more(x)


def chain(steps: int, start: int) -> int:
    scheduler = Scheduler(Config({"backend": {"db_uri": f"sqlite:///{HERE / 'redun.db'}"}}))
    scheduler.load()
    x = start
    for _ in range(steps):
        x = add(x)
    return scheduler.run(x)
