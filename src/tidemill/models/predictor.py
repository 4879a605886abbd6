"""The predictor: a bundle's stages and model, from raw rows to answers. What a server loads.

The bundle is a folder: ``predictor.json``, ``model.onnx`` or ``native/``, ``states/``, ``code/``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput, TidemillError
from tidemill.core.figures import counted
from tidemill.core.kinds import raised
from tidemill.models import adapters, archive
from tidemill.models.columns import Check, Columns, with_nan
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
    _takes_missing: bool

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
            # A bundle of before this was recorded holds a model that was given no missing cells.
            _takes_missing=bool(model.get("takes_missing", False)),
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
        features = self._stages.run(rows, checked, self.signature.types)[self._features]
        if hasattr(features, "mask"):
            features = self._without_mask(features, columns)
        try:
            answer = self.answer(features)
        except Failed:
            self._refuse_missing(features, columns)
            raise
        if not self._isfinite(answer).all():
            self._refuse_missing(features, columns)
            raise Failed(
                "The model answered with a value that is not finite.",
                why="Its weights overflowed on this row, or hold NaN.",
                hint="Look at the row; if it is an ordinary one, train the model again.",
                code=codes.MODEL_NOT_FINITE,
            )
        if self._labels is None:
            return {"value": answer.astype("float64")}
        if answer.dtype != "float32":
            answer = answer.astype("float32")
        return {"label": self._labels[answer.argmax(1)], "probabilities": answer}

    def answer(self, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """What the model itself says to features: probabilities in the order of ``classes``, or values.

        Raises:
            Failed: ``model-failed``.
        """
        return self._arrange(self._run(features))

    def _without_mask(self, features: Any, columns: Columns) -> "np.ndarray[Any, Any]":
        """The features with NaN where a cell is missing, if the model takes that."""
        import numpy as np  # noqa: PLC0415

        mask = np.ma.getmaskarray(features)
        if not mask.any():
            return features.data
        if self._takes_missing and features.dtype.kind == "f":
            return with_nan(features)
        raise self._missing(mask, columns)

    def _refuse_missing(self, features: "np.ndarray[Any, Any]", columns: Columns) -> None:
        """Raise if features without a mask hold NaN, which explains why the model gave no answer."""
        import numpy as np  # noqa: PLC0415

        if features.dtype.kind == "f" and np.isnan(features).any():
            raise self._missing(np.isnan(features), columns)

    def _missing(self, mask: "np.ndarray[Any, Any]", columns: Columns) -> InvalidInput:
        """What to say of the first row whose features lack a cell: which cells of the row itself are missing."""
        import numpy as np  # noqa: PLC0415

        row = int(np.argwhere(mask)[0][0])
        _, given = self._check(columns)
        lacking = [name for name, cells in given.items() if np.ma.getmaskarray(cells)[row].any()]
        named = " and ".join(f"'{name}'" for name in lacking)
        return InvalidInput(
            f"A cell of {named} of row {row} is missing."
            if lacking
            else f"'{self._features}' of row {row} is not a number after the pipeline's steps.",
            why="The model takes no missing values, and the pipeline neither fills them nor drops such rows."
            if lacking
            else "No cell of the row is missing; a step made NaN of what it was given.",
            hint="Send the whole row, or add parts.drop_missing or a filling step to the pipeline.",
            code=codes.MISSING_VALUE,
            details={"field": lacking[0] if lacking else self._features, "row": row},
        )


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
                f"The model failed on {counted(len(features), 'row')}: {raised(error)}.",
                hint="Try the model on these rows in Python.",
                code=codes.MODEL_FAILED,
            ) from error

    return run
