"""The predictor: a bundle's stages and model, from raw rows to answers. What a server loads.

The bundle is a folder: ``predictor.json``, ``model.onnx`` or ``native/``, ``states/``, ``code/``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Failed, InvalidInput, TidemillError
from tidemill.models import adapters, archive
from tidemill.models.columns import Check, Columns
from tidemill.models.isolation import IsolatedCode
from tidemill.models.outputs import Arrange
from tidemill.models.signature import Signature
from tidemill.models.stages import Stages

if TYPE_CHECKING:
    import numpy as np

FILE = "predictor.json"
LAYOUT = 1
ONNX_FILE = "model.onnx"
NATIVE_FOLDER = "native"
CODE_FOLDER = "code"


@dataclass(frozen=True)
class Predictor:
    """A loaded bundle. Make it with ``load``; it may be used from several threads.

    Attributes:
        folder: The bundle.
        signature: What it takes and gives.
        classes: The class names, in the order of the probabilities; None for a regressor.
        label: The column that it learned to answer.
        form: ``onnx`` or ``native``.
        parity: How well it agreed with the pipeline when it was built, as ``Parity`` says.
    """

    folder: Path
    signature: Signature
    classes: tuple[str, ...] | None
    label: str
    form: str
    parity: dict[str, Any]
    _features: str
    _check: Check
    _stages: Stages
    _run: "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]"
    _arrange: Arrange
    _labels: "np.ndarray[Any, Any] | None"
    _isfinite: Callable[..., Any]

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read a bundle, import its code and make its model ready.

        Raises:
            InvalidInput: ``predictor-damaged``, ``predictor-too-new``, ``pickle-refused``,
                ``model-damaged``, ``model-not-safe`` or ``code-not-importable``.
            NotFound: ``component-not-found``.
            NeedsExtra: When its form is native and the framework is not installed.
        """
        body = archive.read_versioned(folder / FILE, layout=LAYOUT, noun="predictor")
        archive.refuse_pickles(folder)
        code = IsolatedCode(folder / CODE_FOLDER)
        return cls.of(folder, body, Stages(body["stages"], folder, code), code)

    @classmethod
    def of(cls, folder: Path, body: dict[str, Any], stages: Stages, code: IsolatedCode) -> "Predictor":
        """A predictor from a bundle whose description and stages are read already."""
        import numpy as np  # noqa: PLC0415

        signature, model = Signature.from_json(body["signature"]), body["model"]
        classes = None if body["classes"] is None else tuple(body["classes"])
        order = model["order"]
        return cls(
            folder=folder,
            signature=signature,
            classes=classes,
            label=body["label"],
            form=model["form"],
            parity=body["parity"],
            _features=body["features"],
            _check=Check(signature.inputs),
            _stages=stages,
            _run=_runner(folder, model, tuple(body["cell"]), code),
            _arrange=Arrange(None if classes is None else len(classes), order),
            _labels=None if classes is None else np.array(classes),
            _isfinite=np.isfinite,
        )

    def predict(self, columns: Columns) -> "dict[str, np.ndarray[Any, Any]]":
        """Answer a batch of raw rows.

        Args:
            columns: The signature's inputs, each an array of shape ``(rows, *cell)``; a
                ``numpy.ma.MaskedArray`` where cells are missing.

        Returns:
            ``label`` (text, one a row) and ``probabilities`` (float32, ``(rows, classes)``), or ``value``
            (float64, one a row).

        Raises:
            InvalidInput: What ``columns.Check`` raises; ``row-refused``, when a stage drops a row;
                ``missing-value``, when a missing cell reaches the model. The details name ``field``,
                ``row`` and ``stage`` where there is one.
            Failed: ``stage-failed``, ``model-failed`` or ``model-not-finite``.
        """
        rows, checked = self._check(columns)
        features = self._stages.run(rows, checked)[self._features]
        if hasattr(features, "mask"):
            features = self._without_mask(features)
        answer = self._arrange(self._run(features))
        if not self._isfinite(answer).all():
            raise Failed(
                "The model answered with a value that is not finite.",
                why="Its weights overflowed on this row, or hold NaN.",
                hint="Look at the row; if it is an ordinary one, train the model again.",
                code="model-not-finite",
            )
        if self._labels is None:
            return {"value": answer.astype("float64")}
        if answer.dtype != "float32":
            answer = answer.astype("float32")
        return {"label": self._labels[answer.argmax(1)], "probabilities": answer}

    def _without_mask(self, features: Any) -> "np.ndarray[Any, Any]":
        import numpy as np  # noqa: PLC0415

        mask = np.ma.getmaskarray(features)
        if mask.any():
            row = int(np.argwhere(mask)[0][0])
            raise InvalidInput(
                f"A cell of '{self._features}' of row {row} is missing.",
                why="The pipeline neither fills missing cells nor drops such rows.",
                hint="Send the whole row, or add parts.drop_missing or a filling step to the pipeline.",
                code="missing-value",
                details={"field": self._features, "row": row},
            )
        return features.data


def _runner(
    folder: Path, model: dict[str, Any], cell: tuple[int, ...], code: IsolatedCode
) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
    if model["form"] == "onnx":
        from tidemill.models.frameworks import onnx  # noqa: PLC0415

        return onnx.runner(folder / ONNX_FILE, cell)
    framework = adapters.adapter(model["framework"])
    native = framework.load(folder / NATIVE_FOLDER, code)

    def run(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        try:
            return framework.predict(native, features)
        except TidemillError:
            raise
        except Exception as error:
            raise Failed(
                f"The model failed on {len(features)} rows: {type(error).__name__}: {error}.",
                hint="Try the model on these rows in Python.",
                code="model-failed",
            ) from error

    return run
