"""Whether the numbers in a scikit-learn model that came from a file point into its own arrays.

scikit-learn's compiled code takes child nodes, features, neighbours and support vectors by their numbers without a
check, so a planted number reads or writes elsewhere in the process's memory, or never ends. The names in the file say
nothing of it: each part is as it should be but for its contents. What is asked here are the parts whose compiled code
does so when it predicts; what is fitted again is not.
"""
# What is compiled takes the private members, so these are what must be right.
# ruff: noqa: SLF001

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_TREE = ("sklearn.tree._tree", "Tree")
_MERSENNE_TWISTER = 624
"""Numbers in the state of a Mersenne twister."""


class OutOfRange(Exception):
    """What points outside of its arrays, or leads in a circle."""


def check_nodes(root: Any) -> None:
    """Check what must be right before an object is made of it: skops's own tree of the file, of which nothing is made yet.

    A ``Tree`` copies its nodes into memory of its own as it is made, and trusts the number of them that it is told.

    Raises:
        OutOfRange: A decision tree's arrays do not fit each other.
    """
    from skops.io._audit import CachedNode  # noqa: PLC0415
    from skops.io._general import TypeNode  # noqa: PLC0415
    from skops.io._sklearn import TreeNode  # noqa: PLC0415

    for node in nodes(root):
        if isinstance(node, TreeNode):
            _check_tree(node.args.construct(), node.attrs.construct())
        elif (node.module_name, node.class_name) == _TREE and not isinstance(node, (CachedNode, TypeNode)):
            raise OutOfRange("a decision tree is made in another way than by its nodes")


def check(model: Any) -> None:
    """Check a model that was made from a file, before it is asked anything.

    Raises:
        OutOfRange: With the part, and what is wrong with it.
    """
    late: list[Callable[[], None]] = []
    for part in _parts(model):
        try:
            for kind, rule in _rules().items():
                if isinstance(part, kind):
                    late += rule(part) or ()
            _check_attributes(part)
        except OutOfRange as error:
            raise OutOfRange(f"{type(part).__name__}: {error}") from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise OutOfRange(f"{type(part).__name__}: {error}") from error
    for ask in late:
        ask()


def nodes(root: Any) -> Iterator[Any]:
    """Each node of skops's own tree of a file, once."""
    from skops.io._audit import Node  # noqa: PLC0415

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(cast("dict[Any, Any]", node).values())
        elif isinstance(node, (list, tuple)):
            waiting.extend(cast("list[Any]", node))
        elif isinstance(node, Node) and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.extend(node.children.values())


def _parts(model: Any) -> Iterator[Any]:
    """Each object in a model, once."""
    import numpy as np  # noqa: PLC0415

    kept: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in kept or isinstance(part, (str, bytes, int, float, complex, bool, type, type(None))):
            continue
        # Kept, so that none of another makes room for the next at its address.
        kept[id(part)] = part
        if isinstance(part, dict):
            waiting.extend((*cast("dict[Any, Any]", part), *cast("dict[Any, Any]", part).values()))
        elif isinstance(part, (list, tuple, set, frozenset)):
            waiting.extend(cast("list[Any]", part))
        elif isinstance(part, np.ndarray):
            if part.dtype.kind == "O":
                waiting.extend(part.reshape(-1).tolist())
            continue
        elif isinstance(part, functools.partial):
            waiting.extend((part.func, part.args, part.keywords))
        elif getattr(part, "__self__", None) is not None:
            waiting.append(part.__self__)
        yield part
        waiting.extend(vars(part).values() if hasattr(part, "__dict__") else ())


@functools.cache
def _rules() -> dict[type, Callable[[Any], Any]]:
    import numpy as np  # noqa: PLC0415
    from scipy import sparse  # noqa: PLC0415
    from scipy.interpolate import BSpline  # noqa: PLC0415
    from sklearn.cluster._bisect_k_means import BisectingKMeans  # noqa: PLC0415
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415
    from sklearn.ensemble._forest import BaseForest  # noqa: PLC0415
    from sklearn.ensemble._gb import BaseGradientBoosting  # noqa: PLC0415
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (  # noqa: PLC0415
        BaseHistGradientBoosting,
    )
    from sklearn.neighbors import BallTree, KDTree  # noqa: PLC0415
    from sklearn.neighbors._base import NeighborsBase  # noqa: PLC0415
    from sklearn.preprocessing._encoders import _BaseEncoder  # noqa: PLC0415
    from sklearn.svm._base import BaseLibSVM  # noqa: PLC0415
    from sklearn.tree import BaseDecisionTree  # noqa: PLC0415

    return {
        BaseDecisionTree: _check_decision_tree,
        BaseForest: _check_trees_of,
        IsolationForest: _check_trees_of,
        BaseGradientBoosting: _check_boosting,
        BaseHistGradientBoosting: _check_histograms,
        BisectingKMeans: _check_bisecting,
        KDTree: _check_neighbour_tree,
        BallTree: _check_neighbour_tree,
        NeighborsBase: _check_neighbours,
        BaseLibSVM: _check_support,
        _BaseEncoder: _check_encoder,
        BSpline: _check_spline,
        sparse.spmatrix: _check_sparse,
        sparse.sparray: _check_sparse,
        np.random.RandomState: _check_random,
        np.random.Generator: _check_random,
    }


