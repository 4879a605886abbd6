"""The Open Inference Protocol v2: requests to columns, answers to bodies. JSON, and the binary tensor extension.

Loaded only in a server, never by ``import tidemill``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.core.names import did_you_mean
from tidemill.edge.errors import encode
from tidemill.models.signature import DATATYPES, Signature, Tensor
from tidemill.serve import tensors
from tidemill.serve.bodies import (
    Answer,
    Asked,
    check_brackets,
    check_names,
    decode,
    lists_of_a_row,
    may_have_booleans,
    request_id,
)

_AROUND = 10_000
"""Lists and objects that a request may have around its values."""
_SHOWN = 200
"""Of a name that a client chose."""
HEADER = b"inference-header-content-length"


_Parameters = dict[str, Any] | msgspec.UnsetType | None


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _Parameters = msgspec.UNSET
    data: list[Any] | msgspec.UnsetType | None = msgspec.UNSET


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = msgspec.UNSET


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    parameters: _Parameters = msgspec.UNSET
    outputs: list[_Output] | msgspec.UnsetType | None = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Request)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which outputs the client wants, and whether as raw bytes."""

    outputs: tuple[tuple[Tensor, bool], ...]


class Inference:
    """The protocol for one model."""

    def __init__(self, signature: Signature, name: str, number: int, release: str) -> None:
        self._inputs = {t.name: t for t in signature.logged}
        self._identity = signature.identity
        self._lists = lists_of_a_row(signature.logged)
        self._outputs = {t.name: t for t in signature.outputs}
        self._name, self._number, self._release = name, number, release
        self._all = Wanted(tuple((t, False) for t in signature.outputs))
        self._all_binary = Wanted(tuple((t, True) for t in signature.outputs))

    def read(self, body: bytes, header: bytes | None, max_rows: int) -> tuple[Asked, Wanted]:
        """The columns that a body holds.

        Args:
            body: All of it.
            header: The value of ``Inference-Header-Content-Length``: how much of the body is JSON.
            max_rows: More is refused.

        Raises:
            InvalidInput: What is wrong with it; the details name ``field`` and ``row`` where there is one.
        """
        tail = memoryview(b"")
        if header is not None:
            length = _header_length(header, len(body))
            body, tail = body[:length], memoryview(body)[length:]
        check_brackets(body, 2 * max_rows, self._lists, _AROUND, _AROUND)
        request = decode(_decoder, body)
        check_names(body, _names(request))
        columns: dict[str, Any] = {}
        rows = -1
        for given in request.inputs:
            shape = self._shape(given, columns)
            if rows < 0:
                rows = _row_count(given.name, shape[0], max_rows)
            elif shape[0] != rows:
                raise InvalidInput(
                    f"'{given.name}' has {shape[0]} rows, '{request.inputs[0].name}' has {rows}.",
                    hint="Send every input with the same number of rows.",
                    code=codes.WRONG_SHAPE,
                    details={"field": given.name},
                )
            size = _known(given.parameters).get("binary_data_size")
            if size is None:
                if not isinstance(given.data, list):
                    raise _no_data(given.name)
                columns[given.name] = tensors.from_json(
                    given.name, given.data, given.datatype, shape, booleans=may_have_booleans(body)
                )
                continue
            if not isinstance(size, int) or not 0 <= size <= len(tail):
                raise _no_tail(given.name, size, len(tail), framed=header is not None)
            columns[given.name] = tensors.from_bytes(given.name, tail[:size], given.datatype, shape)
            tail = tail[size:]
        if rows < 0:
            raise InvalidInput(
                "The request has no inputs.",
                hint=f"The model takes: {', '.join(self._inputs)}.",
                code=codes.MISSING_COLUMN,
                details={"field": next(iter(self._inputs))},
            )
        if len(tail):
            raise InvalidInput(
                f"{counted(len(tail), 'byte of binary data belongs', 'bytes of binary data belong')} to no input.",
                hint="Let the sum of all 'binary_data_size' be what follows the JSON.",
                code=codes.WRONG_SIZE,
                details={"field": "inputs"},
            )
        for t in self._identity:
            if t.name not in columns:
                columns[t.name] = tensors.from_rows(t.name, [None] * rows, t)
        return Asked(columns, rows, request_id(request.id or None)), self._wanted(request)

    def write(self, answer: Answer, wanted: Wanted) -> tuple[bytes, int | None]:
        """The response's body, and how long its JSON part is where bytes follow it."""
        outputs: list[dict[str, Any]] = []
        tail: list[bytes] = []
        for tensor, binary in wanted.outputs:
            values = answer.outputs[tensor.name]
            entry: dict[str, Any] = {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(values.shape),
            }
            if binary:
                raw = tensors.to_bytes(values, tensor.datatype)
                entry["parameters"] = {"binary_data_size": len(raw)}
                tail.append(raw)
            else:
                entry["data"] = values.ravel().tolist()
            outputs.append(entry)
        text = encode(
            {
                "model_name": self._name,
                "model_version": str(answer.number),
                "id": answer.id,
                "parameters": {"release": answer.release, "predictions": ",".join(answer.ids)},
                "outputs": outputs,
            }
        )
        return (b"".join([text, *tail]), len(text)) if tail else (text, None)

    def _shape(self, given: _Input, columns: Mapping[str, Any]) -> tuple[int, ...]:
        name, shape = given.name, given.shape
        if name not in self._inputs:
            raise InvalidInput(
                f"The model has no input '{name[:_SHOWN]}'.",
                hint=did_you_mean(name, self._inputs),
                code=codes.UNKNOWN_COLUMN,
                details={"field": name[:_SHOWN]},
            )
        if name in columns:
            raise InvalidInput(
                f"The input '{name}' is there twice.",
                hint="Give each input once.",
                code=codes.DUPLICATED_INPUT,
                details={"field": name},
            )
        if given.datatype not in DATATYPES:
            raise InvalidInput(
                f"'{name}' has the datatype '{given.datatype[:_SHOWN]}', which the protocol does not know.",
                hint=did_you_mean(given.datatype, DATATYPES),
                code=codes.WRONG_DTYPE,
                details={
                    "field": name,
                    "dtype": given.datatype[:_SHOWN],
                    "wanted": self._inputs[name].datatype,
                },
            )
        tensor = self._inputs[name]
        if given.datatype != tensor.datatype and tensor in self._identity:
            # What a step reads may be narrower; what names a row is its key, and stays what it is.
            raise InvalidInput(
                f"'{name}' has the datatype '{given.datatype}', and names rows as {tensor.datatype}.",
                hint=f"Send it as {tensor.datatype}.",
                code=codes.WRONG_DTYPE,
                details={"field": name, "dtype": given.datatype, "wanted": tensor.datatype},
            )
        # Before anything of that size is made.
        fits = len(shape) == len(tensor.shape) and all(
            n >= 0 and n == w for n, w in zip(shape[1:], tensor.cell, strict=True) if w >= 0
        )
        if not fits or shape[0] < 0 or math.prod(shape) < 0:
            raise InvalidInput(
                f"'{name}' has shape {shape}, not {_in_words(tensor.shape)}.",
                why="The first number counts the rows.",
                hint="Send the values flat, in row-major order, with that shape.",
                code=codes.WRONG_SHAPE,
                details={"field": name, "shape": shape, "wanted": list(tensor.shape)},
            )
        return tuple(shape)

    def _wanted(self, request: _Request) -> Wanted:
        binary = bool(_known(request.parameters).get("binary_data_output", False))
        if not isinstance(request.outputs, list):
            return self._all_binary if binary else self._all
        chosen: list[tuple[Tensor, bool]] = []
        for output in request.outputs:
            if output.name not in self._outputs:
                raise InvalidInput(
                    f"The model has no output '{output.name[:_SHOWN]}'.",
                    hint=did_you_mean(output.name, self._outputs),
                    code=codes.UNKNOWN_OUTPUT,
                    details={"field": output.name[:_SHOWN]},
                )
            chosen.append(
                (self._outputs[output.name], bool(_known(output.parameters).get("binary_data", binary)))
            )
        return Wanted(tuple(chosen))


