"""Carries out one order: loads the component and its inputs, calls it, checks and stores what it returns."""

import copy
import importlib
import os
import random
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Conflict, Failed, InvalidInput, TidemillError
from tidemill.core.kinds import type_name
from tidemill.engine import artifacts, failures, keeping, project_files, tables, workplace
from tidemill.engine.arguments import Given
from tidemill.engine.orders import ChunkTask, Memo, Order, Outcome, Ref, Saved
from tidemill.engine.secrecy import NOTHING, Secrecy
from tidemill.pipeline import load, spelling, values
from tidemill.pipeline.annotations import TABLE_FORMS, results_of, shown
from tidemill.pipeline.component import TRAINER_SETTINGS, Component
from tidemill.pipeline.parameters import EMPTY
from tidemill.pipeline.progress import scratch_folder
from tidemill.pipeline.rowwise import apply_rows, apply_state, fit_state, unfitted
from tidemill.store.blobs import Blobs

if TYPE_CHECKING:
    from tidemill.store.table import Table


def execute(
    order: Order,
    component: Component[..., Any] | None = None,
    *,
    own_process: bool = False,
    secrecy: Secrecy = NOTHING,
) -> Outcome:
    """Carry out an order. Every exception of the step becomes ``Outcome.error``.

    Args:
        order: What to do.
        component: What the order names, where it is here already.
        own_process: Whether nobody else works in this process, so that the step's scratch folder can be its
            working directory.
        secrecy: The secrets that the order refers to.
    """
    started = time.perf_counter()
    outcome = Outcome()
    blobs = secrecy.blobs(order.blobs, order.step)
    try:
        with (workplace.inside if own_process else workplace.beside)(blobs) as scratch:
            _carry_out(secrecy.given(order), component, blobs, scratch, outcome)
            secrecy.check(outcome, order.step)
    except TidemillError as error:
        outcome.error = failures.described(error, order)
    except keeping.NotKept as lost:
        # A secret may be in what was trained, and a file beside the store is no place for one.
        error = lost.reason if secrecy else lost.aside(Path(order.blobs.local), order.step)
        outcome.error = failures.described(error, order)
    except BaseException as error:
        # A Rust library's panic and sys.exit() fail the step too. Ctrl-C is the run's; in a process of its own, where
        # that is not heard, it is the step's.
        if isinstance(error, KeyboardInterrupt) and not own_process:
            raise
        outcome.error = failures.raised(error, order)
    if outcome.error is not None:
        outcome.error = failures.plain(outcome.error)
    if secrecy and outcome.error is not None:
        # Nothing else of it: an output that was saved before another one failed may have a secret in it.
        outcome = Outcome(error=secrecy.mask_all(outcome.error), rows_in=outcome.rows_in)
    outcome.seconds = time.perf_counter() - started
    outcome.host = socket.gethostname()
    outcome.read_bytes, outcome.written_bytes = blobs.read_bytes, blobs.written_bytes
    # A worker ends without Python's own end.
    blobs.keep_seen()
    return outcome


def _carry_out(
    order: Order, component: Component[..., Any] | None, blobs: Blobs, scratch: Path, outcome: Outcome
) -> None:
    process = os.getpid()
    token = scratch_folder.set(scratch)
    try:
        if component is None:
            component = find(order)
        _load_random(order.packages)
        _run(order, component, blobs, scratch, outcome)
    finally:
        if os.getpid() != process:
            # A child that the step forked came back from the function: it has no part in what follows.
            os._exit(0)
        scratch_folder.reset(token)
        # What the step imported now is told from what the file holds when the next one comes.
        load.files()


def find(order: Order) -> Component[..., Any]:
    """Import the component that an order names.

    Raises:
        Conflict: ``code-changed``, when its file is no longer the one the key was made of.
        InvalidInput: ``invalid-pipeline-file``.
    """
    folder = load.enter(order.folder) if order.folder is not None else None
    home: Any = sys.modules.get(order.module)
    if folder is not None and order.file is not None:
        file = os.path.join(folder, order.file)  # noqa: PTH118 - each step pays for it
        if getattr(home, "__file__", None) != file:
            is_by_path = load.module_name(Path(file)) == order.module
            home = load.entered(Path(file), Path(file)) if is_by_path else None
    if home is None:
        home = importlib.import_module(order.module)
    found: Any = home
    for part in order.variable.split("."):
        found = getattr(found, part)
    loaded = load.files()
    for name, digest in order.files.items():
        path = os.path.normpath(os.path.join(folder, name)) if folder is not None else name  # noqa: PTH118
        if path in loaded and project_files.digest(path, loaded[path]) != digest:
            raise Conflict(
                f"{path} was changed while the run was going on.",
                why=f"Step '{order.step}' would be computed by other code than the run was planned with.",
                hint="Run again.",
                code=codes.CODE_CHANGED,
            )
    return found


