"""A row keeps its identity through every form of every step, and no user's function sees it among the columns."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.projects import Project, rows, step, table
from tidemill.core.errors import Failed
from tidemill.engine import tables
from tidemill.pipeline import identity, load
from tidemill.pipeline.components import row_step
from tidemill.pipeline.rowwise import apply_rows

HEAD = """
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import tidemill as tm
"""


def people(ids: list[int]) -> Any:
    """Rows whose ``tag`` says which row it is, in columns of which some are equal in many rows."""
    return table(
        {
            "tag": np.array([i * 10 for i in ids], np.int64),
            "word": [str(i % 3) for i in ids],
            "half": np.array([i % 7 / 2 for i in ids]),
        },
        ids,
    )


def ran(project: Project, code: str, made: str = "f(data)") -> Any:
    project.write(
        f'{HEAD}{code}\n@tm.pipeline\ndef p(data: tm.Dataset = tm.dataset("d")):\n    return {made}\n'
    )
    return project.run()


FORMS = {
    "pl.DataFrame": "rows.columns",
    "pa.Table": "rows.column_names",
    "tm.Table": "rows.columns",
    "pd.DataFrame": "list(rows.columns)",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["step", "row_step", "check", "trainer", "transform"])
def test_nobody_sees_the_identity_among_the_columns(project: Project, form: str, kind: str) -> None:
    project.datasets.create("d", people([3, 1, 2]), message="first")
    looked = f"    assert {FORMS[form]} == ['tag', 'word', 'half'], {FORMS[form]}\n"
    if form == "pd.DataFrame":
        has = "rows.index.name != '_id' and list(rows.index) == [0, 1, 2]" if kind == "trainer" else None
        looked += f"    assert {has or 'sorted(rows.index) == [1, 2, 3] and rows.index.name == chr(95) + chr(105) + chr(100)'}\n"
    if form == "tm.Table":
        looked += (
            f"    assert {'rows.ids is None' if kind == 'trainer' else 'sorted(rows.ids) == [1, 2, 3]'}\n"
        )
    if kind == "transform":
        body = looked.replace("    ", "        ")
        code = f"@tm.transform(sees_test_rows=True)\nclass t:\n    def fit(self, rows: {form}) -> dict:\n{body}        return {{}}\n"
        code += f"    def apply(self, rows: {form}, state):\n{body}        return rows\n"
        result = ran(project, code, "t.fit(data).apply(data)")
    elif kind == "trainer":
        code = f"@tm.trainer(features='half', label='word')\ndef f(rows: {form}):\n{looked}    return lambda x: x\n"
        result = ran(project, code)
        assert "AssertionError" not in str(result.run.error)
        return
    else:
        end = {"check": "return True", "step": "return rows", "row_step": "return rows"}[kind]
        result = ran(project, f"@tm.{kind}\ndef f(rows: {form}):\n{looked}    {end}\n")
    assert result.run.status == "succeeded", result.run.error
    if kind != "check":
        kept = rows(project.value(result))
        assert {i: r["tag"] for i, r in kept.items()} == {1: 10, 2: 20, 3: 30}


ROW_STEPS = {
    "pandas assign": ("pd.DataFrame", "", "rows.assign(y=rows.tag + 1)"),
    "pandas filter": ("pd.DataFrame", "", "rows[rows.tag % 20 == 0]"),
    "pandas new only": ("pd.DataFrame", "", "rows[['tag']].rename(columns={'tag': 'y'})"),
    "pandas no columns": ("pd.DataFrame", "", "rows[[]]"),
    "polars beside": ("pl.DataFrame", "", "rows.with_columns(y=pl.col('tag') + 1)"),
    "polars new only": ("pl.DataFrame", "", "rows.select(y=pl.col('tag') + 1)"),
    "polars words only": ("pl.DataFrame", "", "rows.select('word')"),
    "polars flipped": ("pl.DataFrame", "", "rows.select(tag=-pl.col('tag'))"),
    "polars filter": ("pl.DataFrame", "ids=True", "rows.filter(pl.col('tag') % 20 == 0)"),
    "polars ids dropped columns": ("pl.DataFrame", "ids=True", "rows.select('_id', 'word')"),
    "arrow": ("pa.Table", "", "rows.append_column('y', pc.add(rows['tag'], 1))"),
    "arrow filter": ("pa.Table", "ids=True", "rows.filter(pc.greater(rows['tag'], 30))"),
    "table": ("tm.Table", "", "rows.with_column('y', rows.numpy('tag') + 1)"),
    "table filter": ("tm.Table", "", "rows.filter(rows.numpy('tag') > 30)"),
    "table of its own": ("tm.Table", "", "tm.Table(rows.to_arrow().select(['half', 'word']))"),
    "none left": ("pl.DataFrame", "", "rows.head(0)"),
}


@pytest.mark.parametrize("name", ROW_STEPS)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(0, 80), max_size=6, unique=True),
)
def test_no_row_changes_its_identity_and_changed_rows_alone_are_the_whole(
    name: str, first: list[int], more: list[int]
) -> None:
    """Each row's cells say which row it is. A run that grew equals one from nothing."""
    form, options, returned = ROW_STEPS[name]
    code = f"@tm.row_step({options})\ndef f(rows: {form}) -> {form}:\n    return {returned}\n"
    with tempfile.TemporaryDirectory() as holder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK_BYTES", 200)
        grown, whole = Project(Path(holder, "a")), Project(Path(holder, "b"))
        grown.datasets.create("d", people(first), message="first")
        ran(grown, code)
        grown.datasets.open("d").commit(people(more), message="more")
        result = ran(grown, code)
        assert result.run.status == "succeeded", result.run.error
        found = rows(grown.value(result))
        for row, cells in found.items():
            said = {"tag": row * 10, "y": row * 10 + 1, "word": str(row % 3), "half": row % 7 / 2}
            if name == "pandas new only":
                said["y"] = row * 10
            if name == "polars flipped":
                said["tag"] = -row * 10
            assert cells == {n: said[n] for n in cells}
        everyone = sorted({*first, *more})
        whole.datasets.create("d", people(everyone), message="all")
        assert found == rows(whole.value(ran(whole, code)))
        grown.store.close()
        whole.store.close()
    load.leave()


