"""Keras 3 on JAX: ``.keras`` files, exported through jax2onnx."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.config import choose_backends
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.models import adapters, archive, pooling

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "model.keras"
_BATCH_ROWS = 1024
_FEW_ROWS = 32


def save(model: Any, folder: Path) -> None:
    """Write a ``.keras`` archive, without the time of writing.

    Layers that Keras named itself (``dense_3``) carry a count of the process, so two models made one after
    the other differ in those names; ``keras.backend.clear_session()`` starts the count again.

    Raises:
        InvalidInput: ``model-not-safe``, when Keras cannot write it or would refuse to read it again.
    """
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / FILE
        try:
            with _own_deprecations_ignored():
                model.save(written)
        except Exception as error:
            raise InvalidInput(
                f"Keras cannot write the model: {error}.",
                hint="Give custom layers a get_config and register them with "
                "keras.saving.register_keras_serializable.",
                code=codes.MODEL_NOT_SAFE,
            ) from error
        members = archive.read_zip(written)
    archive.rewrite_json(members, "metadata.json", lambda body: {**body, "date_saved": "1980-01-01@00:00:00"})
    archive.rewrite_json(members, "config.json", _numbered)
    archive.write_zip(folder / FILE, members)


def load(folder: Path, code: "IsolatedCode | None") -> Any:
    """Read a ``.keras`` archive in Keras' safe mode, which refuses embedded Python code.

    Raises:
        InvalidInput: ``model-not-safe`` or ``model-damaged``.
    """
    keras, path = _keras(), folder / FILE
    del code
    try:
        with _own_deprecations_ignored():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        unsafe = "safe_mode" in str(error) or "lambda" in str(error).lower()
        raise InvalidInput(
            f"{path} cannot be read: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}.",
            why="It holds Python code as bytes, which Tidemill does not run." if unsafe else None,
            hint="Replace Lambda layers by keras.ops or a registered layer."
            if unsafe
            else "Train the model again, or install the Keras version that its packages name.",
            code=codes.MODEL_NOT_SAFE if unsafe else codes.MODEL_DAMAGED,
        ) from error


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """What the model answers, in inference mode."""
    import numpy as np  # noqa: PLC0415

    rows = _as_wanted(model, features)
    if len(rows) <= _FEW_ROWS:
        return np.asarray(model(rows, training=False))
    return np.asarray(model.predict(rows, batch_size=_BATCH_ROWS, verbose=0))


def fit(
    model: Any,
    features: "np.ndarray[Any, Any]",
    labels: "np.ndarray[Any, Any]",
    classes: Sequence[str] | None,
    *,
    epochs: int,
    batch_size: int,
) -> Any:
    """A copy of a compiled model with fresh weights, trained; the model itself is left as it is.

    Args:
        model: Compiled.
        features: One a row.
        labels: The class of each row, as text, or its value where ``classes`` is None.
        classes: In the order of the model's outputs. A loss whose name begins with ``sparse`` gets class
            indices, any other one-hot rows.
        epochs: At least 1.
        batch_size: Rows a step.

    Raises:
        InvalidInput: ``model-not-compiled``.
    """
    import numpy as np  # noqa: PLC0415

    keras = _keras()
    how = model.get_compile_config() if getattr(model, "compiled", False) else None
    if not how:
        raise InvalidInput(
            f"The Keras model '{model.name}' is not compiled.",
            why="Nothing says by which loss and optimizer it is trained.",
            hint="Call model.compile(optimizer='adam', loss='categorical_crossentropy') before tm.trainer(model).",
            code=codes.MODEL_NOT_COMPILED,
        )
    targets: Any = labels
    if classes is not None:
        places = {name: i for i, name in enumerate(classes)}
        targets = np.array([places[str(label)] for label in labels])
        if not str(getattr(model.loss, "name", model.loss)).startswith("sparse"):
            targets = np.eye(len(classes), dtype=np.float32)[targets]
    fresh = keras.models.clone_model(model)
    fresh.compile_from_config(how)
    fresh.fit(_as_wanted(model, features), targets, epochs=epochs, batch_size=batch_size, verbose=0)
    return fresh


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """Always the trainer's: one-hot columns and class indices both follow its ``classes``."""
    del model, classes


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """Trace the model with JAX and convert it, with any number of rows."""
    keras = _keras()
    if keras.backend.backend() != "jax":
        raise adapters.NotExportable(
            f"Keras runs on {keras.backend.backend()}; only the JAX backend is exported"
        )
    rows = _as_wanted(model, features)
    if rows.dtype.kind not in "biuf":
        raise adapters.NotExportable("its features are not numbers")
    try:
        import jax  # noqa: PLC0415

        with _without_foreign_plugins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import jax2onnx  # noqa: PLC0415

            rank = ("B", *rows.shape[1:])
            given: Any = rank if rows.dtype == "float32" else jax.ShapeDtypeStruct(rank, rows.dtype)  # type: ignore[arg-type]
            exported: Any = jax2onnx.to_onnx(
                lambda x: model(x, training=False), inputs=[given], model_name="model"
            )
            pooling.make_runnable(exported)
    except ImportError as error:
        raise adapters.NotExportable(f"{error.name} is not installed") from error
    except Exception as error:
        text = str(error).strip().splitlines()
        raise adapters.NotExportable(f"{type(error).__name__}: {text[0][:200] if text else ''}") from error
    return exported.SerializeToString(deterministic=True)


