"""``tidemill.toml``: read whole, overridden by the environment, complained about by dotted path."""

import dataclasses
import json
import os
from pathlib import Path

import jsonschema
import pytest

from tidemill.core import config, settings_file
from tidemill.core.dataset_settings import CheckSettings, ColumnCheckSettings, ReviewSettings
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.settings import (
    FILE,
    EnvironmentSettings,
    GateSettings,
    LimitSettings,
    PipelineSettings,
    Settings,
    TriggerSettings,
)

FULL = """
store = "elsewhere"
author = "Ada"
workers = 3

[pipelines.fashion]
file = "pipelines/fashion.py"

[pipelines.fashion.gate]
rules = ["accuracy >= 0.87", "log_loss < 0.5"]
latency_ms = 20
smoke = false
max_drop = 0.02
confidence = 0.9

[environments.dev]
port = 8080

[environments.prod]
after = "dev"
host = "0.0.0.0"

[triggers.refit]
dataset = "fashion@main"
pipeline = "fashion"
deploy = "prod"

[reviews.fashion]
approvals = 2
by = ["ada", "grace"]
branches = ["main", "gold"]
own = true

[checks.fashion]
branches = ["main"]
min_rows = 1
max_rows = 9
functions = ["checks.py:plausible"]

[checks.fashion.columns.label]
type = "string"
one_of = ["coat", 7, 0.5, true]
matches = "[a-z]+"
unique = true
max_missing = 0
max_drift = 0.2

[checks.fashion.columns.image]
shape = [28, 28]
minimum = 0
maximum = 255

[limits]
body_bytes = 1000
request_rows = 10
body_seconds = 3
drain_seconds = 2
"""


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIDEMILL_"):
            monkeypatch.delenv(name)


def project(folder: Path, text: str) -> config.Project:
    (folder / FILE).write_text(text, "utf-8")
    return config.find_project(folder)


def test_every_setting_is_read(tmp_path: Path):
    settings = project(tmp_path, FULL).settings
    gate = GateSettings(("accuracy >= 0.87", "log_loss < 0.5"), 20.0, False, 0.02, 0.9)
    assert settings == Settings(
        store="elsewhere",
        author="Ada",
        workers=3,
        pipelines={"fashion": PipelineSettings("pipelines/fashion.py", gate)},
        environments={
            "dev": EnvironmentSettings(port=8080),
            "prod": EnvironmentSettings(after="dev", host="0.0.0.0"),  # noqa: S104
        },
        triggers={"refit": TriggerSettings("fashion@main", "fashion", "prod")},
        reviews={"fashion": ReviewSettings(2, ("ada", "grace"), ("main", "gold"), True)},
        checks={
            "fashion": CheckSettings(
                ("main",),
                1,
                9,
                {
                    "label": ColumnCheckSettings(
                        type="string",
                        one_of=("coat", 7, 0.5, True),
                        matches="[a-z]+",
                        unique=True,
                        max_missing=0.0,
                        max_drift=0.2,
                    ),
                    "image": ColumnCheckSettings(shape=(28, 28), minimum=0.0, maximum=255.0),
                },
                ("checks.py:plausible",),
            )
        },
        limits=LimitSettings(1000, 10, 3.0, 2.0),
    )


def test_an_empty_file_gives_the_defaults(tmp_path: Path):
    found = project(tmp_path, "")
    assert found.settings == Settings()
    assert list(found.settings.environments) == ["dev", "test", "staging", "prod"]
    assert found.store_address == str(tmp_path / ".tidemill")
    assert found.author
    assert found.workers >= 1


def test_the_project_is_found_from_below(tmp_path: Path):
    project(tmp_path, "")
    below = tmp_path / "notebooks" / "old"
    below.mkdir(parents=True)
    assert config.find_project(below).folder == tmp_path


