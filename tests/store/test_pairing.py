"""A store's bytes and its catalog belong together: a pair that does not match is refused before anything is read."""

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tests.store.test_catalog import RUN
from tidemill.core.errors import Conflict, StorageError
from tidemill.store import layout
from tidemill.store.address import open_objects
from tidemill.store.open import Store

NOW = "2026-01-01T00:00:00.000000Z"
Team = Callable[[str, str], Store]


@pytest.fixture
def team(tmp_path: Path) -> Generator[Team]:
    """Opens, or makes, the store of an address and a catalog."""
    with ExitStack() as opened:

        def team(address: str, catalog: str) -> Store:
            return opened.enter_context(
                closing(Store.create(address, local=tmp_path / "local", catalog=catalog))
            )

        yield team


def use(store: Store) -> None:
    """What a run leaves: bytes, and a record that names them."""
    store.blobs.put(b"weights")
    with store.catalog.write() as catalog:
        catalog.add(RUN)


def refused(store: Store) -> str:
    with pytest.raises(Conflict) as refusal:
        _ = store.catalog
    assert refusal.value.code == "store-catalog-mismatch"
    return refusal.value.message


def test_another_catalog_is_refused(team: Team, s3: S3Server, postgres: Postgres):
    address, catalog = s3.fresh(), postgres.catalog()
    use(team(address, catalog))
    assert "it is empty" in refused(team(address, postgres.catalog()))
    other, others = s3.fresh(), postgres.catalog()
    use(team(other, others))
    assert f"it belongs to the store {other}" in refused(team(address, others))
    assert team(address, catalog).catalog.has_records()


def test_a_wrong_prefix_makes_no_store(team: Team, s3: S3Server, postgres: Postgres):
    address, catalog = s3.fresh(), postgres.catalog()
    use(team(address, catalog))
    wrong = f"{address}-typo"
    with pytest.raises(Conflict) as refusal:
        team(wrong, catalog)
    assert refusal.value.code == "store-catalog-mismatch"
    assert address in refusal.value.message
    assert list(open_objects(wrong).list("")) == []


def test_a_layout_file_that_was_lost_comes_back_with_the_id_that_the_catalog_knows(
    team: Team, s3: S3Server, postgres: Postgres
):
    address, catalog = s3.fresh(), postgres.catalog()
    store = team(address, catalog)
    use(store)
    before = layout.identity(store.objects)
    store.objects.delete([layout.FILE])
    with pytest.raises(StorageError) as lost:
        Store.create(address)
    assert lost.value.code == "store-damaged"
    again = team(address, catalog)
    assert layout.identity(again.objects) == before
    assert again.catalog.has_records()
    # A bucket that was emptied has nothing that a file could bring back.
    again.objects.delete([entry.key for entry in again.objects.list("")])
    with pytest.raises(Conflict) as refusal:
        team(address, catalog)
    assert refusal.value.code == "store-catalog-mismatch"


def test_a_store_of_an_older_version_gets_its_id_and_its_pair(team: Team, s3: S3Server, postgres: Postgres):
    address, catalog = s3.fresh(), postgres.catalog()
    older = team(address, catalog)
    use(older)
    older.objects.put(layout.FILE, json.dumps({"layout": layout.LAYOUT, "written_at": NOW}).encode())
    with older.catalog.database.transaction(write=True) as connection:
        connection.exec_driver_sql("delete from pairing")
    assert "it is empty" in refused(team(address, postgres.catalog()))
    paired = team(address, catalog).catalog.paired()
    assert paired is not None
    assert (paired.id, paired.address) == (layout.identity(open_objects(address)), address)
    assert team(address, catalog).catalog.paired() == paired


def test_datasets_that_were_shared_without_a_catalog_may_get_one(
    s3: S3Server, postgres: Postgres, team: Team
):
    address = s3.fresh()
    Store.create(address).objects.put("datasets/fashion.lance/_tidemill/refs.json", b"{}")
    assert team(address, postgres.catalog()).catalog.paired() is not None


@pytest.mark.parametrize("left", [None, b""], ids=["gone", "empty"])
def test_a_folder_whose_catalog_was_lost_begins_none_anew(tmp_path: Path, left: bytes | None):
    file = tmp_path / "catalog.db"
    with closing(Store.create(tmp_path)) as store:
        # Bytes may come first: killed behind them, a process leaves a store that never had a catalog.
        use(store)
    saved = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    with closing(Store.open(tmp_path)) as store:
        assert str(file) in refused(store)
        assert (file.read_bytes() if file.exists() else None) == left
    file.write_bytes(saved)
    with closing(Store.open(tmp_path)) as store:
        assert store.catalog.has_records()


def test_a_folder_of_an_older_version_is_known_to_have_a_catalog_once_it_was_opened(tmp_path: Path):
    with closing(Store.create(tmp_path)) as store:
        use(store)
        older = {"layout": layout.LAYOUT, "id": layout.identity(store.objects), "written_at": NOW}
        store.objects.put(layout.FILE, json.dumps(older).encode())
    with closing(Store.open(tmp_path)) as store:
        assert store.catalog.has_records()
        assert layout.identity(store.objects) == older["id"]
    (tmp_path / "catalog.db").unlink()
    with closing(Store.open(tmp_path)) as store:
        refused(store)
