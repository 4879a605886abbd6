"""A step that takes a path depends on what is there, not on the path alone."""

from pathlib import Path

import pytest

from tests.engine.projects import Project, statuses, step
from tidemill.core.errors import InvalidInput

PIPELINE = """
from pathlib import Path
import tidemill as tm

@tm.step
def total(file: Path) -> int:
    files = [file] if file.is_file() else sorted(file.iterdir())
    return sum(int(line) for f in files for line in f.read_text().split())

@tm.pipeline
def sums(source: Path):
    return total(source)
"""


def test_a_changed_file_is_read_again_and_an_equal_one_is_not(project: Project, tmp_path: Path) -> None:
    project.write(PIPELINE)
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("1 2")
    assert project.value(project.run(source=str(numbers))) == 3
    assert statuses(project.run(source=str(numbers))) == {"total": "cached"}
    numbers.write_text("1 5")
    changed = project.run(source=str(numbers))
    assert project.value(changed) == 6
    assert "file file changed" in step(changed, "total").why


def test_a_folder_counts_with_all_its_files(project: Project, tmp_path: Path) -> None:
    project.write(PIPELINE)
    folder = tmp_path / "numbers"
    folder.mkdir()
    (folder / "a").write_text("1")
    assert project.value(project.run(source=str(folder))) == 1
    (folder / "b").write_text("2")
    assert project.value(project.run(source=str(folder))) == 3


def test_a_path_with_nothing_there_is_refused(project: Project, tmp_path: Path) -> None:
    project.write(PIPELINE)
    with pytest.raises(InvalidInput) as refused:
        project.run(source=str(tmp_path / "none"))
    assert refused.value.code == "file-not-found"
