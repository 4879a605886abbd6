"""Plain Python functions as models: ``module:qualname``, and the project's files that it needs. No framework."""

import ast
import inspect
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.models import adapters, archive

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.isolation import IsolatedCode

FILE = "function.json"
CODE = "code"


class FunctionModel:
    """A function that was loaded from a model's files, with those files: it can be written again without its project.

    Args:
        reference: ``module:qualname``.
        files: The source files by their path, the one that defines it among them.
        code: Where it is imported from instead of from ``files``.
    """

    def __init__(
        self, reference: str, files: Mapping[str, bytes], code: "IsolatedCode | None" = None
    ) -> None:
        from tidemill.models.isolation import IsolatedCode  # noqa: PLC0415

        self.reference, self.files = reference, dict(files)
        if code is None:
            # It stays as long as the function does: an import in its body finds its file at the first call.
            folder = Path(tempfile.mkdtemp(prefix="tidemill-function-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            _write(folder, self.files)
            code = IsolatedCode(folder)
        found = code.component(reference)
        # A decorated function stands for the component that it became.
        self._call = getattr(found, "function", found)

    def __call__(self, features: "np.ndarray[Any, Any]") -> Any:
        """What the function answers."""
        return self._call(features)


def save(model: Any, folder: Path) -> None:
    """Write the function's name, and copies of its file and of the files beside it that it imports.

    Raises:
        InvalidInput: ``model-not-safe``, when the function is not defined at the top of a file;
            ``code-not-importable``, when that file cannot be imported from a folder of its own.
    """
    if not isinstance(model, FunctionModel):
        # Imported apart at once: a file that cannot be is told when the model is made, not when it is served.
        model = FunctionModel(*_described(model))
    _write(folder / CODE, model.files)
    archive.write_json(folder / FILE, {"component": model.reference})


def load(folder: Path, code: "IsolatedCode | None") -> FunctionModel:
    """Import the function: from the bundle's ``code`` if it has the module, else from its own copy."""
    reference = str(json.loads((folder / FILE).read_text("utf-8"))["component"])
    module = reference.partition(":")[0]
    if code is not None and not (code.folder / f"{module.replace('.', '/')}.py").is_file():
        code = None
    own = folder / CODE
    files = {p.relative_to(own).as_posix(): p.read_bytes() for p in sorted(own.rglob("*")) if p.is_file()}
    return FunctionModel(reference, files, code)


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


def takes_missing(model: Any, features: "np.ndarray[Any, Any]") -> bool:
    """Not that one could know: a comparison with NaN answers as if nothing were missing."""
    del model, features
    return False


def history(model: Any) -> dict[str, list[float]]:
    """None: a function is not trained."""
    del model
    return {}


def packages() -> dict[str, str]:
    """NumPy; what else the file imports is the project's to say."""
    return adapters.versions("numpy")


def _described(function: Any) -> tuple[str, dict[str, bytes]]:
    """Reference and files of a function of the running program."""
    source = inspect.getsourcefile(function)
    if "<" in function.__qualname__ or source is None or not Path(source).is_file():
        raise InvalidInput(
            f"The function {function.__qualname__} cannot be kept as a model.",
            why="It is not defined at the top level of a file, so it has no name to find it by.",
            hint="Define it with 'def' at the top of a file of the project.",
            code=codes.MODEL_NOT_SAFE,
        )
    file = Path(source).resolve()
    relative = _module_file(function.__module__, file)
    root = file
    for _ in relative.parts:
        root = root.parent
    module = ".".join(relative.with_suffix("").parts)
    return f"{module}:{function.__qualname__}", dict(_with_imports(root, relative))


def _module_file(module: str, source: Path) -> Path:
    """Where in the project the file is, by the module's name where the two agree."""
    parts = module.split(".")
    while parts:
        if source.parts[-len(parts) :] == (*parts[:-1], f"{parts[-1]}.py"):
            return Path(*parts[:-1], f"{parts[-1]}.py")
        # A module imported apart has the name of its bundle in front.
        parts = parts[1:]
    return Path(source.name)


def _with_imports(root: Path, first: Path) -> Iterator[tuple[str, bytes]]:
    """A file of a project, and the project's files that it imports, directly or not."""
    waiting, seen = [first], {first}
    while waiting:
        relative = waiting.pop()
        content = (root / relative).read_bytes()
        yield relative.as_posix(), content
        for name in _imported(content, relative):
            module = Path(*name.split("."))
            packages = [Path(*module.parts[:n], "__init__.py") for n in range(1, len(module.parts) + 1)]
            for file in (module.with_suffix(".py"), *packages):
                if file not in seen and (root / file).is_file():
                    seen.add(file)
                    waiting.append(file)


def _imported(content: bytes, relative: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, at its top or inside its functions."""
    package = list(relative.parent.parts)
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
            # What is named may be a module itself.
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in sorted(files.items()):
        target = folder.joinpath(*PurePosixPath(name).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
