"""Values to artifacts and back, by kind. Small JSON content lives in the record itself, so that it needs no file.

A folder (a model, a predictor, files) is a tar whose bytes depend on the content only: sorted names, no
times, no owners.
"""

import copy
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput, NotFound
from tidemill.core.kinds import full_type_name
from tidemill.core.names import Digest
from tidemill.engine import arrays
from tidemill.engine.content import blobs_of, content_of, json_artifact, value_artifact, value_of
from tidemill.engine.orders import Ref, Saved
from tidemill.store.blobs import Blobs
from tidemill.store.values import NoSpelling, encode

if TYPE_CHECKING:
    from tidemill.store.catalog.records import Artifact
    from tidemill.store.open import Store

__all__ = ["artifact", "blobs_of", "content_of", "load", "load_value", "save"]


def save(blobs: Blobs, value: Any, step: str, output: str = "result") -> Saved:
    """Store a step's result; its kind follows from what it is.

    Raises:
        Failed: ``no-artifact-kind``, ``table-not-kept``, ``step-returned-nan``.
    """
    home = type(value).__module__.partition(".")[0]
    if isinstance(value, Path):
        return _save_path(blobs, value, step)
    if is_table(value):
        from tidemill.engine.tables import columns_of, manifest, write_chunks  # noqa: PLC0415
        from tidemill.pipeline.frames import to_table  # noqa: PLC0415

        table = to_table(value, step=step, output=output)
        return manifest(blobs, write_chunks(blobs, table), columns_of(table))
    if home == "numpy" and hasattr(value, "dtype") and hasattr(value, "setflags") and not _is_scalar(value):
        return arrays.save(blobs, value, step, output)
    if home == "tidemill" and hasattr(value, "to_json") and hasattr(type(value), "from_json"):
        return json_artifact(blobs, "report", value.to_json(), {"type": _type_name(value)})
    if _is_model(value):
        return _save_model(blobs, value)
    try:
        return value_artifact(blobs, value)
    except NoSpelling as error:
        if (found := _nan_in(value)) is not None:
            raise _nan(step, *found) from None
        if type(value) is dict and all(type(k) is str for k in cast("dict[Any, Any]", value)):
            return _save_state(blobs, cast("dict[str, Any]", value), step, output)
        raise refused(step, output, error.value, error.hint, path=error.path) from None


def load(blobs: Blobs, ref: "Ref | Artifact", scratch: Path | None = None) -> Any:
    """The value of an artifact. Files and folders are laid out below ``scratch``."""
    if "content" in ref.meta or ref.kind == "list":
        return _loaded(blobs, ref, scratch)
    with blobs.reading(Digest(ref.digest)):
        return _loaded(blobs, ref, scratch)


def _loaded(blobs: Blobs, ref: "Ref | Artifact", scratch: Path | None) -> Any:
    if ref.kind == "table":
        from tidemill.engine.tables import read_table  # noqa: PLC0415

        return read_table(blobs, {"content": content_of(blobs, ref)})
    if ref.kind == "value":
        # The record's own content stays what its digest says, whatever the caller does with his.
        return value_of(blobs, ref)
    if ref.kind == "list":
        return [load(blobs, Ref(*member), scratch) for member in content_of(blobs, ref)]
    if ref.kind == "array":
        return arrays.load(blobs, Digest(ref.digest))
    if ref.kind == "report":
        import importlib  # noqa: PLC0415

        module, _, name = str(ref.meta["type"]).partition(":")
        return getattr(importlib.import_module(module), name).from_json(copy.deepcopy(content_of(blobs, ref)))
    if ref.kind == "state":
        from tidemill.models import state as states  # noqa: PLC0415

        return _read_only(states.read(blobs.path(Digest(ref.digest))))
    if ref.kind == "model":
        from tidemill.models.trained import TrainedModel  # noqa: PLC0415

        with tempfile.TemporaryDirectory() as folder:
            untar(blobs.path(Digest(ref.digest)), Path(folder))
            return TrainedModel.unpack(Path(folder))
    folder = Path(tempfile.mkdtemp(dir=scratch))
    untar(blobs.path(Digest(ref.digest)), folder)
    return folder / str(ref.meta["name"]) if ref.meta.get("name") else folder


