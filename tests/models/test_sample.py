"""The sample of a bundle: read as it was written, missing cells too."""

from pathlib import Path

import numpy as np
import pytest

from tidemill.core.errors import NotFound
from tidemill.models import sample


def test_rows_and_answers_come_back_as_they_were(tmp_path: Path):
    raw = {
        "image": np.arange(24, dtype=np.uint8).reshape(3, 2, 4),
        "size": np.ma.MaskedArray(np.array([1.0, 2.0, 3.0], np.float32), mask=[False, True, False]),
        "name": np.array(["a", "", "çé"], dtype=object),
    }
    sample.write(tmp_path, raw, np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]), ("no", "yes"))
    columns, answers = sample.read(tmp_path)
    for name, values in raw.items():
        assert columns[name].dtype == values.dtype
        np.testing.assert_array_equal(np.ma.getmaskarray(columns[name]), np.ma.getmaskarray(values))
        np.testing.assert_array_equal(columns[name], values)
    assert answers["label"].tolist() == ["yes", "no", "no"]
    assert answers["probabilities"].dtype == np.float32


def test_a_regressors_answers_are_values_and_no_more_rows_are_kept_than_needed(tmp_path: Path):
    x = np.arange(500.0)
    sample.write(tmp_path, {"x": x}, x[:, None], None)
    columns, answers = sample.read(tmp_path)
    assert columns["x"].shape == answers["value"].shape == (sample.ROWS,)


def test_a_bundle_without_a_sample_says_so(tmp_path: Path):
    with pytest.raises(NotFound) as caught:
        sample.read(tmp_path)
    assert caught.value.code == "sample-not-found"
