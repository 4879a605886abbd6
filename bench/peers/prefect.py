"""Prefect: results are kept on disk, cached by a task's inputs and its source; the server is its own, in a process."""

import os
from pathlib import Path

os.environ["PREFECT_HOME"] = str(Path(__file__).parent / "prefect")
os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"

from helper import more
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE


@task(persist_result=True, cache_policy=INPUTS + TASK_SOURCE)
def add(x: int) -> int:
    return more(x)


@flow
def chain(steps: int, start: int) -> int:
    x = start
    for _ in range(steps):
        x = add(x)
    return x
