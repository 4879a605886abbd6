"""ONNX models made elsewhere: which of several outputs answers is found by type and name, not by its place."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.models import TrainedModel

pytestmark = pytest.mark.sklearn

X = np.random.RandomState(0).rand(60, 3).astype(np.float32)
Y = np.array(["low", "mid", "top"])[(X[:, 0] * 3).astype(int)]
SORTED = ("low", "mid", "top")


def exported(*, zipmap: bool, label_last: bool = False) -> tuple[Any, Any]:
    """A classifier, and its export as skl2onnx writes it: the label first, unless it is put last."""
    import skl2onnx
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Any = skl2onnx.to_onnx(fitted, X[:1], options={"zipmap": zipmap}, target_opset=18)
    if label_last:
        first = made.graph.output.pop(0)
        made.graph.output.append(first)
    return fitted, made


@pytest.mark.parametrize("label_last", [False, True])
@pytest.mark.parametrize("zipmap", [False, True])
def test_the_probabilities_answer_wherever_the_label_stands(zipmap: bool, label_last: bool, tmp_path: Path):
    fitted, made = exported(zipmap=zipmap, label_last=label_last)
    model = TrainedModel.of(made, features="x", label="y", classes=SORTED)
    assert np.allclose(model.predict(X), fitted.predict_proba(X), atol=1e-6)
    model.pack(tmp_path / "model")
    assert np.allclose(TrainedModel.unpack(tmp_path / "model").predict(X), fitted.predict_proba(X), atol=1e-6)


def test_the_names_of_a_zipmap_are_the_classes_in_whatever_order_they_are_listed():
    fitted, made = exported(zipmap=True)
    listed = ("top", "low", "never", "mid")
    answers = TrainedModel.of(made, features="x", label="y", classes=listed).predict(X)
    assert (np.array(listed)[answers.argmax(axis=1)] == fitted.predict(X)).all()
    assert (answers[:, 2] == 0).all()
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.of(made, features="x", label="y", classes=("yes", "no", "maybe")).predict(X)
    assert caught.value.code == "unknown-class"


def several(*names: str) -> Any:
    """A model of one input whose outputs are the input times 1, 2, ... by these names."""
    import onnx
    from onnx import TensorProto, helper

    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 3]) for n in names]
    factors = [helper.make_tensor(f"f{i}", TensorProto.FLOAT, [], [float(i + 1)]) for i in range(len(names))]
    nodes = [helper.make_node("Mul", ["x", f"f{i}"], [name]) for i, name in enumerate(names)]
    graph = helper.make_graph(nodes, "several", [rows], outputs, factors)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_of_several_outputs_of_numbers_the_name_decides(tmp_path: Path):
    model = TrainedModel.of(several("hidden", "Probabilities", "other"), features="x", label="y")
    assert np.allclose(model.predict(X), 2 * X)
    with pytest.raises(InvalidInput) as caught:
        TrainedModel.of(several("hidden", "other"), features="x", label="y").pack(tmp_path / "model")
    assert caught.value.code == "several-outputs"
    assert "hidden (tensor(float)), other (tensor(float))" in caught.value.message