def takes_missing(model: Any, features: "np.ndarray[Any, Any]") -> bool:
    """Not by itself: NaN runs through a network and comes out of it."""
    del model, features
    return False


def history(model: Any) -> dict[str, list[float]]:
    """The curves of the last ``fit``."""
    record = getattr(getattr(model, "history", None), "history", None) or {}
    return {str(n): [float(v) for v in curve] for n, curve in record.items()}


def packages() -> dict[str, str]:
    """Keras and what it computes with."""
    return adapters.versions("keras", "jax", "jaxlib", "numpy", "h5py")


def _numbered(config: Any) -> Any:
    """The configuration with the memory addresses that name shared objects replaced by numbers."""
    numbers: dict[int, int] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(n) for n in node]
        if not isinstance(node, dict):
            return node
        return {
            name: numbers.setdefault(value, len(numbers)) if name == "shared_object_id" else walk(value)
            for name, value in node.items()
        }

    return walk(config)


def _keras() -> Any:
    choose_backends()
    try:
        import keras  # noqa: PLC0415
    except ImportError as error:
        raise adapters.needs_extra("keras", error) from error
    return keras


def _as_wanted(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The features in the model's input dtype, and flat (or with a last axis of one) where it wants that."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        raise InvalidInput(
            f"The Keras model has {counted(len(inputs), 'input')}.",
            why="A predictor gives its model one column.",
            hint="Fold the columns into one tensor column and split it inside the model.",
            code=codes.SEVERAL_INPUTS,
        )
    dtype = str(inputs[0].dtype) if inputs else "float32"
    rows = (
        features if features.dtype.kind not in "biuf" or features.dtype == dtype else features.astype(dtype)
    )
    wanted = tuple(inputs[0].shape[1:]) if inputs else rows.shape[1:]
    if wanted == rows.shape[1:]:
        return rows
    if len(wanted) != rows.ndim - 1 and sum(n is None for n in wanted) == 0:
        size = 1
        for length in wanted:
            size *= length
        if size * len(rows) == rows.size:
            return rows.reshape(len(rows), *wanted)
    return rows


@contextmanager
def _own_deprecations_ignored() -> Generator[None]:
    """Keras' variables do not know NumPy 2's ``copy`` yet, which NumPy reports to whoever called Keras."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning
        )
        yield


@contextmanager
def _without_foreign_plugins() -> Generator[None]:
    """Keep jax2onnx from loading what it has for other libraries than Keras.

    Its first conversion imports every plugin; those for Equinox and Flax compile layers while they are
    imported, 6 of its 7 seconds. A Keras model is plain JAX.
    """
    names = [f"jax2onnx.plugins.{n}" for n in ("equinox", "flax", "dm_pix", "examples")]
    blocked = [n for n in names if n not in sys.modules]
    logger = logging.getLogger("jax2onnx")
    level = logger.level
    # It reports each blocked plugin as a warning with a traceback.
    logger.setLevel(logging.ERROR)
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        logger.setLevel(level)
        for name in blocked:
            sys.modules.pop(name, None)