REFUSED = {
    "a sort in Polars": ("pl.DataFrame", "return rows.sort('word', 'tag')", "in the order"),
    "a sort of one column": ("pl.DataFrame", "return rows.select(pl.col('half').sort())", "in the order"),
    "a sort downwards": ("pl.DataFrame", "return rows.sort('tag', descending=True)", "in the order"),
    "turned round": ("pl.DataFrame", "return rows.reverse()", "in the order"),
    "moved on": ("pl.DataFrame", "return pl.concat([rows.tail(2), rows.head(3)])", "in the order"),
    "a shuffle": ("pl.DataFrame", "return rows.sample(fraction=1, shuffle=True, seed=3)", "in the order"),
    "a sort in Arrow": ("pa.Table", "return rows.sort_by([('tag', 'descending')])", "in the order"),
    "a sort in pandas": ("pd.DataFrame", "return rows.sort_values('tag', ascending=False)", "another order"),
    "a filter in Polars": ("pl.DataFrame", "return rows.filter(pl.col('tag') > 30)", "of 2 rows for 5"),
    "an explosion": ("pl.DataFrame", "return pl.concat([rows, rows])", "of 10 rows for 5"),
    "reset_index": ("pd.DataFrame", "return rows.reset_index(drop=True)", "another index than '_id'"),
    "a merge": ("pd.DataFrame", "return rows.merge(rows, on='tag')", "another index than '_id'"),
    "a group-by": (
        "pd.DataFrame",
        "return rows.groupby('word').sum()",
        "another index than '_id' (Index 'word')",
    ),
    "a column of that name": ("pl.DataFrame", "return rows.with_columns(_id=1)", "keeps for itself"),
    "a prediction": ("pl.DataFrame", "return rows.with_columns(_prediction=1)", "keeps for itself"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_row_step_that_loses_its_rows_is_an_error_that_names_the_line(project: Project, name: str) -> None:
    form, body, words = REFUSED[name]
    project.datasets.create("d", people([1, 5, 2, 4, 3]), message="first")
    error = ran(project, f"@tm.row_step\ndef f(rows: {form}):\n    {body}\n").run.error
    assert error is not None
    assert words in error["message"]
    if words not in {"keeps for itself", "another order"}:
        assert error["code"] == "not-row-wise"
        assert "pipeline.py:10" in error["message"]
        assert "rows='new'" in error["hint"]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("pd.DataFrame", "return rows.groupby('word').sum(numeric_only=True)"),
        ("pd.DataFrame", "return pd.concat([rows, rows])"),
        ("pl.DataFrame", "return pl.concat([rows, rows])"),
        ("tm.Table", "return rows.filter(rows.numpy('tag') > 20)"),
    ],
)
def test_rows_that_are_meant_to_be_new_are_new(project: Project, form: str, body: str) -> None:
    project.datasets.create("d", people([1, 5, 2, 4, 3]), message="first")
    code = f"@tm.row_step(rows='new')\ndef f(rows: {form}):\n    {body}\n@tm.row_step\ndef g(rows: {form}):\n    return rows\n"
    result = ran(project, code, "g(f(data))")
    assert "_id" not in project.value(result).columns
    project.datasets.open("d").commit(people([1, 2, 4, 3]), message="one goes", replace=True)
    after = ran(project, code, "g(f(data))")
    assert after.run.status == "succeeded", after.run.error
    with tempfile.TemporaryDirectory() as holder:
        whole = Project(Path(holder))
        whole.datasets.create("d", people([1, 2, 4, 3]), message="the rest")
        expected = whole.value(ran(whole, code, "g(f(data))")).to_polars()
        assert project.value(after).to_polars().sort(pl.all()).equals(expected.sort(pl.all()))
        whole.store.close()


