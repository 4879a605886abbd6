"""Predictor bundles: proven against the pipeline, strict about rows, apart from each other, the same bytes."""

import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import CLASSES, Digits
from tidemill.core.errors import AlreadyExists, Failed, InvalidInput, NotFound, TidemillError
from tidemill.models import Parity, Predictor, TrainedModel, build_predictor
from tidemill.models.stages import StageSpec
from tidemill.store.table import Table

CODE = """
import numpy as np
from by import FACTOR

class Divide:
    def serve(self, columns, settings, state):
        image = columns["image"].astype(np.float32) / np.float32(settings["by"]) * np.float32(FACTOR)
        return {**columns, "image": image - (0 if state is None else state["mean"])}

class DropDark:
    def serve(self, columns, settings, state):
        keep = np.asarray(columns["image"].reshape(len(columns["image"]), -1).sum(axis=1)) > settings["least"]
        return {n: c[keep] for n, c in columns.items()}

class DropMissing:
    def serve(self, columns, settings, state):
        keep = ~np.ma.getmaskarray(columns["image"]).reshape(len(columns["image"]), -1).any(axis=1)
        return {n: np.ma.getdata(c)[keep] for n, c in columns.items()}

class Raise:
    def serve(self, columns, settings, state):
        raise ZeroDivisionError("by nothing")

class Forget:
    def serve(self, columns, settings, state):
        return {"image": columns["image"]}

divide, drop_dark, drop_missing, broken, forget, plain = Divide(), DropDark(), DropMissing(), Raise(), Forget(), 1
"""


def stage(component: str, settings: Mapping[str, Any] | None = None, state: object = None) -> StageSpec:
    return {
        "name": component.replace("_", "-"),
        "kind": "row_step",
        "component": f"prepare:{component}",
        "settings": settings or {},
        "state": state,
    }


def code(factor: int = 1) -> dict[str, bytes]:
    return {"prepare.py": CODE.encode(), "by.py": f"FACTOR = {factor}\n".encode()}


