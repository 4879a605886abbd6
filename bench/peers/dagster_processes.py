"""Dagster with its default executor: each step is a process of its own, results are files. It has no cache."""

import os
from pathlib import Path

import dagster as dg
from helper import more

HOME = Path(__file__).parent / "dagster"


@dg.op
def add(x: int) -> int:
    return more(x)


def job(steps: int) -> dg.JobDefinition:
    """What each step's process builds anew."""

    @dg.job
    def added(start: int) -> None:
        x = start
        for n in range(steps):
            x = add.alias(f"add_{n}")(x)

    return added


def chain(steps: int, start: int) -> int:
    HOME.mkdir(exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(HOME)
    added = dg.build_reconstructable_job("pipeline", "job", (steps,))
    given = {"inputs": {"start": {"value": start}}}
    with (
        dg.DagsterInstance.get() as instance,
        dg.execute_job(added, instance, run_config=given, raise_on_error=True) as result,
    ):
        return result.output_for_node(f"add_{steps - 1}")