PLAIN = {
    "pandas sort": ("pd.DataFrame", "", "rows.sort_values('tag', ascending=False)", True),
    "pandas filter": ("pd.DataFrame", "", "rows[rows.tag > 20].assign(y=1)", True),
    "pandas join": ("pd.DataFrame", "", "rows.join(rows[['tag']].add_suffix('2'))", True),
    "pandas twice": ("pd.DataFrame", "", "pd.concat([rows, rows])", True),
    "pandas group-by": ("pd.DataFrame", "", "rows.groupby('word').max()", False),
    "pandas merge": ("pd.DataFrame", "", "rows.merge(rows, on=['tag', 'word', 'half'])", False),
    "polars beside": ("pl.DataFrame", "", "rows.with_columns(y=1)", True),
    "polars words": ("pl.DataFrame", "", "rows.select('word')", False),
    "polars sort": ("pl.DataFrame", "", "rows.sort('tag', descending=True)", False),
    "polars ids": ("pl.DataFrame", "ids=True", "rows.sort('tag', descending=True).head(3)", True),
    "arrow beside": ("pa.Table", "", "rows.append_column('y', rows['tag'])", True),
    "table sort": ("tm.Table", "", "rows.take(np.argsort(-rows.numpy('tag')))", True),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_step_keeps_the_rows_that_it_can_tell(project: Project, name: str) -> None:
    form, options, returned, keeps = PLAIN[name]
    project.datasets.create("d", people([1, 5, 2, 4, 3]), message="first")
    result = ran(project, f"@tm.step({options})\ndef f(rows: {form}):\n    return {returned}\n")
    made = project.value(result)
    assert ("_id" in made.columns) is keeps
    if keeps:
        cells = made.to_arrow().to_pylist()
        assert cells
        assert all(c.get("tag", c["_id"] * 10) == c["_id"] * 10 for c in cells)
    log = step(result, "f").log
    said = b"" if log is None else project.store.blobs.get(log)  # pyright: ignore[reportArgumentType]
    assert said.count(b"are new") == (0 if keeps else 1)


@pytest.mark.both_stores
def test_a_group_by_can_be_split_trained_on_and_keeps_its_index(project: Project) -> None:
    project.datasets.create("d", people(list(range(60))), message="first")
    code = """
from tidemill import parts
@tm.step
def grouped(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby("tag")[["half"]].mean()
@tm.step
def told(train: pd.DataFrame, test: pd.DataFrame) -> dict:
    assert train.index.name == test.index.name == "tag"
    assert list(train.columns) == ["half"]
    return {"train": sorted(train.index.tolist()), "test": sorted(test.index.tolist())}
@tm.step
def both(rows: pd.DataFrame) -> dict:
    return {}
"""
    project.write(f"""{HEAD}{code}
@tm.pipeline
def p(data: tm.Dataset = tm.dataset("d")):
    train, _, test = parts.split(grouped(data))
    return told(train, test)
""")
    result = project.run()
    said = project.value(result)
    assert sorted([*said["train"], *said["test"]]) != []
    assert not set(said["train"]) & set(said["test"])


@pytest.mark.both_stores
def test_what_an_untouched_column_lost_in_pandas_comes_back(project: Project) -> None:
    large = 2**53 + 1
    made = table({"n": pa.array([large, None, 3], pa.int64()), "word": ["a", "b", "c"]}, [1, 2, 3])
    project.datasets.create("d", made, message="first")
    code = "@tm.row_step\ndef f(rows: pd.DataFrame) -> pd.DataFrame:\n    return rows[rows.word != 'c'].assign(word=1.5)\n"
    value = project.value(ran(project, code)).to_arrow()
    assert value["n"].to_pylist() == [large, None]
    assert value["word"].to_pylist() == [1.5, 1.5]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12), st.randoms())
