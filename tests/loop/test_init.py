"""A project in a folder of any name, and settings that say what was written into them."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.config import load_project
from tidemill.core.errors import InvalidInput
from tidemill.core.settings_file import toml_key, toml_text
from tidemill.loop.workspace import init
from tidemill.pipeline import load

NAMES = [
    "my.project",
    "with space",
    "it's",
    'a "quoted" one',
    "größe",
    "日本",
    "UPPER",
    "1st",
    "-dash",
    "a..b",
    "head",
    "latest",
    "[table]",
    "x = 1",
    "back\\slash",
    "😀",
    "n" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_project_in_a_folder_of_any_name_runs(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    init(folder)
    [pipeline] = load_project(folder).settings.pipelines
    with tm.open(folder) as project:
        view = project.run(folder / "pipeline.py", n=3)
        assert (view.pipeline, view.outputs) == (pipeline, {"result": 12})
    load.leave()


FILE_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 200)


@settings(max_examples=25, deadline=None)
@given(name=FILE_NAMES)
def test_the_settings_that_are_written_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any") / name
    init(folder)
    found = load_project(folder).settings.pipelines
    assert [p.file for p in found.values()] == ["pipeline.py"]
    assert (folder / "pipeline.py").read_text("utf-8").count(f'name="{next(iter(found))}"') == 1


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))), st.text(st.characters(exclude_categories=("Cs",))))
def test_keys_and_texts_of_toml_read_back(key: str, text: str) -> None:
    assert tomllib.loads(f"[a.{toml_key(key)}]\nb = {toml_text(text)}\n") == {"a": {key: {"b": text}}}


@pytest.mark.parametrize("name", ['we"ird.ü', "back\\slash 😀", "it's [here]"])
def test_a_remote_that_is_written_down_can_be_read(tmp_path: Path, name: str) -> None:
    theirs, ours = tmp_path / name, tmp_path / "ours"
    (tmp_path / "people.csv").write_text("name\nada\n")
    init(theirs)
    init(ours)
    with tm.open(theirs) as project:
        project.import_data("people", tmp_path / "people.csv")
    with tm.open(ours) as project:
        project.clone(str(theirs / ".tidemill"), "people")
    [remote] = load_project(ours).settings.remotes.values()
    assert remote.store == str(theirs / ".tidemill")
    with tm.open(ours) as project:
        project.fetch("people")


def test_a_name_with_a_dot_is_told_as_it_must_be_written(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text('[pipelines."a.b"]\nfiel = "x.py"\n')
    with pytest.raises(InvalidInput) as caught:
        load_project(tmp_path)
    assert "'pipelines.\"a.b\".fiel'" in str(caught.value)
