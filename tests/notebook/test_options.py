"""Every keyword of a run but ``options`` is the pipeline's; how it is run is said by ``options``."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.notebook.options import NAMES
from tidemill.pipeline import load

PIPELINE = """
import tidemill as tm

@tm.step
def shown(text: str) -> str:
    return text

@tm.pipeline
def all_names({parameters}):
    return shown(repr([{names}]))

@tm.pipeline
def second(n: int = 1):
    return shown(str(n))
"""
MEANT = [*NAMES, "pipeline", "parameters", "self", "workers", "trigger", "force"]
"""Names that a call of Tidemill has, or had, of its own."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tm.Project]:
    parameters = ", ".join(f"{name}: float = 0.0" for name in MEANT)
    (tmp_path / "tidemill.toml").write_text("")
    (tmp_path / "p.py").write_text(PIPELINE.format(parameters=parameters, names=", ".join(MEANT)))
    with tm.open(tmp_path) as opened:
        yield opened
    load.leave()


@pytest.mark.parametrize("by", ["keyword", "dict", "both"])
def test_every_name_reaches_the_pipeline(project: tm.Project, by: str) -> None:
    values = {name: 0.5 + at for at, name in enumerate(MEANT)}
    more = values if by == "keyword" else {}
    if by == "both":
        values, more = dict(list(values.items())[:3]), dict(list(values.items())[3:])
    options = tm.RunOptions(name="all_names", executor="local")
    given: Any = None if by == "keyword" else values
    view = project.run(project.folder / "p.py", given, options=options, **more)
    assert view.outputs == {"result": repr([0.5 + at for at in range(len(MEANT))])}
    assert view.parameters == {name: 0.5 + at for at, name in enumerate(MEANT)}
    forecast = project.forecast(project.folder / "p.py", given, options={"name": "all_names"}, **more)
    assert (forecast.computed, forecast.cached) == (0, 1)


def test_options_are_used(project: tm.Project) -> None:
    told: list[object] = []
    file = project.folder / "p.py"
    view = project.run(file, options={"name": "second", "sink": told.append})
    assert view.pipeline == "second"
    assert told
    assert project.run(file, options=tm.RunOptions(name="second", audit=1.0)).audited == ["shown"]


@pytest.mark.parametrize(
    ("parameters", "options", "more", "code", "says", "hint"),
    [
        ({"n": 1}, None, {"n": 1}, "parameter-given-twice", "'n' is given twice", "Take one"),
        (3, None, {}, "wrong-call", "a dict by name, not a int", "epochs=3"),
        ({3: 1}, None, {}, "wrong-call", "not 3", "epochs"),
        (None, {"audti": 1}, {}, "wrong-option", "no option 'audti'", "'audit'"),
        (None, {"workers": 1}, {}, "wrong-option", "no option 'workers'", "There are: executor"),
        (None, {"audit": "all"}, {}, "wrong-option", "a share from 0 to 1", "0.1"),
        (None, {"audit": 1.5}, {}, "wrong-option", "a share from 0 to 1", "0.1"),
        (None, {"commits": "3"}, {}, "wrong-option", "'commits' is a dict", "commits="),
        (None, "local", {}, "wrong-option", "not a str", "executor"),
        (
            None,
            {"name": "second"},
            {"audit": 0.5},
            "unknown-parameter",
            "no parameter 'audit'",
            "RunOptions(audit=...)",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    project: tm.Project, parameters: Any, options: Any, more: dict[str, Any], code: str, says: str, hint: str
) -> None:
    for method in (project.run, project.forecast):
        with pytest.raises(InvalidInput) as caught:
            method(project.folder / "p.py", parameters, options=options, **more)
        assert caught.value.code == code
        assert says in caught.value.message
        assert hint in (caught.value.hint or "")


def test_what_a_run_to_be_resumed_says_itself_is_refused(project: tm.Project) -> None:
    with pytest.raises(InvalidInput) as caught:
        project.resume(options={"commits": {"a": "1"}})
    assert caught.value.code == "wrong-option"


def test_no_other_keyword_is_taken_from_the_pipeline() -> None:
    """Of what takes a pipeline's parameters as keywords, only ``options`` is its own."""
    for function in (tm.run, tm.Project.run, tm.Project.forecast):
        own = [p.name for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY]
        assert own == ["options"]