def _known(parameters: _Parameters) -> dict[str, Any]:
    return parameters if isinstance(parameters, dict) else {}


def _names(request: _Request) -> int:
    """How many names a request's objects have, if none is there twice and the protocol knows them all."""
    members: list[_Input | _Output] = [*request.inputs]
    if isinstance(request.outputs, list):
        members += request.outputs
    found = sum(field is not msgspec.UNSET for field in (request.id, request.parameters, request.outputs))
    found += 1 + len(_known(request.parameters))
    for member in members:
        found += 1 + (member.parameters is not msgspec.UNSET) + len(_known(member.parameters))
        if isinstance(member, _Input):
            found += 2 + (member.data is not msgspec.UNSET)
    return found


def _header_length(header: bytes, size: int) -> int:
    if not header.isdigit() or int(header) > size:
        raise InvalidInput(
            f"The header Inference-Header-Content-Length is {header.decode('latin-1')!r}, the body {size} bytes.",
            hint="Send the length of the JSON part in it.",
            code=codes.WRONG_SIZE,
            details={"field": "Inference-Header-Content-Length"},
        )
    return int(header)


def _row_count(name: str, rows: int, most: int) -> int:
    if not rows:
        raise InvalidInput(
            "There are no rows to predict.",
            hint="Send at least one.",
            code=codes.NO_ROWS,
            details={"field": name, "rows": 0},
        )
    if rows > most:
        raise InvalidInput(
            f"The request has {rows} rows; the server takes {most} at once.",
            hint="Send them in several requests.",
            code=codes.TOO_MANY_ROWS,
            details={"field": name, "rows": rows, "most": most},
        )
    return rows


