"""Open or make a store."""

import contextlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.config import cache_folder
from tidemill.core.errors import InvalidInput
from tidemill.core.identity import blob
from tidemill.store import layout, pairing
from tidemill.store.address import open_objects
from tidemill.store.blobs import Blobs
from tidemill.store.locks import Locks
from tidemill.store.objects import Objects
from tidemill.store.seen import Seen, Verify

if TYPE_CHECKING:
    from tidemill.store.catalog.advisory import AdvisoryLocks
    from tidemill.store.catalog.database import Catalog


class Store:
    """One address that holds everything. Each part opens when it is first used.

    Args:
        objects: Everything but the catalog.
        local: The folder where this machine keeps what belongs to it alone: sockets, logs, copies of what
            is remote. Of a store in a folder it is that folder.
        catalog: The catalog's address; None: a file in ``local``.
        found: Its id; None: it is looked for when it is needed.
        verify: When what is read is held against its digest.
    """

    def __init__(
        self,
        objects: Objects,
        local: Path,
        catalog: str | None,
        found: str | None = None,
        verify: Verify = "first",
    ) -> None:
        self.objects = objects
        self.folder = local
        self._catalog = catalog
        self._id = found
        self._verify: Verify = verify

    @classmethod
    def create(
        cls,
        address: str | Path,
        *,
        local: Path | None = None,
        catalog: str | None = None,
        verify: Verify = "first",
    ) -> "Store":
        """Open the store at an address; make it if it is not there. The arguments are those of ``open``."""
        _check(catalog)
        objects = open_objects(address)
        if catalog is None or layout.is_there(objects):
            layout.create(objects)
        else:
            _create_with(objects, catalog)
        return cls.open(address, local=local, catalog=catalog, verify=verify)

    @classmethod
    def open(
        cls,
        address: str | Path,
        *,
        local: Path | None = None,
        catalog: str | None = None,
        verify: Verify = "first",
    ) -> "Store":
        """Open the store at an address.

        Args:
            address: A folder, or ``s3://bucket/prefix``.
            local: This machine's folder beside a remote store; None: one in the user's cache.
            catalog: ``postgresql://user@host/database``; without it, a remote store has its datasets only.
            verify: When what is read is held against its digest.

        Raises:
            NotFound: ``store-not-found``.
            StorageError: ``store-too-new``, ``store-damaged``.
            InvalidInput: ``invalid-catalog-address``, ``invalid-store-address``.
        """
        _check(catalog)
        objects = open_objects(address)
        found = layout.bring_up_to_date(objects)
        folder = objects.path("") or local or cache_folder() / "stores" / blob(objects.address.encode())[7:23]
        return cls(objects, folder, catalog, found, verify)

    @property
    def address(self) -> str:
        """Where the store is: a folder, or ``s3://bucket/prefix``."""
        return self.objects.address

    @cached_property
    def seen(self) -> Seen:
        """What this machine has found to be as it was written."""
        return Seen(self.folder, self._verify)

    @cached_property
    def blobs(self) -> Blobs:
        """Content-addressed bytes."""
        if self._catalog is None:
            return Blobs(self.objects, self.folder, seen=self.seen)
        from tidemill.store.marks import Marks  # noqa: PLC0415

        return Blobs(self.objects, self.folder, Marks(lambda: self.catalog), self.seen)

    @cached_property
    def catalog(self) -> "Catalog":
        """Records: runs, steps, cache, models, releases, deployments, reviews.

        Raises:
            InvalidInput: ``catalog-not-named``.
            Conflict: ``store-catalog-mismatch``.
            Also what ``Catalog.open`` raises.
        """
        if self._catalog is None and self.objects.path("") is None:
            raise InvalidInput(
                f"The store {self.address} needs a catalog in PostgreSQL, and none is named.",
                why="S3 keeps bytes; who did what and when is in a database that a whole team reaches.",
                hint="Set 'catalog' in tidemill.toml, or TIDEMILL_CATALOG, to postgresql://USER@HOST/DATABASE.",
                code=codes.CATALOG_NOT_NAMED,
            )
        from tidemill.store.catalog.database import Catalog  # noqa: PLC0415

        if self._catalog is None:
            file = self.folder / "catalog.db"
            pairing.check_file(self.objects, file)
            catalog = Catalog.open(file)
            layout.note_catalog(self.objects)
            return catalog
        catalog = Catalog.open(self._catalog)
        try:
            self._check_pair(catalog)
        except BaseException:
            catalog.close()
            raise
        return catalog

    def pair(self) -> None:
        """Let the catalog belong to this store, after a migration from a version that knew no such thing.

        Raises:
            Conflict: ``store-catalog-mismatch``.
        """
        if self._catalog is not None:
            self._check_pair(self.catalog)

    def _check_pair(self, catalog: "Catalog") -> None:
        pairing.check(self.objects, catalog, self._id or layout.identity(self.objects))

    @property
    def is_shared(self) -> bool:
        """Whether its catalog is on a server, where others have it too."""
        return self._catalog is not None

    @property
    def has_catalog_open(self) -> bool:
        """Whether the catalog was used."""
        return "catalog" in self.__dict__

    @cached_property
    def locks(self) -> "Locks | AdvisoryLocks":
        """Locks between processes; where the catalog is on a server, between machines.

        Where a remote store was opened without its catalog, to fetch from it or push to it, they hold on this
        machine only; what is shared is swapped there, so that nothing is lost for it.
        """
        if self._catalog is None:
            return Locks(self.folder / "locks")
        from tidemill.store.catalog.advisory import AdvisoryLocks  # noqa: PLC0415
        from tidemill.store.catalog.postgres import Postgres  # noqa: PLC0415

        assert isinstance(self.catalog.database, Postgres)
        return AdvisoryLocks(self.catalog.database, self.address)

    @property
    def environments_folder(self) -> Path:
        """Where servers keep their control sockets, logs and prediction logs: on this machine."""
        return self.folder / "environments"

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "seen" in self.__dict__:
            self.seen.close()
        if "locks" in self.__dict__:
            self.locks.close()
        if self.has_catalog_open:
            self.catalog.close()


def _create_with(objects: Objects, address: str) -> None:
    from tidemill.store.catalog.database import Catalog  # noqa: PLC0415

    with contextlib.closing(Catalog.open(address)) as catalog:
        pairing.check_new(objects, catalog)
        layout.create(objects)
        # Now, not when the catalog is first used: by then there are bytes already.
        pairing.check(objects, catalog, layout.identity(objects))


def _check(catalog: str | None) -> None:
    # SQLAlchemy takes a fifth of a second to load: only whoever reads or writes records waits for it.
    if catalog is not None:
        from tidemill.store.catalog.postgres import check_address  # noqa: PLC0415

        check_address(catalog)
