"""What a predictor costs beside the bare ONNX Runtime call: one row of 784 through a dense network.

    python bench/predictor.py [--calls 20000]

The network is the study's (784, 128, 10), its weights random. Also: loading the bundle in a fresh process, and
drawing a report. Writes bench/results/predictor.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

CLASSES = tuple("abcdefghij")
LOAD = """
import time; started = time.perf_counter()
import pathlib, sys
from tidemill.models import Predictor
Predictor.load(pathlib.Path(sys.argv[1]))
print(time.perf_counter() - started)
"""


def microseconds(ways: dict[str, Callable[[], object]], calls: int) -> dict[str, float]:
    """The best of ten rounds of each, taken in turns: the machine is shared."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(10):
        for name, call in ways.items():
            started = time.perf_counter()
            for _ in range(calls // 10):
                call()
            best[name] = min(best[name], (time.perf_counter() - started) / (calls // 10) * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    calls = parser.parse_args().calls
    import numpy as np
    import onnxruntime as ort
    from sklearn.neural_network import MLPClassifier

    from tidemill.evaluation import of_classifier, render
    from tidemill.models import Predictor, TrainedModel, build_predictor
    from tidemill.store.table import Table

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    labels = np.array(CLASSES)[random.integers(0, 10, 1000)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native = MLPClassifier((128,), max_iter=1, random_state=0).fit(images.reshape(1000, -1) / 255, labels)
    model = TrainedModel.of(native, features="image", label="label", classes=CLASSES)
    answers = model.predict(images)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "predictor"
        parity = build_predictor(
            folder,
            name="bench",
            model=model,
            stages=[],
            raw_sample=Table.of({"image": images[:64]}),
            expected=answers[:64],
            code_files={},
        )
        assert parity.form == "onnx", parity.reason
        predictor = Predictor.load(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(folder / "model.onnx"), options)
        feed = {session.get_inputs()[0].name: images[:1].reshape(1, -1).astype(np.float32)}
        row, rows = {"image": images[:1]}, {"image": images[:32]}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True
        )
        started = time.perf_counter()
        page = render(of_classifier("bench", labels, answers, CLASSES, features=images))
        drawn = time.perf_counter() - started
        results = {
            **microseconds(
                {
                    "bare onnxruntime, 1 row, us": lambda: session.run(None, feed),
                    "Predictor.predict, 1 row, us": lambda: predictor.predict(row),
                    "Predictor.predict, 32 rows, us": lambda: predictor.predict(rows),
                },
                calls,
            ),
            "Predictor.load, fresh process, s": float(done.stdout),
            "report page, s": drawn,
            "report page, kB": len(page) / 1000,
        }
    for name, value in results.items():
        print(f"{name:<36}{value:>10.3f}")
    target = Path(__file__).parent / "results" / "predictor.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
