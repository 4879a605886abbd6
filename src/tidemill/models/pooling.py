"""Pooling over images, made runnable: what jax2onnx writes for it, ONNX Runtime refuses.

A Keras pool over ``(rows, height, width, channels)`` reaches jax2onnx as a window over all four axes, and it
writes an ONNX pool of four spatial dimensions between two reshapes; ONNX Runtime knows at most three. Where
the window is 1 along rows and channels it is a plain pool of two dimensions between two transpositions.
"""

from typing import Any

_POOLS = ("MaxPool", "AveragePool")
_SIZES = ("kernel_shape", "strides", "dilations")


def make_runnable(model: Any) -> None:
    """Rewrite the pools of an ``onnx.ModelProto`` in place; what does not have this form is left."""
    import onnx  # noqa: PLC0415

    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    replaced: dict[str, list[Any]] = {}
    removed: set[str] = set()
    for pool in [n for n in graph.node if n.op_type in _POOLS]:
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in pool.attribute}
        around = _around(pool, settings, makers, users)
        if around is None:
            continue
        before, between, after = around
        source, target, stem = before.input[0], after.output[0], pool.output[0]
        flat: dict[str, Any] = {
            n: _two(v) if n in _SIZES else _two_pads(v) if n == "pads" else v for n, v in settings.items()
        }
        replaced[pool.output[0]] = [
            onnx.helper.make_node("Transpose", [source], [f"{stem}_nchw"], perm=[0, 3, 1, 2]),
            onnx.helper.make_node(pool.op_type, [f"{stem}_nchw"], [f"{stem}_pooled"], name=pool.name, **flat),
            onnx.helper.make_node("Transpose", [f"{stem}_pooled"], [target], perm=[0, 2, 3, 1]),
        ]
        removed |= {before.output[0], between.output[0], after.output[0]}
    nodes: list[Any] = []
    for node in graph.node:
        if node.output[0] not in removed:
            nodes += replaced.get(node.output[0], [node])
    del graph.node[:]
    graph.node.extend(nodes)
    for info in [v for v in graph.value_info if v.name in removed | replaced.keys()]:
        graph.value_info.remove(info)


def _two(sizes: list[int]) -> list[int]:
    return [sizes[1], sizes[2]]


def _two_pads(pads: list[int]) -> list[int]:
    return [pads[1], pads[2], pads[5], pads[6]]


def _around(
    pool: Any, settings: dict[str, Any], makers: dict[str, Any], users: dict[str, list[Any]]
) -> tuple[Any, Any, Any] | None:
    """The two nodes before the pool and the one after it, where all have the expected form."""
    for name in _SIZES:
        sizes = settings.get(name)
        if sizes is not None and (len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1):
            return None
    pads = settings.get("pads") or [0] * 8
    if len(settings["kernel_shape"]) != 4 or any(pads[i] for i in (0, 3, 4, 7)):
        return None
    between = makers.get(pool.input[0])
    before = makers.get(between.input[0]) if between is not None else None
    after = users.get(pool.output[0], [])
    if (
        between is None
        or before is None
        or len(users[between.output[0]]) != 1
        or len(users[before.output[0]]) != 1
        or len(after) != 1
        or [before.op_type, between.op_type, after[0].op_type] != ["Unsqueeze", "Unsqueeze", "Squeeze"]
    ):
        return None
    return before, between, after[0]
