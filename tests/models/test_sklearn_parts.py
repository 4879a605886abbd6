"""What may be in a model file of scikit-learn: its own parts by name, and nothing that could act when it is read."""
# The stubs of scikit-learn know no None for some parameters, and the deprecated is here to be refused.
# pyright: reportArgumentType=false, reportDeprecated=false, reportAttributeAccessIssue=false

import ast
import builtins
import functools
import importlib
import json
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import tempfile
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.models import TrainedModel, adapters, archive

pytestmark = pytest.mark.sklearn

SCRIPT = Path(__file__).parents[2] / "requirements" / "sklearn_types.py"
X = np.random.RandomState(0).rand(40, 3)
Y = (X[:, 0] > 0.5).astype(int)
GAPS = np.where(X > 0.9, np.nan, X)


def kept(model: Any, folder: Path) -> Any:
    """The estimator after it was written and read again."""
    folder.mkdir()
    adapters.adapter("sklearn").save(model, folder)
    return adapters.adapter("sklearn").load(folder, None)


def assert_same(got: Any, wanted: Any, what: str) -> None:
    """Equal; numbers but for the last digits: how an array lies in memory decides how its sums are rounded."""
    if np.asarray(wanted).dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12, err_msg=what)
    else:
        np.testing.assert_array_equal(got, wanted, err_msg=what)


def of_numbers() -> Iterator[Any]:
    from sklearn import (
        calibration,
        cluster,
        compose,
        discriminant_analysis,
        ensemble,
        gaussian_process,
        impute,
        linear_model,
        model_selection,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )
    from sklearn.gaussian_process import kernels

    logistic, forest = linear_model.LogisticRegression(), ensemble.RandomForestClassifier(3, random_state=0)
    yield pipeline.make_pipeline(impute.SimpleImputer(), logistic)
    yield pipeline.make_pipeline(impute.KNNImputer(), preprocessing.RobustScaler(), forest)
    yield pipeline.make_pipeline(
        compose.ColumnTransformer(
            [
                ("few", preprocessing.OneHotEncoder(handle_unknown="ignore"), [0]),
                ("rest", preprocessing.SplineTransformer(n_knots=3), slice(1, 3)),
            ]
        ),
        logistic,
    )
    yield pipeline.make_pipeline(
        pipeline.FeatureUnion(
            [("a", preprocessing.StandardScaler()), ("b", preprocessing.KBinsDiscretizer(3))]
        ),
        logistic,
    )
    yield pipeline.make_pipeline(preprocessing.FunctionTransformer(np.log1p), logistic)
    yield model_selection.GridSearchCV(
        logistic, {"C": [0.1, 1]}, scoring="roc_auc", cv=model_selection.KFold(3)
    )
    yield model_selection.RandomizedSearchCV(logistic, {"C": [0.1, 1]}, n_iter=1, random_state=0)
    yield ensemble.VotingClassifier([("a", logistic), ("b", naive_bayes.GaussianNB())], voting="soft")
    yield ensemble.StackingClassifier([("a", logistic), ("b", tree.DecisionTreeClassifier())])
    yield calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3)
    yield calibration.CalibratedClassifierCV(logistic, method="isotonic", cv=3)
    yield gaussian_process.GaussianProcessClassifier(
        kernels.ConstantKernel() * kernels.RBF() + kernels.WhiteKernel()
    )
    yield gaussian_process.GaussianProcessRegressor(kernels.Matern(nu=1.5), optimizer=None)
    yield ensemble.HistGradientBoostingClassifier(max_iter=3)
    yield ensemble.HistGradientBoostingRegressor(max_iter=3, loss="quantile", quantile=0.9)
    yield ensemble.HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])
    yield ensemble.GradientBoostingClassifier(n_estimators=3)
    yield ensemble.AdaBoostClassifier(n_estimators=3)
    yield ensemble.BaggingClassifier(n_estimators=3)
    yield ensemble.ExtraTreesRegressor(3)
    yield ensemble.IsolationForest(n_estimators=3)
    yield svm.SVC()
    yield svm.NuSVR()
    yield neighbors.KNeighborsClassifier(algorithm="kd_tree")
    yield neighbors.KNeighborsRegressor(algorithm="ball_tree", metric="haversine").set_params(
        metric="chebyshev"
    )
    yield neighbors.LocalOutlierFactor(novelty=True)
    yield neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=5)
    yield discriminant_analysis.LinearDiscriminantAnalysis()
    yield linear_model.SGDClassifier(loss="modified_huber")
    yield linear_model.TweedieRegressor()
    yield naive_bayes.ComplementNB()
    yield cluster.Birch(n_clusters=2)
    yield cluster.KMeans(2, n_init=1)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_estimators_come_back_as_they_were(tmp_path: Path) -> None:
    for number, estimator in enumerate(of_numbers()):
        fitted = estimator.fit(X, Y)
        back = kept(fitted, tmp_path / str(number))
        assert_same(back.predict(X), fitted.predict(X), str(estimator))
        if hasattr(fitted, "predict_proba"):
            assert_same(back.predict_proba(X), fitted.predict_proba(X), str(estimator))