def build(
    folder: Path,
    model: TrainedModel,
    digits: Digits,
    stages: list[StageSpec] | None = None,
    *,
    expected: "np.ndarray[Any, Any] | None" = None,
    files: dict[str, bytes] | None = None,
    rows: int = 40,
) -> Parity:
    return build_predictor(
        folder,
        name="digits",
        model=model,
        stages=stages or [],
        raw_sample=digits.table.take(np.arange(rows)),
        expected=model.predict(digits.images[:rows]) if expected is None else expected,
        code_files=code() if files is None else files,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.keras
def test_keras_is_served_as_onnx_without_keras(digits: Digits, dense: TrainedModel, tmp_path: Path) -> None:
    parity = build(tmp_path / "p", dense, digits)
    assert (parity.form, parity.reason, parity.rows) == ("onnx", None, 40)
    assert parity.max_difference < 1e-6
    assert not (tmp_path / "p" / "native").exists()
    np.save(tmp_path / "rows.npy", digits.images[1200:])
    program = (
        "import sys, pathlib, numpy as np\nfrom tidemill.models import Predictor\n"
        "p = Predictor.load(pathlib.Path('p'))\n"
        "np.save('answers.npy', p.predict({'image': np.load('rows.npy')})['probabilities'])\n"
        "print([m for m in ('keras', 'jax', 'sklearn', 'pyarrow', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert np.allclose(np.load(tmp_path / "answers.npy"), dense.predict(digits.images[1200:]), atol=1e-6)


@pytest.mark.sklearn
def test_sklearn_is_served_as_onnx_in_the_listed_order(
    digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    parity = build(tmp_path / "p", mlp, digits)
    assert parity.form == "onnx"
    predictor = Predictor.load(tmp_path / "p")
    assert predictor.classes == CLASSES[::-1]
    answers = predictor.predict({"image": digits.images[1200:]})
    wanted = mlp.predict(digits.images[1200:])
    assert np.allclose(answers["probabilities"], wanted, atol=1e-5)
    assert answers["probabilities"].dtype == np.float32
    assert (answers["label"] == np.array(CLASSES[::-1])[wanted.argmax(axis=1)]).all()
    assert predictor.signature.to_json() == {
        "name": "digits",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        ],
    }


@pytest.mark.sklearn
def test_what_cannot_become_onnx_stays_native_and_says_why(digits: Digits, tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    native = LinearSVC(random_state=0, max_iter=5000).fit(
        digits.images[:300].reshape(300, -1) / 16, digits.labels[:300]
    )
    model = TrainedModel.of(native, features="image", label="label", classes=CLASSES)
    parity = build(tmp_path / "p", model, digits)
    assert parity.form == "native"
    assert "gives no probabilities" in str(parity.reason)
    assert "scikit-learn" in parity.packages
    predictor = Predictor.load(tmp_path / "p")
    assert predictor.parity["reason"] == parity.reason
    assert (
        predictor.predict({"image": digits.images[:9]})["probabilities"] == model.predict(digits.images[:9])
    ).all()


@pytest.mark.keras
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
def test_a_network_with_pools_is_served_as_onnx(
    kind: str, padding: str, digits: Digits, dense: TrainedModel, tmp_path: Path
) -> None:
    import keras

    del dense
    native = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Reshape((8, 8, 1)),
            keras.layers.Conv2D(3, 2, activation="relu"),
            getattr(keras.layers, kind)(3, strides=2, padding=padding),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model = TrainedModel.of(native, features="image", label="label", classes=CLASSES)
    assert build(tmp_path / "p", model, digits).reason is None
    answers = Predictor.load(tmp_path / "p").predict({"image": digits.images[:50]})["probabilities"]
    assert np.allclose(answers, model.predict(digits.images[:50]), atol=1e-5)


@pytest.mark.sklearn
def test_an_export_that_answers_otherwise_is_not_served(tmp_path: Path) -> None:
    """Small differences between large numbers: float32, which ONNX computes in, cannot hold them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal(1e6, 1, (200, 5))
    native = make_pipeline(StandardScaler(), LogisticRegression())
    native.fit(x, np.where(x.sum(axis=1) > 5e6, "high", "low"))
    model = TrainedModel.of(native, features="x", label="y", classes=["high", "low"])
    parity = build_predictor(
        tmp_path / "p",
        name="m",
        model=model,
        stages=[],
        raw_sample=Table.of({"x": x}),
        expected=model.predict(x),
        code_files={},
    )
    assert parity.form == "native" and "differs by" in str(parity.reason)
    assert not (tmp_path / "p" / "model.onnx").exists()
    answers = Predictor.load(tmp_path / "p").predict({"x": x})["probabilities"]
    assert np.allclose(answers, model.predict(x), atol=1e-6)


@pytest.mark.sklearn
def test_a_regressor_is_served(digits: Digits, tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    native = Ridge().fit(digits.images.reshape(-1, 64), digits.labels.astype(float) * 1e6)
    model = TrainedModel.of(native, features="image", label="label")
    assert build(tmp_path / "p", model, digits).form == "onnx"
    predictor = Predictor.load(tmp_path / "p")
    answers = predictor.predict({"image": digits.images[:20]})
    assert list(answers) == ["value"]
    assert np.allclose(answers["value"], model.predict(digits.images[:20]), rtol=1e-4)
    assert predictor.signature.outputs[0].datatype == "FP64"


def scaled(
    model: TrainedModel, digits: Digits, rows: int, by: float, mean: float = 0.0
) -> "np.ndarray[Any, Any]":
    return model.predict((digits.images[:rows] / by - mean).astype(np.float32))


@pytest.mark.sklearn
def test_stages_run_with_their_settings_and_states(digits: Digits, mlp: TrainedModel, tmp_path: Path) -> None:
    state = {"mean": np.full((8, 8), 0.25, np.float32)}
    expected = scaled(mlp, digits, 40, 2.0, 0.25)
    parity = build(tmp_path / "p", mlp, digits, [stage("divide", {"by": 2.0}, state)], expected=expected)
    assert parity.form == "onnx"
    answers = Predictor.load(tmp_path / "p").predict({"image": digits.images[:200]})["probabilities"]
    assert np.allclose(answers, scaled(mlp, digits, 200, 2.0, 0.25), atol=1e-5)


@pytest.mark.sklearn
def test_two_bundles_in_one_process_keep_their_own_code(
    digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    for factor in (1, 4):
        expected = scaled(mlp, digits, 40, 8.0 / factor)
        build(
            tmp_path / str(factor),
            mlp,
            digits,
            [stage("divide", {"by": 8.0})],
            expected=expected,
            files=code(factor),
        )
    one, four = Predictor.load(tmp_path / "1"), Predictor.load(tmp_path / "4")
    rows = {"image": digits.images[:30]}
    assert np.allclose(one.predict(rows)["probabilities"], scaled(mlp, digits, 30, 8.0), atol=1e-5)
    assert np.allclose(four.predict(rows)["probabilities"], scaled(mlp, digits, 30, 2.0), atol=1e-5)


@pytest.mark.sklearn
def test_a_row_that_a_stage_drops_is_refused_by_name(
    digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    build(tmp_path / "p", mlp, digits, [stage("drop_missing"), stage("drop_dark", {"least": 10})])
    predictor = Predictor.load(tmp_path / "p")
    rows = digits.images[:4].copy()
    rows[2] = 0
    with pytest.raises(InvalidInput) as caught:
        predictor.predict({"image": rows})
    assert (caught.value.code, caught.value.details) == ("row-refused", {"row": 2, "stage": "drop-dark"})
    holed = np.ma.MaskedArray(digits.images[:4], mask=np.zeros((4, 8, 8), bool))
    holed[3, 0, 0] = np.ma.masked
    with pytest.raises(InvalidInput) as caught:
        predictor.predict({"image": holed})
    assert caught.value.details == {"row": 3, "stage": "drop-missing"}
    assert len(predictor.predict({"image": digits.images[:4]})["label"]) == 4


@pytest.mark.sklearn
def test_a_missing_cell_never_reaches_the_model(digits: Digits, mlp: TrainedModel, tmp_path: Path) -> None:
    build(tmp_path / "p", mlp, digits)
    predictor = Predictor.load(tmp_path / "p")
    whole = np.ma.MaskedArray(digits.images[:3], mask=False)
    assert len(predictor.predict({"image": whole})["label"]) == 3
    whole[1, 2, 2] = np.ma.masked
    with pytest.raises(InvalidInput) as caught:
        predictor.predict({"image": whole})
    assert (caught.value.code, caught.value.details) == ("missing-value", {"field": "image", "row": 1})


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A predictor of one float32 vector and one text."""
    folder = tmp_path_factory.mktemp("floats") / "p"
    source = folder.parent / "weigh.py"
    source.write_text(
        "def weigh(features):\n    return features.astype(float).sum(axis=1) / (features[:, 0] != 7)\n"
    )
    spec = {"weigh.py": source.read_bytes()}
    from tidemill.models.isolation import IsolatedCode

    native = IsolatedCode(folder.parent).component("weigh:weigh")
    model = TrainedModel.of(native, features="vector", label="weight")
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    build_predictor(
        folder,
        name="floats",
        model=model,
        stages=[],
        raw_sample=Table.of({"vector": vectors, "name": ["a", "b", "c", "d"]}),
        expected=vectors.sum(axis=1),
        code_files=spec,
    )
    return Predictor.load(folder)


def good() -> dict[str, Any]:
    return {"vector": np.ones((2, 3), np.float32), "name": np.array(["x", "y"], object)}


def test_good_rows_are_answered(floats: Predictor) -> None:
    assert floats.form == "native"
    assert floats.predict(good())["value"].tolist() == [3.0, 3.0]
    wider = good() | {"vector": np.ones((2, 3), np.uint8), "name": np.array(["x", "y"])}
    assert floats.predict(wider)["value"].dtype == np.float64
    large = good() | {"vector": np.full((2, 3), 2e38, np.float32)}
    assert np.allclose(floats.predict(large)["value"], 6e38)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_an_answer_that_is_no_number_is_not_given(floats: Predictor) -> None:
    with pytest.raises(Failed) as caught:
        floats.predict(good() | {"vector": np.full((2, 3), 7, np.float32)})
    assert caught.value.code == "model-not-finite"


BAD: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"vektor": np.ones(2)}, "unknown-column", {"field": "vektor"}),
    ({"vector": None}, "missing-column", {"field": "vector"}),
    ({"name": None}, "missing-column", {"field": "name"}),
    ({"vector": np.ones((2, 4), np.float32)}, "wrong-shape", {"field": "vector"}),
    ({"vector": np.ones((3, 3), np.float32)}, "wrong-shape", {"field": "name"}),
    ({"vector": np.float32(1)}, "wrong-shape", {"field": "vector"}),
    ({"vector": np.ones((2, 3), np.float64)}, "wrong-dtype", {"field": "vector"}),
    ({"vector": np.ones((2, 3), np.int64)}, "wrong-dtype", {"field": "vector"}),
    ({"vector": np.full((2, 3), "1")}, "wrong-dtype", {"field": "vector"}),
    ({"name": np.array([1, 2])}, "wrong-dtype", {"field": "name"}),
    (
        {"vector": np.array([[1, 2, 3], [1, np.nan, 1]], np.float32)},
        "missing-value",
        {"field": "vector", "row": 1},
    ),
    (
        {"vector": np.array([[1, -np.inf, 3], [1, 1, 1]], np.float32)},
        "non-finite",
        {"field": "vector", "row": 0},
    ),
    ({"vector": np.ones((0, 3), np.float32), "name": np.array([], object)}, "no-rows", {}),
]


