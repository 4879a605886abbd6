"""scikit-learn: estimators and pipelines of them, kept as skops files, exported through skl2onnx."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.models import adapters, archive

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "model.skops"
OPSET = 18
_PLAIN_PARTS = re.compile(
    r"sklearn\.(neural_network\._stochastic_optimizers\.(Adam|SGD)Optimizer"
    r"|tree\._tree\.Tree"
    r"|ensemble\._hist_gradient_boosting\.(predictor\.TreePredictor|binning\._BinMapper)"
    r"|_loss\.(loss|link|_loss)\.\w+"
    r"|metrics\._dist_metrics\.\w+"
    r"|neighbors\._(kd|ball)_tree\.\w+)"
)
"""Parts of scikit-learn's own estimators that skops does not list as safe: they hold arrays and numbers."""


def save(model: Any, folder: Path) -> None:
    """Write a skops file.

    Raises:
        InvalidInput: ``model-not-safe``, when the estimator holds something skops cannot write, or would not
            load again without trusting it.
    """
    io = _skops()
    try:
        data: bytes = io.dumps(model)
    except Exception as error:
        raise InvalidInput(
            f"The {type(model).__qualname__} cannot be written safely: {error}.",
            why="skops, the scikit-learn format without pickle, does not know a part of it.",
            hint="Replace that part by one of scikit-learn's own, or wrap the model as a plain function.",
            code="model-not-safe",
        ) from error
    _trusted(io, data, type(model).__qualname__)
    archive.write_zip(folder / FILE, _canonical(archive.read_zip(data)))


def load(folder: Path, code: "IsolatedCode | None") -> Any:
    """Read a skops file; only types that are known to be harmless are made.

    Raises:
        InvalidInput: ``model-not-safe`` or ``model-damaged``.
    """
    del code
    io = _skops()
    data = (folder / FILE).read_bytes()
    trusted = _trusted(io, data, str(folder / FILE))
    try:
        return io.loads(data, trusted=trusted)
    except Exception as error:
        raise InvalidInput(
            f"{folder / FILE} cannot be read: {error}.",
            why="It is damaged, or another scikit-learn wrote it.",
            hint="Install the scikit-learn version that the model's packages name, or train it again.",
            code="model-damaged",
        ) from error


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Class probabilities in the order of ``classes_``, or values.

    A classifier that gives no probabilities (a linear SVM) answers 1 for its class and 0 for the others.
    """
    import numpy as np  # noqa: PLC0415

    rows = two_dimensional(features)
    if hasattr(model, "predict_proba"):
        answer = model.predict_proba(rows)
        if isinstance(answer, list):
            # A forest trained on one-hot labels answers with one two-column array a class.
            return np.stack([a[:, -1] if a.shape[1] > 1 else np.zeros(len(a)) for a in answer], axis=1)
        return np.asarray(answer)
    answer = np.asarray(model.predict(rows))
    known = getattr(model, "classes_", None)
    if known is None or answer.ndim > 1:
        return answer
    return (answer[:, None] == np.asarray(known)[None, :]).astype(np.float64)


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """By ``classes_``: labels as text, or class indices."""
    known = getattr(model, "classes_", None)
    if known is None:
        return None
    if isinstance(known, list):
        # A forest trained on one-hot labels: one pair of classes a column, the columns in the given order.
        return None
    labels = [str(c) for c in known]
    if set(labels) <= set(classes):
        found = tuple(labels.index(c) if c in labels else -1 for c in classes)
    elif all(_is_whole(c) and 0 <= int(c) < len(classes) for c in known):
        indices = [int(c) for c in known]
        found = tuple(indices.index(i) if i in indices else -1 for i in range(len(classes)))
    else:
        strange = sorted(set(labels) - set(classes))
        raise InvalidInput(
            f"The model was trained on classes that its trainer does not list: {', '.join(strange[:5])}.",
            why=f"Listed are: {', '.join(classes)}.",
            hint="Let 'classes' list the labels, in any order.",
            code="unknown-class",
            details={"classes": strange},
        )
    return None if found == tuple(range(len(classes))) else found


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """Through skl2onnx, with one float input of two dimensions."""
    import numpy as np  # noqa: PLC0415

    if features.dtype.kind not in "biuf":
        raise adapters.NotExportable("its features are not numbers")
    if hasattr(model, "classes_") and not hasattr(model, "predict_proba"):
        raise adapters.NotExportable(f"{type(model).__name__} gives no probabilities")
    try:
        import skl2onnx  # noqa: PLC0415
    except ImportError as error:
        raise adapters.NotExportable(f"{error.name} is not installed") from error
    sample = two_dimensional(features)[:1].astype(np.float32)
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported: Any = skl2onnx.to_onnx(model, sample, options=options, target_opset=OPSET)
    except Exception as error:
        raise adapters.NotExportable(_first_line(error)) from error
    if options:
        # The first output, the label, is ours to decide: keep the probabilities alone.
        del exported.graph.output[0]
    return exported.SerializeToString(deterministic=True)


def history(model: Any) -> dict[str, list[float]]:
    """The loss curve of a network or a boosted ensemble."""
    curves = {
        "loss": getattr(model, "loss_curve_", None),
        "val_accuracy": getattr(model, "validation_scores_", None),
    }
    if curves["loss"] is None:
        curves["loss"] = getattr(model, "train_score_", None)
    return {n: [float(v) for v in c] for n, c in curves.items() if c is not None}


def packages() -> dict[str, str]:
    """scikit-learn, what it computes with, and what reads the file."""
    return adapters.versions("scikit-learn", "scipy", "numpy", "skops")


def two_dimensional(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The shape that scikit-learn wants: rows by numbers. A column of text stays as it is."""
    if features.ndim > 2:
        return features.reshape(len(features), -1)
    if features.ndim == 1 and features.dtype.kind in "biuf":
        return features.reshape(-1, 1)
    return features


