"""Archives whose bytes depend on their content alone, and the refusal of pickles."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

_MOMENT = (1980, 1, 1, 0, 0, 0)
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill", ".cloudpickle"})
_PICKLE_HIGHEST = 5
Noun = Literal["model", "predictor"]
_CODES = {
    "model": (codes.MODEL_DAMAGED, codes.MODEL_TOO_NEW),
    "predictor": (codes.PREDICTOR_DAMAGED, codes.PREDICTOR_TOO_NEW),
}
"""What a versioned file is of: its errors, when it cannot be read, and when a newer Tidemill wrote it."""


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an uncompressed zip file with these members, sorted, all of one fixed time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])


def read_zip(data: Path | bytes) -> dict[str, bytes]:
    """All members of a zip file, by name."""
    with zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Write one JSON object, keys sorted, numbers finite."""
    path.write_text(json.dumps(body, sort_keys=True, indent=1, allow_nan=False) + "\n", "utf-8")


def read_versioned(path: Path, *, layout: int, noun: Noun) -> dict[str, Any]:
    """The JSON object of a file that names the layout version it was written in.

    Raises:
        InvalidInput: ``NOUN-damaged``, when it is not there or not readable; ``NOUN-too-new``, when a newer
            Tidemill wrote it.
    """
    try:
        body: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version = int(body["layout"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path.parent} holds no {noun}: {path.name} cannot be read.",
            why=str(error),
            hint="Copy the whole folder again, or build it again.",
            code=_CODES[noun][0],
        ) from error
    if version != layout:
        raise InvalidInput(
            f"The {noun} in {path.parent} has layout {version}; this Tidemill knows layout {layout}.",
            why="A newer Tidemill wrote it." if version > layout else None,
            hint="Type 'pip install --upgrade tidemill'.",
            code=_CODES[noun][1],
        )
    return body


def rewrite_json(members: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> None:
    """Replace one JSON member by what ``change`` makes of it."""
    members[name] = json.dumps(change(json.loads(members[name])), sort_keys=True).encode()


def refuse_pickles(folder: Path) -> None:
    """Raise if any file in ``folder`` is a pickle, by name or by its first bytes.

    Raises:
        InvalidInput: ``pickle-refused``.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix.lower() in _PICKLE_SUFFIXES or _starts_as_pickle(path)):
            raise InvalidInput(
                f"{path} is a pickle.",
                why="Reading a pickle runs whatever code its author put into it.",
                hint="Build the model again; Tidemill writes ONNX, Keras and skops files, never pickles.",
                code=codes.PICKLE_REFUSED,
                details={"file": str(path)},
            )


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(3)
    # Protocol 2 and later begin with 0x80 and the protocol's number, and a first opcode follows. A protobuf
    # (an ONNX file) cannot: 0x80 0x02 would be field 32.
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= _PICKLE_HIGHEST
