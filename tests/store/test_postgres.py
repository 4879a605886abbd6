"""What only a catalog on a server can run into: wrong users, no server, a server that restarts midway."""

import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres as Server
from tests.services.postgres import postgres_server
from tests.store.test_catalog import RUN
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.store.catalog import records
from tidemill.store.catalog.advisory import AdvisoryLocks
from tidemill.store.catalog.database import Catalog
from tidemill.store.catalog.postgres import Postgres, masked
from tidemill.store.open import Store


@pytest.fixture(scope="module")
def own_server() -> Generator[Server]:
    """A server that a test may stop without spoiling others."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def own(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name, value in own_server.environment.items():
        monkeypatch.setenv(name, value)
    return own_server


@pytest.fixture
def catalog(own: Server) -> Generator[Catalog]:
    """A catalog on that server, with one run."""
    opened = Catalog.open(own.fresh())
    with opened.write() as write:
        write.add(RUN)
    yield opened
    opened.close()


def test_a_wrong_password_is_refused_and_not_said(postgres: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGPASSWORD", "not-the-one")
    with pytest.raises(NotAllowed) as refused:
        Catalog.open(postgres.url("postgres"))
    assert refused.value.code == "catalog-access-denied"
    assert "not-the-one" not in str(refused.value.to_json())
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(NotAllowed) as refused:
        Catalog.open(postgres.url("postgres"))
    assert "PGPASSWORD" in (refused.value.hint or "")


def test_a_password_in_the_address_works_and_is_masked(postgres: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PGPASSWORD")
    address = postgres.fresh().replace("ada@", f"ada:{postgres.password}@")
    catalog = Catalog.open(address)
    assert postgres.password not in catalog.database.name
    catalog.close()
    assert (
        masked("postgres://ada:s3cret@db/team?application_name=x")
        == "postgresql://ada:***@db/team?application_name=x"
    )
    among = masked("postgresql://ada@db/team?password=s3cret&sslpassword=s3cret&application_name=x")
    assert among == "postgresql://ada@db/team?application_name=x&password=***&sslpassword=***"
    wrong = address.replace(postgres.password, "s3cret")
    with pytest.raises(NotAllowed) as refused:
        Catalog.open(wrong)
    assert "s3cret" not in str(refused.value.to_json())


def test_a_password_file_is_read(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{postgres.port}:*:ada:{postgres.password}\n", "utf-8")
    file.chmod(0o600)
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(file))
    Catalog.open(postgres.fresh()).close()


def test_a_database_that_is_not_there(postgres: Server):
    with pytest.raises(NotFound, match="nowhere") as absent:
        Catalog.open(postgres.url("nowhere"))
    assert absent.value.code == "catalog-not-found"


def test_no_server():
    with pytest.raises(StorageError) as away:
        Catalog.open("postgresql://ada@127.0.0.1:1/team")
    assert away.value.code == "catalog-unreachable"


@pytest.mark.parametrize("address", ["mysql://ada:s3cret@db/x", "postgresql://ada:s3cret@db:port/x", "team"])
def test_an_address_that_is_none(address: str, tmp_path: Path):
    with pytest.raises(InvalidInput) as wrong:
        Store.create(tmp_path / "store", catalog=address)
    assert wrong.value.code == "invalid-catalog-address"
    assert "s3cret" not in str(wrong.value.to_json())
    assert not (tmp_path / "store").exists()


def test_a_schema_of_its_own(postgres: Server):
    address = postgres.fresh()
    database = address.rpartition("/")[2]
    for name in ("one", "two"):
        postgres.sql(f"create schema {name}", database)
    catalogs = [Catalog.open(f"{address}?options=-csearch_path%3D{name}") for name in ("one", "two")]
    with catalogs[0].write() as write:
        write.add(RUN)
    with catalogs[1].read() as read:
        assert read.find(records.Run) == []
    for catalog in catalogs:
        catalog.close()


def test_names_are_ordered_as_in_sqlite(postgres: Server):
    catalog = Catalog.open(postgres.fresh())
    with catalog.write() as write:
        write.put(*(records.Artifact(d, "value", 2**40, {}, RUN.started_at) for d in ("b", "_", "B", "a")))
    with catalog.read() as read:
        assert [a.digest for a in read.find(records.Artifact, order=["digest"])] == ["B", "_", "a", "b"]
    catalog.close()


def test_a_server_that_restarts_between_two_transactions_is_not_noticed(own: Server, catalog: Catalog):
    own.restart()
    with catalog.read() as read:
        assert read.find(records.Run) == [RUN]
    own.stop()
    starting = threading.Timer(0.3, own.start)
    starting.start()
    with catalog.write() as write:
        assert write.change(records.Run, {"id": RUN.id}, pid=2) == 1
    starting.join()


def test_whoever_cannot_wait_is_told_soon_that_the_server_is_away(own: Server, catalog: Catalog):
    own.stop()
    began = time.monotonic()
    with catalog.database.hasty(), pytest.raises(StorageError) as away, catalog.read():
        pass
    # Others wait for 30 seconds, which is time for a restart.
    assert time.monotonic() - began < 15
    assert away.value.code == "catalog-unreachable"
    own.start()
    with catalog.database.hasty(), catalog.read() as read:
        assert read.find(records.Run) == [RUN]


def test_a_server_that_restarts_amid_a_transaction_is_said_and_nothing_is_half_written(
    own: Server, catalog: Catalog
):
    with pytest.raises(StorageError) as gone, catalog.write() as write:
        write.change(records.Run, {"id": RUN.id}, pid=1)
        own.restart()
        write.change(records.Run, {"id": RUN.id}, pid=2)
    assert gone.value.code == "catalog-lost"
    with catalog.write() as write:
        assert write.find(records.Run) == [RUN]


WRITE = """
import sys
from tidemill.core.errors import StorageError
from tidemill.store.catalog import records
from tidemill.store.catalog.database import Catalog
catalog = Catalog.open(sys.argv[1])
while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        with catalog.write() as write:
            [run] = write.find(records.Run)
            write.change(records.Run, {"id": run.id}, pid=run.pid + 1)
        print("ok", flush=True)
    except StorageError as error:
        print(error.code, flush=True)
catalog.close()
"""


def test_nothing_acknowledged_is_lost_over_a_restart(own: Server, catalog: Catalog):
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, catalog.database.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        writer.stdin.write("\n" * 300)
        writer.stdin.flush()
        said = [writer.stdout.readline().strip() for _ in range(20)]
        own.restart()
        said += writer.communicate()[0].split()
    assert len(said) == 300
    assert set(said) <= {"ok", "catalog-lost"}
    with catalog.read() as read:
        [run] = read.find(records.Run)
    # A commit whose answer was lost may have been done: at most the one that was going on then.
    assert said.count("ok") <= run.pid - RUN.pid <= said.count("ok") + said.count("catalog-lost")


def test_a_lock_is_taken_again_after_a_restart(own: Server):
    address = own.fresh()
    database, other = Postgres(address), Postgres(address)
    locks, rival = AdvisoryLocks(database, "s3://b/x"), AdvisoryLocks(other, "s3://b/x")
    with locks.hold("run-1"):
        own.restart()
        # Any use of the connection, or its keeper soon, notices.
        assert not locks.is_held("another")
        assert rival.is_held("run-1")
    assert not rival.is_held("run-1")
    for each in (locks, rival):
        each.close()
    for each in (database, other):
        each.sql.dispose()
