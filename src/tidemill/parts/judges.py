"""Who judges labels: a model of the user's, as a pipeline's trainer may be, or Tidemill's own committee."""

from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.parts.out_of_fold import Fit

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_EPOCHS, _BATCH_ROWS = 10, 128


def judge(model: object, classes: Sequence[str], *, workers: int = 1) -> Fit:
    """How to train one.

    Args:
        model: A scikit-learn classifier or a compiled Keras model, each trained afresh; a function from features and
            labels to a trained model of any framework that Tidemill knows; None is the committee.
        classes: All classes.
        workers: How many threads it may use.

    Raises:
        InvalidInput: ``not-a-trainer``.
    """
    if model is None:
        from tidemill.models.frameworks import committee  # noqa: PLC0415

        return partial(committee.fit, classes=classes, workers=workers)
    if not (isinstance(model, FunctionType) or hasattr(model, "get_compile_config") or hasattr(model, "fit")):
        raise InvalidInput(
            f"A {type_name(model)} cannot be trained.",
            hint="Name a scikit-learn classifier, a compiled Keras model, or a function from features and labels to a "
            "trained model.",
            code=codes.NOT_A_TRAINER,
        )
    return partial(_fit, model, tuple(classes))


def _fit(
    model: Any, classes: tuple[str, ...], features: "Array", labels: "Array", seed: int
) -> "Callable[[Array], Array]":
    from tidemill.models.trained import TrainedModel  # noqa: PLC0415
    from tidemill.pipeline.rowwise import unfitted  # noqa: PLC0415

    if isinstance(model, FunctionType):
        trained: Any = model(features, labels)
    elif hasattr(model, "get_compile_config"):
        from tidemill.models.frameworks import keras  # noqa: PLC0415

        trained = keras.fit(model, features, labels, classes, epochs=_EPOCHS, batch_size=_BATCH_ROWS)
    else:
        fresh = unfitted(model)
        if "random_state" in fresh.get_params() and fresh.get_params()["random_state"] is None:
            fresh.set_params(random_state=seed)
        trained = fresh.fit(features.reshape(len(features), -1), labels)
    if not isinstance(trained, TrainedModel):
        trained = TrainedModel.of(trained, features="features", label="label", classes=classes)
    return trained.predict
