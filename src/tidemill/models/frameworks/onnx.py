"""ONNX: models made elsewhere, and the sessions that every predictor of ONNX form runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.figures import counted
from tidemill.models import adapters
from tidemill.models.outputs import order_of

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "model.onnx"
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


_LABELS = frozenset(
    {"tensor(string)", *(f"tensor({s}int{bits})" for s in ("", "u") for bits in (8, 16, 32, 64))}
)
_MAP = "seq(map("
"""A ``ZipMap``: for each row the probability of each class by its name."""
_ANSWERS = (
    "probabilities",
    "output_probability",
    "probability",
    "probs",
    "softmax",
    "variable",
    "value",
    "output",
)
"""What exporters call the output that a model answers by, where it has several of one type."""


class OnnxModel:
    """An ONNX model by its bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._run: Callable[[Any], Any] | None = None

    @property
    def run(self) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
        """Features to answers: probabilities or values."""
        if self._run is None:
            self._run = runner(self.content)
        return self._run


def runner(
    content: bytes | Path, rows_shape: tuple[int, ...] | None = None
) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
    """A function from features to what the model answers, on one thread.

    Of several outputs the answer is found by type and name: numbers or a ``ZipMap`` rather than a label, then one with a
    name that exporters give to it. The columns of a ``ZipMap`` are in the order of its sorted names.

    Args:
        content: The model, or its file.
        rows_shape: The shape that one row of the features will have, where it is known: it saves each
            call a look. Then the model is one that was proven when its bundle was built.

    Raises:
        InvalidInput: ``model-damaged``, ``several-inputs`` or ``several-outputs``.
        Failed: ``model-failed``, by the function, when ONNX Runtime refuses a batch.
    """
    import numpy as np  # noqa: PLC0415

    session = _session(content)
    inputs: list[Any] = session.get_inputs()
    if len(inputs) != 1:
        raise InvalidInput(
            f"The ONNX model has {counted(len(inputs), 'input')}.",
            why="A predictor gives its model one column.",
            hint="Export it with one input, its first axis the rows.",
            code=codes.SEVERAL_INPUTS,
        )
    given = inputs[0]
    name, dtype = given.name, np.dtype(_DTYPES.get(given.type, "float32"))
    output = _answer(session.get_outputs(), proven=rows_shape is not None)
    outputs, is_map = [output.name], output.type.startswith(_MAP)
    cell = tuple(n for n in given.shape[1:] if isinstance(n, int))
    whole = len(cell) == len(given.shape) - 1
    known_fit = whole and rows_shape == cell
    execute = session.run

    def run(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        if features.dtype != dtype:
            features = features.astype(dtype)
        if not known_fit and whole and features.shape[1:] != cell:
            features = features.reshape(len(features), *cell)
        try:
            answer = execute(outputs, {name: features})[0]
            return _unzipped(answer) if is_map else answer
        except Exception as error:
            raise Failed(
                f"The model failed on {counted(len(features), 'row')}: {error}.",
                why="ONNX Runtime refused the batch.",
                hint="Build the predictor again; it then falls back to the framework.",
                code=codes.MODEL_FAILED,
            ) from error

    return run


def _session(content: bytes | Path) -> Any:
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(
            content if isinstance(content, bytes) else str(content), options, ["CPUExecutionProvider"]
        )
    except Exception as error:
        raise InvalidInput(
            f"ONNX Runtime cannot load the model: {error}.",
            hint="Export the model again, with an opset that this onnxruntime knows.",
            code=codes.MODEL_DAMAGED,
        ) from error


def _answer(outputs: Sequence[Any], *, proven: bool = False) -> Any:
    """The output that the model answers by."""
    if len(outputs) == 1:
        return outputs[0]
    likely = [o for o in outputs if o.type not in _LABELS] or list(outputs)
    named = [o for name in _ANSWERS for o in likely if o.name.lower() == name]
    if len(likely) == 1 or named:
        return named[0] if named else likely[0]
    if proven:
        # A bundle of before outputs had to be told apart: it was proven with the first.
        return outputs[0]
    raise InvalidInput(
        f"The ONNX model has {counted(len(outputs), 'output')}: {', '.join(f'{o.name} ({o.type})' for o in outputs)}.",
        why="None of them says that it is the answer.",
        hint="Export it with one output, or call the one that answers 'probabilities' or 'value'.",
        code=codes.SEVERAL_OUTPUTS,
    )


def _unzipped(rows: Sequence[Any]) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    names = sorted(rows[0]) if rows else []
    return np.array([[row[name] for name in names] for row in rows], np.float32)


def save(model: Any, folder: Path) -> None:
    """Write the model's bytes.

    Raises:
        InvalidInput: ``model-damaged``, when it is not a valid model of one input; ``several-outputs``, when
            nothing says which one answers.
    """
    content = _bytes(model)
    runner(content)
    (folder / FILE).write_bytes(content)


def load(folder: Path, code: "IsolatedCode | None") -> OnnxModel:
    """Read the model's bytes."""
    del code
    return OnnxModel((folder / FILE).read_bytes())


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """What the model answers: probabilities or values."""
    if not isinstance(model, OnnxModel):
        model = OnnxModel(_bytes(model))
    return model.run(features)


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """By the names of a ``ZipMap``; else the trainer's, since a plain ONNX model names no classes."""
    session = _session(_bytes(model))
    output = _answer(session.get_outputs())
    if not output.type.startswith(_MAP):
        return None
    return order_of(_names(session, output.name), classes)


def _names(session: Any, output: str) -> list[Any]:
    """The names of a ``ZipMap``, in the order of the columns that ``runner`` makes: those of its answer to zeros."""
    import numpy as np  # noqa: PLC0415

    (given,) = session.get_inputs()
    shape = [n if isinstance(n, int) and n > 0 else 1 for n in given.shape]
    row = np.zeros([1, *shape[1:]], _DTYPES.get(given.type, "float32"))
    try:
        return sorted(session.run([output], {given.name: row})[0][0])
    except Exception as error:
        raise InvalidInput(
            f"The ONNX model does not say which classes its output '{output}' names: {error}.",
            why="It does not say how many features it takes, either.",
            hint="Export it without a ZipMap: skl2onnx.to_onnx(..., options={'zipmap': False}).",
            code=codes.WRONG_OUTPUTS,
        ) from error


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """The model itself."""
    del features
    return _bytes(model)


def takes_missing(model: Any, features: "np.ndarray[Any, Any]") -> bool:
    """Not that the file would say."""
    del model, features
    return False


def history(model: Any) -> dict[str, list[float]]:
    """None: the model was trained elsewhere."""
    del model
    return {}


def packages() -> dict[str, str]:
    """ONNX Runtime."""
    return adapters.versions("onnxruntime", "numpy")


def _bytes(model: Any) -> bytes:
    return model.content if isinstance(model, OnnxModel) else model.SerializeToString(deterministic=True)
