"""Trained models: whose they are, what they answer, and how they are kept without a pickle."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import CLASSES, Digits
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.models import TrainedModel, adapters


def brightness(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """A model without a framework: dark or bright, by the mean pixel."""
    bright = features.reshape(len(features), -1).mean(axis=1) / 16
    return np.stack([1 - bright, bright], axis=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_importing_the_rooms_loads_nothing_heavy() -> None:
    heavy = "numpy pyarrow polars keras jax sklearn onnx onnxruntime skops vl_convert"
    program = (
        "import sys, tidemill.models, tidemill.evaluation, tidemill.models.adapters\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.sklearn
def test_a_model_is_known_by_its_type() -> None:
    from sklearn.linear_model import LogisticRegression

    class Mine(LogisticRegression):
        pass

    assert adapters.owner(Mine()) == "sklearn"
    assert adapters.owner(brightness) == "function"
    with pytest.raises(InvalidInput) as caught:
        adapters.owner({"weights": 1})
    assert caught.value.code == "unknown-framework"
    with pytest.raises(NotFound, match="sklaern") as lost:
        adapters.adapter("sklaern")
    assert "'sklearn'" in str(lost.value.hint)


@pytest.mark.sklearn
def test_probabilities_follow_the_listed_classes(digits: Digits, mlp: TrainedModel) -> None:
    answers = mlp.predict(digits.images[1200:])
    assert answers.shape == (597, 10)
    named = np.array(CLASSES[::-1])[answers.argmax(axis=1)]
    assert (named == digits.labels[1200:]).mean() > 0.85
    assert mlp.history["loss"][0] > mlp.history["loss"][-1]


@pytest.mark.sklearn
def test_class_indices_and_unseen_classes(digits: Digits) -> None:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.naive_bayes import GaussianNB

    flat = digits.images.reshape(-1, 64)
    few = digits.labels.astype(int) < 7
    for estimator in (GaussianNB(), RidgeClassifier()):
        native = estimator.fit(flat[few], digits.labels[few].astype(int))
        model = TrainedModel.of(
            native, features="image", label="label", classes=[f"digit {n}" for n in range(10)]
        )
        answers = model.predict(digits.images[few][:200])
        assert answers.shape == (200, 10)
        assert (answers[:, 7:] == 0).all()
        assert (answers.argmax(axis=1) == digits.labels[few][:200].astype(int)).mean() > 0.8
        assert np.allclose(answers.sum(axis=1), 1)


@pytest.mark.sklearn
def test_a_class_that_is_not_listed_is_refused(digits: Digits, mlp: TrainedModel) -> None:
    model = TrainedModel.of(mlp.native, features="image", label="label", classes=["zero", "one"])
    with pytest.raises(InvalidInput) as caught:
        model.predict(digits.images[:2])
    assert caught.value.code == "unknown-class"


@pytest.mark.sklearn
def test_a_regressor_answers_values(digits: Digits, tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    native = Ridge().fit(digits.images.reshape(-1, 64), digits.labels.astype(float))
    model = TrainedModel.of(native, features="image", label="label")
    answers = model.predict(digits.images[:50])
    assert answers.shape == (50,)
    model.pack(tmp_path / "model")
    assert (TrainedModel.unpack(tmp_path / "model").predict(digits.images[:50]) == answers).all()
    wrong = TrainedModel.of(native, features="image", label="label", classes=["odd", "even"])
    with pytest.raises(InvalidInput) as caught:
        wrong.predict(digits.images[:50])
    assert caught.value.code == "not-probabilities"


@pytest.mark.sklearn
def test_sklearn_packs_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, warnings; warnings.simplefilter('ignore')\n"
        "from sklearn.datasets import load_digits\n"
        "from sklearn.neural_network import MLPClassifier\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from tidemill.models import TrainedModel\n"
        "d = load_digits()\n"
        "m = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=3, random_state=0))\n"
        "m.fit(d.data, d.target.astype(str))\n"
        "TrainedModel.of(m, features='image', label='label', classes=list('0123456789'))"
        ".pack(pathlib.Path(sys.argv[1]))\n"
    )
    for number in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": number,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        subprocess.run([sys.executable, "-c", program, tmp_path / number], check=True, env=environment)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert set(contents(tmp_path / "1")) == {"model.json", "native/model.skops"}


@pytest.mark.sklearn
def test_sklearn_comes_back_as_it_was(digits: Digits, mlp: TrainedModel, tmp_path: Path) -> None:
    mlp.pack(tmp_path / "model")
    back = TrainedModel.unpack(tmp_path / "model")
    assert (back.predict(digits.images) == mlp.predict(digits.images)).all()
    assert (back.classes, back.history, back.features) == (mlp.classes, mlp.history, "image")


@pytest.mark.keras
def test_keras_comes_back_as_it_was(digits: Digits, dense: TrainedModel, tmp_path: Path) -> None:
    answers = dense.predict(digits.images)
    assert (np.array(CLASSES)[answers[1200:].argmax(axis=1)] == digits.labels[1200:]).mean() > 0.8
    assert len(dense.history["loss"]) == 8
    for name in ("one", "two"):
        dense.pack(tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (TrainedModel.unpack(tmp_path / "one").predict(digits.images) == answers).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.keras
def test_keras_takes_flat_features_too(digits: Digits, dense: TrainedModel) -> None:
    import keras

    flat = keras.Sequential(
        [
            keras.Input((64,)),
            *(keras.layers.Dense.from_config(c.get_config()) for c in dense.native.layers[1:]),
        ]
    )
    flat.set_weights(dense.native.get_weights())
    model = TrainedModel.of(flat, features="image", label="label", classes=CLASSES)
    assert np.allclose(model.predict(digits.images[:100]), dense.predict(digits.images[:100]), atol=1e-6)
    few, many = model.predict(digits.images[:5]), model.predict(digits.images[:100])
    assert np.allclose(few, many[:5], atol=1e-6)


@pytest.mark.keras
def test_python_code_inside_a_keras_file_is_refused(dense: TrainedModel, tmp_path: Path) -> None:
    import keras

    del dense
    unsafe = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    TrainedModel.of(unsafe, features="x", label="y").pack(tmp_path / "model")
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.unpack(tmp_path / "model")
    assert caught.value.code == "model-not-safe"


@pytest.mark.sklearn
def test_what_skops_does_not_trust_is_refused_before_it_is_written(digits: Digits, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    class Own(LogisticRegression):
        pass

    native = Own(max_iter=2000).fit(digits.images[:100].reshape(100, -1), digits.labels[:100])
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.of(native, features="image", label="label", classes=CLASSES).pack(tmp_path / "model")
    assert caught.value.code == "model-not-safe"


def test_a_function_is_a_model(digits: Digits, tmp_path: Path) -> None:
    model = TrainedModel.of(brightness, features="image", label="light", classes=["dark", "bright"])
    model.pack(tmp_path / "model")
    back = TrainedModel.unpack(tmp_path / "model")
    assert (back.predict(digits.images) == brightness(digits.images)).all()
    assert back.native is not brightness


def test_a_function_goes_from_store_to_store_without_its_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "weights.py").write_text("FACTOR = 2\n")
    (project / "shop" / "late.py").write_text("from . import weights\nSHIFT = weights.FACTOR + 3\n")
    (project / "answer.py").write_text(
        "from shop.weights import FACTOR\n\ndef times(x):\n"
        "    import shop.late\n    return x[:, 0] * FACTOR + shop.late.SHIFT\n"
    )
    program = (
        "import pathlib, answer\nfrom tidemill.models import TrainedModel\n"
        "TrainedModel.of(answer.times, features='x', label='y').pack(pathlib.Path('../first'))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=project, check=True, env={**os.environ, "PYTHONPATH": "."}
    )
    # What the project says now is not what the model was.
    (project / "shop" / "weights.py").write_text("FACTOR = 100\n")
    TrainedModel.unpack(tmp_path / "first").pack(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    back = TrainedModel.unpack(tmp_path / "second")
    shutil.rmtree(tmp_path / "second")
    assert back.predict(np.array([[1.0], [10.0]])).tolist() == [7.0, 25.0]


def test_a_nameless_function_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.of(lambda x: x, features="x", label="y").pack(tmp_path / "model")
    assert caught.value.code == "model-not-safe"


def test_a_diverged_history_is_kept(tmp_path: Path) -> None:
    model = TrainedModel.of(brightness, features="x", label="y", history={"loss": [1.0, float("nan")]})
    model.pack(tmp_path / "model")
    loss = TrainedModel.unpack(tmp_path / "model").history["loss"]
    assert loss[0] == 1.0 and np.isnan(loss[1])


def _pickled(folder: Path) -> None:
    (folder / "native" / "weights.bin").write_bytes(pickle.dumps({"weights": [1, 2]}))


def _newer(folder: Path) -> None:
    body = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(body | {"layout": 99}))


def _cut(folder: Path) -> None:
    (folder / "model.json").write_text('{"layout": ')


@pytest.mark.parametrize(
    ("damage", "code"), [(_pickled, "pickle-refused"), (_newer, "model-too-new"), (_cut, "model-damaged")]
)
def test_a_bad_folder_is_refused(damage: Callable[[Path], None], code: str, tmp_path: Path) -> None:
    TrainedModel.of(brightness, features="x", label="y").pack(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.unpack(tmp_path / "model")
    assert caught.value.code == code