@pytest.mark.filterwarnings("ignore")
def test_estimators_of_text_isotonic_and_missing_cells_come_back_as_they_were(tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
    from sklearn.isotonic import IsotonicRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    texts = ["red apples", "green pears", "red pears", "no fruit at all"] * 10
    for number, vectorizer in enumerate(
        (CountVectorizer(stop_words=["at"]), TfidfVectorizer(), HashingVectorizer(n_features=16, norm=None))
    ):
        positive = MultinomialNB() if number < 2 else None
        fitted = make_pipeline(*(p for p in (vectorizer, positive) if p is not None)).fit(texts, Y)
        back = kept(fitted, tmp_path / f"text{number}")
        method = "predict_proba" if positive else "transform"
        assert abs(getattr(back, method)(texts) - getattr(fitted, method)(texts)).max() == 0
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(X[:, 0], Y)
    assert_same(kept(isotonic, tmp_path / "isotonic").predict(X[:, 1]), isotonic.predict(X[:, 1]), "isotonic")
    boosted = HistGradientBoostingRegressor(max_iter=3).fit(GAPS, Y)
    assert_same(kept(boosted, tmp_path / "gaps").predict(GAPS), boosted.predict(GAPS), "gaps")


def test_text_vectorizers_have_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from tidemill.models import TrainedModel\n"
        "m = make_pipeline(CountVectorizer(stop_words=['a', 'b']), LogisticRegression())\n"
        "m.set_params(countvectorizer__stop_words=['a', 'b']).fit(['xx yy', 'yy zz'], [0, 1])\n"
        "m[0].kinds_ = {'one', 'two', 'three', 'four'}\n"
        "TrainedModel.of(m, features='x', label='y').pack(pathlib.Path(sys.argv[1]))\n"
    )
    for number in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": number}
        subprocess.run([sys.executable, "-c", program, tmp_path / number], check=True, env=environment)
    one, two = ((tmp_path / n / "native" / "model.skops").read_bytes() for n in ("1", "2"))
    assert one == two


