"""Lists what the fitted estimators of the installed scikit-learn are made of, for ``models/frameworks/sklearn_types.json``.

A model file of scikit-learn names the classes and functions that it is made of. Those that skops does not trust by
itself are taken if they are on the list of that file, by their full names. This script makes the list: it fits every
estimator of ``sklearn.utils.all_estimators()``, with each choice that its parameters name, writes it as skops does, and
collects the names that are in what was written. Run it with each version of scikit-learn that is supported:

    python requirements/sklearn_types.py            # writes the list of the installed version into the file
    python requirements/sklearn_types.py --check    # exit status 1 where the file lacks something

A name outside scikit-learn must be in ``REVIEWED`` here, with the reason why it may be called by who reads a model;
the script refuses to write any other. A function of scikit-learn that reads or writes files, or asks the network, must
not get on the list either: ``FORBIDDEN`` says which modules hold such.
"""

import argparse
import contextlib
import itertools
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skops.io
from sklearn import gaussian_process, metrics, model_selection
from sklearn.base import clone
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import Options
from sklearn.utils._test_common.instance_generator import _construct_instances
from sklearn.utils.estimator_checks import _enforce_estimator_tags_X, _enforce_estimator_tags_y

FILE = Path(__file__).parent.parent / "src" / "tidemill" / "models" / "frameworks" / "sklearn_types.json"

REVIEWED = {
    "functools.partial": "of check_array alone, which the reader of a model checks: a boosted tree's columns with categories",
    "numpy.dtype": "a type of numbers; it is made from an empty array that holds no objects",
    "numpy.mean": "computes (PowerTransformer and others may keep it as a function)",
    "scipy._lib.array_api_compat.numpy._aliases.asarray": "makes an array of what it is given",
    "scipy.interpolate._bsplines.BSpline": "the curves of a SplineTransformer: arrays and a degree",
    "scipy.sparse._csr.csr_matrix": "a sparse matrix; SciPy reads it without pickle",
}
"""Names outside scikit-learn that a model may hold, each with why it is harmless."""

FORBIDDEN = re.compile(
    r"sklearn\.(datasets|externals|utils\._testing|_build_utils|__check_build|show_versions)\b"
)
"""Modules of scikit-learn whose functions read files, ask the network or start processes."""

ROWS = 60
QUICK = {"TSNE": {"max_iter": 250}, "SpectralBiclustering": {"n_clusters": 2}}
"""What makes the slowest estimators quick."""

ALIKE = {"scoring", "verbose", "n_jobs", "copy", "copy_X", "copy_X_train", "warm_start", "return_train_score"}
"""Parameters whose choices change nothing of what an estimator is made of, or are tried elsewhere (``scoring``)."""


def estimators() -> Iterator[tuple[str, Any]]:
    """Each estimator as scikit-learn's own tests make it, then with each other choice of each parameter."""
    for name, kind in all_estimators():
        try:
            bases = list(_construct_instances(kind))
        except Exception as error:  # noqa: BLE001 - whatever it is, the estimator is told and left out
            print(f"  {name} cannot be made: {error}", file=sys.stderr)
            continue
        for base in bases:
            base.set_params(**QUICK.get(name, {}))
            yield name, base
        constraints = getattr(kind, "_parameter_constraints", {})
        if not isinstance(constraints, dict) or not (hasattr(kind, "predict") or hasattr(kind, "transform")):
            continue
        for parameter, allowed in constraints.items():
            if not isinstance(allowed, list) or parameter in ALIKE:
                continue
            choices = [c for a in allowed if isinstance(a, Options) for c in sorted(a.options, key=str)]
            if "boolean" in allowed:
                choices += [True, False]
            for choice in choices:
                changed = clone(bases[0])
                try:
                    changed.set_params(**{parameter: choice})
                except ValueError:
                    continue
                yield f"{name}({parameter}={choice!r})", changed


def compositions() -> Iterator[tuple[str, Any]]:
    """What takes a function, a kernel, a splitter or a scorer: one for each that scikit-learn offers."""
    from sklearn import ensemble, feature_selection, linear_model, neighbors, pipeline, preprocessing

    for name in metrics.get_scorer_names():
        classifier = linear_model.LogisticRegression()
        for scored in (classifier, linear_model.Ridge()):
            yield (
                f"GridSearchCV(scoring={name!r})",
                model_selection.GridSearchCV(scored, {}, scoring=name, cv=2),
            )
    for name in (
        "chi2",
        "f_classif",
        "f_regression",
        "mutual_info_classif",
        "mutual_info_regression",
        "r_regression",
    ):
        yield name, feature_selection.SelectKBest(getattr(feature_selection, name), k=2)
    for name in dir(model_selection):
        splitter = getattr(model_selection, name)
        if isinstance(splitter, type) and hasattr(splitter, "split"):
            try:
                made = splitter(2) if name.startswith("Leave") and "P" in name else splitter()
            except TypeError:
                continue
            search = model_selection.GridSearchCV(linear_model.Ridge(), {}, cv=made)
            yield f"GridSearchCV(cv={name})", search
    yield from kernels()
    for metric in sorted(set(neighbors.VALID_METRICS["ball_tree"]) | set(neighbors.VALID_METRICS["kd_tree"])):
        for algorithm in ("ball_tree", "kd_tree"):
            extra = {
                "seuclidean": {"V": np.ones(4)},
                "mahalanobis": {"V": np.eye(4)},
                "minkowski": {"w": np.ones(4)},
            }
            yield (
                f"KNN({metric})",
                neighbors.KNeighborsRegressor(
                    algorithm=algorithm, metric=metric, metric_params=extra.get(metric)
                ),
            )
    for boosted in (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor):
        yield f"{boosted.__name__}(categories)", boosted(categorical_features=[0], max_iter=3)
    yield "Pipeline", pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge())


