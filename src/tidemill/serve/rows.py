"""The plain face: ``POST /predict`` with rows as JSON objects.

Loaded only in a server, never by ``import tidemill``.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.core.names import did_you_mean, listed
from tidemill.edge.errors import encode
from tidemill.models.signature import Signature
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

_SHOWN = 200
"""Of a name that a client chose."""


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[dict[str, Any]]
    id: str | msgspec.UnsetType | None = msgspec.UNSET


_rows = msgspec.json.Decoder(_Rows)


class Rows:
    """Rows for one model."""

    def __init__(self, signature: Signature, classes: Sequence[str] | None) -> None:
        self._inputs = signature.inputs
        self._identity = signature.identity
        self._names = frozenset(t.name for t in signature.inputs)
        self._all_names = frozenset(t.name for t in signature.logged)
        self._lists = lists_of_a_row(signature.logged)
        self._classes = None if classes is None else tuple(classes)

    def read(self, body: bytes, max_rows: int) -> Asked:
        """The columns that a body's rows make.

        Raises:
            InvalidInput: What is wrong with it; the details name ``field`` and ``row`` where there is one.
        """
        # Twice as many: a request with some rows too many is told how many it has.
        check_brackets(body, 2 * max_rows, self._lists, 1, 1 + 2 * max_rows)
        request = decode(_rows, body)
        rows = request.rows
        check_names(body, 1 + (request.id is not msgspec.UNSET) + sum(map(len, rows)))
        if not rows:
            raise InvalidInput(
                "There are no rows to predict.",
                hint='Send {"rows": [{...}]} with at least one.',
                code=codes.NO_ROWS,
                details={"field": "rows"},
            )
        if len(rows) > max_rows:
            raise InvalidInput(
                f"The request has {counted(len(rows), 'row')}; the server takes {max_rows} at once.",
                hint="Send them in several requests.",
                code=codes.TOO_MANY_ROWS,
                details={"field": "rows", "rows": len(rows), "most": max_rows},
            )
        for at, row in enumerate(rows):
            if row.keys() != self._names and not self._names <= row.keys() <= self._all_names:
                raise self._wrong_names(at, row)
        odd = may_have_booleans(body)
        columns = {
            t.name: tensors.from_rows(t.name, [row[t.name] for row in rows], t, booleans=odd)
            for t in self._inputs
        }
        for t in self._identity:
            columns[t.name] = tensors.from_rows(t.name, [row.get(t.name) for row in rows], t, booleans=odd)
        return Asked(columns, len(rows), request_id(request.id or None))

    def write(self, answer: Answer) -> bytes:
        """The response's body: one object a row, with its prediction id."""
        named = {name: values.tolist() for name, values in answer.outputs.items()}
        if self._classes is not None and "probabilities" in named:
            named["probabilities"] = [
                dict(zip(self._classes, row, strict=False)) for row in named["probabilities"]
            ]
        predictions = [
            {"prediction": name, **dict(zip(named, cells, strict=True))}
            for name, *cells in zip(answer.ids, *named.values(), strict=True)
        ]
        return encode(
            {
                "id": answer.id,
                "release": answer.release,
                "number": answer.number,
                "predictions": predictions,
            }
        )

    def _wrong_names(self, at: int, row: dict[str, Any]) -> InvalidInput:
        for name in row:
            if name not in self._all_names:
                return InvalidInput(
                    f"Row {at} has '{name[:_SHOWN]}', which the model does not take.",
                    hint=did_you_mean(
                        name, self._all_names, f"It takes: {listed(t.name for t in self._inputs)}."
                    ),
                    code=codes.UNKNOWN_COLUMN,
                    details={"field": name[:_SHOWN], "row": at},
                )
        lacking = next(t.name for t in self._inputs if t.name not in row)
        return InvalidInput(
            f"Row {at} lacks '{lacking}'.",
            hint="Send every column; null where the value is missing.",
            code=codes.MISSING_COLUMN,
            details={"field": lacking, "row": at},
        )
