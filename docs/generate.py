"""Writes what is generated in docs/: the settings and their JSON Schema, the commands, the list of decisions.

``just docs`` calls it; tests/docs compares.
"""

import dataclasses
import importlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tidemill.core import settings_file
from tidemill.core.dataset_settings import Bound
from tidemill.core.settings import Settings

HERE = Path(__file__).parent


def schema() -> str:
    """tidemill.schema.json."""
    return json.dumps(settings_file.schema(), indent=2) + "\n"


def settings() -> str:
    """settings.md."""
    lines = [
        "# Settings",
        "",
        "What `tidemill.toml` may say. `NAME` stands for a name of yours. An editor that knows JSON Schema can",
        "check the file against [tidemill.schema.json](tidemill.schema.json).",
        "",
        "Without `environments` there are `dev`, `test`, `staging` and `prod`, each after the one before it. Naming one",
        "leaves these out: name each that you use, with its `after`.",
        "",
        "The environment variables `TIDEMILL_STORE`, `TIDEMILL_CATALOG`, `TIDEMILL_AUTHOR`, `TIDEMILL_WORKERS`, `TIDEMILL_EXECUTOR` and `TIDEMILL_VERIFY` win over the file.",
        "",
        "| setting | is | without it | what it says |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in _fields()]
    return "\n".join(lines) + "\n"


def _fields(kind: Any = Settings, path: str = "") -> Iterator[tuple[str, str, str, str]]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        here, hint = f"{path}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _fields(hint, f"{here}.")
        elif typing.get_origin(hint) is dict:
            yield from _fields(typing.get_args(hint)[1], f"{here}.NAME.")
        else:
            yield here, _kind(hint), _default(field), describe(kind, field.name)


def _kind(hint: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if hint == Bound | None:
        return "number, date or time"
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{json.dumps(each)}`" for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return f"list of {names.get(inner, 'values')}"
    return names[next((a for a in typing.get_args(hint) if a is not type(None)), hint)]


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING:
        return "must be given"
    return "none" if field.default in (None, ()) else f"`{json.dumps(field.default)}`"


def describe(kind: Any, name: str) -> str:
    """What the docstring of a settings class says of an attribute; empty where it says nothing."""
    found = re.search(rf"^ *{name}: (.+(?:\n {{8,}}.+)*)", inspect.getdoc(kind) or "", re.MULTILINE)
    return " ".join(found[1].split()).replace("``", "`") if found else ""


def commands() -> str:
    """commands.md: every command's own --help."""
    click = importlib.import_module("click")
    main = importlib.import_module("tidemill.cli.main").main
    lines = [
        "# Commands",
        "",
        "What each command's `--help` says. The same use cases are functions of `tidemill` in Python.",
    ]
    for path, command in walk(main, "tidemill"):
        context = click.Context(command, info_name=path, terminal_width=90, max_content_width=90)
        lines += [
            "",
            f"{'##' if ' ' in path else '## All:'} {path}",
            "",
            "```",
            command.get_help(context),
            "```",
        ]
    return "\n".join(lines) + "\n"


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, each with what to type."""
    yield path, command
    if hasattr(command, "list_commands"):
        context = importlib.import_module("click").Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if not below.hidden:
                yield from walk(below, f"{path} {name}")


def decisions() -> str:
    """decisions/README.md: every note, by its title."""
    lines = [
        "# Decisions",
        "",
        "A choice that someone may question later gets half a page here: what was needed, what was chosen and why,",
        "what was turned down, what it costs. Measurements are from 2 cores and Python 3.11. A decision that no",
        "longer holds is replaced, not kept beside its successor.",
        "",
    ]
    notes = sorted(note for note in (HERE / "decisions").glob("*.md") if note.name != "README.md")
    lines += [
        f"- [{note.read_text('utf-8').partition(chr(10))[0].removeprefix('# ')}]({note.name})"
        for note in notes
    ]
    return "\n".join(lines) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "tidemill.schema.json": schema,
    "settings.md": settings,
    "decisions/README.md": decisions,
    "commands.md": commands,
}

if __name__ == "__main__":
    for name, make in GENERATED.items():
        (HERE / name).write_text(make(), "utf-8")
        print(name)
