"""Model files of scikit-learn whose numbers point elsewhere: each is refused before it is asked anything."""
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownMemberType=false

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.models import adapters
from tidemill.models.frameworks.sklearn import FILE

pytestmark = [pytest.mark.sklearn, pytest.mark.filterwarnings("ignore")]

CHANCE = np.random.RandomState(0)
X = CHANCE.rand(60, 3)
X[:, 2] = np.arange(60) % 4
Y = np.arange(60) % 3
FAR = 1_000_000_000


def tree(**more: Any) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=3, **more).fit(X, Y)


def forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(2).fit(X, Y)


def isolating() -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=2, max_features=2).fit(X)


def boosting() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=2).fit(X, Y)


def histograms() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=3).fit(X, Y)


def neighbours(algorithm: str = "kd_tree", **more: Any) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(algorithm=algorithm, leaf_size=5, **more).fit(X, Y)


def support(kernel: str = "rbf") -> Any:
    from sklearn.svm import SVC

    return SVC(kernel=kernel).fit(X, Y)


def sparse_support() -> Any:
    from scipy import sparse
    from sklearn.svm import SVC

    return SVC().fit(sparse.csr_matrix(X), Y)


def words() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(), MultinomialNB()).fit(["red", "green", "blue"] * 20, Y)


def means() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(2, n_init=1).fit(X)


def bisecting() -> Any:
    from sklearn.cluster import BisectingKMeans

    return BisectingKMeans(3).fit(X)


def one_hot() -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(drop="first").fit(X[:, 2:])


def splines() -> Any:
    from sklearn.preprocessing import SplineTransformer

    return SplineTransformer().fit(X)


def density(**more: Any) -> Any:
    from sklearn.neighbors import KernelDensity

    return KernelDensity(**more).fit(X)


def set_to(holder: Callable[[Any], Any], name: Any, value: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        held = holder(model)
        if isinstance(held, (np.ndarray, dict, list)):
            held[name] = value
        else:
            setattr(held, name, value)

    return change


def in_tree(number: int, change: Callable[[Any], Any], find: str = "_tree") -> Callable[[Any], None]:
    """Another value in the state of a tree of neighbours."""

    def planted(model: Any) -> None:
        held = getattr(model, find)
        state = list(held.__getstate__())
        state[number] = change(
            np.array(state[number]) if isinstance(state[number], np.ndarray) else state[number]
        )
        held.__setstate__(tuple(state))

    return planted


def first(value: int, field: str | None = None) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        (array if field is None else array[field])[0] = value
        return array

    return change


def nodes(model: Any) -> Any:
    return model._predictors[0][0].nodes


def categories(model: Any) -> None:
    model._bin_mapper.is_categorical_[:] = 1
    nodes(model)["is_categorical"] = 1
    nodes(model)["bitset_idx"] = FAR


def dropping(model: Any) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer

    mask = np.array([True, False, False])
    model._preprocessor = ColumnTransformer([("some", FunctionTransformer(), mask)]).fit(X)


PLANTED: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "a child of a tree": (tree, set_to(lambda m: m.tree_.children_left, 0, FAR)),
    "a child of a tree, below 0": (tree, set_to(lambda m: m.tree_.children_right, 0, -FAR)),
    "a circle in a tree": (tree, set_to(lambda m: m.tree_.children_left, 0, 0)),
    "a feature of a tree": (tree, set_to(lambda m: m.tree_.feature, 0, FAR)),
    "a feature of a tree, below 0": (tree, set_to(lambda m: m.tree_.feature, 0, -3)),
    "a width of a tree": (tree, set_to(lambda m: m, "n_features_in_", 2)),
    "no width of a tree": (tree, lambda m: delattr(m, "n_features_in_")),
    "no tree": (tree, set_to(lambda m: m, "tree_", {"n_features": 3})),
    "a width of a forest": (forest, set_to(lambda m: m, "n_features_in_", 2)),
    "a tree in a forest": (forest, set_to(lambda m: m.estimators_[1].tree_.feature, 0, FAR)),
    "features of an isolating forest": (
        isolating,
        set_to(lambda m: m.estimators_features_, 0, np.array([1])),
    ),
    "trees of a boosting": (boosting, set_to(lambda m: m, "n_trees_per_iteration_", 1)),
    "a first guess of a boosting": (boosting, set_to(lambda m: m.init_, "class_prior_", np.array([1.0]))),
    "a child of a histogram": (histograms, set_to(lambda m: nodes(m)["left"], 0, FAR)),
    "a circle of a histogram": (histograms, set_to(lambda m: nodes(m)["right"], 0, 0)),
    "a feature of a histogram": (histograms, set_to(lambda m: nodes(m)["feature_idx"], 0, FAR)),
    "categories of a number": (histograms, set_to(lambda m: nodes(m)["is_categorical"], slice(None), 1)),
    "categories of a histogram": (histograms, categories),
    "a reordering": (histograms, dropping),
    "a row of neighbours": (neighbours, in_tree(1, first(FAR))),
    "a node of neighbours": (neighbours, in_tree(2, first(FAR, "idx_end"))),
    "a start of neighbours": (neighbours, in_tree(2, first(-1, "idx_start"))),
    "children of neighbours": (
        neighbours,
        in_tree(2, lambda a: (a["is_leaf"].__setitem__(slice(None), 0), a)[1]),
    ),
    "bounds of neighbours": (neighbours, in_tree(3, lambda a: a[:, :1].copy())),
    "balls of neighbours": (lambda: neighbours("ball_tree"), in_tree(1, first(-1))),
    "a metric of neighbours": (
        lambda: neighbours("ball_tree", metric="seuclidean", metric_params={"V": np.ones(3)}),
        in_tree(11, lambda m: (m.__setstate__((2.0, np.ones(1), np.ones((1, 1)))), m)[1]),
    ),
    "a class of neighbours": (lambda: neighbours("brute"), set_to(lambda m: m._y, 0, FAR)),
    "weights of a density": (
        density,
        in_tree(12, lambda _: np.ones(2), find="tree_"),
    ),
    "a count of support vectors": (support, set_to(lambda m: m._n_support, slice(0, 2), (-5, 60))),
    "coefficients of support vectors": (support, lambda m: setattr(m, "_dual_coef_", m._dual_coef_[:, :2])),
    "intercepts": (support, set_to(lambda m: m, "_intercept_", np.ones(1))),
    "a row of support vectors": (support, set_to(lambda m: m.support_, 0, FAR)),
    "features of support vectors": (
        support,
        lambda m: setattr(m, "support_vectors_", np.ascontiguousarray(m.support_vectors_[:, :1])),
    ),
    "sparse support vectors": (sparse_support, set_to(lambda m: m.support_vectors_.indices, 0, FAR)),
    "a column of a word": (words, set_to(lambda m: m[0].vocabulary_, "red", FAR)),
    "centres": (means, lambda m: setattr(m, "cluster_centers_", m.cluster_centers_[:, :1])),
    "a centre of a split": (bisecting, set_to(lambda m: m._bisecting_tree.left, "center", np.ones(1))),
    "a circle of splits": (
        bisecting,
        lambda m: setattr(m._bisecting_tree.left, "left", m._bisecting_tree.right),
    ),
    "a dropped category": (one_hot, set_to(lambda m: m._drop_idx_after_grouping, 0, 9)),
    "knots of a spline": (splines, lambda m: setattr(m.bsplines_[0], "t", m.bsplines_[0].t[:3])),
    "a state of random numbers": (
        lambda: tree(random_state=np.random.RandomState(1)),
        lambda m: m.random_state.set_state(("MT19937", m.random_state.get_state()[1], FAR)),
    ),
}