def save_list(blobs: Blobs, members: "tuple[Any, ...]") -> Saved:
    """Store what a list of artifacts is: each is a ``Ref`` or a list of such. A list of plain values is a value."""
    refs = [m if isinstance(m, Ref) else save_list(blobs, m).ref for m in members]
    if all(r.kind == "value" for r in refs):
        return value_artifact(blobs, [value_of(blobs, r) for r in refs])
    needs = sorted({d for r in refs for d in blobs_of(r)})
    return json_artifact(blobs, "list", [[r.digest, r.kind, r.meta] for r in refs], {"blobs": needs})


def _read_only(state: Any) -> Any:
    """A state whose arrays refuse to be changed, as those of an array artifact do."""
    import numpy as np  # noqa: PLC0415

    if isinstance(state, np.ndarray):
        state.setflags(write=False)
    elif isinstance(state, dict):
        for member in cast("dict[str, Any]", state).values():
            _read_only(member)
    elif isinstance(state, (list, tuple)):
        for member in cast("list[Any]", state):
            _read_only(member)
    return state


def load_value(store: "Store", digest: str, *, scratch: Path | None = None) -> Any:
    """The value of the artifact that ``digest`` names.

    A table is a ``Table``, an array memory-mapped, a model a ``TrainedModel``, a report its own class, a
    file or predictor a path below ``scratch`` (default: a fresh temporary folder).

    Raises:
        NotFound: ``artifact-not-found``, ``blob-not-found``.
    """
    return load(store.blobs, artifact(store, digest), scratch)


def artifact(store: "Store", digest: str) -> "Artifact":
    """The record of an artifact.

    Raises:
        NotFound: ``artifact-not-found``.
    """
    from tidemill.store.catalog.records import Artifact  # noqa: PLC0415

    with store.catalog.read() as transaction:
        found = transaction.first(Artifact, {"digest": digest})
    if found is None:
        raise NotFound(
            f"The store holds no artifact {digest}.",
            hint="Run the pipeline again: what is missing is computed.",
            code=codes.ARTIFACT_NOT_FOUND,
        )
    return found


def refused(step: str, output: str, value: object, hint: str, *, path: str = "") -> Failed:
    """The error for a result that would not come back from the store as it is."""
    kind = full_type_name(value)
    return Failed(
        f"Step '{step}' returned a {kind} {f'at {path} of' if path else 'as'} '{output}', which has no place in the store.",
        why="A later step must get the same value, of the same type, whether it was computed just now or long ago.",
        hint=hint,
        code=codes.NO_ARTIFACT_KIND,
        details={"step": step, "output": output, "type": kind, "path": path},
    )


