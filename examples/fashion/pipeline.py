"""The study's pipeline: Fashion-MNIST from raw rows to a judged model, step by step.

Run it with ``tidemill run pipeline.py -p epochs=3``; ``-p framework=sklearn`` needs nothing but scikit-learn.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tidemill as tm
from tidemill import parts

if TYPE_CHECKING:
    import numpy as np

CLASSES = [
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]


@tm.row_step(columns="image")
def normalise(image: "np.ndarray") -> "np.ndarray":
    """Pixels from 0..255 to 0..1."""
    return image.astype("float32") / 255


@tm.step
def try_networks(
    train: tm.Table, validation: tm.Table, activation: str, random_state: int, trials: int
) -> dict[str, Any]:
    """Try a few networks on part of the training rows; the one that is best on the validation rows wins."""
    import numpy as np
    import optuna
    from sklearn.neural_network import MLPClassifier

    some = np.arange(min(len(train), 6000))
    x, y = train.take(some).numpy("image").reshape(len(some), -1), train.take(some).numpy("label")
    held_x, held_y = validation.numpy("image").reshape(len(validation), -1), validation.numpy("label")

    def objective(trial: optuna.Trial) -> float:
        model = MLPClassifier(
            (trial.suggest_int("units", 32, 256, log=True),),
            activation=activation,
            learning_rate_init=trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
            max_iter=5,
            random_state=random_state,
        )
        for epoch in range(5):
            model.partial_fit(x, y, classes=CLASSES)
            tm.progress(trial.number * 5 + epoch + 1, trials * 5, "tuning", "epochs")
        return float(np.mean(model.predict(held_x) == held_y))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=random_state))
    study.optimize(objective, n_trials=trials)
    return dict(study.best_params)


@tm.step
def as_given(units: int, learning_rate: float) -> dict[str, Any]:
    """The network's settings when nothing is tuned."""
    return {"units": units, "learning_rate": learning_rate}


@tm.step
def build_base(
    chosen: dict[str, Any],
    height: int,
    width: int,
    outputs: int,
    activation: str,
    output_activation: str,
    random_state: int,
) -> tm.TrainedModel:
    """A network that has learned nothing yet."""
    import keras

    keras.utils.set_random_seed(random_state)
    network = keras.Sequential(
        [
            keras.layers.Input((height, width)),
            keras.layers.Flatten(),
            keras.layers.Dense(chosen["units"], activation),
            keras.layers.Dense(outputs, output_activation),
        ]
    )
    return tm.TrainedModel.of(network, features="image", label="label", classes=CLASSES)


@tm.step
def load_base(file: Path) -> tm.TrainedModel:
    """A network that someone else trained, from a ``.keras`` file; its content is part of the cache key."""
    import keras

    network = keras.saving.load_model(file, safe_mode=True)
    return tm.TrainedModel.of(network, features="image", label="label", classes=CLASSES)


@tm.trainer(features="image", label="label", classes=CLASSES)
def train_keras(
    base: tm.TrainedModel,
    train: tm.Table,
    validation: tm.Table,
    chosen: dict[str, Any],
    optimizer: str,
    loss: str,
    metrics: list[str],
    epochs: int,
    batch_size: int,
    random_state: int,
) -> Any:
    """Train the base model on the one-hot targets."""
    import keras

    keras.utils.set_random_seed(random_state)
    network = base.native
    rule = keras.optimizers.get(
        {"class_name": optimizer, "config": {"learning_rate": chosen["learning_rate"]}}
    )
    network.compile(optimizer=rule, loss=loss, metrics=metrics)
    network.fit(
        train.numpy("image"),
        train.numpy("target"),
        validation_data=(validation.numpy("image"), validation.numpy("target")),
        epochs=epochs,
        batch_size=batch_size,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: tm.progress(epoch + 1, epochs, "training", "epochs")
            )
        ],
    )
    return network


@tm.trainer(features="image", label="label", classes=CLASSES)
def train_sklearn(
    train: tm.Table,
    validation: tm.Table,
    chosen: dict[str, Any],
    activation: str,
    optimizer: str,
    epochs: int,
    batch_size: int,
    random_state: int,
) -> Any:
    """The same network in scikit-learn."""
    from sklearn.neural_network import MLPClassifier

    x, y = train.numpy("image").reshape(len(train), -1), train.numpy("label")
    held_x, held_y = validation.numpy("image").reshape(len(validation), -1), validation.numpy("label")
    model = MLPClassifier(
        (chosen["units"],),
        activation=activation,
        solver=optimizer,
        learning_rate_init=chosen["learning_rate"],
        batch_size=batch_size,
        random_state=random_state,
    )
    curve: dict[str, list[float]] = {"val_accuracy": []}
    for epoch in range(epochs):
        model.partial_fit(x, y, classes=CLASSES)
        curve["val_accuracy"].append(float(model.score(held_x, held_y)))
        tm.progress(epoch + 1, epochs, "training", "epochs")
    history = {"loss": list(model.loss_curve_), **curve}
    return tm.TrainedModel.of(model, features="image", label="label", classes=CLASSES, history=history)


@tm.pipeline
def fashion(
    data: tm.Dataset = tm.dataset("fashion@main"),
    framework: Literal["keras", "sklearn"] = "keras",
    base: tm.Model | None = None,
    base_file: Path | None = None,
    tune: bool = False,
    trials: int = 5,
    test_size: float = 0.3,
    validation_size: float = 0.1,
    random_state: int = 42,
    height: int = 28,
    width: int = 28,
    units: int = 128,
    outputs: int = 10,
    activation: str = "relu",
    output_activation: str = "softmax",
    optimizer: str = "adam",
    learning_rate: float = 0.001,
    loss: str = "categorical_crossentropy",
    metrics: list[str] = ["accuracy"],  # noqa: B006 - a pipeline's defaults are values, never changed
    epochs: int = 10,
    batch_size: int = 128,
):
    """Prepare, split, tune, train, evaluate."""
    rows = parts.cast(data, types={"image": "uint8", "label": "string"})
    rows = parts.drop_missing(rows)
    rows = parts.keep_labels(rows, label="label", allowed=CLASSES)
    rows = normalise(rows)
    rows = parts.one_hot(rows, label="label", classes=CLASSES)
    train, validation, test = parts.split(
        rows, test=test_size, validation=validation_size, random_state=random_state
    )
    if tune:
        chosen = try_networks(
            train, validation, activation=activation, random_state=random_state, trials=trials
        )
    else:
        chosen = as_given(units=units, learning_rate=learning_rate)
    if framework == "keras":
        if base is not None:
            start = base
        elif base_file is not None:
            start = load_base(base_file)
        else:
            start = build_base(
                chosen,
                height=height,
                width=width,
                outputs=outputs,
                activation=activation,
                output_activation=output_activation,
                random_state=random_state,
            )
        model = train_keras(
            start, train, validation, chosen, optimizer=optimizer, loss=loss, metrics=metrics, epochs=epochs,
            batch_size=batch_size, random_state=random_state,
        )  # fmt: skip
    else:
        model = train_sklearn(
            train, validation, chosen, activation=activation, optimizer=optimizer, epochs=epochs,
            batch_size=batch_size, random_state=random_state,
        )  # fmt: skip
    return {"model": model, "report": parts.evaluate(model, test, name="fashion")}
