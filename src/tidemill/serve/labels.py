"""The labels of ``POST /feedback``: each is taken or refused for itself.

Loaded only in a server, never by ``import tidemill``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound, TidemillError
from tidemill.core.figures import counted
from tidemill.core.names import did_you_mean, listed, nearest
from tidemill.models.signature import Signature, Tensor
from tidemill.serve.bodies import check_names, decode
from tidemill.serve.options import Keep

_LARGEST = 2**63 - 1
_FIELDS = ("prediction", "label", "new_class")
_SHOWN = 20

Label = str | float | int


class _Feedback(msgspec.Struct, forbid_unknown_fields=True):
    feedback: list[Any]


_decoder = msgspec.json.Decoder(_Feedback)


@dataclass(frozen=True, slots=True)
class Item:
    """A label that may be recorded; ``row`` is its place in the request."""

    row: int
    prediction: str
    label: Label


class Labels:
    """What labels one model may be given.

    Args:
        signature: Of the model.
        classes: Its classes; None for a regressor.
    """

    def __init__(self, signature: Signature, classes: Sequence[str] | None) -> None:
        # A label that is made from another column comes back as a value of that column, not as a class.
        self._target = signature.target
        self._classes = tuple(classes) if classes is not None and self._target is None else None

        self.note = (
            f"The data that this model was made of have no column for '{signature.unfilled}', which its steps make: "
            f"these labels are kept, and become rows of a dataset with a column '{signature.unfilled}' only."
            if signature.unfilled
            else ""
        )

    def read(self, body: bytes, most: int) -> tuple[list[Item], dict[int, TidemillError]]:
        """The items that may be recorded, and why each of the others is not, by its place.

        Raises:
            InvalidInput: ``not-json``, ``wrong-field``, ``no-rows`` or ``too-many-rows``: nothing of the body is taken.
        """
        given = decode(_decoder, body).feedback
        check_names(body)
        if not given or len(given) > most:
            raise InvalidInput(
                f"The request has {counted(len(given), 'label')}; the server takes 1 to {most}.",
                hint='Send {"feedback": [{"prediction": "...", "label": "..."}]}.',
                code=codes.NO_ROWS if not given else codes.TOO_MANY_ROWS,
                details={"field": "feedback"},
            )
        taken: list[Item] = []
        refused: dict[int, TidemillError] = {}
        for row, one in enumerate(given):
            try:
                taken.append(self._item(row, one))
            except InvalidInput as error:
                refused[row] = error
        return taken, refused

    def _item(self, row: int, given: Any) -> Item:
        if not isinstance(given, dict):
            raise _wrong(row, "feedback", "it is no object")
        for name in given:
            if name not in _FIELDS:
                close = nearest(str(name), _FIELDS)
                raise _wrong(row, str(name), f"there is no such field{f', but {close}' if close else ''}")
        for name in ("prediction", "label"):
            if name not in given:
                raise _wrong(row, name, "it is missing")
        prediction, label, new = given["prediction"], given["label"], given.get("new_class", False)
        if not isinstance(prediction, str):
            raise _wrong(row, "prediction", "it is no text")
        if not isinstance(new, bool):
            raise _wrong(row, "new_class", "it is neither true nor false")
        if not isinstance(label, (str, int, float)):
            raise _wrong(row, "label", "it is neither text nor a number")
        return Item(row, prediction, self._label(row, label, new=new))

    def _label(self, row: int, label: Label, *, new: bool) -> Label:
        if self._classes is not None:
            return self._class(row, self._classes, label, new=new)
        if self._target is not None and self._target.datatype in ("BYTES", "BOOL"):
            return str(label)
        return _number(row, label, self._target)

    def _class(self, row: int, classes: Sequence[str], label: Label, *, new: bool) -> str:
        whole = isinstance(label, float) and label.is_integer()
        text = str(int(label)) if whole and str(label) not in classes else str(label)
        if text in classes:
            return text
        if new and text.strip():
            return text
        raise InvalidInput(
            f"'{text[:80]}', the label of item {row}, is no class of the model.",
            why=f"Its classes are: {listed(classes, _SHOWN)}.",
            hint=f"{did_you_mean(text, classes, '')} If it is a class that the model shall learn, "
            'send "new_class": true with the item (tidemill feedback: --new-class).'.lstrip(),
            code=codes.UNKNOWN_CLASS,
            details={"field": "label", "row": row, "classes": list(classes[:_SHOWN])},
        )


def unknown(item: Item, keep: Keep) -> NotFound:
    """The refusal of an item whose prediction is not in the log, which keeps what ``keep`` says."""
    no_more = "" if keep == Keep() else ", or has it no more: those without feedback leave it in time"
    return NotFound(
        f"There is no prediction '{item.prediction[:200]}' in this environment.",
        why=f"Its log has no such answer{no_more}.",
        hint="Send the 'prediction' that the answer had.",
        code=codes.PREDICTION_NOT_FOUND,
        details={"field": "prediction", "row": item.row},
    )


def _number(row: int, label: Label, target: Tensor | None) -> Label:
    if isinstance(label, int) and not isinstance(label, bool) and not -_LARGEST - 1 <= label <= _LARGEST:
        raise InvalidInput(
            f"The label of item {row} is a whole number of more than 64 bits.",
            hint="Send it as text." if target is None else "Send a smaller one.",
            code=codes.OUT_OF_RANGE,
            details={"field": "label", "row": row},
        )
    try:
        finite = math.isfinite(float(label)) and not isinstance(label, bool)
        # Python's float() takes underscores, which no one means in a number that is sent.
        finite = finite and not (isinstance(label, str) and ("_" in label or not label.isascii()))
    except ValueError:
        finite = False
    if not finite:
        column = (
            f", the column '{target.name}' that feedback fills, holds numbers"
            if target
            else " answers numbers"
        )
        raise InvalidInput(
            f"'{str(label)[:80]}', the label of item {row}, is no finite number.",
            why=f"The model{column}.",
            hint="Send the number that it should have been.",
            code=codes.LABEL_NOT_A_NUMBER,
            details={"field": "label", "row": row},
        )
    return label


def _wrong(row: int, name: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"The field 'feedback[{row}].{name}' is not as it must be: {why}.",
        hint='An item is {"prediction": "...", "label": "..."}, with "new_class": true for a class that is new.',
        code=codes.WRONG_FIELD,
        details={"field": f"feedback[{row}].{name}", "row": row},
    )