def _nan_in(value: Any, path: str = "") -> tuple[str, Any] | None:
    """Where in a result a number is that is not finite, and the number; None where there is none."""
    if isinstance(value, dict):
        members = [(f".{k}", v) for k, v in cast("dict[Any, Any]", value).items()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        members = [(f"[{i}]", v) for i, v in enumerate(cast("list[Any]", value))]
    else:
        try:
            encode(value)
        except NoSpelling as error:
            return (path.lstrip("."), error.value) if error.is_nan else None
        return None
    for where, member in members:
        if (found := _nan_in(member, path + where)) is not None:
            return found
    return None


def _nan(step: str, path: str, value: Any) -> Failed:
    what = "infinity" if value == value else "NaN"  # noqa: PLR0124 - in every library, NaN alone is not itself
    return Failed(
        f"Step '{step}' returned {what}{f' at {path}' if path else ''}.",
        why="It is not a number that can be compared, stored as JSON or trusted in a report.",
        hint="Find where it comes from (a division by zero, an empty mean); return None for 'no number'.",
        code=codes.STEP_RETURNED_NAN,
        details={"step": step, "path": path},
    )


def _is_scalar(value: Any) -> bool:
    import numpy as np  # noqa: PLC0415

    return isinstance(value, np.generic)


def is_table(value: Any) -> bool:
    """Whether a value is a frame of a kind that Tidemill knows."""
    home = type(value).__module__.partition(".")[0]
    if home == "tidemill":
        return type(value).__qualname__ == "Table"
    name = type(value).__qualname__
    return (home, name) in {
        ("polars", "DataFrame"),
        ("pandas", "DataFrame"),
        ("pyarrow", "Table"),
        ("pyarrow.lib", "Table"),
    }


def _is_model(value: Any) -> bool:
    if type(value).__qualname__ == "TrainedModel":
        return True
    homes = {c.__module__.partition(".")[0] for c in type(value).__mro__}
    return bool(homes & {"keras", "sklearn", "onnx"})


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _save_model(blobs: Blobs, value: Any) -> Saved:
    from tidemill.models.trained import TrainedModel  # noqa: PLC0415

    if not isinstance(value, TrainedModel):
        value = wrap_model(value, {})
    with tempfile.TemporaryDirectory() as folder:
        value.pack(Path(folder))
        classes = list(value.classes) if value.classes is not None else None
        meta = {
            "framework": value.framework,
            "features": value.features,
            "label": value.label,
            "classes": classes,
        }
        return _tarred(blobs, Path(folder), "model", meta)


def wrap_model(native: Any, facts: dict[str, Any]) -> Any:
    """A framework's model as a ``TrainedModel``."""
    from tidemill.models.trained import TrainedModel  # noqa: PLC0415

    return TrainedModel.of(
        native,
        features=str(facts.get("features") or ""),
        label=str(facts.get("label") or ""),
        classes=facts.get("classes"),
    )


def _save_path(blobs: Blobs, path: Path, step: str) -> Saved:
    if not path.exists():
        raise Failed(
            f"Step '{step}' returned the path {path}, where there is nothing.",
            hint="Write the file before returning its path; tm.scratch() is a good folder for it.",
            code=codes.STEP_RETURNED_WRONG_TYPE,
        )
    if path.is_file():
        return _tarred(blobs, path, "file", {"name": path.name})
    kind = "predictor" if (path / "predictor.json").is_file() else "file"
    return _tarred(blobs, path, kind, {"name": ""})


def _tarred(blobs: Blobs, path: Path, kind: str, meta: dict[str, Any]) -> Saved:
    scratch = blobs.scratch()
    try:
        with scratch.open("wb") as out:
            write_tar(path, out)
        digest = blobs.put_file(scratch)
        return Saved(digest, kind, scratch.stat().st_size, meta)
    finally:
        scratch.unlink(missing_ok=True)


def write_tar(path: Path, out: Any) -> None:
    """A file or a folder as a tar of the same bytes for the same content."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        members = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for member in members:
            name = member.name if path.is_file() else member.relative_to(path).as_posix()
            info = tarfile.TarInfo(name)
            info.size = member.stat().st_size
            with member.open("rb") as file:
                tar.addfile(info, file)


def untar(tar: Path, folder: Path) -> None:
    """Lay out what ``write_tar`` wrote; nothing leaves ``folder``."""
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")


def _save_state(blobs: Blobs, state: dict[str, Any], step: str, output: str) -> Saved:
    from tidemill.models import state as states  # noqa: PLC0415

    scratch = blobs.scratch()
    try:
        states.write(state, scratch)
        return Saved(blobs.put_file(scratch), "state", scratch.stat().st_size, {"keys": sorted(state)})
    except InvalidInput as error:
        raise Failed(
            f"Step '{step}' returned a dict as '{output}' that cannot be stored: {error.message}",
            why=error.why,
            hint=error.hint or "Return numbers, text, arrays, and lists and dicts of them.",
            code=codes.NO_ARTIFACT_KIND,
            details={"step": step, "output": output},
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