def test_what_is_shown_to_be_in_order_is_in_order(cells: list[tuple[int, int]], random: Any) -> None:
    """A permutation that moves unlike rows is never taken for the order given, whatever the columns."""
    given_ = pa.table({"a": [a for a, _ in cells], "b": [str(b) for _, b in cells]})
    places = list(range(len(cells)))
    random.shuffle(places)
    moved = given_.take(places)
    assert identity.is_in_order(given_, given_.append_column("c", given_["a"]))
    if identity.is_in_order(given_, moved):
        assert places == sorted(places) or moved.equals(given_)


def test_a_probe_of_numbers_that_depend_on_the_batch_a_little_is_no_refusal() -> None:
    """A network's answers differ in their last bits by how many rows are computed at once."""

    @row_step
    def embedded(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(y=pl.col("x") * (1 + len(rows) * 1e-9))

    made = table({"x": np.arange(50.0)}, list(range(50)))
    (kept,) = apply_rows(embedded, made, {})
    assert kept.numpy("_id").tolist() == list(range(50))


def test_a_row_has_its_place_among_its_likes() -> None:
    old = np.array([5, 5, 7, 5], np.uint64)
    assert identity.places("s", old, np.array([5, 5], np.uint64)).tolist() == [0, 1]
    with pytest.raises(Failed):
        identity.places("s", old, np.array([5, 5, 5, 5], np.uint64))


_TIMES = 1.7e9 + np.random.default_rng(0).permutation(200) * 3600.0
_CLOSE = {
    "t": _TIMES,
    "price": 1000 + np.random.default_rng(1).random(200),
    "rare": np.arange(200) % 67 == 1,
}
"""Numbers that are close to each other for their size, and a mark that few rows have."""
_MOVES: dict[str, Any] = {
    "sorted times": lambda rows: rows.sort("t").select("t", "price"),
    "distinct prices": lambda rows: rows.select("price").unique(),
    "shuffled, then computed": lambda rows: rows.sample(fraction=1.0, shuffle=True, seed=3).select(
        pl.col("price").log()
    ),
    "sorted, with the mark alone": lambda rows: rows.sort("t").select("rare"),
    "turned round": lambda rows: rows.reverse().select("rare"),
}


def _polars_step(function: Any) -> Any:
    def moved(rows: pl.DataFrame) -> pl.DataFrame:
        return function(rows)

    return row_step(moved)


@pytest.mark.parametrize("name", _MOVES)
def test_rows_that_moved_are_found_out_by_close_numbers_and_by_rare_cells(name: str) -> None:
    with pytest.raises(Failed) as caught:
        apply_rows(_polars_step(_MOVES[name]), table(_CLOSE, list(range(200))), {})
    assert caught.value.code == "not-row-wise"


@pytest.mark.parametrize(
    "function",
    [
        lambda rows: rows.select(late=pl.col("t") > 1.7e9 + 3600 * 150),
        lambda rows: rows.select(pl.col("rare").cast(pl.Int8)),
        lambda rows: rows.select(pl.col("price") * 0),
        lambda rows: rows.select(pl.col("t") / 1000, pl.col("price").round(2)),
    ],
)
def test_rows_that_did_not_move_keep_their_identity(function: Any) -> None:
    (kept,) = apply_rows(_polars_step(function), table(_CLOSE, list(range(200))), {})
    assert kept.numpy("_id").tolist() == list(range(200))