def _must(holds: Any, what: str) -> None:
    if not bool(holds):
        raise OutOfRange(what)


def _within(numbers: "Array", limit: int, what: str) -> None:
    _must(
        numbers.dtype.kind in "iub" and (not numbers.size or 0 <= numbers.min() <= numbers.max() < limit),
        what,
    )


def _check_children(children: "list[Array]", parents: "Array", count: int) -> None:
    for numbers in children:
        _within(numbers, count, "a node has a child that is none of its nodes")
        _must((numbers.astype("int64") > parents).all(), "a node has a child that comes before it")


def _check_tree(args: Any, state: Any) -> None:
    """What a ``Tree`` is made of: ``(features, classes of each output, outputs)``, and its nodes and values."""
    import numpy as np  # noqa: PLC0415

    try:
        features, classes, outputs = args
        nodes, values = state["nodes"], state["values"]
        _must(
            type(features) is int and type(outputs) is int and outputs > 0,
            "its features or outputs are no numbers",
        )
        _must(
            np.shape(classes) == (outputs,) and classes.min() > 0, "its classes are not those of its outputs"
        )
        _must(
            nodes.ndim == 1 and state["node_count"] == len(nodes) > 0,
            "it has another number of nodes than it says",
        )
        _must(values.shape == (len(nodes), outputs, classes.max()), "its values are not those of its nodes")
        inner = np.flatnonzero(nodes["left_child"] != -1)
        _check_children([nodes[side][inner] for side in ("left_child", "right_child")], inner, len(nodes))
        _within(nodes["feature"][inner], features, "a node asks for a feature that there is not")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise OutOfRange(f"Tree: {error}") from error
    except OutOfRange as error:
        raise OutOfRange(f"Tree: {error}") from error


def _check_decision_tree(part: Any) -> None:
    from sklearn.tree._tree import Tree  # noqa: PLC0415

    if "tree_" in vars(part):
        _must(type(part.tree_) is Tree, "its tree is none")
        _must(part.tree_.n_features == part.n_features_in_, "its tree has other features than it says")


def _check_trees_of(part: Any) -> None:
    """Of an ensemble, which checks the width of a request once, for all of its trees."""
    import numpy as np  # noqa: PLC0415

    held = vars(part).get("estimators_")
    if not isinstance(held, (list, np.ndarray)):
        return
    members = np.asarray(held, dtype=object).reshape(-1).tolist()
    taken = vars(part).get("estimators_features_") or [None] * len(members)
    for member, features in zip(members, taken, strict=True):
        tree = vars(member).get("tree_") if hasattr(member, "__dict__") else None
        if tree is not None:
            _must(
                tree.n_features <= part.n_features_in_, "one of its trees asks for more features than it has"
            )
            _must(
                features is None or tree.n_features <= len(features),
                "one of its trees asks for more than its features",
            )


def _check_boosting(part: Any) -> "list[Callable[[], None]] | None":
    from sklearn.tree import DecisionTreeRegressor  # noqa: PLC0415

    held = vars(part).get("estimators_")
    if held is None:
        return None
    _must(
        held.ndim == 2 and held.shape[1] == part.n_trees_per_iteration_,
        "its trees are not those of its classes",
    )
    _must(
        all(type(t) is DecisionTreeRegressor and "tree_" in vars(t) for t in held.flat),
        "one of its trees is none",
    )
    _must(
        all(t.tree_.n_outputs == t.tree_.max_n_classes == 1 for t in held.flat),
        "one of its trees answers more",
    )

    def first() -> None:
        """What it begins with must have a column for each of its trees; asked when all parts are known to be right."""
        import numpy as np  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = part._raw_predict_init(np.zeros((1, part.n_features_in_), np.float32))
        _must(raw.shape == (1, held.shape[1]), "GradientBoosting: its first guess is not of its classes")

    return [first] if held.shape[1] > 1 else None