def kernels() -> Iterator[tuple[str, Any]]:
    """A Gaussian process with each kernel, alone or of another."""
    one = gaussian_process.kernels.RBF()
    for name in dir(gaussian_process.kernels):
        kernel = getattr(gaussian_process.kernels, name)
        if not (isinstance(kernel, type) and issubclass(kernel, gaussian_process.kernels.Kernel)):
            continue
        for arguments in ((), (one,), (one, one), (one, 2.0), ([one],)):
            try:
                made = kernel(*arguments)
                made(np.ones((2, 2)))
            except Exception:  # noqa: BLE001, S112 - it takes other arguments, or is abstract
                continue
            yield f"GaussianProcess({made})", gaussian_process.GaussianProcessRegressor(made, optimizer=None)
            break


def data(estimator: Any) -> Iterator[tuple[Any, Any]]:
    """Tables that an estimator may take: numbers by its tags, then classes, several outputs, text."""
    chance = np.random.RandomState(0)
    numbers = chance.rand(ROWS, 4)
    classes = (numbers[:, 0] > 0.5).astype(int)
    for x, y in (
        (numbers, classes),
        (numbers, numbers[:, 1] + 1),
        (numbers, np.stack([classes, 1 - classes], axis=1)),
        (numbers, np.where(classes, "a", "b")),
        (numbers, np.arange(ROWS) % 3),
        (numbers[:, :2], classes),
        (np.where(numbers > 0.9, np.nan, numbers), classes),
    ):
        try:
            yield (
                _enforce_estimator_tags_X(estimator, x.copy()),
                _enforce_estimator_tags_y(estimator, y.copy()),
            )
        except Exception:  # noqa: BLE001 - tags are not for every target
            yield x, y
    yield ["red apples", "green pears", "red pears", "no fruit"] * 15, classes
    yield [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}] * 30, classes
    yield numbers[:, :1], numbers[:, 1]
    yield classes, None
    yield np.asarray(np.where(classes, "x", "y"), dtype=object)[:, None], classes


def names_in(content: bytes) -> set[str]:
    """What a skops file names: what skops asks trust for, and whatever of scikit-learn is in its tree."""
    found = set(skops.io.get_untrusted_types(data=content))
    with zipfile.ZipFile(BytesIO(content)) as archive:
        tree = json.loads(archive.read("schema.json"))
    nodes: list[Any] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes.extend(node)
        elif isinstance(node, dict):
            nodes.extend(node.values())
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name.startswith("sklearn."):
                found.add(name)
    return found


def collect() -> tuple[set[str], list[str]]:
    """All names, and the estimators that were never fitted and written, each with the reason."""
    found: set[str] = set()
    done: dict[str, str | None] = {}
    for name, estimator in itertools.chain(estimators(), compositions()):
        kind = name.partition("(")[0]
        done.setdefault(kind, "nothing could be fitted")
        with contextlib.suppress(Exception):
            # Some splitters want more than a table (groups); an estimator that is not fitted names them too.
            found |= names_in(skops.io.dumps(clone(estimator)))
        for x, y in data(estimator):
            try:
                fitted = clone(estimator).fit(x) if y is None else clone(estimator).fit(x, y)
            except Exception as error:  # noqa: BLE001 - another table, or another choice, will do
                done[kind] = done[kind] and f"it was not fitted: {error}"[:200]
                continue
            try:
                found |= names_in(skops.io.dumps(fitted))
                done[kind] = None
            except Exception as error:  # noqa: BLE001 - what skops cannot write is told
                done[kind] = done[kind] and f"it was not written: {error}"[:200]
            if name != kind:
                # One table will do for one choice of a parameter; the estimator itself is given all of them.
                break
    return found, sorted(f"{kind}: {reason}" for kind, reason in done.items() if reason)


def main() -> None:
    """Write the list, or compare."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 where the file lacks a name"
    )
    check = asked.parse_args().check
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        found, left = collect()
    print("\n".join(left), file=sys.stderr)
    wanted = sorted(found)
    strange = [
        n for n in wanted if (not n.startswith("sklearn.") and n not in REVIEWED) or FORBIDDEN.match(n)
    ]
    if strange:
        sys.exit(
            f"These are not reviewed: {', '.join(strange)}. Look at each, then name it in REVIEWED, or mend the script."
        )
    body = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    if check:
        lacking = sorted(set(wanted) - set(body.get(sklearn.__version__, ())))
        sys.exit(f"The list lacks: {', '.join(lacking)}." if lacking else 0)
    body[sklearn.__version__] = wanted
    FILE.write_text(json.dumps(dict(sorted(body.items())), indent=1) + "\n", "utf-8")
    print(f"{len(wanted)} names for scikit-learn {sklearn.__version__}")


if __name__ == "__main__":
    main()
