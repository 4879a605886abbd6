"""Whether what one step returns can be what another takes: said before anything runs, where both are annotated.

Only what surely goes wrong is refused: a number where a table is wanted, a table where a number is. What is not
annotated, or annotated as one of several, is left to the run.
"""

import typing
from collections.abc import Callable, Mapping
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.annotations import TABLE_FORMS, form_of, is_optional, results_of, shown
from tidemill.pipeline.graph import Input, Node, choice
from tidemill.pipeline.handles import Port
from tidemill.pipeline.parameters import EMPTY, Parameter

_BY_FORM = {"numpy": "array", "model": "model", "native-model": "model", "report": "report", "path": "file"}
_PLAIN: dict[Any, str] = {
    int: "number",
    float: "number",
    bool: "number",
    str: "text",
    list: "list",
    tuple: "list",
    dict: "dict",
    Mapping: "dict",
}


def refuse_wrong(step: str, parameter: Parameter, source: Input, node_of: Callable[[Port], Node]) -> None:
    """Raise where ``source`` surely is not what a parameter wants.

    Raises:
        InvalidInput: ``wrong-input-kind``.
    """
    wanted = _kind(parameter.annotation)
    if wanted is None or wanted == "array":
        return
    if not isinstance(source, Port):
        given, says = ("dict", "a dict") if isinstance(source, dict) else ("list", "a list")
    else:
        given, says = _given(source, node_of)
        if given is None:
            return
    # A library's function often takes an array as the list that it is.
    if given == wanted or (given == "array" and wanted == "list"):
        return
    whose = f"step '{source}' returns {says}" if isinstance(source, Port) else f"it gets {says} of results"
    raise InvalidInput(
        f"Step '{step}' wants {shown(parameter.annotation)} as '{parameter.name}', but {whose}.",
        hint="Pass the result of another step, or correct the annotation that is wrong.",
        code=codes.WRONG_INPUT_KIND,
        details={"step": step, "parameter": parameter.name},
    )


def _given(port: Port, node_of: Callable[[Port], Node]) -> tuple[str | None, str]:
    """The kind of what a port gives, and its annotation for a person; None where it is not sure."""
    node = node_of(port)
    if node.role in ("dataset", "rows", "apply"):
        return "table", "rows"
    if node.role == "model" or node.kind == "trainer":
        return "model", "a model"
    if node.role == "join":
        return "list", "a list"
    if node.role == "choice":
        sides = [_given(choice(node, taken=taken), node_of) for taken in (True, False)]
        return sides[0] if sides[0][0] == sides[1][0] else (None, "")
    if node.kind != "step" or node.component is None:
        return None, ""
    annotation = node.component.result
    if len(node.outputs) > 1:
        several = results_of(annotation)
        if several is None or len(several) != len(node.outputs):
            return None, ""
        annotation = several[node.outputs.index(port.output)]
    return (None, "") if is_optional(annotation) else (_kind(annotation), shown(annotation))


def _kind(annotation: Any) -> str | None:
    if annotation is EMPTY or annotation is Any:
        return None
    form = form_of(annotation)
    if form in TABLE_FORMS:
        return "table"
    if form in _BY_FORM:
        return _BY_FORM[form]
    plain = typing.get_origin(annotation) or annotation
    return _PLAIN.get(plain) if form == "value" and isinstance(plain, type) else None