def _check_histograms(part: Any) -> None:
    held = vars(part).get("_predictors")
    if held is None:
        return
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE  # noqa: PLC0415

    features = part.n_features_in_
    categorical = part._bin_mapper.is_categorical_
    _must(categorical.shape == (features,), "its categories are of other features")
    if part._preprocessor is not None:
        _check_reordering(part._preprocessor, features)
    for tree in (tree for iteration in held for tree in iteration):
        nodes = tree.nodes
        _must(
            nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1 and len(nodes),
            "one of its trees has no nodes",
        )
        inner = (nodes["is_leaf"] == 0).nonzero()[0]
        _check_children([nodes[side][inner] for side in ("left", "right")], inner, len(nodes))
        _within(nodes["feature_idx"][inner], features, "a node asks for a feature that there is not")
        by_category = inner[nodes["is_categorical"][inner] != 0]
        _must(
            (categorical[nodes["feature_idx"][by_category]] != 0).all(),
            "a node asks for categories of a number",
        )
        for bitsets in (tree.raw_left_cat_bitsets, tree.binned_left_cat_bitsets):
            _must(bitsets.ndim == 2 and bitsets.shape[1] == 8, "its categories are no sets of 256")
            _within(
                nodes["bitset_idx"][by_category],
                len(bitsets),
                "a node asks for categories that there are not",
            )


def _check_reordering(preprocessor: Any, features: int) -> None:
    """What puts categorical columns first: it must give as many columns as it takes."""
    import numpy as np  # noqa: PLC0415
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder  # noqa: PLC0415
    from sklearn.utils import check_array  # noqa: PLC0415

    kept = np.zeros(features, int)
    for _, transformer, columns in preprocessor.transformers_:
        mask = np.asarray(columns)
        _must(mask.dtype == bool and mask.shape == (features,), "its columns are not those of its features")
        if isinstance(transformer, str):
            _must(transformer == "drop" and not mask.any(), "a column of it is dropped")
            continue
        function = transformer.func if type(transformer) is FunctionTransformer else None
        if type(transformer) is not OrdinalEncoder and function is not None:
            _must(
                type(function) is functools.partial and function.func is check_array, "it changes its columns"
            )
        _must(type(transformer) in (OrdinalEncoder, FunctionTransformer), "it changes its columns")
        kept += mask
    _must((kept == 1).all(), "it gives other columns than it takes")


def _check_neighbour_tree(tree: Any) -> None:
    from sklearn.neighbors import KDTree  # noqa: PLC0415

    state = tree.__getstate__()
    (data, rows, nodes, bounds), count, metric, weights = state[:4], state[6], state[11], state[12]
    _must(len(rows) == len(data), "its rows are not those of its data")
    _within(rows, len(data), "it names a row that there is not")
    _must(len(nodes) == count > 0, "it has another number of nodes than it says")
    sides = 2 if isinstance(tree, KDTree) else 1
    _must(bounds.shape == (sides, count, data.shape[1]), "its bounds are not those of its nodes")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _must(
        (start >= 0).all() and (start <= end).all() and (end <= len(data)).all(),
        "a node holds rows that there are not",
    )
    inner = (nodes["is_leaf"] == 0).nonzero()[0]
    _must(not inner.size or 2 * inner.max() + 2 < count, "a node has a child that is none of its nodes")
    _must(weights is None or len(weights) == len(data), "its weights are not those of its rows")
    metric._validate_data(data)
    matrix = metric.__getstate__()[2]
    _must(
        type(metric).__name__ != "MahalanobisDistance64" or matrix.shape[0] == matrix.shape[1],
        "its metric is no square",
    )


def _check_neighbours(part: Any) -> None:
    held = vars(part)
    labels, classes = held.get("_y"), held.get("classes_")
    if labels is not None and classes is not None and labels.ndim == 1:
        _within(labels, len(classes), "a row has a class that there is not")
        _must(len(labels) == held["_fit_X"].shape[0], "its labels are not those of its rows")
    if held.get("_fit_X") is not None and held.get("metric") != "precomputed":
        _must(held["_fit_X"].shape[1] == part.n_features_in_, "its rows have other features than it says")