def _load_random(packages: Mapping[str, str]) -> None:
    """Import what has a random state of its own before it is set, or a cold worker would draw other numbers."""
    if set(packages) != {"python"}:
        importlib.import_module("numpy")
    if "keras" in packages:
        importlib.import_module("keras")


def seed(number: int, *, keras: bool = True) -> None:
    """Set the seeds of what is loaded: ``random``, NumPy, and Keras unless told otherwise (0.4 s)."""
    random.seed(number)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(number % 2**32)
    loaded = sys.modules.get("keras") if keras else None
    if loaded is not None and hasattr(loaded, "utils"):
        # Layers are numbered by process: a warm worker must name them as a cold one does.
        loaded.utils.clear_session()
        loaded.utils.set_random_seed(number % 2**32)


def _run(order: Order, component: Component[..., Any], blobs: Blobs, scratch: Path, outcome: Outcome) -> None:
    if order.role in ("rows", "apply"):
        _run_chunks(order, component, blobs, scratch, outcome)
        return
    if order.role == "fit":
        table = artifacts.load(blobs, order.inputs["table"], scratch)
        seed(order.seed)
        outcome.rows_in = outcome.rows_computed = len(table)
        outcome.saved["result"] = _saved_state(
            order, blobs, fit_state(component, table, copy.deepcopy(order.settings))
        )
        return
    given = Given(order, component, blobs, scratch)
    loaded = given.inputs()
    arguments = given.settings() | {n: v for n, v in loaded.items() if given.takes(n)}
    outcome.rows_in = _rows_in(order)
    seed(order.seed)
    if component.kind == "trainer":
        _train(order, component, blobs, (arguments, loaded), outcome)
    else:
        returned = component.function(**arguments)
        if component.kind == "check":
            returned = _checked(order, returned)
        _save_results(order, component, blobs, returned, outcome, given.tables())
    outcome.rows_computed = outcome.rows_in


def _rows_in(order: Order) -> int | None:
    counts = [int(ref.meta["rows"]) for ref in _refs(order.inputs) if ref.kind == "table"]
    return sum(counts) if counts else None


def _refs(source: Any) -> Iterator[Ref]:
    """The artifacts of one input, or of several."""
    if isinstance(source, Ref):
        yield source
        return
    for member in source.values() if isinstance(source, dict) else source:
        yield from _refs(member)


# -- row-wise steps


def _run_chunks(
    order: Order, component: Component[..., Any], blobs: Blobs, scratch: Path, outcome: Outcome
) -> None:
    given = Given(order, component, blobs, scratch)
    outcome.rows_computed = 0
    for task in order.tasks:
        if task.memo is not None:
            outcome.chunks[task.index] = _redropped(blobs, task, task.memo)
            continue
        table = tables.read_chunk(blobs, task.chunk)
        # What a chunk gets, and draws, does not depend on the chunks that were computed here before it.
        inputs = given.inputs()
        seed(order.seed, keras=False)
        if order.role == "apply":
            settings = copy.deepcopy(order.settings)
            made: tuple[Table, ...] = (apply_state(component, table, settings, inputs.get("state")),)
        else:
            made = apply_rows(component, table, given.settings() | inputs)
        chunks = {n: tables.write_chunk(blobs, t) for n, t in zip(order.outputs, made, strict=True)}
        columns = {n: tables.columns_of(t) for n, t in zip(order.outputs, made, strict=True)}
        outcome.rows_computed += len(table)
        outcome.chunks[task.index] = chunks
        outcome.memos[task.index] = Memo(outputs=chunks, columns=columns, without=task.chunk["dropped"])


