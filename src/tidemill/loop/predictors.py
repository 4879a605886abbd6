"""A training graph with its predictor: the last step, cut from the steps before it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Note, Sink

if TYPE_CHECKING:
    from tidemill.pipeline.graph import Graph

MODEL, REPORT, PREDICTOR = "model", "report", "predictor"
"""What the outputs of a pipeline that makes a model are called."""


def with_predictor(graph: "Graph", name: str, file: Path | None, sink: Sink) -> "Graph":
    """``graph`` with a step that writes and proves the predictor, if it returns a ``model``.

    A model that no predictor can be cut for is trained all the same; a note says why it cannot be served.
    """
    from tidemill.pipeline.cut import outline  # noqa: PLC0415

    if MODEL not in graph.outputs or PREDICTOR in graph.outputs:
        return graph
    try:
        cut = outline(graph, MODEL)
    except InvalidInput as error:
        sink(Note(f"This model cannot be released: {error.message} {error.hint or ''}".strip()))
        return graph
    from tidemill.parts.export import predictor  # noqa: PLC0415
    from tidemill.pipeline.graph import Graph, Node, Port  # noqa: PLC0415

    own = file.resolve().parent if file else None
    node = Node(
        name=PREDICTOR,
        role="call",
        component=predictor,
        settings={
            "name": name,
            "stages": [
                {
                    "name": s.step,
                    "kind": "row_step" if s.role == "rows" else "transform",
                    "component": f"{s.module}:{s.variable}",
                    "settings": s.settings,
                }
                for s in cut.stages
            ],
            "code": code_of(own) if own else {},
            **({} if any(s.state for s in cut.stages) else {"states": {}}),
        },
        inputs={
            "model": graph.outputs[MODEL],
            "raw": Port(cut.dataset, "result"),
            "prepared": cut.table,
            **_states(cut.stages),
        },
        outputs=("result",),
    )
    return Graph((*graph.nodes, node), graph.inputs, {**graph.outputs, PREDICTOR: Port(PREDICTOR, "result")})


def is_judged(graph: "Graph") -> bool:
    """Whether a run of this graph makes all that the gate looks at."""
    return {PREDICTOR, REPORT} <= set(graph.outputs)


def code_of(folder: Path) -> dict[str, str]:
    """The project's files that are loaded, as text, by their path below the pipeline's folder."""
    from tidemill.pipeline.load import files  # noqa: PLC0415

    found: dict[str, str] = {}
    for path in sorted(files()):
        file = Path(path)
        if file.is_relative_to(folder):
            found[file.relative_to(folder).as_posix()] = file.read_text("utf-8")
    return found


def _states(stages: Any) -> dict[str, Any]:
    states = {s.step: s.state for s in stages if s.state is not None}
    return {"states": states} if states else {}
