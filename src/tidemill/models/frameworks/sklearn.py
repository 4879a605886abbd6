"""scikit-learn: estimators and pipelines of them, kept as skops files, exported through skl2onnx."""

import copy
import functools
import json
import warnings
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.models import adapters, archive
from tidemill.models.frameworks import sklearn_ranges
from tidemill.models.outputs import order_of

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "model.skops"
OPSET = 18
_ONNX_FLOATS = (1, 11)
"""``TensorProto.FLOAT`` and ``DOUBLE``."""
_LISTS = Path(__file__).with_name("sklearn_types.json")
"""By version of scikit-learn, the names of its classes and functions that a model file may hold.

``requirements/sklearn_types.py`` makes them. A name that is harmless in one version is taken in every one.
"""


def save(model: Any, folder: Path) -> None:
    """Write a skops file.

    Raises:
        InvalidInput: ``model-not-safe``, when the estimator holds something that skops cannot write, or that is not
            on the list of what may be read again.
    """
    io = _skops()
    try:
        data: bytes = io.dumps(model)
    except Exception as error:
        raise InvalidInput(
            f"The {type_name(model)} cannot be written safely: {error}.",
            why="skops, the scikit-learn format without pickle, does not know a part of it.",
            hint="Replace that part by one of scikit-learn's own, or wrap the model as a plain function.",
            code=codes.MODEL_NOT_SAFE,
        ) from error
    _trusted(io, data, type(model).__qualname__)
    archive.write_zip(folder / FILE, _canonical(archive.read_zip(data)))


def load(folder: Path, code: "IsolatedCode | None") -> Any:
    """Read a skops file; only types that are known to be harmless are made, with numbers that stay in their arrays.

    Raises:
        InvalidInput: ``model-not-safe`` or ``model-damaged``.
    """
    del code
    io = _skops()
    data = (folder / FILE).read_bytes()
    trusted = _trusted(io, data, str(folder / FILE))
    try:
        return _made(data, trusted)
    except sklearn_ranges.OutOfRange as error:
        raise InvalidInput(
            f"{folder / FILE} holds numbers that point outside of its arrays. {error}.",
            why="scikit-learn does not check them when it predicts: it would read, or write, elsewhere in memory. No "
            "trained model is so.",
            hint="Do not use this file, and ask who it is from; train the model again from its data.",
            code=codes.MODEL_NOT_SAFE,
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"{folder / FILE} cannot be read: {error}.",
            why="It is damaged, or another scikit-learn wrote it.",
            hint="Install the scikit-learn version that the model's packages name, or train it again.",
            code=codes.MODEL_DAMAGED,
        ) from error


