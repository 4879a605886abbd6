"""An environment that does not answer says what it lacks."""

from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import Interrupted


def test_predicting_where_no_release_is_says_promote(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text("[environments.dev]\n")
    with tm.open(tmp_path) as project, pytest.raises(Interrupted) as caught:
        project.predict("dev", [{"a": 1}])
    assert caught.value.code == "not-serving"
    assert "has no release" in caught.value.message
    assert "tidemill promote latest dev" in str(caught.value.hint)