@pytest.mark.parametrize(("change", "error", "details"), BAD)
def test_bad_rows_are_refused_by_field(
    floats: Predictor, change: dict[str, Any], error: str, details: dict[str, Any]
) -> None:
    rows = {n: v for n, v in (good() | change).items() if v is not None}
    with pytest.raises(InvalidInput) as caught:
        floats.predict(rows)
    assert caught.value.code == error
    assert details.items() <= caught.value.details.items()
    assert floats.predict(good())["value"].tolist() == [3.0, 3.0]


def test_a_non_finite_number_under_a_mask_is_no_number(floats: Predictor) -> None:
    holed = np.ma.MaskedArray(
        np.array([[1, np.nan, 3], [1, 1, 1]], np.float32), mask=np.array([[False, True, False], [False] * 3])
    )
    with pytest.raises(InvalidInput) as caught:
        floats.predict(good() | {"vector": holed})
    assert caught.value.code == "missing-value"


@pytest.mark.sklearn
@pytest.mark.parametrize(
    ("component", "kind", "error"),
    [
        ("broken", Failed, "stage-failed"),
        ("forget", Failed, "stage-failed"),
        ("plain", InvalidInput, "not-servable"),
        ("absent", NotFound, "component-not-found"),
    ],
)
def test_a_stage_that_cannot_serve_is_named(
    component: str, kind: type[TidemillError], error: str, digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        build(tmp_path / "p", mlp, digits, [stage(component)])
    assert caught.value.code == error
    assert component in str(caught.value)


@pytest.mark.sklearn
def test_a_predictor_that_differs_from_the_pipeline_is_not_built(
    digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(Failed, match="differ") as caught:
        build(tmp_path / "p", mlp, digits, [stage("divide", {"by": 3.0})])
    assert caught.value.code == "predictor-differs"
    with pytest.raises(Failed) as refused:
        build(tmp_path / "q", mlp, digits, [stage("drop_dark", {"least": 300})])
    assert refused.value.code == "sample-refused"
    with pytest.raises(AlreadyExists):
        build(tmp_path / "p", mlp, digits)


@pytest.mark.sklearn
@pytest.mark.parametrize("form", ["onnx", "native"])
def test_the_same_bundle_has_the_same_bytes(
    form: str, digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    from sklearn.svm import LinearSVC

    model = mlp
    if form == "native":
        native = LinearSVC(random_state=0, max_iter=5000).fit(
            digits.images[:200].reshape(200, -1) / 16, digits.labels[:200]
        )
        model = TrainedModel.of(native, features="image", label="label", classes=CLASSES)
    state = {"mean": np.zeros((8, 8), np.float32)}
    for name in ("one", "two"):
        assert build(tmp_path / name, model, digits, [stage("divide", {"by": 1.0}, state)]).form == form
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    before = contents(tmp_path / "one")
    Predictor.load(tmp_path / "one").predict({"image": digits.images[:2]})
    assert contents(tmp_path / "one") == before


@pytest.mark.keras
@pytest.mark.slow
def test_a_keras_bundle_has_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, pathlib, sys
        os.environ["KERAS_BACKEND"] = "jax"
        import keras, numpy as np
        from tidemill.models import TrainedModel, build_predictor
        from tidemill.store.table import Table
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        x = np.arange(40, dtype=np.float32).reshape(10, 4) / 40
        trained = TrainedModel.of(model, features="x", label="y", classes=["a", "b", "c"])
        trained.pack(pathlib.Path(sys.argv[1], "model"))
        build_predictor(pathlib.Path(sys.argv[1], "p"), name="m", model=trained, stages=[], code_files={},
                        raw_sample=Table.of({"x": x}), expected=trained.predict(x))
    """)
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": number}
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / number],
            check=True,
            env=environment,
            capture_output=True,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert "p/model.onnx" in contents(tmp_path / "1")


def _newer(folder: Path) -> None:
    body = json.loads((folder / "predictor.json").read_text())
    (folder / "predictor.json").write_text(json.dumps(body | {"layout": 2}))


def _pickled(folder: Path) -> None:
    (folder / "states" / "0.zip").write_bytes(pickle.dumps({"mean": 1}))


def _joblib(folder: Path) -> None:
    (folder / "native").mkdir()
    (folder / "native" / "model.joblib").write_bytes(b"whatever")


def _cut(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def _gone(folder: Path) -> None:
    (folder / "predictor.json").unlink()


@pytest.mark.sklearn
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (_newer, "predictor-too-new"),
        (_pickled, "pickle-refused"),
        (_joblib, "pickle-refused"),
        (_cut, "model-damaged"),
        (_gone, "predictor-damaged"),
    ],
)
def test_a_bad_bundle_is_refused(
    damage: Callable[[Path], None], error: str, digits: Digits, mlp: TrainedModel, tmp_path: Path
) -> None:
    build(tmp_path / "p", mlp, digits)
    damage(tmp_path / "p")
    with pytest.raises(InvalidInput) as caught:
        Predictor.load(tmp_path / "p")
    assert caught.value.code == error


@pytest.mark.sklearn
def test_code_cannot_be_written_outside(digits: Digits, mlp: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(tmp_path / "p", mlp, digits, files={"../evil.py": b""})
    assert caught.value.code == "invalid-code-path"
    assert not (tmp_path / "evil.py").exists()


@pytest.mark.sklearn
def test_many_threads_get_their_own_answers(digits: Digits, mlp: TrainedModel, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    build(tmp_path / "p", mlp, digits, [stage("drop_missing")])
    predictor = Predictor.load(tmp_path / "p")
    wanted = predictor.predict({"image": digits.images[:200]})["probabilities"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: predictor.predict({"image": digits.images[i : i + 1]}), range(200)))
    assert np.allclose(np.concatenate([f["probabilities"] for f in found]), wanted, atol=1e-6)


def test_missing_cells_of_a_table_become_a_mask() -> None:
    import pyarrow as pa

    from tidemill.models.columns import from_table

    size = 2
    values = pa.array([1, None, 3, 4, 5, 6, None, 8], pa.uint8())
    tensor = pa.FixedSizeListArray.from_arrays(values, size)
    table = Table(
        pa.table({"pair": tensor, "name": pa.array(["a", None, "c", "d"]), "n": pa.array([1, 2, 3, 4])})
    )
    columns = from_table(table.take([3, 0, 1]), ["pair", "name", "n"])
    assert np.ma.getmaskarray(columns["pair"]).tolist() == [[True, False], [False, True], [False, False]]
    assert columns["pair"].dtype == np.uint8
    assert np.ma.getdata(columns["pair"])[2].tolist() == [3, 4]
    assert np.ma.getmaskarray(columns["name"]).tolist() == [False, False, True]
    assert not isinstance(columns["n"], np.ma.MaskedArray)
