"""What judges labels where the user names no model: trees and small networks of scikit-learn, asked together.

Their errors are of different kinds, so the mean of their answers knows better than either how sure it may be.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tidemill.models import adapters
from tidemill.models.outputs import Arrange

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

TREES, NETWORKS = 60, 2
_STEPS = 1000
"""Steps that a network learns at least, of 128 rows each; the least and most epochs are 10 and 100."""


def fit(
    features: "Array", labels: "Array", seed: int, *, classes: Sequence[str], workers: int = 1
) -> "Callable[[Array], Array]":
    """Train the committee.

    Args:
        features: Float32, (rows, numbers).
        labels: One a row, as text.
        seed: Of all that is drawn.
        classes: All classes; one that ``labels`` lack has probability 0.
        workers: How many threads may grow trees.

    Returns:
        From features to the mean probability of each class: half the say is the trees', half the networks'.

    Raises:
        NeedsExtra: When scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - scikit-learn needs it itself
    except ImportError as error:
        raise adapters.needs_extra("sklearn", error) from error
    # A leaf of two rows or more is no row's own: a label alone in its leaf would be certain of itself.
    trees: Any = ExtraTreesClassifier(TREES, min_samples_leaf=2, n_jobs=workers, random_state=seed)
    trees.fit(features, labels)
    epochs = min(max(10, math.ceil(_STEPS * 128 / len(features))), 100)

    def grown(number: int) -> Any:
        # The stubs know no batch size but 'auto'.
        batch: Any = min(128, len(features))
        network = MLPClassifier(
            (128,), batch_size=batch, max_iter=epochs, random_state=seed * NETWORKS + number
        )
        return network.fit(features, labels)

    # One thread a network: its products are too small to be shared, and by how many threads they are is in the result.
    with threadpool_limits(1), warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # It is stopped while it still learns, on purpose: later it learns the wrong labels by heart.
        warnings.simplefilter("ignore")
        networks = list(pool.map(grown, range(NETWORKS)))
    known = {str(c): i for i, c in enumerate(trees.classes_)}
    arrange = Arrange(len(classes), tuple(known.get(c, -1) for c in classes))

    def predict(rows: "Array") -> "Array":
        with threadpool_limits(1):
            of_networks = sum(n.predict_proba(rows) for n in networks) / NETWORKS
        return arrange((trees.predict_proba(rows) + of_networks) / 2)

    return predict