def _no_data(name: str) -> InvalidInput:
    return InvalidInput(
        f"The input '{name}' has no data.",
        hint="Send 'data', or the parameter 'binary_data_size' and the bytes after the JSON.",
        code=codes.NO_DATA,
        details={"field": name},
    )


def _no_tail(name: str, size: Any, left: int, *, framed: bool) -> InvalidInput:
    return InvalidInput(
        f"The input '{name}' has the binary_data_size {size}, but {left} bytes follow.",
        why=None if framed else "Without Inference-Header-Content-Length the whole body is JSON.",
        hint="Send the header, and the bytes after the JSON in the order of the inputs.",
        code=codes.WRONG_SIZE,
        details={"field": name},
    )


def metadata(signature: Signature, name: str, number: int, form: str) -> Mapping[str, Any]:
    """What ``GET /v2/models/{name}`` answers.

    Beside the protocol's own: ``identity``, columns that a request may have so that feedback finds its row, and
    ``target``, the column that feedback fills where it is not the label.
    """

    def listed(members: Sequence[Tensor]) -> list[dict[str, object]]:
        return [t.to_json() for t in members]

    more: dict[str, Any] = {"identity": listed(signature.identity)} if signature.identity else {}
    if signature.target is not None:
        more["target"] = signature.target.to_json()
    return {
        "name": name,
        "versions": [str(number)],
        "platform": f"tidemill_{form}",
        "inputs": listed(signature.inputs),
        "outputs": listed(signature.outputs),
        **more,
    }


def _in_words(shape: Sequence[int]) -> str:
    """A shape whose open lengths, which metadata writes as -1, are words: ``[rows, 28, 28]``."""
    cell = [str(n) if n >= 0 else "any" for n in shape[1:]]
    return f"[{', '.join(['rows', *cell])}]"
