"""A server stays small: what its process loads, and what its clients load."""

import json
import subprocess
import sys

HEAVY = (
    "alembic",
    "click",
    "jax",
    "keras",
    "lance",
    "obstore",
    "pandas",
    "polars",
    "rich",
    "sklearn",
    "sqlalchemy",
)
ROOMS = ("data", "engine", "evaluation", "loop", "parts", "pipeline", "release", "watch")


def loaded_by(code: str) -> set[str]:
    listing = "import json, sys; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout))


def test_a_server_loads_no_data_no_pipeline_and_no_framework() -> None:
    loaded = loaded_by("import tidemill.serve.server, onnxruntime")
    # uvicorn's own start imports click.
    assert not loaded & (set(HEAVY) - {"click"})
    assert not loaded & {"pyarrow", "tidemill.store.open", "tidemill.store.table"}
    assert not {f"tidemill.{room}" for room in ROOMS} & loaded


def test_what_promotes_and_asks_loads_no_server() -> None:
    code = "import tidemill.serve.client, tidemill.serve.http_client, tidemill.serve.log_reader"
    assert not loaded_by(code) & {*HEAVY, "uvicorn", "uvloop", "numpy", "msgspec", "onnxruntime", "pyarrow"}
