"""ONNX: models made elsewhere, and the sessions that every predictor of ONNX form runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Failed, InvalidInput
from tidemill.models import adapters

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


class OnnxModel:
    """An ONNX model by its bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._run: Callable[[Any], Any] | None = None

    @property
    def run(self) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
        """Features to the first output."""
        if self._run is None:
            self._run = runner(self.content)
        return self._run


def runner(
    content: bytes | Path, rows_shape: tuple[int, ...] | None = None
) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
    """A function from features to the model's first output, on one thread.

    Args:
        content: The model, or its file.
        rows_shape: The shape that one row of the features will have, where it is known: it saves each
            call a look.

    Raises:
        InvalidInput: ``model-damaged`` or ``several-inputs``.
        Failed: ``model-failed``, by the function, when ONNX Runtime refuses a batch.
    """
    import numpy as np  # noqa: PLC0415
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session: Any = ort.InferenceSession(
            content if isinstance(content, bytes) else str(content), options, ["CPUExecutionProvider"]
        )
    except Exception as error:
        raise InvalidInput(
            f"ONNX Runtime cannot load the model: {error}.",
            hint="Export the model again, with an opset that this onnxruntime knows.",
            code="model-damaged",
        ) from error
    inputs: list[Any] = session.get_inputs()
    if len(inputs) != 1:
        raise InvalidInput(
            f"The ONNX model has {len(inputs)} inputs.",
            why="A predictor gives its model one column.",
            hint="Export it with one input, its first axis the rows.",
            code="several-inputs",
        )
    given = inputs[0]
    name, dtype = given.name, np.dtype(_DTYPES.get(given.type, "float32"))
    outputs = [session.get_outputs()[0].name]
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
            return execute(outputs, {name: features})[0]
        except Exception as error:
            raise Failed(
                f"The model failed on {len(features)} rows: {error}.",
                why="ONNX Runtime refused the batch.",
                hint="Build the predictor again; it then falls back to the framework.",
                code="model-failed",
            ) from error

    return run


def save(model: Any, folder: Path) -> None:
    """Write the model's bytes.

    Raises:
        InvalidInput: ``model-damaged``, when it is not a valid model of one input.
    """
    content = _bytes(model)
    runner(content)
    (folder / FILE).write_bytes(content)


def load(folder: Path, code: "IsolatedCode | None") -> OnnxModel:
    """Read the model's bytes."""
    del code
    return OnnxModel((folder / FILE).read_bytes())


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The model's first output."""
    if not isinstance(model, OnnxModel):
        model = OnnxModel(_bytes(model))
    return model.run(features)


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """Always the trainer's: an ONNX model names no classes."""
    del model, classes


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """The model itself."""
    del features
    return _bytes(model)


def history(model: Any) -> dict[str, list[float]]:
    """None: the model was trained elsewhere."""
    del model
    return {}


def packages() -> dict[str, str]:
    """ONNX Runtime."""
    return adapters.versions("onnxruntime", "numpy")


def _bytes(model: Any) -> bytes:
    return model.content if isinstance(model, OnnxModel) else model.SerializeToString(deterministic=True)
