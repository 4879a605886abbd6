"""Real models on real data: scikit-learn's 1,797 handwritten digits, 8 x 8 pixels of 0 to 16."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.models import TrainedModel
from tidemill.store.table import Table

if TYPE_CHECKING:
    import numpy as np

CLASSES = tuple(str(n) for n in range(10))


@dataclass(frozen=True)
class Digits:
    images: "np.ndarray[Any, Any]"
    labels: "np.ndarray[Any, Any]"
    table: Table


@pytest.fixture(scope="session")
def digits() -> Digits:
    import numpy as np
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    images, labels = data.images.astype(np.uint8), data.target.astype(str)
    table = Table.of({"image": images, "label": list(labels), "_id": np.arange(len(labels), dtype=np.uint64)})
    return Digits(images, labels, table)


@pytest.fixture(scope="session")
def mlp(digits: Digits) -> TrainedModel:
    """A scikit-learn network, its classes listed in another order than its own."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        native = MLPClassifier((32,), max_iter=60, random_state=0).fit(
            digits.images[:1200].reshape(1200, -1), digits.labels[:1200]
        )
    return TrainedModel.of(native, features="image", label="label", classes=CLASSES[::-1])


@pytest.fixture(scope="session")
def dense(digits: Digits) -> TrainedModel:
    """A small Keras network, trained on one-hot labels."""
    import numpy as np

    from tidemill.core.config import choose_backends

    choose_backends()
    import keras

    keras.utils.set_random_seed(0)
    native: Any = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    native.compile("adam", "categorical_crossentropy")
    native.fit(
        digits.images[:1200].astype(np.float32),
        np.eye(10, dtype=np.float32)[digits.labels[:1200].astype(int)],
        epochs=8,
        verbose=0,
    )
    return TrainedModel.of(native, features="image", label="label", classes=CLASSES)
