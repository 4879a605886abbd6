"""What a predictor takes and gives, in the words of the Open Inference Protocol v2. Not the values themselves."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.store.spelling import type_of

if TYPE_CHECKING:
    from tidemill.store.table import Table

DATATYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
"""The protocol's datatype names, each with the NumPy dtype that holds it; ``BYTES`` is text here."""

_OF_DTYPE = {dtype: datatype for datatype, dtype in DATATYPES.items()}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output.

    Attributes:
        name: The column.
        datatype: A key of ``DATATYPES``.
        shape: Of a whole batch: -1 for the rows, then the shape of one cell.
        type: The Arrow type of dates, times and decimals, which travel as text (``store.spelling``): such as
            ``timestamp[us, tz=Europe/Berlin]``. Empty for all else.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    type: str = ""

    @property
    def cell(self) -> tuple[int, ...]:
        """The shape of one row's value; ``()`` for a plain one."""
        return self.shape[1:]

    def to_json(self) -> dict[str, object]:
        """As the protocol's model metadata spells it."""
        said: dict[str, object] = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        return {**said, "parameters": {"type": self.type}} if self.type else said

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Tensor":
        """What ``to_json`` wrote."""
        return cls(
            str(body["name"]),
            str(body["datatype"]),
            tuple(int(n) for n in body["shape"]),
            str(body.get("parameters", {}).get("type", "")),
        )


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a predictor, in order.

    Attributes:
        name: The model's name in the protocol.
        inputs: The raw columns that a row must have.
        outputs: ``label`` and ``probabilities``, or ``value``.
        identity: The columns that name a row of the dataset, where nothing reads them: they may be sent, so that
            feedback finds the row again, and need not be.
        target: The dataset's column that feedback fills, where the model's label is made from it; None: the label.
        unfilled: What the model answers, where its data have no column that feedback could fill: steps make it of several
            columns, or of whole rows. Empty where there is one.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    identity: tuple[Tensor, ...] = ()
    target: Tensor | None = None
    unfilled: str = ""

    @property
    def logged(self) -> tuple[Tensor, ...]:
        """What is kept of a request."""
        return (*self.inputs, *self.identity)

    @cached_property
    def types(self) -> dict[str, str]:
        """The Arrow type of each input that travels as text without being text."""
        return {t.name: t.type for t in self.inputs if t.type}

    def to_json(self) -> dict[str, object]:
        """As the protocol's model metadata spells it."""
        return {
            "name": self.name,
            "inputs": [t.to_json() for t in self.inputs],
            "outputs": [t.to_json() for t in self.outputs],
            # Left out where there are none, so that the logs and bundles of such models stay as they were.
            **({"identity": [t.to_json() for t in self.identity]} if self.identity else {}),
            **({"target": self.target.to_json()} if self.target else {}),
            **({"unfilled": self.unfilled} if self.unfilled else {}),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Signature":
        """What ``to_json`` wrote."""
        return cls(
            str(body["name"]),
            tuple(Tensor.from_json(t) for t in body["inputs"]),
            tuple(Tensor.from_json(t) for t in body["outputs"]),
            tuple(Tensor.from_json(t) for t in body.get("identity", ())),
            Tensor.from_json(body["target"]) if "target" in body else None,
            str(body.get("unfilled", "")),
        )


def inputs_of(table: "Table", columns: "list[str]") -> tuple[Tensor, ...]:
    """The inputs that these columns of a table of raw rows are.

    Raises:
        InvalidInput: ``no-datatype``, when the protocol has no word for a column's type (nested lists, durations).
    """
    return tuple(_input(table, c) for c in columns)


def outputs_of(classes: tuple[str, ...] | None) -> tuple[Tensor, ...]:
    """What a model with these classes (None: a regressor) answers."""
    if classes is None:
        return (Tensor("value", "FP64", (-1,)),)
    return (Tensor("label", "BYTES", (-1,)), Tensor("probabilities", "FP32", (-1, len(classes))))


def _input(table: "Table", column: str) -> Tensor:
    shape = (-1, *table.shape_of(column))
    spelled = type_of(table.to_arrow().schema.field(column).type)
    return Tensor(column, "BYTES" if spelled else _datatype(table, column), shape, spelled)


def _datatype(table: "Table", column: str) -> str:
    import pyarrow as pa  # noqa: PLC0415

    kind = table.to_arrow().schema.field(column).type
    if table.shape_of(column):
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "BYTES"
    try:
        return _OF_DTYPE[str(kind.to_pandas_dtype()().dtype)]
    except (KeyError, NotImplementedError, AttributeError, TypeError):
        raise InvalidInput(
            f"Column '{column}' has type {kind}, for which the inference protocol has no word.",
            why="A served model takes numbers, booleans, text, dates, times and decimals.",
            hint=f"Turn '{column}' into a number or text in the dataset, or leave it out of the predictor's inputs.",
            code=codes.NO_DATATYPE,
            details={"field": column},
        ) from None
