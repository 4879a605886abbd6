"""Handwritten digits with nothing but scikit-learn: 8x8 pixels of 0 to 16, scaled by what the training rows show.

Run it with ``tidemill run pipeline.py -p units=64``; ``-p framework=keras`` trains the same network in Keras.
"""

from typing import TYPE_CHECKING, Any, Literal

import tidemill as tm
from tidemill import parts

if TYPE_CHECKING:
    import numpy as np

CLASSES = [str(digit) for digit in range(10)]


@tm.transform(columns="image")
class Standardise:
    """Each pixel to mean 0 and deviation 1; both learned from the training rows, and served with the model."""

    def fit(self, image: "np.ndarray") -> dict[str, Any]:
        """Mean and deviation of each pixel; a pixel that never changes keeps its scale."""
        deviation = image.std(axis=0)
        deviation[deviation == 0] = 1
        return {"mean": image.mean(axis=0), "deviation": deviation}

    def apply(self, image: "np.ndarray", state: dict[str, Any]) -> "np.ndarray":
        """The standardised image, float32."""
        return ((image - state["mean"]) / state["deviation"]).astype("float32")


@tm.trainer(features="image", label="label", classes=CLASSES)
def train_network(train: tm.Table, units: int, epochs: int, random_state: int) -> Any:
    """A network with one hidden layer."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((units,), random_state=random_state)
    for epoch in range(epochs):
        model.partial_fit(train.numpy("image").reshape(len(train), -1), train.numpy("label"), classes=CLASSES)
        tm.progress(epoch + 1, epochs, "training", "epochs")
    return model


@tm.trainer(features="image", label="label", classes=CLASSES)
def train_keras(train: tm.Table, units: int, epochs: int, random_state: int) -> Any:
    """The same network in Keras."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(random_state)
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dense(len(CLASSES), "softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(
        train.numpy("image"),
        np.searchsorted(CLASSES, train.numpy("label").astype(str)),
        epochs=epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: tm.progress(epoch + 1, epochs, "training", "epochs")
            )
        ],
    )
    return network


@tm.pipeline
def digits(
    data: tm.Dataset = tm.dataset("digits@main"),
    framework: Literal["sklearn", "keras"] = "sklearn",
    test_size: float = 0.3,
    random_state: int = 42,
    units: int = 64,
    epochs: int = 20,
):
    """Clean, split, standardise, train, evaluate."""
    rows = parts.drop_missing(data)
    rows = parts.keep_labels(rows, label="label", allowed=CLASSES)
    train, _, test = parts.split(rows, test=test_size, validation=0.0, random_state=random_state)
    scale = Standardise.fit(train)
    train_one = train_keras if framework == "keras" else train_network
    model = train_one(scale.apply(train), units=units, epochs=epochs, random_state=random_state)
    return {"model": model, "report": parts.evaluate(model, scale.apply(test), name="digits")}