class Own:
    """An object of nobody's that acts when it is read as pickle reads."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def gadgets() -> dict[str, Any]:
    """What could act, by name: functions, classes, and objects that lead to them."""
    import ctypes

    import joblib
    import numpy.f2py
    import numpy.testing
    import sklearn.datasets
    import sklearn.utils
    import sklearn.utils.estimator_checks
    from sklearn.metrics import make_scorer

    return {
        "os.system": os.system,
        "os.popen": os.popen,
        "subprocess.Popen": subprocess.Popen,
        "subprocess.run": subprocess.run,
        "builtins.eval": builtins.eval,
        "builtins.exec": builtins.exec,
        "builtins.getattr": builtins.getattr,
        "builtins.setattr": builtins.setattr,
        "builtins.open": builtins.open,
        "builtins.compile": builtins.compile,
        "builtins.__import__": builtins.__import__,
        "partial of os.system": functools.partial(os.system, "true"),
        "partial of eval": functools.partial(eval, "1"),
        "partial of a ufunc": functools.partial(np.add, 1),
        "partial of what is harmless by itself": functools.partial(np.mean, axis=0),
        "attrgetter": operator.attrgetter("__class__.__base__.__subclasses__"),
        "methodcaller": operator.methodcaller("system", "true"),
        "itemgetter": operator.itemgetter("__builtins__"),
        "numpy.load": np.load,
        "numpy.save": np.save,
        "numpy.fromfile": np.fromfile,
        "numpy.f2py": numpy.f2py.run_main,
        "numpy.testing": numpy.testing.measure,
        "ufunc of os.system": np.frompyfunc(os.system, 1, 1),
        "ufunc of eval": np.frompyfunc(eval, 1, 1),
        "joblib.load": joblib.load,
        "joblib.Memory": joblib.Memory,
        "fetch_openml": sklearn.datasets.fetch_openml,
        "load_files": sklearn.datasets.load_files,
        "load_svmlight_file": sklearn.datasets.load_svmlight_file,
        "clear_data_home": sklearn.datasets.clear_data_home,
        "check_estimator": sklearn.utils.estimator_checks.check_estimator,
        "all_estimators": sklearn.utils.all_estimators,
        "scorer of os.system": make_scorer(os.system),
        "types.CodeType": types.CodeType,
        "types.FunctionType": types.FunctionType,
        "importlib": importlib.import_module,
        "pickle.loads": pickle.loads,
        "pickle.Unpickler": pickle.Unpickler,
        "shutil.rmtree": shutil.rmtree,
        "tempfile.mktemp": tempfile.mktemp,
        "runpy": runpy.run_path,
        "ctypes": ctypes.CDLL,
        "ast.literal_eval": ast.literal_eval,
        "Path.unlink": Path.unlink,
        "bound method": Path("x").unlink,
        "own class": Own,
        "own object": Own(),
    }


def holders(gadget: Any) -> Iterator[Any]:
    """Pipelines that hold it: as a function to call, as a scorer, among values."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    yield make_pipeline(FunctionTransformer(gadget), LinearRegression())
    yield make_pipeline(GridSearchCV(LinearRegression(), {}, scoring=gadget))
    plain = make_pipeline(LinearRegression())
    plain[0].inside_ = {"list": [np.array([gadget, None], dtype=object)]}
    yield plain


@pytest.mark.parametrize("name", sorted(gadgets()))
def test_a_gadget_is_refused_when_it_is_written_and_when_it_is_read(name: str, tmp_path: Path) -> None:
    import skops.io

    for number, model in enumerate(holders(gadgets()[name])):
        folder = tmp_path / str(number)
        with pytest.raises(InvalidInput) as refused:
            TrainedModel.of(model, features="x", label="y").pack(folder)
        assert refused.value.code == "model-not-safe"
        assert not list(folder.rglob("*.skops"))
        try:
            planted = skops.io.dumps(model)
        except Exception:  # noqa: BLE001, S112 - what skops cannot even write, nobody can plant
            continue
        (folder / "model.skops").write_bytes(planted)
        with pytest.raises(InvalidInput) as caught:
            adapters.adapter("sklearn").load(folder, None)
        assert caught.value.code in ("model-not-safe", "model-damaged")


def text(value: str) -> dict[str, Any]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
    }


def node(loader: str, **more: Any) -> dict[str, Any]:
    return {"__class__": "system", "__module__": os.name, "__loader__": loader, **more}


def arguments(command: str) -> dict[str, Any]:
    return {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [text(command)],
    }


FORGED: dict[str, Callable[[str], dict[str, Any]]] = {
    "constructor": lambda c: node("ConstructorFromReduceNode", content=arguments(c)),
    "loss": lambda c: node("LossNode", __reduce__={"args": arguments(c)}, content=arguments(c)),
    "tree": lambda c: node("TreeNode", __reduce__={"args": arguments(c)}, content=arguments(c)),
    "list": lambda c: node("ListNode", content=[text(c)]),
    "tuple": lambda c: node("TupleNode", content=[text(c)]),
    "set": lambda c: node("SetNode", content=[text(c)]),
    "array": lambda c: node(
        "NdArrayNode", type="json", content=[text(c)], shape={**arguments(c), "content": [text("1")]}
    ),
    "generator": lambda c: {
        **node("RandomGeneratorNode"),
        "content": {
            "bit_generator": {
                "__class__": "dict",
                "__module__": "builtins",
                "__loader__": "DictNode",
                "key_types": {
                    "__class__": "list",
                    "__module__": "builtins",
                    "__loader__": "ListNode",
                    "content": [],
                },
                "content": {"bit_generator": text("seed")},
            },
            "seed_seq": arguments(c),
        },
    },
    "partial": lambda c: {
        "__class__": "partial",
        "__module__": "functools",
        "__loader__": "PartialNode",
        "content": {
            "func": node("FunctionNode"),
            "args": arguments(c),
            "kwds": arguments(c),
            "namespace": text(""),
        },
    },
    "operator": lambda c: {
        "__class__": "methodcaller",
        "__module__": "operator",
        "__loader__": "OperatorFuncNode",
        "attrs": arguments(c),
    },
    "method": lambda c: node("MethodNode", content={"func": "__call__", "obj": node("FunctionNode")}),
}


