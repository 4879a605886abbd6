"""A dataset's history from Python, one project as its users have it."""

from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import Conflict, StorageError
from tidemill.loop.datasets.choices import Decisions


def test_a_team_branches_conflicts_decides_and_undoes(tmp_path: Path):
    def put(label: str, branch: str | None = None) -> str | None:
        rows = {"name": ["cat", "hen"], "label": [label, "farm"]}
        return project.import_data("animals", rows, key=["name"], branch=branch).commit

    with tm.open(tmp_path) as project:
        put("pet")
        project.branch("animals", "fix")
        ours, theirs = put("lion"), put("wild", "fix")
        with pytest.raises(Conflict):
            project.merge("animals", "fix")
        (clash,) = project.conflicts("animals", "fix")
        assert (clash.ours_by.commit, clash.theirs_by.commit) == (ours, theirs)
        decided = Decisions(cells={(int(clash.id), "label"): "theirs"})
        merged = project.merge("animals", "fix", decisions=decided)
        assert merged.into == "main"
        [line] = project.blame("animals", where="name = 'cat'", column="label").lines
        assert (line.commit, line.values) == (theirs, {"label": "wild"})
        assert not project.revert(f"animals@{theirs}").already
        assert sorted(project.read("animals").to_arrow()["label"].to_pylist()) == ["farm", "pet"]
        project.switch("animals", "fix")
        assert project.log("animals")[0].id == theirs
        (tmp_path / ".tidemill" / "branches.json").write_text("{", "utf-8")
        with pytest.raises(StorageError) as caught:
            project.log("animals")
        assert caught.value.code == "branches-unreadable"
