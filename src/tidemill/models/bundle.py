"""Writing a predictor bundle, and the proof that it answers as the pipeline does."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, Failed, InvalidInput, TidemillError
from tidemill.core.figures import counted
from tidemill.models import adapters, archive, sample
from tidemill.models import state as states
from tidemill.models.agreement import TOLERANCE, differences
from tidemill.models.columns import Check, Columns, from_table, with_nan
from tidemill.models.isolation import IsolatedCode
from tidemill.models.predictor import CODE_FOLDER, FILE, LAYOUT, NATIVE_FOLDER, ONNX_FILE, Predictor
from tidemill.models.signature import Signature, Tensor, inputs_of, outputs_of
from tidemill.models.stages import Stages, StageSpec

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.trained import TrainedModel
    from tidemill.store.table import Table


_GAP_ROWS = 8
"""Sample rows that lose a cell each, to see whether the model takes missing ones."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How the predictor's answers compare with the pipeline's on the sample rows.

    Attributes:
        form: ``onnx`` or ``native``.
        reason: Why the form is native; None for ONNX.
        rows: How many rows were compared.
        max_difference: The largest difference, as ``agreement.differences`` measures it.
        tolerance: What it was allowed to be.
        framework: The model's framework.
        packages: The distributions that a process needs to run the predictor, with their versions.
    """

    form: str
    reason: str | None
    rows: int
    max_difference: float
    tolerance: float
    framework: str
    packages: dict[str, str]


def build_predictor(
    folder: Path,
    *,
    name: str,
    model: "TrainedModel",
    stages: Sequence[StageSpec],
    raw_sample: "Table",
    expected: "np.ndarray[Any, Any]",
    code_files: Mapping[str, bytes | Path],
    reads: Sequence[str] | None = None,
    key: Sequence[str] = (),
    target: str | None = None,
) -> Parity:
    """Write a bundle and prove it on sample rows: ONNX where that agrees, the framework itself otherwise.

    The same arguments give the same bytes.

    Args:
        folder: Where; it must be empty or not there yet.
        name: The model's name in the inference protocol.
        model: The trained model.
        stages: What lies between raw rows and the model, in order; ``state`` is the object itself.
        raw_sample: Raw rows that the pipeline kept.
        expected: What the pipeline answered for them: probabilities, or values.
        code_files: The project's files that the stages need, by path below ``code/``.
        reads: The raw columns that a stage or the model takes; None where a stage takes whole rows. Only they are
            asked of a client; where that is not known, all but the label and, if the features are the same without
            them, the key and the target.
        key: The columns that name a row of the dataset; a request may have them.
        target: The raw column that the label is made from; feedback fills it.

    Raises:
        AlreadyExists: ``folder-not-empty``.
        InvalidInput: ``empty-sample``, or what is wrong with a stage, its state or the code.
        Failed: ``predictor-differs``, when even the framework's own model, behind these stages, does not
            answer as the pipeline did; ``sample-refused``, when a stage refuses a sample row.
    """
    if folder.exists() and any(folder.iterdir()):
        raise AlreadyExists(
            f"{folder} is not empty.", hint="Give a folder of its own.", code=codes.FOLDER_NOT_EMPTY
        )
    if not len(raw_sample) or len(raw_sample) != len(expected):
        raise InvalidInput(
            f"The sample has {counted(len(raw_sample), 'raw row')} and {counted(len(expected), 'answer')}.",
            why="The predictor is proven on rows that the pipeline answered.",
            hint="Give the same rows to both, at least one.",
            code=codes.EMPTY_SAMPLE,
        )
    import numpy as np  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    _write_code(folder / CODE_FOLDER, code_files)
    specs = _write_states(folder, stages)
    code = IsolatedCode(folder / CODE_FOLDER)
    loaded = Stages(specs, folder, code)
    inputs = _inputs(loaded, raw_sample, model, reads, {*key, *([] if target is None else [target])})
    raw = from_table(raw_sample, inputs)
    taken = inputs_of(raw_sample, inputs)
    features = _features(loaded, raw, taken, model.features)
    sample.write(folder, raw, expected, model.classes)
    body: dict[str, Any] = {
        "layout": LAYOUT,
        "signature": Signature(
            name,
            taken,
            outputs_of(model.classes),
            _identity(raw_sample, key, inputs),
            filled := _target(raw_sample, target, model.label),
            "" if filled or not model.label or model.label in raw_sample.columns else model.label,
        ).to_json(),
        "stages": specs,
        "features": model.features,
        "label": model.label,
        "classes": model.classes,
        "cell": list(features.shape[1:]),
    }

    gaps = _gaps(model, features, expected)

    def proven(form: str, reason: str | None) -> Parity:
        described = {
            "form": form,
            "framework": model.framework,
            "order": model.order,
            "takes_missing": gaps is not None,
        }
        predictor = Predictor.of(folder, body | {"model": described, "parity": {}}, loaded, code)
        needs = adapters.versions("onnxruntime", "numpy") if form == "onnx" else model.packages()
        difference = _difference(predictor, raw, expected)
        if gaps is not None and len(gaps):
            off = differences(predictor.answer(gaps), model.predict(gaps))
            difference = float(np.max([difference, off.max()]))
        parity = Parity(form, reason, len(expected), difference, TOLERANCE, model.framework, needs)
        archive.write_json(folder / FILE, body | {"model": described, "parity": asdict(parity)})
        return parity

    try:
        (folder / ONNX_FILE).write_bytes(model.adapter.to_onnx(model.native, np.ma.getdata(features)))
        parity = proven("onnx", None)
        if parity.max_difference <= TOLERANCE:
            return parity
        reason = f"the ONNX export differs by {parity.max_difference:.2g} from {model.framework}"
    except adapters.NotExportable as error:
        reason = f"no ONNX export: {error}"
    except TidemillError as error:
        reason = f"the ONNX export does not run: {error.message[:300]}"
    (folder / ONNX_FILE).unlink(missing_ok=True)
    (folder / NATIVE_FOLDER).mkdir()
    model.adapter.save(model.native, folder / NATIVE_FOLDER)
    parity = proven("native", reason)
    if parity.max_difference > TOLERANCE:
        raise Failed(
            f"The predictor's answers differ by {parity.max_difference:.3g} from the pipeline's on "
            f"{parity.rows} sample rows.",
            why="The stages, run on raw rows, do not give the model the same features as the pipeline did: "
            + ", ".join(s["name"] for s in specs)
            + ".",
            hint="Give a step that computes differently when served its own 'served=' function.",
            code=codes.PREDICTOR_DIFFERS,
            details={"max_difference": parity.max_difference, "tolerance": TOLERANCE},
        )
    return parity


def _inputs(
    stages: Stages,
    rows: "Table",
    model: "TrainedModel",
    reads: Sequence[str] | None,
    spare: set[str],
) -> list[str]:
    """The raw columns that a client is asked for, in the dataset's order."""
    from tidemill.store.table import SYSTEM_COLUMNS  # noqa: PLC0415 - a server loads no tables

    columns = [c for c in rows.columns if c not in SYSTEM_COLUMNS and c != model.label]
    if reads is not None:
        return [c for c in columns if c in reads]
    without = [c for c in columns if c not in spare]
    if len(without) == len(columns):
        return columns
    # A stage that takes whole rows may read any of them; whether it does, it shows on the sample.
    try:
        all_of_them = _features(stages, from_table(rows, columns), inputs_of(rows, columns), model.features)
        fewer = _features(stages, from_table(rows, without), inputs_of(rows, without), model.features)
    except TidemillError:
        return columns
    return without if _same(all_of_them, fewer) else columns