def _check_support(part: Any) -> None:
    from scipy import sparse  # noqa: PLC0415

    if "support_" not in vars(part):
        return
    count, counts, is_sparse = len(part.support_), part._n_support, sparse.issparse(part.support_vectors_)
    _must(bool(part._sparse) == is_sparse, "its support vectors are not of the kind that it says")
    classifies = part._impl in ("c_svc", "nu_svc")
    _must(len(counts) >= 2 and (counts >= 0).all(), "it has fewer than no support vectors")
    _must(
        int((counts if classifies else counts[:1]).sum()) == count,
        "it has another number of support vectors than it says",
    )
    _within(part.support_, int(part.shape_fit_[0]), "a support vector is none of its rows")
    pairs = len(counts) * (len(counts) - 1) // 2 if classifies else 1
    rows = len(counts) - 1 if classifies else 1
    _must(classifies or len(counts) == 2, "it has classes")
    _must(
        not classifies or len(part.classes_) == len(counts),
        "its support vectors are not those of its classes",
    )
    _must(part._dual_coef_.shape == (rows, count), "its coefficients are not those of its support vectors")
    _must(
        not is_sparse or part._dual_coef_.data.size == rows * count,
        "its coefficients are not those of its support vectors",
    )
    _must(part._intercept_.shape == (pairs,), "its intercepts are not those of its classes")
    for name in ("_probA", "_probB"):
        _must(getattr(part, name).size in (0, pairs), "its probabilities are not those of its classes")
    _must(
        part._probA.size == part._probB.size or not classifies,
        "its probabilities are not those of its classes",
    )
    if part.kernel == "precomputed":
        _must(part.shape_fit_[0] == part.n_features_in_, "its rows are other than it says")
    else:
        _must(
            part.support_vectors_.shape == (count, part.n_features_in_) or callable(part.kernel),
            "its support vectors have other features than it says",
        )


def _check_bisecting(part: Any) -> None:
    waiting = [node] if (node := vars(part).get("_bisecting_tree")) is not None else []
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        _must(id(node) not in seen, "its clusters lead in a circle")
        seen.add(id(node))
        _must(node.center.shape == (part.n_features_in_,), "a centre has other features than it says")
        waiting += [side for side in (node.left, node.right) if side is not None]


def _check_encoder(part: Any) -> None:
    """Of what makes a column of each category: the columns must be those that there are."""
    import numpy as np  # noqa: PLC0415

    sizes = [len(c) for c in vars(part).get("categories_", ())]
    for name in ("drop_idx_", "_drop_idx_after_grouping"):
        dropped = vars(part).get(name)
        for which, size in () if dropped is None else zip(dropped, sizes, strict=True):
            _must(which is None or 0 <= which < size, "it drops a category that there is not")
    mappings = vars(part).get("_default_to_infrequent_mappings") or ()
    for mapping, size in zip(mappings, sizes, strict=True) if mappings else ():
        if mapping is not None:
            _must(np.shape(mapping) == (size,), "it groups categories that there are not")
            _within(mapping, size, "it groups categories that there are not")


def _check_spline(spline: Any) -> None:
    # Its constructor refuses what does not fit; the file was read without it.
    type(spline)(spline.t, spline.c, spline.k, spline.extrapolate, spline.axis)


def _check_sparse(matrix: Any) -> None:
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    else:
        matrix.tocoo()._check()


def _check_random(part: Any) -> None:
    state = part.bit_generator.state if hasattr(part, "bit_generator") else part.get_state(legacy=False)
    position = state["state"].get("pos", 0) if isinstance(state.get("state"), dict) else 0
    _must(0 <= position <= _MERSENNE_TWISTER, "its random numbers are none")


def _check_attributes(part: Any) -> None:
    """What several kinds hold by one name."""
    import numpy as np  # noqa: PLC0415

    held: dict[str, Any] = vars(part) if hasattr(part, "__dict__") else {}
    for name in ("vocabulary_", "_cached_dict"):
        words = held.get(name)
        if isinstance(words, dict) and words:
            numbers = np.array(list(cast("dict[Any, Any]", words).values()))
            _within(numbers, len(numbers), "a word has a column that there is not")
    centres = held.get("cluster_centers_")
    if isinstance(centres, np.ndarray) and "n_features_in_" in held:
        _must(
            centres.ndim == 2 and centres.shape[1] == held["n_features_in_"] and len(centres),
            "a centre has other features than it says",
        )
    if type(part).__name__ in ("HashingVectorizer", "FeatureHasher"):
        _must(type(part.n_features) is int and part.n_features > 0, "it has no features")
