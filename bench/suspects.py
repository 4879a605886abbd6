"""How many of the first suspects are truly wrong: Fashion-MNIST with 1 % of its labels switched at random.

    python bench/suspects.py [--rows 70000] [--share 0.01] [--seed 1] [--gain-seeds 3]

N labels are switched, each to one of the nine other classes, all equally likely. The search of
``tidemill data suspects`` then names its first N suspects: what share of them was switched (the precision at N; the
same share of the switched ones is found, since there are N of both)? Beside it the plain ways on the same rows and
folds. What the original data has of wrong and ambiguous labels counts against every one of them.

The gain: on a training part of the rows the search is run again, and the reference network is trained on all of them,
without the suspects, with the suggested labels, and with the true ones; its accuracy is on other rows, by their true
labels, as a mean of several seeds. Writes bench/results/suspects.json.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]
FOLDS = 5


def main() -> None:
    """Run it and write the results."""
    options = _options()
    from tidemill.loop import fashion

    loaded = fashion.load()
    chosen = np.sort(np.random.default_rng(0).permutation(len(loaded.labels))[: options.rows])
    images, truth = loaded.images[chosen], loaded.labels[chosen].astype(str)
    classes = sorted(set(truth))
    given, switched = switch(truth, classes, options.share, options.seed)
    count = int(switched.sum())
    print(f"{len(truth):,} rows, {count:,} labels switched", flush=True)
    results: dict[str, Any] = {"rows": len(truth), "switched": count, "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        rows = search(Path(folder), images, given, count)
        results["seconds"] = time.perf_counter() - started
    results["precision_at_n"] = {"tidemill data suspects": float(switched[rows].mean())}
    told("tidemill data suspects", results["precision_at_n"]["tidemill data suspects"], results["seconds"])
    results["precision_at_n"] |= plain_ways(images, given, switched, classes, results)
    results["gain"] = gain(images, truth, given, options.gain_seeds)
    out = Path(__file__).parent / "results" / "suspects.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def switch(truth: Array, classes: list[str], share: float, seed: int) -> tuple[Array, Array]:
    """The labels with some switched to another class, and which they are."""
    rng = np.random.default_rng(seed)
    index = np.searchsorted(classes, truth)
    wrong = rng.choice(len(truth), round(len(truth) * share), replace=False)
    index[wrong] = (index[wrong] + rng.integers(1, len(classes), len(wrong))) % len(classes)
    switched = np.zeros(len(truth), bool)
    switched[wrong] = True
    return np.array(classes)[index], switched


def search(folder: Path, images: Array, labels: Array, limit: int) -> Array:
    """The rows that ``tidemill data suspects`` puts on its review's branch."""
    from tidemill.loop.datasets.suspects import suspects
    from tidemill.loop.workspace import open_workspace
    from tidemill.store.table import Table

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tidemill.toml").write_text("", "utf-8")
    ws = open_workspace(folder)
    table = Table.of({"row": np.arange(len(labels)), "image": images, "label": labels})
    ws.datasets.create("fashion", table, message="fashion", key=["row"])
    found = suspects(ws, "fashion", limit=limit)
    read = ws.datasets.open("fashion").snapshot().read(["_id", "row"])
    places = dict(zip(read.numpy("_id").tolist(), read.numpy("row").tolist(), strict=True))
    ws.close()
    return np.array([places[int(s.id)] for s in found.suspects])


def plain_ways(
    images: Array, labels: Array, switched: Array, classes: list[str], results: dict[str, Any]
) -> dict[str, float]:
    """The same by one model each, ranked in the usual ways."""
    from sklearn.ensemble import ExtraTreesClassifier

    from tidemill.evaluation.suspects import suspects
    from tidemill.parts.judges import judge
    from tidemill.parts.out_of_fold import out_of_fold

    features = images.reshape(len(images), -1).astype(np.float32) / 255
    ids = np.arange(len(labels), dtype=np.uint64)
    given = np.searchsorted(classes, labels)
    rows, count = np.arange(len(labels)), int(switched.sum())
    found: dict[str, float] = {}
    models = {
        "reference network": network(None),
        "trees": ExtraTreesClassifier(60, min_samples_leaf=2, n_jobs=-1),
    }
    for name, model in models.items():
        started = time.perf_counter()
        probabilities = out_of_fold(features, labels, ids, judge(model, classes), folds=FOLDS)
        seconds = time.perf_counter() - started
        own = probabilities[rows, given]
        others = probabilities.copy()
        others[rows, given] = -1
        confident = suspects(probabilities, given, classes).ranked
        for way, precision in {
            "by the label's probability": switched[np.argsort(own, kind="stable")[:count]].mean(),
            "by margin": switched[np.argsort(own - others.max(axis=1), kind="stable")[:count]].mean(),
            "confident joint alone": switched[[s.row for s in confident]].mean(),
        }.items():
            found[f"{name}, {way}"] = float(precision)
            told(f"{name}, {way}", float(precision), seconds)
        recall = float(switched[[s.row for s in confident]].sum() / count)
        results.setdefault("recall_of_confident_joint", {})[name] = recall
    return found


def gain(images: Array, truth: Array, given: Array, seeds: int) -> dict[str, Any]:
    """The reference network's accuracy on other rows, by what was done to its training rows."""
    from tidemill.parts.out_of_fold import fold_of

    held = fold_of(np.arange(len(truth), dtype=np.uint64), FOLDS, seed=99) == 0
    features = images.reshape(len(images), -1).astype(np.float32) / 255
    wrong = int((truth[~held] != given[~held]).sum())
    with tempfile.TemporaryDirectory() as folder:
        doubted = search(Path(folder), images[~held], given[~held], wrong)
    keep = np.ones(int((~held).sum()), bool)
    keep[doubted] = False
    train, labels, right = features[~held], given[~held], truth[~held]
    ways = {
        "all rows as they are": (train, labels),
        "suspects dropped": (train[keep], labels[keep]),
        "true labels": (train, right),
    }
    found: dict[str, Any] = {}
    for name, (x, y) in ways.items():
        scores = [
            float((network(s).fit(x, y).predict(features[held]) == truth[held]).mean()) for s in range(seeds)
        ]
        found[name] = {"mean": float(np.mean(scores)), "each": scores}
        print(f"{name:60s} accuracy {np.mean(scores):.4f}  {[round(s, 4) for s in scores]}", flush=True)
    return found


def network(seed: int | None) -> Any:
    """The study's network in scikit-learn: 128 units, Adam, 10 epochs of 128 rows."""
    from sklearn.neural_network import MLPClassifier

    rows: Any = 128  # The stubs know no batch size but 'auto'.
    return MLPClassifier((128,), batch_size=rows, max_iter=10, random_state=seed)


def told(way: str, precision: float, seconds: float) -> None:
    """One line of the table."""
    print(f"{way:60s} precision at N {precision:.3f}  {seconds:6.0f} s", flush=True)


def _options() -> Any:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=70_000)
    words.add_argument("--share", type=float, default=0.01)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--gain-seeds", type=int, default=3)
    return words.parse_args()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        sys.exit(main())
