"""Models that people bring, the whole way on small tables: trained, judged, released, served, asked."""

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidemill as tm
from tidemill.cli.main import main
from tidemill.core.errors import InvalidInput
from tidemill.loop import predict
from tidemill.pipeline import load

pytestmark = pytest.mark.sklearn

Bring = Callable[[str, Sequence[Sequence[Any]], str], tm.Project]


@pytest.fixture
def bring(project_store: None, tmp_path: Path) -> Iterator[Bring]:
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


def answers_of_file(project: tm.Project, text: str, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """What ``tidemill predict prod FILE.csv`` says of these rows."""
    file = project.folder / "asked.csv"
    file.write_text(text)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(project.folder), "predict", "prod", str(file), "--json"])
    assert ended.value.code == 0
    return [p["value"] for p in json.loads(capsys.readouterr().out)["predictions"]]


@pytest.mark.both_stores
def test_house_prices_are_released(bring: Bring, capsys: pytest.CaptureFixture[str]):
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
    assert answers_of_file(project, "area,rooms\n100,3\n", capsys) == [pytest.approx(260_000, rel=1e-5)]
    # The first request said whom it was about, in a column that no step reads, and the check before the promotion asked of
    # that row's cells: both go, and the server goes on.
    known = project.predict("prod", [{"id": 1, "area": 90.0, "rooms": 2}]).predictions[0]["prediction"]
    assert project.forget("rows", "id = 0", "asked for").logged == ["prod: 2"]
    assert project.forget("rows", "id = 0", "asked for").logged == []
    sent = project.feedback("prod", {str(known): "1.0"})
    assert (sent.accepted, sent.note) == (1, "")
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


GAPS = """
@tm.row_step
def features(rows: pl.DataFrame) -> tm.Table:
    x = rows.select(pl.col("a", "b").cast(pl.Float64)).fill_null(float("nan")).to_numpy()
    return tm.Table.of(rows).with_column("x", x)

@tm.trainer(features="x", label="y")
def train(rows: tm.Table):
    from sklearn.ensemble import HistGradientBoostingRegressor
    return HistGradientBoostingRegressor(max_iter=60, min_samples_leaf=2).fit(rows.numpy("x"), rows.numpy("y"))

@tm.pipeline
def brought(data: tm.Dataset = tm.dataset("rows@main")):
    a, _, b = parts.split(features(data), test=0.3, validation=0.0)
    model = train(a)
    return {"model": model, "report": parts.evaluate(model, b)}
"""


def test_a_model_that_takes_missing_cells_gets_them(bring: Bring, capsys: pytest.CaptureFixture[str]):
    # The first 64 rows, which a predictor is proven on, are whole: those with gaps must be looked for.
    whole = [(i, i % 5, i % 3, 10.0 * (i % 5)) for i in range(120)]
    rows = whole + [(i, None, i % 3, -50.0) for i in range(120, 160)]
    project = served(bring("id,a,b,y", rows, "import polars as pl\n" + GAPS))
    known = {"id": 0, "a": 2, "b": 1}
    asked = [known, {**known, "a": None}, {**known, "b": None}, {**known, "a": float("nan")}]
    found = answers(project, asked)
    assert found == [pytest.approx(20, abs=5), pytest.approx(-50, abs=5), found[2], found[1]]

    assert answers_of_file(project, "id,a,b\n0,2,1\n0,,1\n", capsys) == found[:2]


