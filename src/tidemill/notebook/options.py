"""How a pipeline is run: what is not its own parameter."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.core.kinds import type_name
from tidemill.core.names import did_you_mean


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a pipeline is run, beside its parameters: ``tm.run(train, epochs=3, options=tm.RunOptions(audit=0.1))``.

    Attributes:
        executor: Who computes the steps: ``local``, ``process``, or an installed one. Default: as the settings say.
        name: Which pipeline of a file, by its name or its function's. Default: the one that no other calls.
        commits: Dataset to the commit at which it is read, whatever the pipeline says.
        audit: The share of the cached steps that is computed again, from 0 to 1; the run fails where a result
            differs.
        sink: Gets the steps' events. Default: nobody does.

    Raises:
        InvalidInput: ``wrong-option``.
    """

    executor: str | None = None
    name: str | None = None
    commits: Mapping[str, str] | None = None
    audit: float = 0.0
    sink: Sink = silent

    def __post_init__(self) -> None:
        # What a notebook gives is not held against the annotations by anybody else.
        given: dict[str, Any] = {name: getattr(self, name) for name in NAMES}
        audit, commits = given["audit"], given["commits"]
        if isinstance(audit, bool) or not isinstance(audit, (int, float)) or not 0.0 <= audit <= 1.0:
            raise _wrong(f"'audit' is a share from 0 to 1, not {audit!r}.", "Give audit=0.1 for a tenth.")
        for name in ("executor", "name"):
            if given[name] is not None and not isinstance(given[name], str):
                raise _wrong(
                    f"'{name}' is a text, not {given[name]!r}.", f"Give {name}='...', or leave it out."
                )
        if commits is not None and not isinstance(commits, Mapping):
            raise _wrong(f"'commits' is a dict, not {commits!r}.", "Give commits={'fashion': '3'}, say.")
        if not callable(given["sink"]):
            raise _wrong(
                f"'sink' is a function, not {given['sink']!r}.", "Give sink=print to see the events."
            )


NAMES = tuple(f.name for f in dataclasses.fields(RunOptions))


def options_of(given: object, *, taken: Collection[str] = NAMES, why: str = "") -> RunOptions:
    """The options that a call gives: ``RunOptions``, a dict of them, or None.

    Args:
        given: As the call has it.
        taken: Those that mean something here.
        why: Why the others do not.

    Raises:
        InvalidInput: ``wrong-option``.
    """
    if given is None:
        return RunOptions()
    if isinstance(given, Mapping):
        named: dict[str, Any] = {str(n): v for n, v in given.items()}
        for name in named:
            if name not in NAMES:
                raise _wrong(
                    f"There is no option '{name}'.",
                    did_you_mean(name, NAMES),
                )
        given = RunOptions(**named)
    if not isinstance(given, RunOptions):
        raise _wrong(
            f"'options' is tm.RunOptions(...) or a dict of the same names, not a {type_name(given)}.",
            f"There are: {', '.join(NAMES)}.",
        )
    default = RunOptions()
    for name in NAMES:
        if name not in taken and getattr(given, name) != getattr(default, name):
            raise _wrong(f"The option '{name}' cannot be given here.", f"Leave it out: {why}.")
    return given


def parameters_of(given: object, more: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's parameters, as a call gives them: in a dict, by keyword, or both.

    Raises:
        InvalidInput: ``wrong-call``, ``parameter-given-twice``.
    """
    if given is None:
        return dict(more)
    if not isinstance(given, Mapping):
        raise InvalidInput(
            f"The parameters of a pipeline are a dict by name, not a {type_name(given)}.",
            hint="Give {'epochs': 3}, or epochs=3.",
            code=codes.WRONG_CALL,
        )
    for name in given:
        if not isinstance(name, str):
            raise InvalidInput(
                f"A parameter's name is a text, not {name!r}.",
                hint="Give {'epochs': 3}.",
                code=codes.WRONG_CALL,
            )
    twice = [name for name in given if name in more]
    if twice:
        raise InvalidInput(
            f"Parameter '{twice[0]}' is given twice: in the dict, and as a keyword.",
            hint="Take one of them out.",
            code=codes.PARAMETER_GIVEN_TWICE,
            details={"parameter": twice[0]},
        )
    return {**given, **more}


def told(error: InvalidInput) -> InvalidInput:
    """The error for a parameter that the pipeline does not have, where an option may have been meant."""
    name = error.details.get("parameter")
    if error.code != codes.UNKNOWN_PARAMETER or name not in NAMES:
        return error
    return InvalidInput(
        error.message,
        why="Every keyword but 'options' is a parameter of the pipeline.",
        hint=f"How it is run is said by options=tm.RunOptions({name}=...).",
        code=error.code,
        details=error.details,
    )


def _wrong(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, hint=hint, code=codes.WRONG_OPTION)
