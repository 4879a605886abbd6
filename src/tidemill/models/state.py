"""What a transform learned, as one file: a tree of values, arrays and estimators. Never a pickle."""

import base64
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import full_type_name
from tidemill.core.names import is_text
from tidemill.models import adapters, archive
from tidemill.store import values

_TREE = "tree.json"


def write(state: object, path: Path) -> None:
    """Write ``state``; equal states, in one order of their dicts, give equal files.

    It may be None, numbers, text, bytes, what else ``store.values`` has a spelling for, NumPy arrays, scikit-learn
    estimators, and lists, tuples and string-keyed dicts of them.

    Raises:
        InvalidInput: ``state-not-storable``, naming where in the tree a value of another type is.
    """
    members: dict[str, bytes] = {}
    # Not sorted: a dict comes back in its order.
    members[_TREE] = json.dumps(_encode(state, members, "state")).encode()
    archive.write_zip(path, members)


def read(path: Path) -> Any:
    """The state that ``write`` wrote.

    Raises:
        InvalidInput: ``state-damaged``, ``model-not-safe``.
    """
    try:
        members = archive.read_zip(path)
        return _decode(json.loads(members[_TREE]), members)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"{path} is not the state of a transform: {error}.",
            hint="Copy the whole bundle again, or build it again.",
            code=codes.STATE_DAMAGED,
        ) from error


def _encode(node: object, members: dict[str, bytes], where: str) -> Any:
    import numpy as np  # noqa: PLC0415

    # Types are compared exactly: a member of an enumeration or a masked array is not what it is derived from.
    if node is None or type(node) in (bool, int) or (type(node) is str and is_text(node)):
        return node
    if isinstance(node, np.generic):
        return {"$scalar": _add_array(np.asarray(node), members, where)}
    if type(node) is float:
        # Spelled in hex: exact, and NaN and infinity have a spelling.
        return {"$float": node.hex()}
    if type(node) is bytes:
        return {"$bytes": base64.b64encode(node).decode()}
    if type(node) in (np.ndarray, np.memmap):
        return {"$array": _add_array(node, members, where)}
    if type(node) is list:
        return [_encode(n, members, f"{where}[{i}]") for i, n in enumerate(node)]
    if type(node) is tuple:
        return {"$tuple": [_encode(n, members, f"{where}[{i}]") for i, n in enumerate(node)]}
    if type(node) is dict:
        strange = next((k for k in node if type(k) is not str or not is_text(k)), None)
        if strange is None:
            return {"$dict": {k: _encode(v, members, f"{where}[{k!r}]") for k, v in node.items()}}
        raise _not_storable(strange, f"a key of {where}")
    try:
        return {"$value": values.encode(node)}
    except values.NoSpelling:
        return {"$model": _add_model(node, members, where)}


def _add_array(array: Any, members: dict[str, bytes], where: str) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    text = array.dtype.kind == "O"
    if text:
        # NumPy's fixed-width text drops NULs at the end.
        if not all(type(v) is str and not v.endswith("\0") and is_text(v) for v in array.flat):
            raise _not_storable(array, where)
        array = array.astype(np.str_)
    elif array.dtype.hasobject or array.dtype.kind == "T":
        raise _not_storable(array, where)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    name = f"{len(members)}.npy"
    members[name] = buffer.getvalue()
    return {"file": name, "text": text}


def _add_model(node: object, members: dict[str, bytes], where: str) -> dict[str, Any]:
    try:
        framework = adapters.owner(node)
    except InvalidInput:
        raise _not_storable(node, where) from None
    prefix = f"{len(members)}/"
    # The place is taken before the files come, so that a later member cannot get the same number.
    members[prefix] = b""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        adapters.adapter(framework).save(node, folder)
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            members[prefix + file.relative_to(folder).as_posix()] = file.read_bytes()
    return {"framework": framework, "folder": prefix}


def _decode(node: Any, members: dict[str, bytes]) -> Any:
    if isinstance(node, list):
        return [_decode(n, members) for n in node]
    if not isinstance(node, dict):
        return node
    ((kind, body),) = node.items()
    match kind:
        case "$dict":
            return {k: _decode(v, members) for k, v in body.items()}
        case "$tuple":
            return tuple(_decode(n, members) for n in body)
        case "$float":
            return float.fromhex(body)
        case "$bytes":
            return base64.b64decode(body)
        case "$array":
            return _array(body, members)
        case "$scalar":
            return _array(body, members)[()]
        case "$value":
            return values.decode(body)
        case "$model":
            return _model(body, members)
        case _:
            raise ValueError(f"there is no kind {kind}")


def _array(body: dict[str, Any], members: dict[str, bytes]) -> Any:
    import numpy as np  # noqa: PLC0415

    array = np.load(io.BytesIO(members[body["file"]]), allow_pickle=False)
    return array.astype(object) if body["text"] else array


def _model(body: dict[str, Any], members: dict[str, bytes]) -> Any:
    prefix = body["folder"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, data in members.items():
            if name.startswith(prefix) and name != prefix and ".." not in name:
                target = folder / name.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        archive.refuse_pickles(folder)
        return adapters.adapter(body["framework"]).load(folder, None)


def _not_storable(thing: object, where: str) -> InvalidInput:
    return InvalidInput(
        f"{where[0].upper()}{where[1:]} is a {full_type_name(thing)}, which cannot be kept with a predictor.",
        why="A state holds None, numbers, text, bytes, NumPy arrays, scikit-learn estimators, and lists, "
        "tuples and string-keyed dicts of them.",
        hint=values.way_out(thing),
        code=codes.STATE_NOT_STORABLE,
    )