def test_a_missing_cell_that_a_model_does_not_take_is_the_clients_row(bring: Bring):
    rows = [(i, i % 17 + 0.5, i % 11 + 0.5, i % 17 + i % 11) for i in range(120)]
    code = GAPS.replace("ensemble import HistGradientBoostingRegressor", "linear_model import Ridge")
    code = code.replace("HistGradientBoostingRegressor(max_iter=60, min_samples_leaf=2)", "Ridge()")
    project = served(bring("id,a,b,y", rows, "import polars as pl\n" + code))
    whole = {"id": 0, "a": 1.5, "b": 2.5}
    for gap in (None, float("nan")):
        with pytest.raises(InvalidInput) as refused:
            project.predict("prod", [whole, {**whole, "b": gap}])
        assert refused.value.code == "missing-value"
        assert (refused.value.details["field"], refused.value.details["row"]) == ("b", 1)
    with predict.client(project._ws, "prod") as client:
        columns = {"id": np.zeros(2, np.int64), "a": np.array([1.5, np.nan]), "b": np.array([2.5, 2.5])}
        with pytest.raises(InvalidInput) as refused:
            client.infer("brought", columns)
        assert refused.value.code == "missing-value"
        assert refused.value.details["field"] == "a"
        columns["a"] = np.ma.MaskedArray([9.0, 1.5], mask=[True, False])
        with pytest.raises(InvalidInput, match="'a' of row 0"):
            client.infer("brought", columns)


def test_dates_and_times_reach_the_steps_as_in_training(bring: Bring):
    project = bring(
        "id,day,moment,note,y",
        [
            (
                i,
                f"2026-{i % 12 + 1:02}-15",
                f"2026-01-01T{i % 24:02}:30:00",
                None if i % 2 else "x",
                i % 24,
            )
            for i in range(96)
        ],
        """
        import polars as pl

        TYPES = {"day": pl.Date, "moment": pl.Datetime("us"), "local": pl.Datetime("us", "Europe/Berlin"),
                 "note": pl.String}

        @tm.row_step
        def typed(rows: pl.DataFrame) -> pl.DataFrame:
            # What a step is given has these types, in a run and in a server.
            wrong = {n: str(t) for n, t in rows.schema.items() if n in TYPES and t != TYPES[n]}
            if wrong:
                raise TypeError(str(wrong))
            return rows

        @tm.row_step
        def features(rows: pl.DataFrame) -> tm.Table:
            x = rows.select(
                pl.col("day").dt.month().cast(pl.Float64),
                pl.col("moment").dt.hour().cast(pl.Float64),
                pl.col("local").dt.hour().cast(pl.Float64),
                pl.col("note").str.len_chars().fill_null(0).cast(pl.Float64),
            ).to_numpy()
            return tm.Table.of(rows).with_column("x", x)

        def local_hour(x):
            return x[:, 2] + 100 * x[:, 0] + 1000 * x[:, 3]

        @tm.trainer(features="x", label="y")
        def train(rows: tm.Table):
            return local_hour

        @tm.pipeline
        def brought(data: tm.Dataset = tm.dataset("typed@main")):
            a, _, b = parts.split(features(typed(data)), test=0.3, validation=0.0)
            model = train(a)
            return {"model": model, "report": parts.evaluate(model, b)}
        """,
    )
    import polars as pl

    rows = pl.read_csv(project.folder / "rows.csv", try_parse_dates=True).with_columns(
        pl.col("moment").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin").alias("local"),
    )
    project.import_data("typed", rows, key="id")
    served(project)
    whole: dict[str, Any] = {
        "id": 1,
        "day": "2026-03-15",
        "moment": "2026-01-01T10:30:00",
        "local": "2026-01-01T10:30:00Z",
        "note": None,
        "y": 0,
    }
    as_text = answers(project, [whole, {**whole, "local": "2026-07-01T10:30:00-02:00", "note": "abc"}])
    assert as_text == [11 + 300, 14 + 300 + 3000]
    python = {
        **whole,
        "day": date(2026, 3, 15),
        "moment": datetime.fromisoformat("2026-01-01T10:30"),
    }
    assert answers(project, [python]) == as_text[:1]
    for name, bad in (
        ("day", "15.3.2026"),
        ("local", "2026-01-01T10:30:00"),
        ("moment", 3),
    ):
        with pytest.raises(InvalidInput) as refused:
            project.predict("prod", [whole, {**whole, name: bad}])
        assert refused.value.code == "wrong-dtype"
        assert (refused.value.details["field"], refused.value.details["row"]) == (name, 1)
