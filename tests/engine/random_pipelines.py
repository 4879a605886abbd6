"""Pipelines drawn at random: chains and branches of steps by rows, transforms, splits, joins, in every table form."""

from dataclasses import dataclass

from hypothesis import strategies as st

KINDS: dict[str, tuple[int, str]] = {
    "drop": (
        1,
        """
@tm.row_step(ids=True)
def drop{i}(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("x") % {k} != 0)
""",
    ),
    "word": (
        1,
        """
@tm.row_step
def word{i}(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(word=pl.col("word").fill_null("none") + "{k}")
""",
    ),
    "times": (
        1,
        """
@tm.row_step(columns="x")
def times{i}(x: np.ndarray) -> np.ndarray:
    return x * {k} + 1
""",
    ),
    "beside": (
        1,
        """
@tm.row_step(columns="x", to="y")
def beside{i}(x: np.ndarray) -> np.ndarray:
    return np.stack([x, x + {k}], axis=1).astype(np.float32)
""",
    ),
    "arrow": (
        1,
        """
@tm.row_step(ids=True)
def arrow{i}(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.greater(rows["x"], {k}))
""",
    ),
    "frame": (
        1,
        """
@tm.row_step
def frame{i}(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["x"] % {k} != 1]
""",
    ),
    "table": (
        1,
        """
@tm.row_step
def table{i}(rows: tm.Table) -> tm.Table:
    return rows.with_column("x", rows.numpy("x") - {k})
""",
    ),
    "halves": (
        2,
        """
@tm.row_step
def halves{i}(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    low = rows.ids % {k} == 0
    return rows.filter(low), rows.filter(~low)
""",
    ),
    "centre": (
        1,
        """
@tm.transform(columns="x", sees_test_rows=True)
class centre{i}:
    def fit(self, x: np.ndarray) -> dict:
        return {{"least": np.array([x.min() // 20 if len(x) else 0])}}

    def apply(self, x: np.ndarray, state: dict) -> np.ndarray:
        return x - state["least"][0] * {k}
""",
    ),
    "common": (
        1,
        """
@tm.transform(sees_test_rows=True, ids=True)
class common{i}:
    def fit(self, rows: pl.DataFrame) -> dict:
        return {{"words": sorted(w for w in rows["word"].unique() if w)[:{k}]}}

    def apply(self, rows: pl.DataFrame, state: dict) -> pl.DataFrame:
        return rows.filter(pl.col("word").is_in(state["words"]) | (pl.col("x") > 5))
""",
    ),
    "looked": (
        1,
        """
@tm.row_step
def looked{i}(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(x=pl.col("x") + other.height % {k})
""",
    ),
    "join": (
        1,
        """
@tm.step(ids=True)
def join{i}(one: tm.Table, other: tm.Table) -> tm.Table:
    both = []
    for at, table in enumerate((one, other)):
        arrow = table.to_arrow().select(["_id", "x", "word"])
        ids = pa.array(arrow["_id"].to_numpy() * 2 + at, pa.uint64())
        both.append(arrow.set_column(0, "_id", ids).cast(SCHEMA))
    return tm.Table(pa.concat_tables(both))
""",
    ),
}
"""How many tables each kind gives, and its code."""
HEAD = """
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import tidemill as tm

SCHEMA = pa.schema({"_id": pa.uint64(), "x": pa.int64(), "word": pa.large_string()})
"""


@dataclass(frozen=True)
class Step:
    """One step of a pipeline.

    Attributes:
        takes: Which of the tables that are there it takes.
        digit: A number in its code, from 2.
    """

    kind: str
    takes: tuple[int, int]
    digit: int


@dataclass(frozen=True)
class Drawn:
    """A pipeline's code.

    Attributes:
        by_rows: Its steps that are computed by rows all the way from the dataset, each with the fitted states
            that it and those before it were given.
    """

    text: str
    by_rows: dict[str, frozenset[str]]


steps: "st.SearchStrategy[list[Step]]" = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(sorted(KINDS)),
        takes=st.tuples(st.integers(0, 9), st.integers(0, 9)),
        digit=st.integers(2, 4),
    ),
    min_size=1,
    max_size=6,
)


def drawn(chosen: list[Step]) -> Drawn:
    """The code of these steps, joined to a pipeline that returns every table."""
    code, body = [HEAD], []
    tables: list[str] = ["data"]
    states: dict[str, frozenset[str] | None] = {"data": frozenset()}
    by_rows: dict[str, frozenset[str]] = {}
    for i, step in enumerate(chosen):
        results, text = KINDS[step.kind]
        code.append(text.format(i=i, k=step.digit))
        one, other = (tables[-1 - n % len(tables)] for n in step.takes)
        made = [f"t{i}"] if results == 1 else [f"t{i}", f"u{i}"]
        name = f"{step.kind}{i}"
        before = states[one]
        if step.kind in ("centre", "common"):
            body.append(f"t{i} = {name}.fit({other}).apply({one})")
            name, before = f"{name}-apply", None if before is None else before | {f"{name}-fit"}
        elif step.kind in ("join", "looked"):
            body.append(f"t{i} = {name}({one}, {other})")
            before = None
        else:
            body.append(f"{', '.join(made)} = {name}({one})")
        if before is not None:
            by_rows[name] = before
        for table in made:
            states[table] = before
        tables += made
    returned = ", ".join(f'"{t}": {t}' for t in tables[1:])
    code.append('\n@tm.pipeline\ndef p(data: tm.Dataset = tm.dataset("d")):\n    ')
    code.append("\n    ".join([*body, f"return {{{returned}}}"]) + "\n")
    return Drawn("".join(code), by_rows)
