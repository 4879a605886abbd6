"""Requests a second of a served release, every answer logged durably first, against a bare ASGI application.

Both run the same ONNX network (784-128-10) on the same server (uvicorn, httptools, uvloop) on one core; the
other core sends one 28 x 28 row a request. The windows of the two alternate, and the median of the ratios of
neighbours is reported, so that a busy machine slows both. The floor is the bare application that also commits what it
was asked and what it answered to SQLite before it answers, all that wait together in one commit of a thread: nothing
that checks, names, counts or prunes.

    python bench/serve.py [--seconds 3] [--rounds 5]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BARE = """
import asyncio, os, queue, sqlite3, threading, uuid
import msgspec, numpy as np, onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, ["CPUExecutionProvider"])

class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]

class Request(msgspec.Struct):
    inputs: list[Tensor]

decoder, encoder = msgspec.json.Decoder(Request), msgspec.json.Encoder()

log = None

def open_log():
    global log
    database = sqlite3.connect(os.environ["LOG"], isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE log (id TEXT PRIMARY KEY, inputs BLOB, outputs BLOB)")
    loop, groups, log = asyncio.get_running_loop(), queue.SimpleQueue(), Log()
    log.pending, log.committing, log.groups = [], False, groups

    def committed(group):
        log.committing = False
        for *_, done in group:
            if not done.done():
                done.set_result(None)
        log.kick()

    def commit():
        while True:
            group = groups.get()
            marks = ", ".join(["(?, ?, ?)"] * len(group))
            database.execute(f"INSERT INTO log VALUES {marks}", [v for *row, _ in group for v in row])
            loop.call_soon_threadsafe(committed, group)

    threading.Thread(target=commit, daemon=True).start()

class Log:
    def kick(self):
        if self.pending and not self.committing:
            group, self.pending, self.committing = self.pending, [], True
            self.groups.put(group)

async def app(scope, receive, send):
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    given = decoder.decode(body).inputs[0]
    asked = np.array(given.data, np.float32).reshape(given.shape)
    found = session.run(None, {"x": asked})[0]
    body = encoder.encode({"model_name": "m", "outputs": [
        {"name": "probabilities", "shape": list(found.shape), "datatype": "FP32", "data": found.ravel().tolist()}]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if "LOG" in os.environ:
        if log is None:
            open_log()
        done = asyncio.get_running_loop().create_future()
        log.pending.append((uuid.uuid4().hex, asked.astype(np.uint8).tobytes(), found.tobytes(), done))
        asyncio.get_running_loop().call_soon(log.kick)
        await done
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


def network() -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    first = (random.normal(size=(784, 128)) / 2550).astype(np.float32)
    second = random.normal(size=(128, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "first"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "second"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["y"], axis=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def bundle(folder: Path) -> None:
    import numpy as np

    from tidemill.models import TrainedModel
    from tidemill.models.bundle import build_predictor
    from tidemill.models.frameworks.onnx import OnnxModel
    from tidemill.store.table import Table

    native = OnnxModel(network())
    sample = np.random.default_rng(1).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    build_predictor(
        folder,
        name="net",
        model=TrainedModel.of(native, features="image", label="label", classes=tuple("abcdefghij")),
        stages=[],
        raw_sample=Table.of({"image": sample}),
        expected=native.run(sample.astype(np.float32)),
        code_files={},
    )


def request(path: str, body: bytes, header: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{header}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def load(port: int, raw: bytes, connections: int, seconds: float) -> dict[str, float]:
    taken: list[float] = []

    async def one(end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head[:16]:
                raise SystemExit(head.decode())
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            taken.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(began + seconds) for _ in range(connections)))
    rate = len(taken) / (time.perf_counter() - began)
    taken.sort()
    return {
        "requests": len(taken),
        "rate": rate,
        "p50_ms": taken[len(taken) // 2] * 1e3,
        "p99_ms": taken[int(len(taken) * 0.99)] * 1e3,
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far: what a request costs whatever else the machine does."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def window(pid: int, port: int, raw: bytes, connections: int, seconds: float) -> dict[str, float]:
    import uvloop

    uvloop.run(load(port, raw, connections, 0.3))
    before = cpu_seconds(pid)
    found = uvloop.run(load(port, raw, connections, seconds))
    found["cpu_us"] = (cpu_seconds(pid) - before) / found["requests"] * 1e6
    return found


def start(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
    pinned = ["taskset", "-c", "0", *command] if sys.platform == "linux" else command
    return subprocess.Popen(pinned, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)


def bare_server(folder: Path, port: int, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(folder), "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command += ["--lifespan", "off", "--no-server-header"]
    return start(command, {"MODEL": str(folder / "bundle" / "model.onnx"), **environment})


def wait(port: int) -> None:
    import socket

    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)


def free_port() -> int:
    from tidemill.edge import sockets

    listener = sockets.bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    return port


def asked_of(bare: int, logged: int, served: int) -> dict[str, tuple[int, bytes]]:
    """What is asked of whom: a port and the bytes of a request."""
    import numpy as np

    image = np.random.default_rng(2).integers(0, 256, (1, 28, 28), dtype=np.uint8)
    tensor = {
        "name": "image",
        "shape": [1, 28, 28],
        "datatype": "UINT8",
        "data": image.ravel().tolist(),
    }
    as_json = json.dumps({"inputs": [tensor]}).encode()
    head = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8"}
    head_json = json.dumps({"inputs": [{**head, "parameters": {"binary_data_size": 784}}]}).encode()
    return {
        "bare ASGI, JSON": (bare, request("/", as_json)),
        "floor: bare, committed": (logged, request("/", as_json)),
        "served, JSON": (served, request("/v2/models/net/infer", as_json)),
        "served, binary tensor": (
            served,
            request(
                "/v2/models/net/infer",
                head_json + image.tobytes(),
                f"Inference-Header-Content-Length: {len(head_json)}\r\n",
            ),
        ),
        "served, /predict": (
            served,
            request("/predict", json.dumps({"rows": [{"image": image[0].tolist()}]}).encode()),
        ),
    }


def main() -> None:
    from tidemill.serve import log_layout
    from tidemill.serve.log_reader import LogReader

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the log is written; the disk matters")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        bundle(folder / "bundle")
        (folder / "bare.py").write_text(BARE)
        bare_port, logged_port = free_port(), free_port()
        bare = bare_server(folder, bare_port, {})
        logged = bare_server(folder, logged_port, {"LOG": str(folder / "floor.db")})
        served = start(
            [
                *(
                    sys.executable,
                    "-m",
                    "tidemill.serve",
                    "--bundle",
                    str(folder / "bundle"),
                    "--name",
                    "net",
                ),
                *(
                    "--release",
                    "sha256:0",
                    "--number",
                    "1",
                    "--environment",
                    "bench",
                    "--folder",
                    str(folder),
                ),
            ],
            {},
        )
        try:
            assert served.stdout is not None
            port = int(json.loads(served.stdout.readline())["address"].rpartition(":")[2])
            wait(bare_port)
            wait(logged_port)
            if sys.platform == "linux":
                os.sched_setaffinity(0, {1})
            kinds = asked_of(bare_port, logged_port, port)
            pids = {bare_port: bare.pid, logged_port: logged.pid, port: served.pid}
            results: dict[int, dict[str, list[dict[str, float]]]] = {}
            for connections in (1, 32):
                rows = results[connections] = {kind: [] for kind in kinds}
                for _ in range(given.rounds):
                    for kind, (where, raw) in kinds.items():
                        rows[kind].append(window(pids[where], where, raw, connections, given.seconds))
        finally:
            for process in (bare, logged, served):
                process.terminate()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        log = LogReader(log_layout.log_file(folder, "bench"))
        rows_logged, log_bytes = log.count(), log_layout.log_file(folder, "bench").stat().st_size
        log.close()
    written = []
    print(
        f"{'connections':>11}  {'what':24}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}{'of bare':>9}"
    )
    for connections, rows in results.items():
        bare_rates = [one["rate"] for one in rows["bare ASGI, JSON"]]
        for kind, windows in rows.items():
            ratio = statistics.median(w["rate"] / b for w, b in zip(windows, bare_rates, strict=True))
            row = {
                "connections": connections,
                "what": kind,
                **{
                    k: statistics.median(w[k] for w in windows)
                    for k in ("rate", "p50_ms", "p99_ms", "cpu_us")
                },
                "of_bare": ratio,
            }
            written.append(row)
            print(
                f"{connections:>11}  {kind:24}{row['rate']:>11.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['cpu_us']:>9.0f}{ratio:>9.2f}"
            )
    print(f"the log takes {log_bytes / rows_logged:.0f} bytes a prediction, of which 784 are the image's")
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "serve.json").write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
