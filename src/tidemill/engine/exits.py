"""Exit steps: what runs when all other steps of a run have ended, whatever became of them."""

import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tidemill.engine import plan
from tidemill.engine.job import Job
from tidemill.pipeline.control import outcome_parameters
from tidemill.pipeline.graph import Node
from tidemill.pipeline.outcome import RunOutcome

if TYPE_CHECKING:
    from tidemill.engine.execution import Execution

WHY = "it runs at the end of each run"


def run_exits(execution: "Execution") -> None:
    """Run each exit step, one after the other. The first error of the run stays the one that it tells.

    A failure fails a run that had succeeded.
    """
    before = execution.error
    outcome = _outcome(execution)
    for node in execution.graph.exits:
        execution.error = None
        execution.run_last(_job(execution, node, outcome))
        before = before or execution.error
    execution.error = before


def _job(execution: "Execution", node: Node, outcome: RunOutcome) -> Job:
    component = node.component
    assert component is not None
    told: dict[str, Any] = {name: asdict(outcome) for name in outcome_parameters(component)}
    closure = execution.closures[id(component.origin)]
    parts = plan.parts_of(node, closure, {}, execution.seed)
    # Without a key: nothing of it is taken from the cache, and nothing kept there.
    node = Node(node.name, node.role, component, {**node.settings, **told}, {}, node.outputs)
    return Job(node, parts, "", {}, WHY, ExitStack(), time.perf_counter())


def _outcome(execution: "Execution") -> RunOutcome:
    run, error = execution.ledger.run, execution.error
    if error is None:
        return RunOutcome(run.id, run.pipeline, "succeeded")
    step = error.get("details", {}).get("step")
    return RunOutcome(run.id, run.pipeline, "failed", step, str(error["message"]))
