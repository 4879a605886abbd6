"""A real PostgreSQL server for tests: Debian's package, on loopback, with one user and a password.

It writes nothing through to the disk (``fsync=off``): tests kill the server, never the machine.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.services.disks import mounted
from tests.services.ports import free_ports

ABSENT = "no PostgreSQL server: neither 'initdb' nor 'postgres' is installed (apt-get install postgresql)"
USER = "ada"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
}


@dataclass(slots=True)
class Postgres:
    """A server that can be stopped and started again.

    Attributes:
        port: On 127.0.0.1.
        password: Of user ``ada``.
    """

    programs: Path
    folder: Path
    port: int
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    template: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process knows the password."""
        return {"PGPASSWORD": self.password}

    def url(self, database: str) -> str:
        """A database's address, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def sql(self, text: str, database: str = "postgres") -> None:
        """Run one statement, outside of a transaction."""
        import psycopg

        with psycopg.connect(self.url(database), password=self.password, autocommit=True) as connection:
            connection.execute(text)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def fresh(self) -> str:
        """The address of a database that nobody has used."""
        name = f"t_{secrets.token_hex(6)}"
        self.sql(f"create database {name}")
        return self.url(name)

    def catalog(self) -> str:
        """The address of a fresh database with an empty catalog in it: copied, which is quicker than made."""
        if not self.template:
            from tidemill.store.catalog.database import Catalog

            address = self.fresh()
            Catalog.open(address.replace("ada@", f"ada:{self.password}@")).close()
            self.template = address.rpartition("/")[2]
        name = f"t_{secrets.token_hex(6)}"
        self.sql(f"create database {name} template {self.template}")
        return self.url(name)

    @contextmanager
    def on_small_disk(self, megabytes: int) -> Generator[tuple[str, Path]]:
        """A fresh catalog on a disk of its own, and the disk; the server's log of changes is not on it."""
        self.catalog()
        name = f"t_{secrets.token_hex(6)}"
        home = Path(tempfile.mkdtemp(prefix="tidemill-postgres-disk-"))
        home.chmod(0o755)
        try:
            with mounted(home / "disk", megabytes) as disk:
                if (owner := _owner()) is not None:
                    shutil.chown(disk, owner)
                self.sql(f"create tablespace {name} location '{disk}'")
                self.sql(f"create database {name} template {self.template} tablespace {name}")
                try:
                    yield self.url(name), disk
                finally:
                    self.sql(f"drop database {name} with (force)")
                    self.sql(f"drop tablespace {name}")
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._run("pg_ctl", "start", "--wait", "--log", str(self.folder / "log"))

    def stop(self, *, mode: str = "immediate") -> None:
        """Stop the server; ``immediate`` leaves its clients in the middle of what they do."""
        self._run("pg_ctl", "stop", "--wait", "--mode", mode)

    def restart(self) -> None:
        """Stop it in the middle of what it does, and start it again."""
        self.stop()
        self.start()

    def make(self) -> None:
        """Make the empty server in its folder."""
        secret = self.folder / "password"
        secret.write_text(self.password, "utf-8")
        owner = _owner()
        if owner is not None:
            for each in (self.folder, secret):
                shutil.chown(each, owner)
        self._run(
            *("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", f"--username={USER}"),
            *("--auth=scram-sha-256", f"--pwfile={secret}"),
        )
        lines = [f"{name} = '{value}'\n" for name, value in (_SETTINGS | {"port": str(self.port)}).items()]
        with (self.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server that is started would hold the pipe open.
        with (self.folder / "stderr").open("wb") as said:
            done = subprocess.run(
                [str(self.programs / program), *arguments, "-D", str(self.folder / "data")],
                # It refuses to run as root.
                user=_owner(),
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                stdout=said,
                stderr=said,
                check=False,
            )
        if done.returncode:
            logs = [p for p in (self.folder / "stderr", self.folder / "log") if p.is_file()]
            texts = [p.read_text("utf-8", "replace")[-2000:] for p in logs]
            raise RuntimeError(f"{program} failed:\n" + "\n".join(texts))


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, the newest if there are several."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    found = shutil.which("initdb")
    if debian:
        return debian[-1].parent
    return Path(found).resolve().parent if found else None


@contextmanager
def postgres_server() -> Generator[Postgres]:
    """Run a server; where there is none, the test is skipped."""
    found = programs()
    if found is None:
        pytest.skip(ABSENT)
    # Not in pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="tidemill-postgres-"))
    server = Postgres(found, folder, free_ports(1)[0])
    try:
        server.make()
        server.start()
        yield server
    finally:
        pid = folder / "data" / "postmaster.pid"
        if pid.is_file():
            os.kill(int(pid.read_text("utf-8").splitlines()[0]), signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> str | None:
    """Who runs the server, where it cannot be this process's own user."""
    return "postgres" if os.geteuid() == 0 else None
