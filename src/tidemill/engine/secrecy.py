"""What keeps the secrets of a step out of everything that is stored: its log, its errors, its results."""

import json
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.events import Progress
from tidemill.core.names import Digest
from tidemill.engine.orders import Order, Outcome, Saved
from tidemill.pipeline.graph import Node
from tidemill.pipeline.secret import Secret, replaced, secrets_in
from tidemill.store.address import open_objects
from tidemill.store.blobs import Blobs, Place

_MASK = "***"
_SHORTEST_LINE = 8
"""Characters. Of a secret of several lines (a key in PEM) each line that is not shorter is masked by itself."""
_SHORTEST_PIECE = 4
_ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")
"""As text lies in files, in arrays of NumPy, and in formats of other makers."""


@dataclass(frozen=True, slots=True)
class Secrecy:
    """The secrets of one order, by reference and text."""

    texts: tuple[tuple[Secret, str], ...] = ()

    @classmethod
    def of(cls, order: Order, environ: Mapping[str, str] | None = None) -> "Secrecy":
        """The secrets that an order refers to.

        Args:
            order: Whose settings have the references.
            environ: Where variables are looked up; None: this process's own.

        Raises:
            InvalidInput: ``no-secret``, naming the step and the parameter.
        """
        found = secrets_in(order.settings)
        if not found:
            return NOTHING
        texts: list[tuple[Secret, str]] = []
        for secret in found:
            try:
                texts.append((secret, secret.text() if environ is None else secret.text(environ)))
            except InvalidInput as error:
                raise _named(error, order.step, _parameter(order.settings, secret), secret) from None
        return cls(tuple(texts))

    def __bool__(self) -> bool:
        return bool(self.texts)

    def given(self, order: Order) -> Order:
        """The order with the texts in place of the references: for the step's function, and for nobody else."""
        if not self:
            return order
        known = dict(self.texts)
        return replace(order, settings=replaced(order.settings, lambda secret: known[secret]))

    def mask(self, text: str) -> str:
        """``text`` without any of the secrets."""
        for form in self._forms():
            text = text.replace(form, _MASK)
        return text

    def mask_progress(self, progress: Progress) -> Progress:
        """How far a step is, told without any of the secrets."""
        return replace(progress, label=self.mask(progress.label), unit=self.mask(progress.unit))

    def mask_output(self, printed: bytes, is_cut: bool) -> bytes:  # noqa: FBT001 - passed on as a function
        """What was printed, without any of the secrets; ``is_cut`` is whether one may be parted by its ends."""
        forms = [form.encode("utf-8", "surrogatepass") for form in self._forms()]
        if is_cut:
            for form in forms:
                printed = _without_pieces(printed, form)
        for form in forms:
            printed = printed.replace(form, _MASK.encode())
        return printed

    def mask_all(self, value: Any) -> Any:
        """A JSON value without any of the secrets, in keys too."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, (list, tuple)):
            return [self.mask_all(v) for v in cast("list[Any]", value)]
        if isinstance(value, dict):
            pairs = cast("dict[Any, Any]", value).items()
            return {self.mask_all(k): self.mask_all(v) for k, v in pairs}
        return value

    def blobs(self, place: Place, step: str) -> Blobs:
        """The blobs at a place, which take nothing that has one of the secrets in it."""
        if not self:
            return Blobs.at(place)
        return _Guarded(place, lambda has: self._refuse(step, has))

    def check(self, outcome: Outcome, step: str) -> None:
        """Refuse results that are in the record itself.

        Raises:
            Failed: ``secret-in-result``.
        """
        for saved in outcome.saved.values() if self else ():
            text = _texts_of(saved)
            self._refuse(step, lambda form, text=text: form in text)

    def _refuse(self, step: str, has: "Callable[[str], bool]") -> None:
        for secret, text in self.texts:
            if any(map(has, _spellings(text))):
                raise Failed(
                    f"Step '{step}' returned a result with the text of the secret {secret} in it.",
                    why="Results are stored, shown and shared; nothing of this one was kept.",
                    hint="Return what the secret gave access to, without the secret.",
                    code=codes.SECRET_IN_RESULT,
                    details={"step": step, "secret": str(secret)},
                )

    def _forms(self) -> list[str]:
        """All that is masked, the longest first: a shorter one may be a part of it."""
        found: set[str] = set()
        for _, text in self.texts:
            found.update(_spellings(text))
            found.update(line for line in text.splitlines() if len(line) >= _SHORTEST_LINE)
        return sorted(found, key=lambda form: (-len(form), form))


NOTHING = Secrecy()


class _Guarded(Blobs):
    """Blobs that are looked through before they are stored."""

    def __init__(self, place: Place, refuse: "Callable[[Callable[[str], bool]], None]") -> None:
        # Not by ``at``, which gives one store's to order after order.
        super().__init__(open_objects(place.address, place.options), Path(place.local))
        self._refuse = refuse

    def put(self, data: bytes | memoryview) -> Digest:
        content = bytes(data)
        self._refuse(lambda form: any(form.encode(e, "surrogatepass") in content for e in _ENCODINGS))
        return super().put(data)

    def put_file(self, path: Path) -> Digest:
        self._look_through(path)
        return super().put_file(path)

    def adopt_file(self, path: Path, digest: Digest) -> None:
        self._look_through(path)
        super().adopt_file(path, digest)

    def _look_through(self, path: Path) -> None:
        if not path.stat().st_size:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self._refuse(
                lambda form: any(content.find(form.encode(e, "surrogatepass")) >= 0 for e in _ENCODINGS)
            )


def missing(node: Node) -> InvalidInput | None:
    """Why a step's secrets cannot be had here, before it is given to anybody; None where they can."""
    for secret in secrets_in(node.settings):
        try:
            secret.text()
        except InvalidInput as error:
            return _named(error, node.name, _parameter(node.settings, secret), secret)
    return None


def _parameter(settings: Mapping[str, Any], secret: Secret) -> str:
    return next(name for name, value in settings.items() if secret in secrets_in(value))


def _named(error: InvalidInput, step: str, parameter: str, secret: Secret) -> InvalidInput:
    what = error.message.removeprefix("There is no secret: ")
    hint = (
        f"Type 'export {secret.name}=...' where the step is carried out, before it is."
        if secret.source == "env"
        else "Put the secret into that file, where the step is carried out."
    )
    return InvalidInput(
        f"Step '{step}' takes the secret {secret} as '{parameter}': {what}",
        hint=hint,
        code=codes.NO_SECRET,
        details={"step": step, "parameter": parameter, "secret": str(secret)},
    )


def _spellings(text: str) -> set[str]:
    """A text, and how it stands in JSON, in Python's literals and in addresses."""
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        quote(text, safe=""),
    }


def _texts_of(saved: Saved) -> str:
    return json.dumps(saved.meta, ensure_ascii=False, default=str)


def _without_pieces(printed: bytes, form: bytes) -> bytes:
    """``printed`` without the end of a secret at its beginning, and without the beginning of one at its end."""
    for size in range(len(form) - 1, _SHORTEST_PIECE - 1, -1):
        if printed.startswith(form[-size:]):
            printed = _MASK.encode() + printed[size:]
            break
    for size in range(len(form) - 1, _SHORTEST_PIECE - 1, -1):
        if printed.endswith(form[:size]):
            return printed[:-size] + _MASK.encode()
    return printed