def written(model: Any, folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A file as skops writes it, and as somebody may have changed it."""
    import skops.io

    data: bytes = skops.io.dumps(model)
    folder.mkdir(exist_ok=True)
    if change is not None:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(members["schema.json"])
        change(schema)
        members["schema.json"] = json.dumps(schema).encode()
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        data = buffer.getvalue()
    (folder / FILE).write_bytes(data)
    return folder


def load(folder: Path) -> Any:
    return adapters.adapter("sklearn").load(folder, None)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_number_is_refused(tmp_path: Path, name: str) -> None:
    make, plant = PLANTED[name]
    model = make()
    load(written(model, tmp_path / "sound"))
    plant(model)
    folder = written(model, tmp_path / "planted")
    with pytest.raises(InvalidInput) as caught:
        load(folder)
    assert caught.value.code == "model-not-safe"
    assert "point outside of its arrays" in caught.value.message
    assert FILE in caught.value.message


def tree_of(schema: dict[str, Any]) -> dict[str, Any]:
    return schema["content"]["content"]["tree_"]


def number(state: dict[str, Any], name: str, value: int) -> None:
    state["content"]["content"][name]["content"] = str(value)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: number(tree_of(s), "node_count", FAR),
        lambda s: number(tree_of(s), "node_count", 1),
        lambda s: tree_of(s)["__reduce__"]["args"]["content"][0].update(content="1", __id__=-1),
        lambda s: tree_of(s)["__reduce__"]["args"]["content"][2].update(content=str(FAR), __id__=-1),
        lambda s: tree_of(s).update(__loader__="LossNode"),
        lambda s: tree_of(s).update(
            __loader__="ConstructorFromReduceNode", content=tree_of(s)["__reduce__"]["args"]
        ),
    ],
    ids=["more nodes", "fewer nodes", "features", "outputs", "made as a loss", "made without nodes"],
)
def test_a_tree_is_checked_before_it_is_made(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(written(tree(), tmp_path, change))
    assert caught.value.code == "model-not-safe"


def test_chains_pruned_trees_and_several_outputs_are_sound(tmp_path: Path) -> None:
    from sklearn.ensemble import BaggingRegressor, ExtraTreesRegressor
    from sklearn.multioutput import RegressorChain
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeRegressor

    both = np.stack([X[:, 0], X[:, 1]], axis=1)
    for place, model in enumerate(
        (
            RegressorChain(DecisionTreeRegressor()).fit(X, both),
            DecisionTreeRegressor(ccp_alpha=0.01).fit(X, X[:, 0]),
            DecisionTreeRegressor(max_leaf_nodes=5).fit(np.where(X > 0.9, np.nan, X), X[:, 0]),
            ExtraTreesRegressor(2).fit(X, both),
            BaggingRegressor(max_features=2).fit(X, X[:, 0]),
            density(kernel="tophat"),
            SVC(kernel="precomputed").fit(X @ X.T, Y),
        )
    ):
        load(written(model, tmp_path / str(place)))