def _redropped(blobs: Blobs, task: ChunkTask, memo: Memo) -> "dict[str, Any]":
    gone = tables.read_ids(blobs, task.chunk["dropped"]) - tables.read_ids(blobs, memo["without"])
    return {name: tables.redrop(blobs, chunk, gone) for name, chunk in memo["outputs"].items()}


# -- what came of it


def _train(
    order: Order,
    component: Component[..., Any],
    blobs: Blobs,
    given: tuple[dict[str, Any], dict[str, Any]],
    outcome: Outcome,
) -> None:
    """Train and store; what was trained and cannot be stored is kept aside."""
    arguments, loaded = given
    facts = {n: component.options.get(n) for n in TRAINER_SETTINGS}
    said = {n: spelling.unspell(order.settings[n]) for n in TRAINER_SETTINGS if n in order.settings}
    facts |= {n: v for n, v in said.items() if v is not None}
    table = next((v for v in loaded.values() if type(v).__qualname__ == "Table"), None)
    if component.is_object:
        keeping.refuse_before_fit(component)
        native = _fitted_object(component, table, facts, order)
    else:
        native = component.function(**arguments)
    try:
        _save_results(order, component, blobs, _as_trained(native, facts, table), outcome)
    except TidemillError as error:
        raise keeping.NotKept(native) from error


def _as_trained(native: Any, facts: dict[str, Any], table: Any) -> Any:
    if type(native).__qualname__ == "TrainedModel":
        return native
    if facts["classes"] is None and facts["label"] and table is not None:
        facts["classes"] = _classes_of(table, str(facts["label"]))
    return artifacts.wrap_model(native, facts)


def _fitted_object(component: Component[..., Any], table: Any, facts: dict[str, Any], order: Order) -> Any:
    if table is None or not facts["features"] or not facts["label"]:
        raise InvalidInput(
            f"Step '{order.step}' does not say what the estimator learns from what.",
            hint="Say tm.trainer(estimator, features='image', label='label') and pass the training table.",
            code=codes.WRONG_DEFINITION,
        )
    if hasattr(component.function, "get_compile_config"):
        return _fitted_keras(component, table, facts)
    estimator = unfitted(component.function)
    if "random_state" in estimator.get_params() and estimator.get_params()["random_state"] is None:
        estimator.set_params(random_state=order.seed)
    features = table.numpy_with_nan(str(facts["features"]))
    return estimator.fit(features.reshape(len(features), -1), table.numpy(str(facts["label"])))


def _fitted_keras(component: Component[..., Any], table: Any, facts: dict[str, Any]) -> Any:
    from tidemill.models.frameworks import keras  # noqa: PLC0415 - only a Keras model comes here

    if facts["classes"] is None:
        facts["classes"] = _classes_of(table, str(facts["label"]))
    return keras.fit(
        component.function,
        table.numpy_with_nan(str(facts["features"])),
        table.numpy(str(facts["label"])),
        facts["classes"],
        epochs=int(component.options.get("epochs") or 1),
        batch_size=int(component.options.get("batch_size") or 32),
    )


def _classes_of(table: Any, label: str) -> tuple[str, ...] | None:
    import numpy as np  # noqa: PLC0415

    if label not in table.columns or table.shape_of(label):
        return None
    cells = table.numpy(label)
    return tuple(map(str, np.unique(cells))) if cells.dtype.kind in "OUT" else None


def _saved_state(order: Order, blobs: Blobs, state: Any) -> Any:
    if not isinstance(state, dict):
        raise Failed(
            f"Step '{order.step}': fit() must return a dict of arrays and plain values, "
            f"not a {type_name(state)}.",
            hint="Return what was learned by name, such as {'mean': mean}.",
            code=codes.STEP_RETURNED_WRONG_TYPE,
        )
    return artifacts.save(blobs, state, order.step)


def _checked(order: Order, returned: Any) -> bool:
    if returned is None or returned is True:
        return True
    complaints = [returned] if isinstance(returned, str) else returned if isinstance(returned, list) else []
    if returned is not False and not complaints:
        if isinstance(returned, list):
            return True
        raise _wrong_type(order, "result", "True, False, a text or a list of texts", returned)
    raise Failed(
        f"Check '{order.step}' failed{': ' + '; '.join(map(str, complaints[:20])) if complaints else ''}.",
        hint="Correct the data, or the check.",
        code=codes.CHECK_FAILED,
        details={"step": order.step, "complaints": [str(c) for c in complaints[:100]]},
    )


