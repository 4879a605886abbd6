"""A trained model: the framework's own object, and what is needed to use it. Not what is served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.models import adapters, archive
from tidemill.models.outputs import Arrange, refuse_non_probabilities

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.adapters import Adapter
    from tidemill.models.isolation import IsolatedCode

FILE = "model.json"
LAYOUT = 1


@dataclass(frozen=True)
class TrainedModel:
    """What a trainer makes.

    Attributes:
        native: The Keras model, scikit-learn estimator, ONNX model or function.
        framework: ``keras``, ``sklearn``, ``onnx`` or ``function``.
        features: The column that it takes, after all preparation.
        label: The column that it answers.
        classes: The class names, in the order of its probabilities; None for a regressor.
        history: Curves of its training by name, one value an epoch.
    """

    native: Any
    framework: str
    features: str
    label: str
    classes: tuple[str, ...] | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        native: object,
        *,
        features: str,
        label: str,
        classes: Sequence[str] | None = None,
        history: Mapping[str, Sequence[float]] | None = None,
    ) -> "TrainedModel":
        """Wrap what a trainer returned.

        Args:
            native: A model of a framework that Tidemill knows.
            features: The column that the model takes.
            label: The column that it answers.
            classes: The class names in the order of its outputs; for a scikit-learn estimator in any
                order. None for a regressor.
            history: Curves of its training; those that the framework keeps itself if None.

        Raises:
            InvalidInput: ``unknown-framework``.
        """
        framework = adapters.owner(native)
        curves = adapters.adapter(framework).history(native) if history is None else history
        return cls(
            native,
            framework,
            features,
            label,
            None if classes is None else tuple(str(c) for c in classes),
            {name: [float(v) for v in curve] for name, curve in curves.items()},
        )

    @property
    def adapter(self) -> "Adapter":
        """The adapter of its framework."""
        return adapters.adapter(self.framework)

    @cached_property
    def order(self) -> tuple[int, ...] | None:
        """For each class its column in the framework's answer; None where they agree."""
        return None if self.classes is None else self.adapter.order(self.native, self.classes)

    def predict(self, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Class probabilities of shape ``(rows, classes)``, or values of shape ``(rows,)``.

        Raises:
            InvalidInput: ``not-probabilities`` or ``wrong-outputs``, when a classifier answers something
                else.
        """
        arrange = Arrange(None if self.classes is None else len(self.classes), self.order)
        answer = arrange(self.adapter.predict(self.native, features))
        if self.classes is not None:
            refuse_non_probabilities(answer)
        return answer

    def packages(self) -> dict[str, str]:
        """The distributions that a process needs to run it, with their versions."""
        return self.adapter.packages()

    def pack(self, folder: Path) -> None:
        """Write the model into ``folder``; the same model gives the same bytes.

        Raises:
            InvalidInput: ``model-not-safe``, when it has no safe file format.
        """
        native = folder / "native"
        native.mkdir(parents=True)
        self.adapter.save(self.native, native)
        body = {
            "layout": LAYOUT,
            "framework": self.framework,
            "features": self.features,
            "label": self.label,
            "classes": self.classes,
            # JSON has no NaN, and a diverged training has: such a value is kept as null.
            "history": {n: [v if v - v == 0 else None for v in c] for n, c in self.history.items()},
            "packages": self.packages(),
        }
        archive.write_json(folder / FILE, body)

    @classmethod
    def unpack(cls, folder: Path, code: "IsolatedCode | None" = None) -> "TrainedModel":
        """Read what ``pack`` wrote.

        Raises:
            InvalidInput: ``model-damaged``, ``model-too-new``, ``model-not-safe`` or ``pickle-refused``.
        """
        archive.refuse_pickles(folder)
        body = archive.read_versioned(folder / FILE, layout=LAYOUT, noun="model")
        classes = body["classes"]
        framework = str(body["framework"])
        return cls(
            adapters.adapter(framework).load(folder / "native", code),
            framework,
            str(body["features"]),
            str(body["label"]),
            None if classes is None else tuple(classes),
            {n: [float("nan") if v is None else v for v in c] for n, c in body["history"].items()},
        )
