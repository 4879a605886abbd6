"""The process in which a restored run is made: it gets an order on standard input, and answers in lines.

An answer is JSON: an event, at the end the run's id, or the error that kept it from beginning. What the pipeline's
files print goes to standard error.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tidemill.core.errors import Interrupted, TidemillError
from tidemill.core.events import Event, Note
from tidemill.core.names import Reference
from tidemill.loop.replaying import Answer, Given, ReplayOrder, StorePlace
from tidemill.pipeline.graph import Graph
from tidemill.store.open import Store

if TYPE_CHECKING:
    from tidemill.pipeline.pipelines import Pipeline


def main() -> None:
    """Carry out the order on standard input."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=ReplayOrder)
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        _carry_out(order, answers)


def _carry_out(order: ReplayOrder, answers: IO[bytes]) -> None:
    def say(kind: str, body: object) -> None:
        answers.write(msgspec.json.encode(Answer(kind, body)) + b"\n")

    def tell(event: Event) -> None:
        say(type(event).__name__, asdict(event))

    for given in order.given:
        if given.note is not None:
            tell(Note(given.note))
        try:
            say("run", _run(order, given, tell))
        except Interrupted as error:
            say("error", {"group": type(error).__name__, **error.to_json()})
            return
        except TidemillError as error:
            say("error", {"group": type(error).__name__, **error.to_json()})


def _run(order: ReplayOrder, wanted: Given, sink: Any) -> str:
    from tidemill.data import Datasets  # noqa: PLC0415
    from tidemill.engine.run import run  # noqa: PLC0415
    from tidemill.loop import predictors, runs  # noqa: PLC0415
    from tidemill.pipeline import load  # noqa: PLC0415

    file = Path(order.file)
    defined = load.load(file, order.pipeline)
    _load_others(file.parent, order.loaded)
    given = runs.as_recorded(_fitting(defined, wanted.parameters) if order.fitting else wanted.parameters)
    graph = predictors.with_predictor(defined.build(given), defined.name, defined.file, sink)
    values = defined.values(given)
    store, data = opened(order.store), opened(order.data)
    datasets = Datasets(data, order.author)

    def resolve(reference: Reference) -> Any:
        return datasets.open(reference.name).snapshot(reference.at)

    result = run(
        store,
        _with_models(graph.pinned(wanted.commits), wanted.models),
        pipeline_name=defined.name,
        file=file,
        parameters=runs.recorded(defined, values),
        trigger=order.trigger,
        sink=sink,
        workers=order.workers,
        executor=order.executor,
        project_folder=Path(order.folder),
        resolve=resolve,
        seed=runs.seed_of(values),
    )
    store.close()
    return result.run.id


def opened(place: StorePlace) -> Store:
    """The store at a place."""
    return Store.open(place.address, local=Path(place.local) if place.local else None, catalog=place.catalog)


def _fitting(defined: "Pipeline[..., Any]", given: Mapping[str, Any]) -> dict[str, Any]:
    known = {p.name for p in defined.parameters}
    return {n: v for n, v in given.items() if n in known}


def _load_others(folder: Path, loaded: tuple[str, ...]) -> None:
    """Import what else was imported when the run began: a predictor has all the code that was."""
    from tidemill.pipeline import load  # noqa: PLC0415

    there = {Path(f) for f in load.modules_in(folder).values()}
    for name in loaded:
        if folder / name not in there:
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            # One that can be imported no more was another pipeline's: nothing of this one needs it.
            with suppress(Exception):
                importlib.import_module(module)


def _with_models(graph: Graph, versions: Mapping[str, int]) -> Graph:
    """The graph with registered models at the versions that the run took, where it says the newest."""
    nodes = tuple(
        replace(n, model=replace(n.model, version=n.model.version or versions.get(n.model.name)))
        if n.model
        else n
        for n in graph.nodes
    )
    # Its exit steps told somebody what became of the run that there was: not again.
    return replace(graph, nodes=nodes, exits=())


if __name__ == "__main__":
    main()