def _made(data: bytes, trusted: list[str]) -> Any:
    """As ``skops.io.loads``; what it is made of is checked before, and the whole after."""
    from skops.io._audit import audit_tree, get_tree  # noqa: PLC0415
    from skops.io._utils import read_schema  # noqa: PLC0415

    with zipfile.ZipFile(BytesIO(data)) as members:
        schema, context = read_schema(members)
        tree = get_tree(schema, context, trusted=trusted)
        audit_tree(tree, trusted=trusted)
        sklearn_ranges.check_nodes(tree)
        made = tree.construct()
    sklearn_ranges.check(made)
    return made


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Class probabilities in the order of ``classes_``, or values.

    A classifier that gives no probabilities (a linear SVM) answers 1 for its class and 0 for the others.
    """
    import numpy as np  # noqa: PLC0415

    rows = two_dimensional(features)
    if hasattr(model, "predict_proba"):
        answer = model.predict_proba(rows)
        if isinstance(answer, list):
            # A forest trained on one-hot labels answers with one two-column array a class.
            return np.stack([a[:, -1] if a.shape[1] > 1 else np.zeros(len(a)) for a in answer], axis=1)
        return np.asarray(answer)
    answer = np.asarray(model.predict(rows))
    known = getattr(model, "classes_", None)
    if known is None or answer.ndim > 1:
        return answer
    return (answer[:, None] == np.asarray(known)[None, :]).astype(np.float64)


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """By ``classes_``: labels as text, or class indices."""
    known = getattr(model, "classes_", None)
    if known is None:
        return None
    if isinstance(known, list):
        # A forest trained on one-hot labels: one pair of classes a column, the columns in the given order.
        return None
    return order_of(known, classes)


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """Through skl2onnx, with one float input of two dimensions."""
    import numpy as np  # noqa: PLC0415

    if features.dtype.kind not in "biuf":
        raise adapters.NotExportable("its features are not numbers")
    if hasattr(model, "classes_") and not hasattr(model, "predict_proba"):
        raise adapters.NotExportable(f"{type(model).__name__} gives no probabilities")
    try:
        import skl2onnx  # noqa: PLC0415
    except ImportError as error:
        raise adapters.NotExportable(f"{error.name} is not installed") from error
    sample = two_dimensional(features)[:1].astype(np.float32)
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported: Any = skl2onnx.to_onnx(model, sample, options=options, target_opset=OPSET)
    except Exception as error:
        raise adapters.NotExportable(_first_line(error)) from error
    # Of a classifier the label is ours to decide: its probabilities alone are kept. Of others, what predict() gives.
    outputs = exported.graph.output
    numbers = [o.name for o in outputs if o.type.tensor_type.elem_type in _ONNX_FLOATS]
    answer = numbers[0] if options and numbers else outputs[0].name
    for output in [o for o in outputs if o.name != answer]:
        outputs.remove(output)
    return exported.SerializeToString(deterministic=True)


def takes_missing(model: Any, features: "np.ndarray[Any, Any]") -> bool:
    """As the estimator says when it is asked: one that takes no NaN raises, in a pipeline at whichever step."""
    import numpy as np  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(np.isfinite(predict(model, features)).all())
    except Exception:  # noqa: BLE001 - an estimator says no by whatever it likes
        return False


def history(model: Any) -> dict[str, list[float]]:
    """The loss curve of a network or a boosted ensemble."""
    curves = {
        "loss": getattr(model, "loss_curve_", None),
        "val_accuracy": getattr(model, "validation_scores_", None),
    }
    if curves["loss"] is None:
        curves["loss"] = getattr(model, "train_score_", None)
    return {n: [float(v) for v in c] for n, c in curves.items() if c is not None}


def packages() -> dict[str, str]:
    """scikit-learn, what it computes with, and what reads the file."""
    return adapters.versions("scikit-learn", "scipy", "numpy", "skops")


def two_dimensional(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The shape that scikit-learn wants: rows by numbers. A column of text stays as it is."""
    if features.ndim > 2:
        return features.reshape(len(features), -1)
    if features.ndim == 1 and features.dtype.kind in "biuf":
        return features.reshape(-1, 1)
    return features


def _skops() -> Any:
    try:
        import skops.io  # noqa: PLC0415
    except ImportError as error:
        raise adapters.needs_extra("sklearn", error) from error
    _teach_birch()
    return skops.io


@functools.cache
def _teach_birch() -> None:
    """Let skops write a Birch: without the tree, whose nodes hold each other, and which only ``partial_fit`` needs."""
    try:
        from skops.io._general import object_get_state  # noqa: PLC0415
        from skops.io._utils import _get_state  # noqa: PLC0415
    except ImportError:
        # Another skops: it says itself that it cannot write one.
        return
    from sklearn.cluster import Birch  # noqa: PLC0415

    def without_tree(model: Any, context: Any) -> Any:
        answering = copy.copy(model)
        for name in ("root_", "dummy_leaf_"):
            vars(answering).pop(name, None)
        # skops names objects by their address, so this one must not make room for another.
        context.memoize(answering)
        return object_get_state(answering, context)

    _get_state.register(Birch)(without_tree)


@functools.cache
def _lists() -> dict[str, list[str]]:
    return json.loads(_LISTS.read_text("utf-8"))


