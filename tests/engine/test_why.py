"""Why a step was computed: what changed, with the difference of its code."""

import pytest

from tests.engine.projects import Project, step
from tidemill.core import identity
from tidemill.core.names import Digest
from tidemill.engine import sources
from tidemill.engine.why import compare, why

TEXT = """
import tidemill as tm

LIMITS = {"low": 1, "high": 9}

def helper(x):
    # a word about it
    return x + LIMITS["low"]

@tm.step
def work(x: int) -> int:
    return helper(x)

@tm.pipeline
def p(n: int = 1):
    return work(n)
"""


def test_changed_code_is_shown_with_its_difference(project: Project) -> None:
    project.write(TEXT)
    project.run()
    project.write(TEXT.replace("return x +", "y = x\n    return y +").replace('"high": 9', '"high": 8'))
    second = project.run()
    told = why(project.store, second.run.id, "work")
    assert told.reason == "code pipeline:LIMITS changed; code pipeline:helper changed"
    diffs = {c.name: c.diff for c in told.changes}
    assert diffs["pipeline:helper"] == (
        "--- before/pipeline:helper\n+++ after/pipeline:helper\n@@ -1,2 +1,3 @@\n def helper(x):\n"
        "-    return x + LIMITS['low']\n+    y = x\n+    return y + LIMITS['low']"
    )
    assert "-{'low': 1, 'high': 9}\n+{'low': 1, 'high': 8}" in str(diffs["pipeline:LIMITS"])


def test_new_code_is_shown_whole_and_a_lost_text_is_said_to_be_lost(project: Project) -> None:
    project.write(TEXT)
    first = project.run()
    project.write(TEXT.replace("return helper(x)", "return other(x)").replace("def helper", "def other"))
    second = project.run()
    diffs = {c.name: c.diff for c in why(project.store, second.run.id, "work").changes}
    assert str(diffs["pipeline:other"]).endswith("+def other(x):\n+    return x + LIMITS['low']")
    assert str(diffs["pipeline:helper"]).endswith("-def helper(x):\n-    return x + LIMITS['low']")
    project.store.blobs.delete(Digest(step(first, "work").parts["code"]["pipeline:helper"]))
    diffs = {c.name: c.diff for c in why(project.store, second.run.id, "work").changes}
    assert diffs["pipeline:helper"] is None


def test_a_text_is_the_blob_of_its_digest_and_written_once(project: Project) -> None:
    project.write(TEXT)
    first = project.run()
    parts = step(first, "work").parts["code"]
    assert (
        sources.text_of(project.store.blobs, parts["pipeline:work"], {})
        == "def work(x: int) -> int:\n    return helper(x)"
    )
    assert all(project.store.blobs.verify(Digest(digest)) for digest in parts.values())
    before = project.store.blobs.all()
    project.write(TEXT + "\n# a comment\n")
    project.run()
    # The file is another one, and so is the list of files; no text of what the step reaches is.
    new = set(project.store.blobs.all()) - set(before)
    assert len(new) == 2
    assert identity.blob((project.folder / "pipeline.py").read_bytes()) in new


def test_a_package_and_a_parameter_are_told_from_what_to_what(project: Project) -> None:
    project.write(TEXT)
    project.run()
    second = project.run(n=4)
    told = [(c.kind, c.name, c.before, c.after) for c in why(project.store, second.run.id, "work").changes]
    assert told == [("setting", "x", 1, 4)]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (1, True, "setting n: 1 → True"),
        (1, 1.0, "setting n: 1 → 1.0"),
        ([{"a": 0.0}], [{"a": -0.0}], "setting n: [{'a': 0.0}] → [{'a': -0.0}]"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
    ],
)
def test_a_setting_that_python_calls_equal_and_the_key_does_not_has_changed(
    before: object, after: object, says: str | None
) -> None:
    found = compare({"settings": {"n": before}}, {"settings": {"n": after}})
    assert [str(change) for change in found] == ([says] if says else [])
