"""A training graph with its predictor: the last step, cut from the steps before it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Note, Sink

if TYPE_CHECKING:
    from tidemill.engine.run import RunResult
    from tidemill.pipeline.cut import Cut
    from tidemill.pipeline.graph import Graph, Guard, Node, Port

MODEL, REPORT, PREDICTOR = "model", "report", "predictor"
"""What the outputs of a pipeline that makes a model are called."""


def with_predictor(graph: "Graph", name: str, file: Path | None, sink: Sink) -> "Graph":
    """``graph`` with a step that writes and proves the predictor, if it returns a ``model``.

    Where the model, or its rows, come of a ``tm.when``, there is one for each branch, and the run takes that of the
    branch that it took. A model that no predictor can be cut for is trained all the same; a note says why it cannot
    be served.
    """
    if MODEL not in graph.outputs or PREDICTOR in graph.outputs:
        return graph
    try:
        made = _Predictors(graph, name, code_of(graph, file) if file else {}, sink)
        port = made.of(graph, ())
    except InvalidInput as error:
        sink(_unservable(error))
        return graph
    nodes = (*graph.nodes, *made.nodes)
    return replace(graph, nodes=nodes, outputs={**graph.outputs, PREDICTOR: port})


class _Predictors:
    """The steps that write a predictor, one for each branch that the model can come of."""

    def __init__(self, graph: "Graph", name: str, code: dict[str, str], sink: Sink) -> None:
        self._name, self._code, self._sink = name, code, sink
        self._names = {node.name for node in graph.nodes}
        self.nodes: list[Node] = []

    def of(self, graph: "Graph", guards: "tuple[Guard, ...]") -> "Port":
        """Where the predictor of a graph's model comes from, under these decisions."""
        from tidemill.pipeline.cut import Undecided, outline  # noqa: PLC0415
        from tidemill.pipeline.graph import Guard, Node, ports_in  # noqa: PLC0415

        model = graph.outputs[MODEL]
        try:
            if graph.node(model.node).role == "value":
                return self._nothing(guards)
            return self._added(self._node(graph, outline(graph, MODEL), guards), PREDICTOR)
        except Undecided as error:
            (condition,) = ports_in(error.node.inputs["condition"])
        except InvalidInput as error:
            if not guards:
                raise
            where = " and ".join(f"'{g.condition}' says {g.value}" for g in guards)
            self._sink(_unservable(error, f"Where {where}, the"))
            return self._nothing(guards)
        same = [n.name for n in graph.nodes if n.role == "choice" and n.inputs["condition"] == condition]
        sides = {
            side: self.of(graph.decided(dict.fromkeys(same, value)), (*guards, Guard(condition, value)))
            for side, value in (("then", True), ("otherwise", False))
        }
        inputs = {"condition": condition, **sides}
        chosen = Node("tm.when", "choice", None, {}, inputs, ("result",), guards=guards)  # pyright: ignore[reportArgumentType]
        return self._added(chosen, "tm.when")

    def _nothing(self, guards: "tuple[Guard, ...]") -> "Port":
        """A branch without a model, or with one that cannot be served."""
        from tidemill.pipeline.graph import Node  # noqa: PLC0415

        node = Node("tm.when value", "value", None, {"value": None}, {}, ("result",), guards=guards)
        return self._added(node, "tm.when value")

    def _added(self, node: "Node", name: str) -> "Port":
        from tidemill.pipeline.graph import Port  # noqa: PLC0415

        number, unique = 1, name
        while unique in self._names:
            number += 1
            unique = f"{name}-{number}"
        self._names.add(unique)
        self.nodes.append(replace(node, name=unique))
        return Port(unique, "result")

    def _node(self, graph: "Graph", cut: "Cut", guards: "tuple[Guard, ...]") -> "Node":
        from tidemill.parts.export import predictor  # noqa: PLC0415
        from tidemill.pipeline.graph import Node, Port  # noqa: PLC0415

        stages = [
            {
                "name": s.step,
                "kind": "row_step" if s.role == "rows" else "transform",
                "component": f"{s.module}:{s.variable}",
                "settings": s.settings,
            }
            for s in cut.stages
        ]
        states = {s.step: s.state for s in cut.stages if s.state is not None}
        return Node(
            name=PREDICTOR,
            role="call",
            component=predictor,
            settings={
                "name": self._name,
                "stages": stages,
                "code": self._code,
                "reads": None if cut.reads is None else list(cut.reads),
                "target": cut.target,
                **({} if states else {"states": {}}),
            },
            inputs={
                "model": graph.outputs[MODEL],
                "raw": Port(cut.dataset, "result"),
                "prepared": cut.table,
                **({"states": states} if states else {}),
            },
            outputs=("result",),
            guards=guards,
        )


def _unservable(error: InvalidInput, which: str = "This") -> Note:
    return Note(f"{which} model cannot be released: {error.message} {error.hint or ''}".strip())


def is_judged(result: "RunResult") -> bool:
    """Whether a run made all that the gate looks at; a branch that it took may have none."""
    kinds = {name: ref.kind for name, ref in result.outputs.items()}
    return kinds.get(PREDICTOR) == PREDICTOR and kinds.get(REPORT) == REPORT


def code_of(graph: "Graph", file: Path) -> dict[str, str]:
    """The project's files that a pipeline is made of, as text, by their path below the folder of its file.

    Those of its steps and what they import. Where one of them imports what cannot be known from its source, also what
    is loaded now, and what ``uses=`` names.
    """
    from tidemill.engine.imported import imported_by  # noqa: PLC0415
    from tidemill.pipeline.load import files  # noqa: PLC0415
    from tidemill.pipeline.script import file_of, may_be_imported  # noqa: PLC0415

    main, script = sys.modules["__main__"], file_of()
    folder = file.resolve().parent
    components = [n.component for n in (*graph.nodes, *graph.exits) if n.component is not None]
    used = [u for c in components for u in c.options.get("uses", ()) if isinstance(u, str)]
    begin = [file, *(c.file for c in components if c.file is not None)]
    begin += [path for name in used for path in _files_named(name, folder)]
    found, is_unseen = imported_by(begin, folder)
    if is_unseen:
        found, _ = imported_by([*begin, *map(Path, files())], folder)
    if script is not None and script.resolve() in found.values() and not may_be_imported(main):
        raise InvalidInput(
            f"{script.name} runs whenever it is imported, and its steps would be part of the predictor.",
            why="A server imports the steps from the script's file, which would start its runs there again.",
            hint=f"Put what {script.name} does below: if __name__ == '__main__':",
            code=codes.NOT_SERVABLE,
        )
    return {name: path.read_text("utf-8") for name, path in found.items()}


def _files_named(module: str, folder: Path) -> list[Path]:
    """Of a module that ``uses=`` names, and of all in it."""
    place = folder.joinpath(*module.split("."))
    plain = place.with_name(f"{place.name}.py")
    return [plain] if plain.is_file() else sorted(place.rglob("*.py"))