def test_no_project_is_an_error_that_says_what_to_type(tmp_path: Path):
    with pytest.raises(NotFound) as caught:
        config.find_project(tmp_path)
    assert caught.value.code == "project-not-found"
    assert "tidemill init" in (caught.value.hint or "")


def test_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEMILL_STORE", "/data/store")
    monkeypatch.setenv("TIDEMILL_AUTHOR", "Grace")
    monkeypatch.setenv("TIDEMILL_WORKERS", "7")
    found = project(tmp_path, FULL)
    assert (found.store_address, found.author, found.workers) == ("/data/store", "Grace", 7)


def test_a_variable_that_is_not_a_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEMILL_WORKERS", "many")
    with pytest.raises(InvalidInput, match="'workers' must be a whole number, not 'many'"):
        project(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stor = 'x'", "a setting 'stor' that", "Did you mean 'store'?"),
        ("[limits]\nbody_byte = 1", "a setting 'limits.body_byte' that", "Did you mean 'limits.body_bytes'?"),
        ("zzz = 1", "a setting 'zzz' that", "There are: store, catalog, author"),
        ("workers = 'two'", "'workers' must be a whole number, not 'two'", "Correct"),
        ("workers = true", "'workers' must be a whole number, not True", "Correct"),
        ("workers = 1.5", "'workers' must be a whole number, not 1.5", "Correct"),
        ("store = 1", "'store' must be text, not 1", "Correct"),
        ("limits = 1", "'limits' must be a table, not 1", "Correct"),
        ("pipelines = []", "'pipelines' must be a table", "Correct"),
        ("[pipelines.a.gate]\nrules = 'x'", "'pipelines.a.gate.rules' must be a list", "Correct"),
        ("[pipelines.a.gate]\nrules = ['x', 1]", r"'pipelines.a.gate.rules\[1\]' must be text", "Correct"),
        ("[pipelines.a.gate]\nsmoke = 1", "'pipelines.a.gate.smoke' must be true or false", "Correct"),
        ("[pipelines.a.gate]\nmax_drop = 'x'", "'pipelines.a.gate.max_drop' must be a number", "Correct"),
        (
            "[pipelines.a.gate]\nmax_drop = -3",
            "'pipelines.a.gate.max_drop' must be from 0 to 1, not -3",
            "Correct",
        ),
        (
            "[pipelines.a.gate]\nmax_drop = nan",
            "'pipelines.a.gate.max_drop' must be from 0 to 1, not nan",
            "Correct",
        ),
        ("[pipelines.a.gate]\nconfidence = 1", "must be above 0 and below 1, not 1", "Correct"),
        ("[environments.prod]\nport = 99999", "'environments.prod.port' must be from 0 to 65535", "Correct"),
        (
            "[environments.prod]\npersonal = 'yes'",
            "'environments.prod.personal' must be true or false, not 'yes'",
            "Correct",
        ),
        (
            "[environments.prod]\nkeep_days = 0",
            "'environments.prod.keep_days' must be above 0, not 0",
            "Correct",
        ),
        ("[limits]\nbody_bytes = 0", "'limits.body_bytes' must be above 0, not 0", "Correct"),
        (
            "[limits]\nidle_seconds = inf",
            "'limits.idle_seconds' must be above 0 and finite, not inf",
            "Correct",
        ),
        ("[labelling]\nlease_seconds = -1", "'labelling.lease_seconds' must be above 0, not -1", "Correct"),
        (
            "[environments.a]\nafter = 'b'\n[environments.bb]",
            "'environments.a.after' names 'b', which the file does not have.",
            "Did you mean 'bb'?",
        ),
        (
            "[environments.a]\nafter = 'b'\n[environments.b]\nafter = 'a'",
            "'environments.a.after' goes in a circle: a after b after a",
            "Correct",
        ),
        (
            "[triggers.t]\ndataset = 'd@main'\npipeline = 'p'\ndeploy = 'prdo'",
            "'triggers.t.deploy' names 'prdo', which the file does not have.",
            "Did you mean 'prod'?",
        ),
        (
            "[pipelines.digits]\n[triggers.t]\ndataset = 'd@main'\npipeline = 'digitz'",
            "'triggers.t.pipeline' names 'digitz', which the file does not have.",
            "Did you mean 'digits'?",
        ),
        ("workers = -1", "'workers' must be 0 or more, not -1", "Correct"),
        ("[reviews.a]\napprovals = -1", "'reviews.a.approvals' must be 0 or more, not -1", "Correct"),
        (
            "[reviews.a]\napprovals = 2\nby = ['ada']",
            "'reviews.a.approvals' must be 1 or less: 'by' names no more people",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\nminimum = 2\nmaximum = 1",
            "'checks.a.columns.x.minimum' must not be above 'maximum', 1",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\nmax_missing = 2",
            "'checks.a.columns.x.max_missing' must be a share from 0 to 1, not 2",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\nmax_drift = 0",
            "'checks.a.columns.x.max_drift' must be above 0, not 0",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\ntype = 'text'",
            "'checks.a.columns.x.type' must be one of int8, int16",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\nshape = [28, 0]",
            r"'checks.a.columns.x.shape' must be lengths of 1 or more, not \[28, 0\]",
            "Correct",
        ),
        (
            "[checks.a.columns.x]\none_of = [[1]]",
            r"'checks.a.columns.x.one_of\[0\]' must be text, a number, or true or false",
            "Correct",
        ),
        ("[checks.a]\nmin_rows = -1", "'checks.a.min_rows' must be 0 or more, not -1", "Correct"),
        ("[checks.a]\nmin_rows = 2\nmax_rows = 1", "'checks.a.max_rows' must be 2 or more, not 1", "Correct"),
        (
            "[checks.a]\nfunctions = ['checks']",
            r"'checks.a.functions\[0\]' must be written as 'file.py:function', not 'checks'",
            "Correct",
        ),
        ("[checks.a.columns.x]\nminimun = 1", "a setting 'checks.a.columns.x.minimun' that", "Did you mean"),
        ("[triggers.a]\npipeline = 'p'", "does not say 'triggers.a.dataset'", "Add it"),
        ("store = ", "is not valid TOML", "Correct that line"),
    ],
)
def test_complaints_name_the_setting_and_what_to_do(tmp_path: Path, text: str, message: str, hint: str):
    with pytest.raises(InvalidInput, match=message) as caught:
        project(tmp_path, text)
    assert caught.value.code == "invalid-settings"
    assert hint in (caught.value.hint or "")
    assert FILE in caught.value.message