def _same(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> bool:
    import numpy as np  # noqa: PLC0415

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    masks = np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
    return masks and np.array_equal(
        np.ma.getdata(one), np.ma.getdata(other), equal_nan=one.dtype.kind in "fc"
    )


def _identity(rows: "Table", key: Sequence[str], inputs: Sequence[str]) -> tuple[Tensor, ...]:
    """The key's columns that no stage reads; none where one of them cannot be sent."""
    try:
        return inputs_of(rows, [c for c in key if c not in inputs])
    except InvalidInput:
        return ()


def _target(rows: "Table", column: str | None, label: str) -> Tensor | None:
    if column is None or column == label or column not in rows.columns:
        return None
    try:
        return inputs_of(rows, [column])[0]
    except InvalidInput:
        return None


def _features(stages: Stages, raw: Columns, taken: Sequence[Tensor], column: str) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    try:
        rows, checked = Check(taken)(raw)
        prepared = stages.run(rows, checked, {t.name: t.type for t in taken if t.type})
    except InvalidInput as error:
        raise Failed(
            f"The predictor refused a row that the pipeline kept: {error.message}",
            why=error.why,
            hint="Sample rows that the pipeline kept, or correct that stage.",
            code=codes.SAMPLE_REFUSED,
            details=error.details,
        ) from error
    if column not in prepared:
        raise InvalidInput(
            f"After its stages the predictor has no column '{column}', which the model takes.",
            why=f"It has: {', '.join(prepared)}.",
            hint="Let the trainer's 'features' name a column that the stages give.",
            code=codes.MISSING_COLUMN,
            details={"field": column},
        )
    return np.asanyarray(prepared[column])


def _gaps(
    model: "TrainedModel", features: "np.ndarray[Any, Any]", expected: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any] | None":
    """Features with missing cells that a predictor has to answer as the model does; None where it takes none.

    A model takes missing cells if rows of the sample have some and it answered them, or if its framework says so.
    """
    import numpy as np  # noqa: PLC0415

    if features.dtype.kind != "f":
        return None
    plain = with_nan(features)
    missing = np.isnan(plain).reshape(len(plain), -1).any(axis=1)
    if missing.any():
        # The sample itself asks for them.
        return plain[:0] if np.isfinite(np.asarray(expected)[missing]).all() else None
    asked = plain[:_GAP_ROWS].copy()
    flat = asked.reshape(len(asked), -1)
    for row in range(len(flat)):
        flat[row, row * flat.shape[1] // len(flat)] = np.nan
    return flat.reshape(asked.shape) if model.adapter.takes_missing(model.native, asked) else None


def _difference(predictor: Predictor, raw: Columns, expected: "np.ndarray[Any, Any]") -> float:
    """Over all rows at once, and over the first alone: a model must not answer by the size of its batch."""
    import numpy as np  # noqa: PLC0415

    output = "value" if predictor.classes is None else "probabilities"
    together = predictor.predict(raw)[output]
    alone = predictor.predict({n: a[:1] for n, a in raw.items()})[output]
    wanted = np.asarray(expected, dtype=np.float64).reshape(together.shape)
    off = [differences(together, wanted), differences(alone, wanted[:1])]
    return float(np.max([o.max() for o in off]))


def _write_code(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    folder.mkdir()
    for name, content in sorted(files.items()):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInput(
                f"The code file '{name}' lies outside the bundle.",
                hint="Name it by its path below the project folder.",
                code=codes.INVALID_CODE_PATH,
            )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)


def _write_states(folder: Path, stages: Sequence[StageSpec]) -> list[StageSpec]:
    (folder / "states").mkdir()
    written: list[StageSpec] = []
    for number, stage in enumerate(stages):
        file = None
        if stage["state"] is not None:
            # A step of a pipeline within the pipeline has a slash in its name.
            file = f"states/{number}-{stage['name'].replace('/', '-')}.zip"
            states.write(stage["state"], folder / file)
        written.append(
            {
                "name": stage["name"],
                "kind": stage["kind"],
                "component": stage["component"],
                "settings": dict(stage["settings"]),
                "state": file,
            }
        )
    return written
