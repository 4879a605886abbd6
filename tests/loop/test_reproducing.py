"""A run is made again from nothing but what was kept of it, and compared step by step."""

import random
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidemill as tm
from tests.loop.test_loop import PIPELINE, SETTINGS, csv
from tests.loop.test_origins import CELL
from tidemill.core.errors import AlreadyExists, Conflict, InvalidInput, NotAllowed, NotFound, TidemillError
from tidemill.engine.artifacts import load_value
from tidemill.loop.replay_views import Reproduced
from tidemill.pipeline import load
from tidemill.store.catalog import records
from tidemill.store.open import Store

OTHERS = """
import os
from pathlib import Path
import tidemill as tm
import words

@tm.step
def counted(table: tm.Table, file: Path) -> int:
    return len(table) + len(file.read_text())

@tm.step
def chance(n: int) -> str:
    return os.urandom(8).hex()

@tm.step
def after(text: str, n: int) -> str:
    return text[:0] + words.told(n)

@tm.step
def judged(model: tm.TrainedModel) -> list[str]:
    return list(model.classes)

@tm.pipeline
def files(data: tm.Dataset = tm.dataset("points"), file: Path = Path(__file__).parent / "note.txt"):
    return after("", counted(data, file))

@tm.pipeline
def lucky(data: tm.Dataset = tm.dataset("points"), file: Path = Path(__file__).parent / "note.txt"):
    n = counted(data, file)
    return after(chance(n), n)

@tm.pipeline
def judges():
    return judged(tm.model("small"))

@tm.step
def is_long(n: int) -> bool:
    return n > 3

@tm.step
def listed(n: int) -> list:
    return list(range(n % 7))

@tm.step
def shown(outcome: tm.RunOutcome) -> str:
    return outcome.run

@tm.pipeline
def branched(data: tm.Dataset = tm.dataset("points"), file: Path = Path(__file__).parent / "note.txt"):
    tm.at_exit(shown)
    n = counted(data, file)
    return tm.when(is_long(n), lambda: tm.each(listed(n), lambda x: after("", x)), lambda: after("", n))
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    home = tmp_path / "project"
    home.mkdir()
    (home / "pipeline.py").write_text(PIPELINE)
    (home / "others.py").write_text(OTHERS)
    (home / "words.py").write_text("def told(n):\n    return f'{n} in all'\n")
    (home / "note.txt").write_text("a note")
    (home / "tidemill.toml").write_text(SETTINGS)
    (home / "points.csv").write_text(csv(1, 300))
    with tm.open(home) as opened:
        opened.import_data("points", home / "points.csv", tensors={"x": "x*:2"}, label="label")
        yield opened
    load.leave()


def run(project: tm.Project, name: str, **parameters: Any) -> str:
    view = project.run(load.load(project.folder / "others.py", name), **parameters)
    assert view.status == "succeeded", view.error
    return view.run


def results(found: Reproduced) -> dict[str, str]:
    return {s.step: s.result for s in found.steps}


def everything(project: tm.Project) -> tuple[Any, ...]:
    store = project._ws.store
    with store.catalog.read() as read:
        kinds = (records.Run, records.Step, records.Artifact, records.Model)
        kept = [read.find(kind) for kind in kinds]
        return (*kept, list(read.cache_entries()), store.blobs.all())


@pytest.mark.both_stores
@pytest.mark.sklearn
def test_a_model_is_made_again_from_what_was_kept(project: tm.Project, tmp_path: Path):
    made = project.run(project.folder / "pipeline.py", strength=0.5)
    (project.folder / "more.csv").write_text(csv(2, 50))
    project.import_data("points", project.folder / "more.csv", tensors={"x": "x*:2"}, label="label")
    (project.folder / "pipeline.py").write_text("raise OSError('other code')\n")
    before = everything(project)
    found = project.reproduce(made.run, tmp_path / "again")
    assert found.identical, found
    assert set(results(found).values()) == {"identical"}
    assert [s.step for s in found.steps] == [s.name for s in made.steps]
    assert (found.installed, found.lacking, found.first, found.reasons) == ([], [], None, [])
    assert everything(project) == before
    assert (tmp_path / "again" / "pipeline.py").read_text() == PIPELINE
    # What came out the same is not there a second time: neither the data nor the model.
    with closing(Store.open(tmp_path / "again" / ".tidemill")) as store:
        assert len(store.blobs.all()) <= 2
        with store.catalog.read() as read:
            (again,) = read.find(records.Run)
            assert {s.status for s in read.find(records.Step)} == {"computed"}
        assert load_value(store, again.outputs["model"]).classes == ("high", "low")


@pytest.mark.sklearn
def test_a_release_is_the_run_that_made_its_model(project: tm.Project):
    made = project.run(project.folder / "pipeline.py")
    project.release(made.run)
    project.run(project.folder / "pipeline.py", strength=0.1)
    found = project.reproduce("small/1")
    assert (found.run, found.release, found.identical) == (made.run, "small/1", True)
    assert found.folder is None


@pytest.mark.sklearn
def test_a_registered_model_is_taken_at_the_version_that_the_run_took(project: tm.Project):
    project.run(project.folder / "pipeline.py")
    judged = run(project, "judges")
    assert project.run(project.folder / "pipeline.py", strength=0.01).model == {"name": "small", "version": 2}
    assert results(project.reproduce(judged)) == {"small": "identical", "judged": "identical"}


def test_the_first_step_that_gives_something_else_each_time_is_named(project: tm.Project):
    found = project.reproduce(run(project, "lucky"))
    assert results(found) == {
        "data": "identical",
        "counted": "identical",
        "chance": "different",
        "after": "identical",
    }
    assert (found.identical, found.first, found.reasons) == (False, "chance", [])


def test_branches_and_items_are_made_again_and_exit_steps_are_not(project: tm.Project):
    found = project.reproduce(run(project, "branched"))
    assert found.identical, found
    assert set(results(found).values()) == {"identical"}
    assert "shown" not in results(found)
    assert "after[1]" in results(found)


def test_a_file_that_a_step_was_given_must_be_as_it_was(project: tm.Project):
    made = run(project, "files")
    assert project.reproduce(made).identical
    (project.folder / "note.txt").write_text("another")
    with pytest.raises(Conflict, match=r"note\.txt, which has another content") as caught:
        project.reproduce(made)
    assert (caught.value.code, caught.value.details["step"]) == ("given-file-changed", "counted")
    (project.folder / "note.txt").unlink()
    with pytest.raises(NotFound, match=r"note\.txt, which is gone") as gone:
        project.reproduce(made)
    assert gone.value.code == "given-file-gone"


def test_rows_that_grew_in_other_chunks_are_the_same_rows(project: tm.Project):
    project.run(project.folder / "pipeline.py")
    points = project._ws.datasets.open("points")
    points.commit(points.snapshot().read().take(np.arange(290)), message="ten less", replace=True)
    found = project.reproduce(run(project, "files"))
    assert found.identical
    # Then: the chunk of 300 rows without ten of them. Now: a chunk of 290.
    assert results(found) == {"data": "same rows", "counted": "identical", "after": "identical"}


def test_what_cannot_be_made_again_says_why(project: tm.Project, tmp_path: Path):
    space: dict[str, Any] = {"__name__": "cell"}
    exec(CELL, space)  # noqa: S102 - as a notebook does
    cell = project.run(space["here"]).run
    made = run(project, "files")
    (project.folder / "note.txt").write_text("x" * 9)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()

    def refused(kind: type[TidemillError], code: str, ref: str, into: Path | None = None) -> None:
        with pytest.raises(kind) as caught:
            project.reproduce(ref, into)
        assert caught.value.code == code

    refused(InvalidInput, "run-without-file", cell)
    refused(NotFound, "run-not-found", "20200101-000000-000000")
    refused(NotFound, "release-not-found", "small/9")
    (project.folder / "note.txt").write_text("a note")
    refused(AlreadyExists, "folder-not-empty", made, tmp_path / "full")
    with project._ws.store.catalog.write() as write:
        write.change(records.Run, {"id": made}, code=None)
        write.change(records.Run, {"id": cell}, status="failed")
    refused(InvalidInput, "run-without-code", made)
    refused(NotAllowed, "run-not-succeeded", cell)


NETWORK = """
from typing import Any
import tidemill as tm

