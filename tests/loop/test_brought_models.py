"""Models that people bring, the whole way on small tables: trained, judged, released, served, asked."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidemill as tm
from tidemill.pipeline import load

pytestmark = pytest.mark.sklearn

Bring = Callable[[str, Sequence[Sequence[Any]], str], tm.Project]


@pytest.fixture
def bring(tmp_path: Path) -> Iterator[Bring]:
    """Import a table as ``rows``, write the pipeline ``brought``: its run, its release and its server are the test's."""
    opened: list[tm.Project] = []

    def as_project(header: str, rows: Sequence[Sequence[Any]], code: str) -> tm.Project:
        lines = [header, *(",".join("" if c is None else str(c) for c in row) for row in rows)]
        (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "tidemill.toml").write_text("[environments.prod]\n")
        (tmp_path / "pipeline.py").write_text(
            "import numpy as np\nimport tidemill as tm\nfrom tidemill import parts\n" + textwrap.dedent(code)
        )
        project = tm.open(tmp_path)
        opened.append(project)
        project.import_data("rows", tmp_path / "rows.csv", key="id")
        return project

    yield as_project
    for project in opened:
        project.stop("prod")
        project.close()
    load.leave()


def served(project: tm.Project) -> tm.Project:
    """Train, judge, release and promote; what fails on the way fails the test with its own words."""
    made = project.run(project.folder / "pipeline.py")
    assert made.status == "succeeded", made.error
    assert made.verdict is not None and made.verdict.passed, made.verdict
    project.promote(f"brought/{project.release(made.run).number}", "prod")
    return project


def answers(project: tm.Project, rows: list[dict[str, Any]]) -> list[Any]:
    """One label or value a row, as ``POST /predict`` gives them."""
    return [row.get("label", row.get("value")) for row in project.predict("prod", rows).predictions]


def test_house_prices_are_released(bring: Bring):
    chance = np.random.RandomState(1)
    houses = [(i, round(40 + 160 * chance.rand(), 1), chance.randint(1, 7)) for i in range(200)]
    rows = [(i, area, rooms, 2000 * area + 20_000 * rooms) for i, area, rooms in houses]
    project = served(
        bring(
            "id,area,rooms,price",
            rows,
            """
            @tm.row_step(columns=("area", "rooms"), to="x")
            def features(area: np.ndarray, rooms: np.ndarray) -> np.ndarray:
                return np.stack([area, rooms], axis=1)

            @tm.trainer(features="x", label="price")
            def train(rows: tm.Table):
                from sklearn.linear_model import LinearRegression
                return LinearRegression().fit(rows.numpy("x"), rows.numpy("price"))

            @tm.pipeline
            def brought(data: tm.Dataset = tm.dataset("rows@main")):
                a, _, b = parts.split(features(data), test=0.3, validation=0.0)
                model = train(a)
                return {"model": model, "report": parts.evaluate(model, b)}
            """,
        )
    )
    assert answers(project, [{"id": 0, "area": 100.0, "rooms": 3}]) == [pytest.approx(260_000, rel=1e-5)]


def test_a_plain_function_is_served(bring: Bring):
    project = bring(
        "id,a,b,y",
        [(i, i % 17 + 0.5, i % 11 + 0.25, i % 17 + i % 11 + 0.75) for i in range(120)],
        """
        from weights import SHIFT

        @tm.row_step(columns=("a", "b"), to="x")
        def features(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.stack([a, b], axis=1)

        def total(x):
            return x[:, 0] + x[:, 1] + SHIFT

        @tm.trainer(features="x", label="y")
        def train(rows: tm.Table):
            return total

        @tm.pipeline
        def brought(data: tm.Dataset = tm.dataset("rows@main")):
            a, _, b = parts.split(features(data), test=0.3, validation=0.0)
            model = train(a)
            return {"model": model, "report": parts.evaluate(model, b)}
        """,
    )
    (project.folder / "weights.py").write_text("SHIFT = 0.0\n")
    served(project)
    (project.folder / "weights.py").write_text("SHIFT = 100.0\n")
    assert answers(project, [{"id": 0, "a": 1.5, "b": 2.25}]) == [3.75]