def _save_results(
    order: Order,
    component: Component[..., Any],
    blobs: Blobs,
    returned: Any,
    outcome: Outcome,
    given: "Sequence[Table]" = (),
) -> None:
    annotation = component.result if component.kind not in ("trainer", "check") else EMPTY
    if len(order.outputs) == 1:
        _check_type(order, "result", annotation, returned)
        value = _identified(order, component, returned, "result", given)
        outcome.saved["result"] = _saved(order, blobs, "result", value)
        return
    if not isinstance(returned, tuple) or len(returned) != len(order.outputs):
        raise _wrong_type(order, "result", f"a tuple of {len(order.outputs)}", returned)
    wanted = results_of(annotation) or (EMPTY,) * len(order.outputs)
    for name, kind, value in zip(order.outputs, wanted, returned, strict=True):
        _check_type(order, name, kind, value)
        kept = _identified(order, component, value, name, given)
        outcome.saved[name] = _saved(order, blobs, name, kept)


def _saved(order: Order, blobs: Blobs, output: str, value: Any) -> Saved:
    try:
        return artifacts.save(blobs, value, order.step, output)
    except RecursionError:
        raise Failed(
            f"Step '{order.step}' returned a {type_name(value)} as '{output}' that holds itself, or is nested "
            "too deep to be stored.",
            hint="Return a list or dict that ends: name what refers back by a number or a text.",
            code=codes.NO_ARTIFACT_KIND,
            details={"step": order.step, "output": output},
        ) from None


def _identified(
    order: Order, component: Component[..., Any], value: Any, output: str, given: "Sequence[Table]"
) -> Any:
    """A table with the identity of its rows; anything else as it is."""
    if not artifacts.is_table(value):
        return value
    from tidemill.pipeline.identified import of_step  # noqa: PLC0415

    ids = bool(component.options.get("ids"))
    table, is_new = of_step(order.step, output, value, given, ids=ids)
    if is_new:
        # What the step prints is its log: that is where a person looks who wonders what became of the rows.
        sys.stdout.write(
            f"tidemill: the rows of '{output}' are new: they do not say which of the given rows they are.\n"
        )
    return table


def _check_type(order: Order, output: str, annotation: Any, value: Any) -> None:
    """Plain annotations are promises: a later step, a gate or a report relies on them."""
    if annotation is EMPTY or isinstance(annotation, str):
        return
    numpy = sys.modules.get("numpy")
    plain = value.item() if numpy is not None and isinstance(value, numpy.generic) else value
    scalars = {int, float, str, bool, type(None)}
    if annotation is None and value is not None:
        raise _wrong_type(order, output, "None", value)
    if annotation in scalars:
        if not _fits(plain, annotation):
            raise _wrong_type(order, output, shown(annotation), value)
    elif annotation in (list, dict) and not isinstance(value, annotation):
        raise _wrong_type(order, output, shown(annotation), value)
    else:
        from tidemill.pipeline.annotations import form_of  # noqa: PLC0415

        form = form_of(annotation)
        saved_as_table = artifacts.is_table(value)
        if (form in TABLE_FORMS) != saved_as_table and (form in TABLE_FORMS or form in ("numpy", "path")):
            raise _wrong_type(order, output, shown(annotation), value)


def _fits(value: Any, annotation: Any) -> bool:
    # Text would convert to a number; as a result it is the wrong type.
    if isinstance(value, str) != (annotation is str):
        return False
    try:
        values.given(value, annotation)
    except ValueError:
        return False
    return True


def _wrong_type(order: Order, output: str, wanted: str, value: Any) -> Failed:
    what = "" if output == "result" else f" as '{output}'"
    return Failed(
        f"Step '{order.step}' must return {wanted}{what}, not {type_name(value)}"
        f"{f' {value!r:.60}' if isinstance(value, (bool, int, float, str, type(None))) else ''}.",
        why="So its return annotation says.",
        hint="Correct the function or its annotation.",
        code=codes.STEP_RETURNED_WRONG_TYPE,
        details={"step": order.step},
    )