def _skops() -> Any:
    try:
        import skops.io  # noqa: PLC0415
    except ImportError as error:
        raise adapters.needs_extra("sklearn", error) from error
    return skops.io


def _trusted(io: Any, data: bytes, what: str) -> list[str]:
    """The types of a skops file beyond skops' own list, all of them known to be harmless."""
    types: list[str] = io.get_untrusted_types(data=data)
    strange = [t for t in types if _PLAIN_PARTS.fullmatch(t) is None]
    if strange:
        raise InvalidInput(
            f"{what} holds types that are not known to be safe: {', '.join(strange[:5])}.",
            why="Reading a model must not run code that came with it.",
            hint="Use scikit-learn's own estimators, or wrap the model as a plain function of the project.",
            code="model-not-safe",
            details={"types": strange},
        )
    return types


def _canonical(members: dict[str, bytes]) -> dict[str, bytes]:
    """The archive with memory addresses, which skops uses as names, replaced by numbers in order of use."""
    numbers: dict[str, int] = {}

    def number(address: str) -> int:
        return numbers.setdefault(address, len(numbers))

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(n) for n in node]
        if not isinstance(node, dict):
            return node
        walked: dict[str, Any] = {}
        for name, value in node.items():
            if name == "__id__":
                walked[name] = number(str(value))
            elif name == "file" and isinstance(value, str) and value in members:
                address, dot, suffix = value.partition(".")
                walked[name] = f"{number(address)}{dot}{suffix}"
            else:
                walked[name] = walk(value)
        return walked

    archive.rewrite_json(members, "schema.json", walk)
    named: dict[str, bytes] = {}
    for name, data in members.items():
        address, dot, suffix = name.partition(".")
        named[f"{numbers[address]}{dot}{suffix}" if address in numbers else name] = data
    return named


def _is_whole(label: object) -> bool:
    return isinstance(label, int) or (hasattr(label, "dtype") and getattr(label, "dtype").kind in "iu")  # noqa: B009


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