def test_bytes_that_are_not_text_are_refused(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"author = '\xff'")
    with pytest.raises(InvalidInput, match="is not valid TOML"):
        config.find_project(tmp_path)


def test_the_schema_accepts_what_is_read_and_refuses_what_is_refused():
    import tomllib

    schema = json.loads(json.dumps(settings_file.schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    assert not list(check.iter_errors(tomllib.loads(FULL)))
    for wrong in ({"stor": "x"}, {"workers": "two"}, {"triggers": {"a": {"pipeline": "p"}}}):
        assert list(check.iter_errors(wrong)), wrong


def test_the_schema_knows_every_setting():
    def names(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]

    properties = settings_file.schema()["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == names(Settings)
    assert set(properties["limits"]["properties"]) == names(LimitSettings)


def test_the_cache_folder_follows_the_desktop_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.cache_folder() == tmp_path / "tidemill"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert config.cache_folder() == Path.home() / ".cache" / "tidemill"


def test_a_number_that_no_float_holds_is_refused(tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text("[limits]\nbody_seconds = 1" + "0" * 400 + "\n")
    with pytest.raises(
        InvalidInput, match=r"'limits.body_seconds' must be a number that a float holds"
    ) as refusal:
        config.load_project(tmp_path)
    assert refusal.value.code == "invalid-settings"
