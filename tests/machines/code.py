"""A project's code as a few numbers: those that its results depend on, and those that they do not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

KNOBS: dict[str, tuple[str, ...]] = {
    "constant": ("clean",),
    "helper": ("joined",),
    "decorator": ("squared",),
    "split": ("halves",),
    "method": ("Centre-fit", "Centre-apply", "Centre-apply-2"),
    "base": ("Centre-fit", "Centre-apply", "Centre-apply-2"),
    "learner": ("train",),
    "setting": ("train",),
    "deep": ("joined",),
    "body": ("report",),
}
"""What can be edited, and the steps that reach it."""
NOISE = ("comments", "layout", "unrelated", "order")
"""What can be edited without a difference to any step."""
PARAMETERS: dict[str, tuple[str, ...]] = {"modulus": ("clean",), "epochs": ("train",)}


@dataclass(frozen=True)
class Code:
    """One state of the project's code.

    Attributes:
        knobs: By name, a digit.
        noise: By name, a digit.
    """

    knobs: Mapping[str, int]
    noise: Mapping[str, int]

    @classmethod
    def first(cls) -> "Code":
        return cls(dict.fromkeys(KNOBS, 1), dict.fromkeys(NOISE, 1))

    def edited(self, name: str, digit: int) -> "Code":
        """With one thing changed."""
        if name in self.knobs:
            return replace(self, knobs={**self.knobs, name: digit})
        return replace(self, noise={**self.noise, name: digit})

    def write(self, folder: Path) -> None:
        """Put it into a project's folder; files that stay the same are left alone."""
        for name, text in self.files().items():
            file = folder / name
            if not file.exists() or file.read_text() != text:
                file.parent.mkdir(parents=True, exist_ok=True)
                # As a whole, as editors do: another process may be reading it.
                part = file.with_suffix(".part")
                part.write_text(text)
                part.replace(file)

    def files(self) -> dict[str, str]:
        """Each file's text."""
        numbers = {**self.knobs, **self.noise}
        functions = [f.format_map(numbers) for f in HELPERS]
        turn = numbers["order"] % len(functions)
        helpers = "\n\n".join([HEAD.format_map(numbers), *functions[turn:], *functions[:turn]])
        return {
            "helpers.py": helpers,
            "parts/__init__.py": f"# {numbers['comments']}\n",
            "parts/deep.py": DEEP.format_map(numbers),
            "steps.py": STEPS.format_map({**numbers, "blank": "\n" * numbers["layout"]}),
            "pipeline.py": PIPELINE.format_map(numbers),
        }


HEAD = '''"""Helpers, version {comments}."""
import functools

# A remark: {comments}
LEAST = {constant}
'''
HELPERS = (
    """def keeps(x, modulus):
    # {comments}
    return (x % modulus != 0) & (x >= LEAST)
""",
    '''def shown(word, x):
    """Number {comments}."""
    return f"{{word}}-{{x + {helper}}}"
''',
    """def amplified(function):
    @functools.wraps(function)
    def inner(*values, **named):
        return function(*values, **named) * {decorator}

    return inner
""",
    """class Middle:
    def middle(self, values):
        return int(values.sum()) // (len(values) + {base})
""",
    """def unrelated(x):
    return x - {unrelated}
""",
)
DEEP = """import helpers

SCALE = {{"by": [{deep}]}}


def labelled(words, values):
    return [helpers.shown(w, v * SCALE["by"][0]) for w, v in zip(words, values)]
"""
STEPS = """import numpy as np
import polars as pl
import pyarrow as pa
import tidemill as tm

import helpers
from helpers import amplified
from parts import deep


@tm.row_step(ids=True)
def clean(rows: pl.DataFrame, modulus: int) -> pl.DataFrame:
    return rows.filter(helpers.keeps(pl.col("x"), modulus)).with_columns(word=pl.col("word").fill_null("none"))


@tm.row_step(columns="x", to="y")
@amplified
def squared(x: np.ndarray) -> np.ndarray:
    return (x * x {blank}        + 1)


@tm.row_step
def halves(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    low = rows.ids % (2 + {split}) < 2
    return rows.filter(low), rows.filter(~low)


@tm.transform(columns="y")
class Centre(helpers.Middle):
    def fit(self, y: np.ndarray) -> dict:
        return {{"middle": np.array([self.middle(y) // self.coarse()])}}

    def coarse(self):
        return {method}

    def apply(self, y: np.ndarray, state: dict) -> np.ndarray:
        return y - state["middle"][0]


class Learner:
    def __init__(self, rate):
        self.rate, self.weight = rate, np.zeros(2)

    def learn(self, x, y):
        # {comments}
        self.weight += self.rate * np.array([float((x * y).sum()), float(y.sum()) + {learner}])


@tm.step(version="{setting}")
def train(rows: tm.Table, epochs: int, rate: float = 0.001) -> dict:
    learner = Learner(rate)
    x, y = rows.numpy("x").astype(float), rows.numpy("y").astype(float)
    for _ in range(epochs):
        order = np.random.permutation(len(x))
        learner.learn(x[order], y[order])
    return {{"weight": learner.weight.tolist(), "drawn": float(np.random.random()), "version": {setting}}}


@tm.step(ids=True)
def joined(low: tm.Table, high: tm.Table) -> tm.Table:
    both = pa.concat_tables([low.to_arrow(), high.to_arrow()])
    label = deep.labelled(both.column("word").to_pylist(), both.column("y").to_pylist())
    return tm.Table(both.append_column("label", pa.array(label, pa.string())))


@tm.step
def report(model: dict, rows: tm.Table) -> dict:
    return {{"rows": len(rows), "sum": int(rows.numpy("y").sum()) + {body}, "model": model}}
"""
PIPELINE = """import tidemill as tm
from steps import Centre, clean, halves, joined, report, squared, train

# {comments}


@tm.pipeline
def p(data: tm.Dataset = tm.dataset("d"), modulus: int = 3, epochs: int = 2):
    low, high = halves(squared(clean(data, modulus)))
    fitted = Centre.fit(low)
    low, high = fitted.apply(low), fitted.apply(high)
    model = train(low, epochs)
    return {{"report": report(model, joined(low, high))}}
"""
MODULES = ("helpers", "parts", "steps", "pipeline")
