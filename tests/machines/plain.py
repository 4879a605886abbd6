"""A process that computes a project's results without the engine: no cache, no chunks, no store.

The project's own functions are called one after the other, on whole tables, each time from files that nobody has
loaded before.
"""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.machines.code import MODULES
from tidemill.store.table import Table

Rows = dict[int, tuple[int, str | None]]


def as_table(rows: Rows) -> Table:
    """Rows as a dataset has them: by ``_id``, ``x`` and ``word``."""
    return Table(
        pa.table(
            {
                "_id": np.array(list(rows), np.uint64),
                "x": pa.array([x for x, _ in rows.values()], pa.int64()),
                "word": pa.array([word for _, word in rows.values()], pa.string()),
            }
        )
    )


def told(value: Any) -> str:
    """A result in few letters: equal where its bytes are, a table's after ordering by ``_id``."""
    if isinstance(value, Table):
        ordered = value.to_arrow().sort_by("_id").combine_chunks()
        # Whether a column may lack cells is said of it; whether it does is in its bytes.
        arrow = pa.table({n: ordered.column(n) for n in ordered.column_names})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, arrow.schema) as stream:
            stream.write_table(arrow)
        content = sink.getvalue().to_pybytes()
    else:
        content = json.dumps(value, sort_keys=True, default=_array).encode()
    return hashlib.sha256(content).hexdigest()


def _array(value: Any) -> Any:
    assert isinstance(value, (np.ndarray, np.generic)), value
    return [str(value.dtype), value.tolist()]


def _seen(rows: Table) -> Table:
    """What a function with ``ids=True`` sees of rows."""
    return rows.select([n for n in rows.columns if n != "_prediction"])


def results(folder: Path, rows: Rows, modulus: int, epochs: int) -> dict[str, Any]:
    """What each step of the project in ``folder`` gives, a step of two results as a list."""
    for name in [n for n in sys.modules if n.partition(".")[0] in MODULES]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        steps = import_module("steps")
    finally:
        sys.path.remove(str(folder))
    data = as_table(rows).with_column("_prediction", pa.nulls(len(rows), pa.string()))
    made: dict[str, Any] = {}
    few = Table.of(steps.clean.function(_seen(data).to_polars(), modulus))
    made["clean"] = clean = few.with_column("_prediction", pa.nulls(len(few), pa.string()))
    made["squared"] = squared = clean.with_column("y", steps.squared.function(clean.numpy("x")))
    made["halves"] = low, high = steps.halves.function(squared)
    centre = steps.Centre.function()
    made["Centre-fit"] = state = centre.fit(low.numpy("y"))
    low, high = (t.with_column("y", centre.apply(t.numpy("y"), state)) for t in (low, high))
    made["Centre-apply"], made["Centre-apply-2"] = low, high
    random.seed(0)
    np.random.seed(0)
    made["train"] = model = steps.train.function(low, epochs)
    made["joined"] = joined = steps.joined.function(_seen(low), _seen(high))
    made["report"] = steps.report.function(model, joined)
    return made


class Plain:
    """The process, kept warm."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.machines.plain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._known: dict[str, dict[str, list[str]]] = {}

    def results(self, files: dict[str, str], rows: Rows, parameters: dict[str, int]) -> dict[str, list[str]]:
        """By step, each result as ``told``."""
        line = json.dumps([files, sorted(rows.items()), parameters])
        if line not in self._known:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            self._known[line] = json.loads(self._process.stdout.readline())
        return self._known[line]

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    for line in sys.stdin:
        files, rows, parameters = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                file = Path(folder, name)
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
            made = results(Path(folder), {i: tuple(row) for i, row in rows}, **parameters)
        answer = {
            n: [told(v) for v in (made if isinstance(made, tuple) else (made,))] for n, made in made.items()
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