@pytest.mark.parametrize("kind", sorted(FORGED))
def test_a_file_that_was_written_by_hand_runs_nothing(kind: str, tmp_path: Path) -> None:
    import skops.io

    mark = tmp_path / "was-here"
    with zipfile.ZipFile(BytesIO(skops.io.dumps([1]))) as plain:
        head = {
            n: v
            for n, v in json.loads(plain.read("schema.json")).items()
            if n in ("protocol", "_skops_version")
        }
    forged = {**FORGED[kind](f"touch {mark}"), **head}
    archive.write_zip(tmp_path / "model.skops", {"schema.json": json.dumps(forged).encode()})
    with pytest.raises(InvalidInput) as caught:
        adapters.adapter("sklearn").load(tmp_path, None)
    assert caught.value.code in ("model-not-safe", "model-damaged")
    assert not mark.exists()


def test_the_list_names_parts_of_scikit_learn_and_little_else() -> None:
    lists = json.loads((Path(adapters.__file__).parent / "frameworks" / "sklearn_types.json").read_text())
    script = runpy.run_path(str(SCRIPT), run_name="list")
    for version, names in lists.items():
        assert names == sorted(names), version
        strange = [n for n in names if not n.startswith("sklearn.") and n not in script["REVIEWED"]]
        assert not strange, version
        assert not [n for n in names if script["FORBIDDEN"].match(n)], version


def test_what_is_not_on_the_list_is_told_with_the_versions_that_it_was_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn
    from sklearn.metrics import rand_score
    from sklearn.preprocessing import FunctionTransformer

    monkeypatch.setattr(sklearn, "__version__", "9.9.9")
    monkeypatch.setattr(rand_score, "__module__", "sklearn.made.later", raising=False)
    with pytest.raises(InvalidInput) as caught:
        kept(FunctionTransformer(rand_score), tmp_path / "model")
    assert "9.9.9, which is installed, may have others" in str(caught.value.why)
    assert "tm.row_step" in str(caught.value.hint)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow_profile
def test_every_estimator_of_scikit_learn_comes_back_as_it_was(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT), run_name="list")
    lost: list[str] = []
    for number, (name, estimator) in enumerate(script["estimators"]()):
        if "(" in name:
            continue
        if "random_state" in estimator.get_params(deep=False):
            # Some draw when they answer, too.
            estimator.set_params(random_state=0)
        for x, y in script["data"](estimator):
            try:
                fitted = estimator.fit(x) if y is None else estimator.fit(x, y)
            except Exception:  # noqa: BLE001, S112 - another table is for it
                continue
            folder = tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}"
            try:
                back = kept(fitted, folder)
            except InvalidInput as error:
                lost.append(f"{name}: {error.message}")
                continue
            for method in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
                if not hasattr(fitted, method):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        wanted = getattr(fitted, method)(x)
                    except Exception:  # noqa: BLE001, S112
                        # It was fitted with what it cannot answer for: it does not know better before it was kept.
                        continue
                    got = getattr(back, method)(x)
                for one, other in zip(
                    *(a if isinstance(a, list) else [a] for a in (got, wanted)), strict=True
                ):
                    plain = [np.asarray(a.todense() if hasattr(a, "todense") else a) for a in (one, other)]
                    assert_same(plain[0], plain[1], f"{name}.{method}")
    assert not lost


@pytest.mark.slow_profile
def test_the_list_has_all_that_the_script_finds() -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--check"], check=True)
