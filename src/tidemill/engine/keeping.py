"""Models that cannot be kept: refused before they are trained where their type tells it, else kept aside.

What is kept aside is a pickle, for the person who trained it: Tidemill itself never reads one.
"""

import copyreg
import importlib
import inspect
import io
import os
import pickle
import types
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.kinds import full_type_name
from tidemill.pipeline.component import Component
from tidemill.pipeline.graph import Node
from tidemill.pipeline.parameters import EMPTY

FOLDER = "aside"
"""Beside the blobs of a store in a folder, or in the folder of this machine's copies of a remote one."""

_BY_NAME = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
"""What a pickle holds by its name, not by its content."""


class NotKept(Exception):
    """What was trained could not be stored; its cause is the error that says why."""

    def __init__(self, trained: object) -> None:
        super().__init__("what was trained could not be stored")
        self._trained = trained

    @property
    def reason(self) -> TidemillError:
        """Why it could not be stored."""
        assert isinstance(self.__cause__, TidemillError)
        return self.__cause__

    def aside(self, folder: Path, step: str) -> TidemillError:
        """Set it aside below ``folder``; the reason, which then says where it is and how it is read."""
        error, done = self.reason, set_aside(folder, step, self._trained)
        if done is None:
            return error
        file, left = done
        without = f", without {', '.join(left)}" if left else ""
        error.why = " ".join(filter(None, [error.why, f"What was trained is kept aside in {file}{without}."]))
        read = f"python -c \"import pickle; model = pickle.load(open('{file}', 'rb'))\""
        error.hint = " ".join(filter(None, [error.hint, f"To have what was trained, type {read}"]))
        error.details["aside"] = str(file)
        return error


def unkeepable(nodes: Iterable[Node]) -> TidemillError | None:
    """Why the model of one of these trainers could surely not be kept; None where nothing tells so.

    The type is that of the estimator that the trainer was made of, or what its function is annotated to return.
    """
    from tidemill.models import adapters  # noqa: PLC0415 - it loads no framework

    for node in nodes:
        kind = None if node.component is None else _type(node.component)
        if kind is None:
            continue
        try:
            adapters.refuse_unkeepable(kind)
        except InvalidInput as error:
            error.details["step"] = node.name
            return error
    return None


def refuse_before_fit(component: Component[..., Any]) -> None:
    """Raise if an estimator holds a part that cannot be kept, before it is fitted.

    Raises:
        InvalidInput: ``model-not-safe``.
    """
    import tempfile  # noqa: PLC0415

    from tidemill.models import adapters  # noqa: PLC0415

    framework = adapters.owner(component.function)
    if framework == "sklearn":
        with tempfile.TemporaryDirectory() as folder:
            adapters.adapter(framework).save(component.function, Path(folder))


def set_aside(folder: Path, step: str, trained: object) -> tuple[Path, list[str]] | None:
    """Write a trained model as a pickle, for nobody else to read: mode 0600.

    Returns:
        The file, and what in it could not be written (a lock, an open file) and is a text in its place. None where
        even so nothing could be written.
    """
    file = (
        folder / FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{step.replace('/', '-')}-{os.getpid()}.pickle"
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123 - by its mode
            left = _dump(trained, out)
    except Exception:  # noqa: BLE001 - objects of others raise what they like; the training's own error is to be told
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return None
    return file, left


def _type(component: Component[..., Any]) -> type | None:
    """The type of the model that a trainer makes, where it says so."""
    if component.kind != "trainer":
        return None
    if component.is_object:
        return type(component.function)
    said: Any = component.result
    if not isinstance(said, type) or said in (Any, object, EMPTY) or said.__qualname__ == "TrainedModel":
        return None
    # A protocol or an abstract class is a promise, not the type.
    return None if getattr(said, "_is_protocol", False) or inspect.isabstract(said) else said


def _dump(trained: object, out: Any) -> list[str]:
    left: list[str] = []
    base = _pickler()

    class Pickler(base):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: Any) -> Any:
            try:
                made = (
                    super().reducer_override(obj) if hasattr(super(), "reducer_override") else NotImplemented
                )
                known = getattr(self, "dispatch_table", copyreg.dispatch_table)
                if isinstance(obj, io.IOBase):
                    raise TypeError("what a file holds is not the model's")  # noqa: TRY301 - as its own refusal
                if made is NotImplemented and type(obj) not in known and not isinstance(obj, _BY_NAME):
                    obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
                return made
            except Exception:  # noqa: BLE001 - what cannot be reduced is told by its type
                name = f"a {full_type_name(obj)}"
                left.append(name)
                return str, (f"not kept: {name}",)

    Pickler(out, pickle.HIGHEST_PROTOCOL).dump(trained)
    return sorted(set(left))


def _pickler() -> Any:
    """One that also writes lambdas and the classes of a notebook, where there is one: scikit-learn brings it."""
    for name in ("cloudpickle", "joblib.externals.cloudpickle"):
        with suppress(ImportError):
            return importlib.import_module(name).Pickler
    return pickle.Pickler
