"""A secret by reference: which variable or file holds it. Its text is nowhere but where the step is carried out."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

_SPELLING = "$secret"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)
_SHORTEST = 4
"""Characters. What is shorter stands in too many texts by chance to be kept out of them."""
_LONGEST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """Says where a secret is; two are equal where they say the same. Made by ``tm.secret``.

    Attributes:
        source: ``env``, a variable of the environment, or ``file``.
        name: Of the variable; or the file's path.
    """

    source: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"

    def __repr__(self) -> str:
        return f"tm.secret({self.name!r})" if self.source == "env" else f"tm.secret(file={self.name!r})"

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """The secret that ``env:NAME`` or ``file:PATH`` refers to.

        Raises:
            ValueError: It is no such reference.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None or (found[1] == "env" and not _VARIABLE.fullmatch(found[2])):
            raise ValueError("it is no reference to a secret")
        return cls(cast("Literal['env', 'file']", found[1]), found[2])

    def from_anywhere(self) -> "Secret":
        """The same, whatever the working directory is; ``~`` is the home of whoever reads it."""
        path = Path(self.name)
        if self.source == "env" or path.parts[:1] == ("~",):
            return self
        return Secret("file", str(path.absolute()))

    def text(self, environ: Mapping[str, str] = os.environ) -> str:
        """The secret itself; of a file, without the line's end at its end.

        Raises:
            InvalidInput: ``no-secret``.
        """
        if self.source == "env":
            found = environ.get(self.name)
            if found is None:
                raise _missing(f"the variable {self.name} is not set")
        else:
            found = self._of_file()
        if len(found) < _SHORTEST:
            raise _missing(
                f"{self} is empty" if not found else f"{self} has fewer than {_SHORTEST} characters"
            )
        return found

    def _of_file(self) -> str:
        try:
            with Path(self.name).expanduser().open("rb") as file:
                data = file.read(_LONGEST_BYTES + 1)
            if len(data) > _LONGEST_BYTES:
                raise _missing(f"{self.name} has more than {_LONGEST_BYTES} bytes")
            return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise _missing(f"{self.name} cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, RuntimeError):
            raise _missing(f"{self.name} holds no text in UTF-8") from None


@overload
def secret(variable: str, /) -> Any: ...
@overload
def secret(*, file: str | Path) -> Any: ...
def secret(variable: str | None = None, /, *, file: str | Path | None = None) -> Any:
    """A secret, as a setting of a step: ``fetch(url, token=tm.secret("HF_TOKEN"))``. The function gets its text.

    The text is read by whoever carries out the step, and stored nowhere; the step's key has the reference.

    Args:
        variable: The environment variable that holds it.
        file: The file that holds it, instead of a variable.

    Returns:
        A ``Secret``, that type checkers take for the text which the function gets.

    Raises:
        InvalidInput: ``wrong-definition``.
    """
    if (variable is None) == (file is None):
        raise InvalidInput(
            "tm.secret takes the name of a variable, or file=.",
            hint='Type tm.secret("HF_TOKEN") or tm.secret(file="/run/secrets/token").',
            code=codes.WRONG_DEFINITION,
        )
    if file is not None:
        return Secret("file", str(file))
    if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
        # What was given may be the secret itself: it is not repeated.
        raise InvalidInput(
            "tm.secret takes the name of an environment variable: letters, digits and _.",
            why="It takes the name, never the secret itself.",
            hint='Type tm.secret("HF_TOKEN"), and set HF_TOKEN where the step is carried out.',
            code=codes.WRONG_DEFINITION,
        )
    return Secret("env", variable)


def spelled(value: Any) -> Any:
    """``value`` with each secret in it as JSON spells it: ``{"$secret": "env:NAME"}``."""
    return replaced(value, lambda secret: {_SPELLING: str(secret)})


def read_spelling(value: object) -> Secret | None:
    """The secret that ``spelled`` wrote; None where it is something else.

    Raises:
        ValueError: It looks like one, and refers to nothing.
    """
    if not isinstance(value, Mapping) or _SPELLING not in value:
        return None
    members = cast("Mapping[object, object]", value)
    reference = members[_SPELLING]
    if len(members) != 1 or not isinstance(reference, str):
        raise ValueError("it is no reference to a secret")
    return Secret.parse(reference)


def replaced(value: Any, by: Callable[[Secret], Any]) -> Any:
    """``value`` with what ``by`` gives for each secret in its lists and dicts."""
    if isinstance(value, Secret):
        return by(value)
    if isinstance(value, list):
        return [replaced(v, by) for v in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {k: replaced(v, by) for k, v in cast("dict[Any, Any]", value).items()}
    return value


def secrets_in(value: Any) -> list[Secret]:
    """Each secret in a value's lists and dicts, once."""
    found: dict[Secret, None] = {}
    replaced(value, found.setdefault)
    return list(found)


def _missing(what: str) -> InvalidInput:
    return InvalidInput(
        f"There is no secret: {what}.",
        hint="Set the variable, or write the file, that the secret is read from.",
        code=codes.NO_SECRET,
    )
