"""Every way a command can fail, as a text or JSON and an exit status.

What only a failure needs is imported when there is one: every command pays for this file.
"""

import errno
import re
import sys
from collections.abc import Sequence

import click

from tidemill.cli import streams
from tidemill.cli.render import errors
from tidemill.core import codes
from tidemill.core.errors import (
    InternalError,
    Interrupted,
    InvalidInput,
    StorageError,
    TidemillError,
    came_from,
)
from tidemill.core.kinds import raised
from tidemill.core.names import is_text

_LONG = re.compile(r"\d{19,}")
"""Digits that may be more than 64 bits hold."""
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""
READER_GONE = 141
"""128 and the number of SIGPIPE: what a program says that a shell's ``| head`` ended."""


def typed(arguments: Sequence[str] | None) -> list[str]:
    """The words after the program's name."""
    return sys.argv[1:] if arguments is None else list(arguments)


def report(error: BaseException, words: Sequence[str]) -> int:
    """Say what went wrong, where the command line ``words`` wants it said.

    Returns:
        The exit status.
    """
    if isinstance(error, streams.ReaderGone):
        streams.abandon()
        return READER_GONE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        streams.note(error.format_message())
        return 2
    options = words[: words.index("--")] if "--" in words else words
    fault = translated(error, words)
    if "--debug" in options and not isinstance(error, click.UsageError):
        import traceback  # noqa: PLC0415

        streams.note("".join(traceback.format_exception(error)).rstrip())
    if "--json" in options:
        _say_json(fault)
    else:
        streams.note(errors.error(fault.to_json(), color=sys.stderr.isatty()))
    if fault.code == codes.OUTPUT_NOT_WRITTEN:
        streams.abandon()
    return INTERRUPTED if _from_keyboard(error) else fault.exit_status


def _from_keyboard(error: BaseException) -> bool:
    """Whether somebody pressed Ctrl-C: then the caller wants to know that, whatever error followed."""
    return any(isinstance(one, KeyboardInterrupt | click.Abort) for one in came_from(error))


def _say_json(fault: TidemillError) -> None:
    try:
        streams.write_json({"error": fault.to_json()})
    except (streams.ReaderGone, TidemillError, TypeError):
        streams.note(errors.error(fault.to_json(), color=False))


def translated(error: BaseException, words: Sequence[str]) -> TidemillError:
    """Any error as one of Tidemill's own."""
    if isinstance(error, TidemillError):
        # A store that is given what is no text says that it cannot write, as if its disk were at fault.
        return (_of_the_words(error, words) if error.code == codes.STORAGE else None) or error
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Interrupted(
            "Stopped; what was finished is kept.", hint="Type the same command again to go on."
        )
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        return InvalidInput(error.format_message(), hint="Type 'tidemill --help'.", code=codes.USAGE)
    outside = _of_the_words(error, words) or _of_a_number(error, words) or _of_the_system(error)
    if outside is not None:
        return outside
    import shlex  # noqa: PLC0415

    return InternalError(
        raised(error) if str(error) else type(error).__name__,
        why="Tidemill did not expect this: it is a bug. Your data and everything finished before are kept.",
        hint=f"Type {shlex.join(['tidemill', '--debug', *(w for w in words if w != '--debug')])!r} for the traceback, and report it.",
    )


def _of_the_words(error: BaseException, words: Sequence[str]) -> TidemillError | None:
    """The error of ours where a word was typed that is no text: Python, databases and files then refuse it anywhere."""
    bad = next((word for word in words if "\0" in word or not is_text(word)), None)
    refused = any(isinstance(one, UnicodeEncodeError) or "null byte" in str(one) for one in came_from(error))
    if bad is None or not refused:
        return None
    return InvalidInput(
        f"{bad!a} is not text.",
        why="Some of its bytes are no characters of UTF-8.",
        hint="Type it in UTF-8; a file that is called so, rename.",
        code=codes.NOT_TEXT,
    )


def _of_a_number(error: BaseException, words: Sequence[str]) -> TidemillError | None:
    """The error of ours where a reference has a number that no database and no table can hold."""
    number = next((found[0] for word in words if (found := _LONG.search(word))), None)
    if number is None or not any(isinstance(one, OverflowError) for one in came_from(error)):
        return None
    return InvalidInput(
        f"The number {number} is too large.",
        why="Numbers here have 64 bits.",
        hint="Type a smaller one.",
        code=codes.NUMBER_TOO_LARGE,
    )


def _of_the_system(error: BaseException) -> TidemillError | None:
    """The error of ours for what the system said of a file, a folder or the memory: no fault of this program."""
    if isinstance(error, MemoryError):
        return StorageError(
            "There is not enough memory.",
            why=str(error) or None,
            hint="End other programs, or give it less at once.",
            code=codes.OUT_OF_MEMORY,
        )
    if not isinstance(error, OSError) or error.filename is None:
        return None
    import os  # noqa: PLC0415

    path, said = (
        os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename,
        error.strerror,
    )
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or error.errno in (
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EINVAL,
    ):
        shown = str(path) if len(str(path)) < 300 else f"{str(path)[:300]}..."
        return InvalidInput(
            f"{shown} cannot be used: {said}.", hint="Check the path.", code=codes.PATH_NOT_USABLE
        )
    return StorageError(
        f"{path} cannot be used: {said}.",
        hint="Check the disk and the rights of that file, then type the same command again.",
        code=codes.STORAGE,
    )


def _usage(error: click.UsageError) -> InvalidInput:
    from tidemill.core.names import did_you_mean  # noqa: PLC0415

    context = error.ctx
    path = context.command_path if context else "tidemill"
    if isinstance(error, click.exceptions.NoSuchOption):
        place = _place(error.option_name, context)
        otherwise = f"Type '{path} --help' for its options."
        hint = place or did_you_mean(error.option_name, error.possibilities or (), otherwise)
        return InvalidInput(f"'{path}' has no option '{error.option_name}'.", hint=hint, code=codes.USAGE)
    if isinstance(error, click.exceptions.NoSuchCommand):
        group = context.command if context else None
        names = group.list_commands(context) if context and isinstance(group, click.Group) else []
        hint = did_you_mean(error.command_name, names, f"Type '{path} --help' for all.", before=f"{path} ")
        return InvalidInput(f"'{path}' has no command '{error.command_name}'.", hint=hint, code=codes.USAGE)
    return InvalidInput(
        error.format_message(),
        why=f"{context.get_usage().replace('Usage: ', 'It is used as: ')}" if context else None,
        hint=f"Type '{path} --help'.",
        code=codes.USAGE,
    )


def _place(option: str, context: click.Context | None) -> str | None:
    """Where an option belongs that was typed on the wrong side of the command's name."""
    if context is None:
        return None
    if context.parent is None:
        return "It belongs after the command: 'tidemill runs --json'." if option == "--json" else None
    root = context.find_root()
    known = {name for parameter in root.command.params for name in parameter.opts}
    rest = context.command_path.removeprefix(root.command_path).strip()
    return f"It belongs before the command: 'tidemill {option} {rest}'." if option in known else None
