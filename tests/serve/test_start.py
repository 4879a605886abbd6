"""A server stays small: what its process loads, and what its clients load."""

import json
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.serve.bundles import Deploy
from tests.services.waiting import until
from tidemill.serve import client

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


def test_a_verb_that_comes_while_no_file_may_be_opened_is_answered_afterwards(
    deploy: Deploy, tmp_path: Path
) -> None:
    running = deploy()
    folder = tmp_path / "environments"
    _, most = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    # Its standard ones alone: the number of one that it is about to close, now, would be free in a moment.
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (3, most))
    with ThreadPoolExecutor(1) as asking:
        found = asking.submit(client.status, folder, "prod")
        until(lambda: "control-failed" in (folder / "prod.log").read_text())
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (most, most))
        answer = found.result()
    assert answer is not None
    assert answer.pid == running.pid
    assert client.stop(folder, "prod") is not None
