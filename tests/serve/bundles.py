"""A real bundle: images of 28 x 28, one stage of the project's own code, an ONNX network of ten classes."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.serve.client import Standby, Status

if TYPE_CHECKING:
    import numpy as np

CLASSES = tuple("abcdefghij")
STAGES = b'''
import numpy as np


class Scale:
    """Refuses an image with a missing cell, as the pipeline drops it, and scales the others."""

    def serve(self, columns, settings, state):
        image = columns["image"]
        if isinstance(image, np.ma.MaskedArray):
            keep = ~np.ma.getmaskarray(image).any(axis=(1, 2))
            columns = {name: values[keep] for name, values in columns.items()}
            image = np.ma.getdata(columns["image"])
        return {**columns, "image": image.astype(np.float32) / settings["by"]}


scale = Scale()
'''


@dataclass(frozen=True)
class Bundle:
    folder: Path
    seed: int

    def probabilities(self, images: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        import numpy as np

        scores = images.reshape(len(images), -1).astype(np.float32) / 255.0 @ weights(self.seed)
        raised = np.exp(scores - scores.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)


def weights(seed: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.random.default_rng(seed).normal(size=(784, 10)).astype(np.float32) / 8


def images(count: int, seed: int = 0) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def build(folder: Path, seed: int) -> Bundle:
    from onnx import TensorProto, helper, numpy_helper

    from tidemill.models import TrainedModel
    from tidemill.models.bundle import build_predictor
    from tidemill.store.table import Table

    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["y"], axis=1),
        ],
        "ten",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(weights(seed), "w")],
    )
    native = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    bundle, sample = Bundle(folder, seed), images(8, 99)
    build_predictor(
        folder,
        name="ten",
        model=TrainedModel.of(native, features="image", label="label", classes=CLASSES),
        stages=[
            {
                "name": "scale",
                "kind": "row_step",
                "component": "stages:scale",
                "settings": {"by": 255.0},
                "state": None,
            }
        ],
        raw_sample=Table.of({"image": sample}),
        expected=bundle.probabilities(sample),
        code_files={"stages.py": STAGES},
    )
    return bundle


Start = Callable[..., Standby]
Deploy = Callable[..., Status]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def run_server(*arguments: str, bundle: Bundle, folder: Path) -> "subprocess.CompletedProcess[str]":
    """``python -m tidemill.serve`` in the foreground, for starts that fail."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "tidemill.serve", "--bundle", str(bundle.folder), "--name", "ten"),
            *("--release", digest(1), "--number", "1", "--environment", "prod", "--folder", str(folder)),
            *arguments,
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