def _trusted(io: Any, data: bytes, what: str) -> list[str]:
    """The types of a skops file beyond skops' own list, all of them known to be harmless."""
    types: list[str] = io.get_untrusted_types(data=data)
    harmless = {name for names in _lists().values() for name in names}
    strange = [t for t in types if t not in harmless] + _odd_partials(data, types)
    if strange:
        raise InvalidInput(
            f"{what} holds parts that are not known to be harmless: {', '.join(strange[:5])}.",
            why=f"Reading a model must not run code that came with it.{_other_version(strange)}",
            hint="Use scikit-learn's own estimators, and do what else there is in a tm.row_step or tm.transform "
            "before the model; or let the trainer return a function at the top of a file of the project.",
            code=codes.MODEL_NOT_SAFE,
            details={"types": strange},
        )
    return types


def _odd_partials(data: bytes, types: list[str]) -> list[str]:
    """Functions that a file binds arguments to, but for the one that scikit-learn itself binds some to.

    That is ``check_array``, in boosted trees with categories. Others compute alone, but were looked at without
    arguments. A node is told by how it is read, not by the name that it gives itself.
    """
    from skops.io._audit import CachedNode, get_tree  # noqa: PLC0415
    from skops.io._general import FunctionNode, PartialNode  # noqa: PLC0415
    from skops.io._utils import read_schema  # noqa: PLC0415

    with zipfile.ZipFile(BytesIO(data)) as members:
        if b"PartialNode" not in members.read("schema.json"):
            return []
        schema, context = read_schema(members)
        tree = get_tree(schema, context, trusted=types)
    odd: list[str] = []
    for node in sklearn_ranges.nodes(tree):
        if isinstance(node, PartialNode):
            bound = node.func.cached if isinstance(node.func, CachedNode) else node.func
            name = f"{bound.module_name}.{bound.class_name}"
            if not isinstance(bound, FunctionNode) or name != _BOUND:
                odd.append(f"functools.partial of {name}")
    return odd


_BOUND = "sklearn.utils.validation.check_array"


def _other_version(strange: Sequence[str]) -> str:
    """What there is to say where the lists were made for other versions of scikit-learn than is installed."""
    import sklearn  # noqa: PLC0415

    known = _lists()
    own = any(name.startswith("sklearn.") for name in strange)
    if not own or any(v.split(".")[:2] == sklearn.__version__.split(".")[:2] for v in known):
        return ""
    return (
        f" Tidemill knows the parts of scikit-learn {', '.join(known)}; {sklearn.__version__}, which is installed, "
        "may have others."
    )


def _canonical(members: dict[str, bytes]) -> dict[str, bytes]:
    """The archive with memory addresses, which skops uses as names, replaced by numbers in order of use."""
    numbers: dict[str, int] = {}

    def number(address: str) -> int:
        return numbers.setdefault(address, len(numbers))

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(n) for n in node]
        if not isinstance(node, dict):
            return node
        walked: dict[str, Any] = {}
        if node.get("__loader__") == "SetNode":
            # A set has no order; each process would write it in another.
            node = {**node, "content": sorted(node["content"], key=_without_addresses)}
        for name, value in node.items():
            if name == "__id__":
                walked[name] = number(str(value))
            elif name == "_stop_words_id":
                # Where in memory a vectorizer's stop words were; it only remembers that it has checked them.
                walked[name] = {**walk(value), "content": "null"}
            elif name == "file" and isinstance(value, str) and value in members:
                address, dot, suffix = value.partition(".")
                walked[name] = f"{number(address)}{dot}{suffix}"
            else:
                walked[name] = walk(value)
        return walked

    archive.rewrite_json(members, "schema.json", walk)
    named: dict[str, bytes] = {}
    for name, data in members.items():
        address, dot, suffix = name.partition(".")
        named[f"{numbers[address]}{dot}{suffix}" if address in numbers else name] = data
    return named


def _without_addresses(node: Any) -> str:
    def plain(node: Any) -> Any:
        if isinstance(node, list):
            return [plain(n) for n in node]
        if isinstance(node, dict):
            return {n: plain(v) for n, v in node.items() if n not in ("__id__", "file")}
        return node

    return json.dumps(plain(node), sort_keys=True)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
