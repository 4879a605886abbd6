"""Plain Python functions as models: ``module:qualname`` and a copy of the file. No framework."""

import inspect
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.models import adapters, archive

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "function.json"


def save(model: Any, folder: Path) -> None:
    """Write the function's name and a copy of its file.

    Other files of the project that it imports are not copied: a bundle brings them as its code.

    Raises:
        InvalidInput: ``model-not-safe``, when the function is not defined at the top of a file.
    """
    source = inspect.getsourcefile(model)
    if "<" in model.__qualname__ or source is None or not Path(source).is_file():
        raise InvalidInput(
            f"The function {model.__qualname__} cannot be kept as a model.",
            why="It is not defined at the top level of a file, so it has no name to find it by.",
            hint="Define it with 'def' at the top of a file of the project.",
            code="model-not-safe",
        )
    relative = _module_file(model.__module__, Path(source))
    target = folder / "code" / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    module = ".".join(relative.with_suffix("").parts)
    archive.write_json(folder / FILE, {"component": f"{module}:{model.__qualname__}"})


def load(folder: Path, code: "IsolatedCode | None") -> Any:
    """Import the function: from the bundle's ``code`` if it has the module, else from its own copy."""
    from tidemill.models.isolation import IsolatedCode  # noqa: PLC0415

    reference = str(json.loads((folder / FILE).read_text("utf-8"))["component"])
    module = reference.partition(":")[0]
    if code is None or not (code.folder / f"{module.replace('.', '/')}.py").is_file():
        code = IsolatedCode(folder / "code")
    found = code.component(reference)
    # A decorated function stands for the component that it became.
    return getattr(found, "function", found)


def predict(model: Any, features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """What the function returns."""
    import numpy as np  # noqa: PLC0415

    return np.asarray(model(features))


def order(model: Any, classes: Sequence[str]) -> tuple[int, ...] | None:
    """Always the trainer's."""
    del model, classes


def to_onnx(model: Any, features: "np.ndarray[Any, Any]") -> bytes:
    """Never: Python code has no ONNX form."""
    del model, features
    raise adapters.NotExportable("it is a plain Python function")


def history(model: Any) -> dict[str, list[float]]:
    """None: a function is not trained."""
    del model
    return {}


def packages() -> dict[str, str]:
    """NumPy; what else the file imports is the project's to say."""
    return adapters.versions("numpy")


def _module_file(module: str, source: Path) -> Path:
    """Where in the project the file is, by the module's name where the two agree."""
    parts = module.split(".")
    while parts:
        if source.parts[-len(parts) :] == (*parts[:-1], f"{parts[-1]}.py"):
            return Path(*parts[:-1], f"{parts[-1]}.py")
        # A module imported apart has the name of its bundle in front.
        parts = parts[1:]
    return Path(source.name)
