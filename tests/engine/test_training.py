"""Trainers: functions, estimators, base models; what they make repeats bit for bit."""

import numpy as np
import pytest

from tests.engine.projects import Project, statuses, step, table
from tidemill.core.clock import now, stamp
from tidemill.engine.executors import local
from tidemill.store.catalog import records

SKLEARN = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
import tidemill as tm

scale = tm.transform(StandardScaler(), columns="image")
learn = tm.trainer(LogisticRegression(max_iter=50), features="image", label="label")

@tm.row_step
def halves(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    low = rows.ids % 3 > 0
    return rows.filter(low), rows.filter(~low)

@tm.step
def right(model: tm.TrainedModel, test: tm.Table) -> float:
    best = model.predict(test.numpy("image")).argmax(axis=1)
    return float(np.mean(np.array(model.classes)[best] == test.numpy("label")))

@tm.step
def coefficients(model: LogisticRegression) -> np.ndarray:
    return model.coef_

@tm.pipeline
def digits(data: tm.Dataset = tm.dataset("digits")):
    train, test = halves(data)
    fitted = scale.fit(train)
    model = learn(fitted.apply(train))
    return {"model": model, "right": right(model, fitted.apply(test)), "state": fitted.state,
            "coefficients": coefficients(model)}
"""

KERAS = """
import tidemill as tm

@tm.trainer(features="image", label="label")
def network(train: tm.Table, epochs: int):
    import keras
    classes, targets = __import__("numpy").unique(train.numpy("label"), return_inverse=True)
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dropout(0.2),
                              keras.layers.Dense(len(classes), activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(train.numpy("image"), targets, epochs=epochs, verbose=0)
    return model

@tm.trainer(features="image", label="label", classes=("x", "y"))
def further(base: tm.TrainedModel, train: tm.Table):
    return base.native

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("small"), epochs: int = 1, base: tm.Model | None = None):
    return {"model": network(data, epochs) if base is None else further(base, data)}
"""


def digits(project: Project) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    images, names = found.images[:600], np.array([f"n{t}" for t in found.target[:600]], object)
    project.datasets.create("digits", table({"image": images, "label": names}, list(range(600))), message="1")


def small(project: Project) -> None:
    random = np.random.default_rng(1)
    images = random.random((40, 4, 4), np.float32)
    names = np.array(["x" if i.mean() > 0.5 else "y" for i in images], object)
    project.datasets.create("small", table({"image": images, "label": names}, list(range(40))), message="1")


@pytest.mark.both_stores
def test_scikit_learn_objects_train_and_transform(project: Project) -> None:
    digits(project)
    project.write(SKLEARN)
    result = project.run(workers=2)
    model = project.value(result, "model")
    assert (model.framework, model.features, model.label) == ("sklearn", "image", "label")
    assert model.classes == tuple(f"n{i}" for i in range(10))
    assert project.value(result, "right") > 0.85
    assert type(project.value(result, "state")["fitted"]).__name__ == "StandardScaler"
    assert project.value(result, "coefficients").shape == (10, 64)
    with project.store.catalog.read() as transaction:
        kinds = {
            s.name: transaction.first(records.Artifact, {"digest": s.outputs["result"]}).kind
            for s in result.steps
            if "result" in s.outputs
        }
    assert kinds["learn"] == "model"
    assert kinds["scale-fit"] == "state"
    assert set(statuses(project.run()).values()) == {"cached"}
    project.write(SKLEARN.replace("max_iter=50", "max_iter=60"))
    again = project.run()
    assert {n for n, s in statuses(again).items() if s == "computed"} >= {"learn"}
    assert step(again, "scale-fit").status == "cached"
    assert step(again, "learn").why == "code pipeline:learn changed"


@pytest.mark.keras
def test_a_keras_model_has_one_digest_in_a_cold_and_a_warm_worker(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    small(project)
    project.write(KERAS)
    local.close()
    cold = project.run()
    assert project.value(cold, "model").classes == ("x", "y")
    project.run(epochs=2)
    with project.store.catalog.write() as transaction:
        transaction.forget([step(cold, "network").key or ""])
    warm = project.run()
    assert step(warm, "network").status == "computed"
    assert warm.outputs["model"].digest == cold.outputs["model"].digest


@pytest.mark.keras
def test_a_registered_model_is_an_input(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    small(project)
    project.write(KERAS)
    first = project.run()
    with project.store.catalog.write() as transaction:
        digest = first.outputs["model"].digest
        transaction.add(records.Model("p", 1, digest, first.run.id, "keras", {}, {}, stamp(now())))
    result = project.run(base="p@1")
    assert statuses(result) == {"data": "cached", "base": "cached", "further": "computed"}
    assert step(result, "base").kind == "model"
    assert project.value(result, "model").native.count_params() == 34
    missing = project.run(base="p@2")
    assert missing.run.error is not None
    assert missing.run.error["code"] == "model-not-found"
    assert missing.run.error["hint"] == "'p' has: 1."


COMPILED = """
import keras
import tidemill as tm

def made(loss):
    layers = [keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    if loss:
        model.compile("adam", loss)
    return model

one_hot = tm.trainer(made("categorical_crossentropy"), features="image", label="label", epochs=150, batch_size=8)
sparse = tm.trainer(made("sparse_categorical_crossentropy"), features="image", label="label", epochs=150, batch_size=8)
raw = tm.trainer(made(None), features="image", label="label")

@tm.pipeline
def compiled(which: str, data: tm.Dataset = tm.dataset("digits")):
    return {"one_hot": one_hot, "sparse": sparse, "raw": raw}[which](data)
"""


# Keras' own, where it reads its optimizer.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.keras
@pytest.mark.parametrize("which", ["one_hot", "sparse"])
def test_a_compiled_keras_model_is_a_trainer_as_it_is(
    project: Project, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    chance = np.random.RandomState(0)
    labels = np.array(["a", "b", "c"] * 30)
    images = chance.random_sample((90, 4, 4)).astype(np.float32)
    for place, name in enumerate("abc"):
        images[labels == name, place] += 2
    rows = table({"image": images, "label": labels}, list(range(90)))
    project.datasets.create("digits", rows, message="first")
    project.write(COMPILED)
    first = project.run(which=which)
    model = project.value(first)
    assert model.classes == ("a", "b", "c")
    assert np.mean(np.array(model.classes)[model.predict(images).argmax(1)] == labels) > 0.9
    # The weights that the file's model happens to start with are another process's; they do not count.
    local.close()
    assert set(statuses(project.run(which=which)).values()) == {"cached"}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.keras
def test_a_keras_model_that_is_not_compiled_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    rows = table({"image": np.zeros((2, 4, 4), np.float32), "label": np.array(["a", "b"])}, [0, 1])
    project.datasets.create("digits", rows, message="first")
    project.write(COMPILED)
    failed = project.run(which="raw")
    assert failed.run.error is not None
    assert failed.run.error["code"] == "model-not-compiled"