@tm.trainer(features="x", label="label", classes=["high", "low"])
def fit(train: tm.Table, random_state: int) -> Any:
    import keras
    import numpy as np
    keras.utils.set_random_seed(random_state)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(train.numpy("x") / 255, np.array(train.numpy("label") == "low", int), epochs=2, verbose=0)
    return network

@tm.pipeline
def network(data: tm.Dataset = tm.dataset("points"), random_state: int = 7):
    return {"model": fit(data, random_state)}
"""


@pytest.mark.keras
def test_a_network_is_made_again_to_the_last_bit(project: tm.Project):
    (project.folder / "network.py").write_text(NETWORK)
    made = project.run(project.folder / "network.py")
    assert made.status == "succeeded", made.error
    found = project.reproduce(made.run)
    assert results(found)["fit"] == "identical"
    assert found.identical


SEEDED = """
import random
import tidemill as tm

@tm.step
def drawn(rows: tm.Table, seed: int) -> float:
    return float(rows.to_polars()["x"].sum()) + random.Random(seed).random()

@tm.pipeline
def seeded(seed: int = 1, data: tm.Dataset = tm.dataset("numbers@main")):
    return drawn(data, seed)
"""


@pytest.mark.both_stores
def test_data_that_were_forgotten_since_are_named_and_no_seed_is_blamed(project: tm.Project):
    from tidemill.cli.render.replays import reproduced
    from tidemill.cli.streams import text

    (project.folder / "seeded.py").write_text(SEEDED)
    rows = {"id": [1, 2, 3], "x": [1, 2, 3]}
    project.import_data("numbers", rows, key="id")
    first = project.run(project.folder / "seeded.py").run
    project.import_data("numbers", {**rows, "x": [1, 2, 7]}, key="id")
    second = project.run(project.folder / "seeded.py", seed=2).run
    # Two changes at once, each with its share: 4 more in the data, and what another seed draws.
    (told,) = project.explain(first, second).metrics
    shares = {s.factor: s.share for s in told.shares if s.share}
    assert shares == {
        "data": 4.0,
        "settings": pytest.approx(random.Random(2).random() - random.Random(1).random()),
    }
    project.forget("numbers", "id = 1", "asked for")
    again = project.reproduce(first)
    assert (again.identical, again.first) == (False, "data")
    assert [r for r in again.reasons if "numbers: 1 row forgotten" in r and "asked for" in r]
    shown = text(reproduced(again), sys.stdout)
    assert "1 row forgotten" in shown
    assert "without a seed" not in shown
    with pytest.raises(InvalidInput) as caught:
        project.explain(first, second)
    assert caught.value.code == "no-common-metric"
    assert "1 row forgotten" in (caught.value.why or "")
    # Both of a later pair, which no longer had the row, are themselves when they are made again.
    third = project.run(project.folder / "seeded.py", seed=2).run
    assert project.reproduce(third).identical
