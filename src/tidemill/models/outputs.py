"""From what a framework answers to class probabilities in the model's own class order, or to values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np


class Arrange:
    """Turns a raw answer into its final shape; what there is to know about it is worked out once.

    Args:
        classes: How many classes there are; None for a regressor.
        order: For each class, its column in the raw answer, -1 for a class that the model never saw;
            None where they agree.
    """

    def __init__(self, classes: int | None, order: Sequence[int] | None) -> None:
        import numpy as np  # noqa: PLC0415

        self._classes = classes
        self._order = None if order is None else np.asarray(order, dtype=np.intp)
        self._all_seen = order is None or min(order) >= 0

    def __call__(self, raw: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Probabilities of shape ``(rows, classes)``, or values of shape ``(rows,)``.

        Raises:
            InvalidInput: ``wrong-outputs``, when the answer has another number of columns than there are
                classes.
        """
        if self._classes is None:
            return raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
        if self._order is not None:
            return self._reordered(raw)
        if raw.ndim == 2 and raw.shape[1] == self._classes:
            return raw
        return self._two_columns(raw)

    def _reordered(self, raw: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        import numpy as np  # noqa: PLC0415

        order = self._order
        assert order is not None
        if self._all_seen:
            return raw.take(order, axis=1)
        arranged = np.zeros((len(raw), len(order)), raw.dtype)
        arranged[:, order >= 0] = raw[:, order[order >= 0]]
        return arranged

    def _two_columns(self, raw: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """A single sigmoid gives the second of two classes."""
        import numpy as np  # noqa: PLC0415

        second = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
        if second.ndim == 1 and self._classes == 2:
            return np.stack([1 - second, second], axis=1)
        raise InvalidInput(
            f"The model answers with shape {list(raw.shape)}, but there are {self._classes} classes.",
            hint="Give the model's last layer one unit a class, or correct the trainer's 'classes'.",
            code=codes.WRONG_OUTPUTS,
            details={"shape": list(raw.shape), "classes": self._classes},
        )


def order_of(known: Sequence[Any], classes: Sequence[str]) -> tuple[int, ...] | None:
    """For each class its column in the answer of a model that names its columns; -1 for none, None where they agree.

    Args:
        known: What the model calls its columns: labels, or whole numbers that count the classes.
        classes: The trainer's.

    Raises:
        InvalidInput: ``unknown-class``.
    """
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
            code=codes.UNKNOWN_CLASS,
            details={"classes": strange},
        )
    return None if found == tuple(range(len(classes))) else found


def _is_whole(label: object) -> bool:
    return isinstance(label, int) or (hasattr(label, "dtype") and getattr(label, "dtype").kind in "iu")  # noqa: B009


def refuse_non_probabilities(probabilities: "np.ndarray[Any, Any]") -> None:
    """Raise if a classifier's answers are not in 0 to 1.

    Raises:
        InvalidInput: ``not-probabilities``.
    """
    slack = 1e-5
    if probabilities.size and not (probabilities.min() >= -slack and probabilities.max() <= 1 + slack):
        raise InvalidInput(
            f"The model's answers range from {probabilities.min():.3g} to {probabilities.max():.3g}, "
            "so they are not probabilities.",
            why="Either the model ends without a softmax or sigmoid, or its training diverged.",
            hint="End a classifier in a softmax or sigmoid; leave 'classes' out for a regressor.",
            code=codes.NOT_PROBABILITIES,
        )
