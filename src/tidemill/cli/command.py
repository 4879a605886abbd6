"""What every command has: an example in its help, ``--json``, and the state it is called with."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tidemill.cli import streams
from tidemill.cli.render import errors

if TYPE_CHECKING:
    import os

    from tidemill.core.events import Sink
    from tidemill.loop.workspace import Workspace

T = TypeVar("T")


@dataclass(slots=True)
class State:
    """What the options in front of a command said, and what its ``--json`` did.

    Attributes:
        folder: The project folder that ``-C`` named.
        log: How progress appears: ``auto``, ``lines``, ``json`` or ``off``.
        debug: Whether errors show their traceback.
        as_json: Whether standard output gets one JSON document instead of text.
        opened: The project that the command works on.
    """

    folder: Path | None = None
    log: str = "auto"
    debug: bool = False
    as_json: bool = False
    opened: "Workspace | None" = None

    def workspace(self, *, make: bool = False) -> "Workspace":
        """The project that the command works on, closed when the command ends."""
        from tidemill.loop import workspace  # noqa: PLC0415

        self.opened = workspace.open_workspace(self.folder, make=make)
        self.opened.tell = streams.note
        click.get_current_context().call_on_close(self.opened.close)
        return self.opened

    @contextmanager
    def watch(self) -> Generator["Sink"]:
        """A sink that shows on standard error what the work inside the block tells."""
        from tidemill.cli import signals, watching  # noqa: PLC0415

        with signals.ending_is_interrupt(), watching.watch(self.log, terminal=sys.stderr.isatty()) as sink:
            yield sink

    def show(self, view: T, draw: Callable[[T], Any]) -> None:
        """Print a view: as JSON where that was asked for, else as ``draw`` makes it."""
        if self.as_json:
            streams.write_json(view)
        else:
            streams.write(draw(view))
        self._tell_owed()

    def show_all(self, views: Sequence[Any], draw: Callable[[Any], Any]) -> None:
        """Print a list, then the error of each thing in it that could not be read; end with status 1 where one is so."""
        self.show(views, draw)
        self.exit_unless(not self.complain_of(getattr(view, "error", None) for view in views))

    def _tell_owed(self) -> None:
        """Say in a line what is owed, where that can be told without waiting."""
        if self.opened is None or not self.opened.may_owe():
            return
        from tidemill.core.errors import TidemillError  # noqa: PLC0415
        from tidemill.loop.firing import owed  # noqa: PLC0415

        try:
            left = owed(self.opened)
        except TidemillError:
            return
        if left:
            each = ", ".join(sorted({f.trigger for f in left}))
            streams.note(
                f"Owed since a merge that was cut off: {each}. Type 'tidemill triggers settle' to run it."
            )

    def complain(self, error: Mapping[str, Any] | None) -> None:
        """Tell the error that a view carries on standard error, where it is not in the JSON."""
        if error is not None and not self.as_json:
            streams.note(errors.error(error, color=sys.stderr.isatty()))

    def complain_of(self, errors: Iterable[Mapping[str, Any] | None]) -> bool:
        """Tell each of these errors; whether there was one."""
        wrong = [error for error in errors if error]
        for error in wrong:
            self.complain(error)
        return bool(wrong)

    def exit_unless(self, good: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """End with exit status 1 where what was shown is a no."""
        if not good:
            raise click.exceptions.Exit(1)


pass_state = click.make_pass_decorator(State, ensure=True)


class Command(click.Command):
    """A command with ``--json`` and an example."""

    def __init__(self, *arguments: Any, example: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.example = example
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_note_json,
                help="Print one JSON document on standard output, and nothing else there.",
            )
        )

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, written as everything else is."""
        return _written_by_streams(super().get_help_option(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        _write_example(formatter, self.example)


class Group(click.Group):
    """A group whose commands are imported when they are looked up.

    Args:
        sections: Heading to name of a command to ``module:attribute`` under ``tidemill.cli.verbs``.
        example: What to type, for the help.
    """

    def __init__(
        self, *arguments: Any, sections: Mapping[str, Mapping[str, str]], example: str, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.sections = sections
        self.example = example
        self._homes = {name: home for rows in sections.values() for name, home in rows.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the help."""
        return [*self._homes, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        home = self._homes.get(cmd_name)
        if home is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = home.partition(":")
        return getattr(import_module(f"tidemill.cli.verbs.{module}"), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, all in one column."""
        width = max(len(name) for name in self._homes)
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(self._lines(ctx, formatter, list(names), width)))

    def _lines(
        self, ctx: click.Context, formatter: click.HelpFormatter, names: list[str], width: int
    ) -> Iterator[tuple[str, str]]:
        limit = formatter.width - 6 - width
        for name in names:
            command = self.get_command(ctx, name)
            assert command is not None
            yield name.ljust(width), command.get_short_help_str(limit)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, written as everything else is."""
        return _written_by_streams(super().get_help_option(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        _write_example(formatter, self.example)


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; ``example`` is one line that can be typed."""
    return click.command(name, cls=Command, example=example)


def at_least(number: int) -> click.IntRange:
    """Whole numbers from this one on, as far as 64 bits go: nothing behind a command holds a larger one."""
    return click.IntRange(number, 2**63 - 1)


class OutputFile(click.Path):
    """A file that a command writes. What stands in its way is said by whoever writes it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "str | bytes | os.PathLike[str]":
        """The path; ``-`` is refused, since standard output has the command's own answer."""
        if str(value) == "-":
            self.fail(
                "'-' would be standard output, which has the command's own answer; "
                "type './-' for a file of that name",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def page_option(more: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--html FILE``: what the command shows, as a page too, which has ``more``."""
    return click.option(
        "--html",
        type=OutputFile(),
        metavar="FILE",
        help=f"Write it as one HTML page too{more}.",
    )


def _write_example(formatter: click.HelpFormatter, example: str) -> None:
    formatter.write_paragraph()
    formatter.write_text("Example:")
    formatter.write(f"  {example}\n")


def _written_by_streams(option: click.Option | None) -> click.Option | None:
    # click's own callback writes to standard output itself, where a full disk or a closed pipe has no words.
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    del parameter
    if value and not context.resilient_parsing:
        streams.write(context.get_help())
        context.exit()


def _note_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    del parameter
    if value:
        context.ensure_object(State).as_json = True
