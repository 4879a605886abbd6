"""Dagster, in one process: results are files, the run's events are in SQLite. It has no cache."""

import os
from pathlib import Path

import dagster as dg
from helper import more

HOME = Path(__file__).parent / "dagster"


@dg.op
def add(x: int) -> int:
    return more(x)


def job(steps: int) -> dg.JobDefinition:
    @dg.job(resource_defs={"io_manager": dg.FilesystemIOManager(base_dir=str(HOME))})
    def added(start: int):
        x = start
        for n in range(steps):
            x = add.alias(f"add_{n}")(x)

    return added


def chain(steps: int, start: int) -> int:
    HOME.mkdir(exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(HOME)
    with dg.DagsterInstance.get() as instance:
        result = job(steps).execute_in_process(instance=instance, input_values={"start": start})
        return result.output_for_node(f"add_{steps - 1}")
