"""What is generated in docs/ is what the code says today, and says something of each thing."""

import dataclasses
from typing import Any

import pytest

from docs import generate
from tidemill.core.settings import (
    EnvironmentSettings,
    GateSettings,
    LimitSettings,
    PipelineSettings,
    Settings,
    TriggerSettings,
)


@pytest.mark.parametrize("name", generate.GENERATED)
def test_it_is_current(name: str):
    written = (generate.HERE / name).read_text("utf-8")
    assert written == generate.GENERATED[name](), f"docs/{name} is old; type 'just docs'"


@pytest.mark.parametrize(
    "kind",
    [
        Settings,
        PipelineSettings,
        GateSettings,
        EnvironmentSettings,
        TriggerSettings,
        LimitSettings,
    ],
)
def test_every_setting_is_described(kind: Any):
    assert [f.name for f in dataclasses.fields(kind) if not generate.describe(kind, f.name)] == []


def test_every_command_and_option_says_what_it_does():
    from tidemill.cli.main import main

    silent: list[str] = []
    for path, command in generate.walk(main, "tidemill"):
        if not command.help:
            silent.append(path)
        options = [p for p in command.params if p.param_type_name == "option"]
        silent += [f"{path} {option.opts[0]}" for option in options if not option.help]
    assert silent == []
