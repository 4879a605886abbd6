"""What a step's function is given: its settings, and its inputs in the form of its annotations.

Each call gets values that no other call has, or that cannot be changed: a step that changes an input in place
changes what it alone sees, so that its result depends on nothing but the inputs.
"""

import copy
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.engine import artifacts
from tidemill.engine.orders import Order, Ref
from tidemill.pipeline.annotations import TABLE_FORMS, is_optional
from tidemill.pipeline.component import Component
from tidemill.pipeline.frames import to_form
from tidemill.pipeline.rowwise import arguments_of
from tidemill.store.blobs import Blobs
from tidemill.store.table import Table

_WANTED = {"model": "model", "native-model": "model", "report": "report", "path": "file"}


class Given:
    """The arguments of one order, for one call or for one a chunk. Each artifact is read once."""

    def __init__(self, order: Order, component: Component[..., Any], blobs: Blobs, scratch: Path) -> None:
        self._order = order
        self._component = component
        self._forms = {p.name: p.form for p in component.parameters}
        self._optional = {
            p.name for p in component.parameters if p.default is None or is_optional(p.annotation)
        }
        self._blobs = blobs
        self._scratch = scratch
        self._read: dict[str, Any] = {}

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of that name."""
        return name in self._forms

    def settings(self) -> dict[str, Any]:
        """The settings as the annotations want them."""
        return arguments_of(self._component, copy.deepcopy(self._order.settings))

    def inputs(self) -> dict[str, Any]:
        """The inputs as the annotations want them.

        Raises:
            InvalidInput: ``wrong-input-kind``.
        """
        return {n: self._value(s, n) for n, s in self._order.inputs.items()}

    def tables(self) -> "list[Table]":
        """The tables among the inputs, as they are stored."""
        return [t for t in self._read.values() if isinstance(t, Table)]

    def _value(self, source: Any, name: str) -> Any:
        if isinstance(source, tuple):
            return [self._value(s, name) for s in source]
        if isinstance(source, dict):
            return {n: self._value(s, name) for n, s in source.items()}
        assert isinstance(source, Ref)
        form: Any = self._forms.get(name, "any")
        value: Any = self._artifact(source)
        missing = value is None
        if missing and name in self._optional:
            return None
        if source.kind == "table":
            return to_form(
                value,
                form,
                step=self._order.step,
                parameter=name,
                ids=bool(self._component.options.get("ids")),
                identified=self._component.kind != "trainer",
            )
        if source.kind == "model" and form == "native-model":
            return value.native
        wanted = _WANTED.get(form)
        if form in TABLE_FORMS or (wanted and source.kind not in (wanted, "predictor")):
            kind, hint = f"a {source.kind}", "Pass the result of another step, or correct the annotation."
            if missing:
                kind, hint = "None", f"Annotate '{name}' as ... | None, if it may be missing."
            raise InvalidInput(
                f"Step '{self._order.step}' wants a {wanted or 'table'} as '{name}', but gets {kind}.",
                hint=hint,
                code=codes.WRONG_INPUT_KIND,
                details={"step": self._order.step, "parameter": name},
            )
        return value

    def _artifact(self, ref: Ref) -> Any:
        if ref.kind in ("value", "report"):
            return artifacts.load(self._blobs, ref)
        if ref.digest not in self._read:
            if ref.kind in ("file", "predictor"):
                self._scratch.mkdir(parents=True, exist_ok=True)
            self._read[ref.digest] = artifacts.load(self._blobs, ref, self._scratch)
        read = self._read[ref.digest]
        return _fresh(read) if ref.kind == "state" else read


def _fresh(value: Any) -> Any:
    """New lists and dicts of the same members: what can be changed in a state, its arrays being read-only."""
    if isinstance(value, dict):
        return {n: _fresh(v) for n, v in value.items()}
    return [_fresh(v) for v in value] if isinstance(value, list) else value
