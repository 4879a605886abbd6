"""Open or make a store."""

from functools import cached_property
from pathlib import Path

from tidemill.store import layout
from tidemill.store.blobs import Blobs
from tidemill.store.catalog.database import Catalog
from tidemill.store.locks import Locks
from tidemill.store.objects import Objects, open_objects


class Store:
    """One address that holds everything. Each part opens when it is first used.

    Args:
        objects: Everything but the catalog.
        local: The folder where this machine keeps what belongs to it alone: sockets, logs, copies of what
            is remote. Of a store in a folder it is that folder.
    """

    def __init__(self, objects: Objects, local: Path) -> None:
        self.objects = objects
        self.folder = local

    @classmethod
    def create(cls, address: str | Path, *, local: Path | None = None) -> "Store":
        """Open the store at an address; make it if it is not there."""
        layout.create(open_objects(address))
        return cls.open(address, local=local)

    @classmethod
    def open(cls, address: str | Path, *, local: Path | None = None) -> "Store":
        """Open the store at an address: a folder, or ``s3://bucket/prefix``.

        Args:
            address: Of the store.
            local: This machine's folder beside a remote store.

        Raises:
            NotFound: ``store-not-found``.
            StorageError: ``store-too-new``, ``store-damaged``.
        """
        objects = open_objects(address)
        layout.bring_up_to_date(objects)
        folder = objects.path("") or local
        assert folder is not None, "a remote store needs a folder of this machine"
        return cls(objects, folder)

    @property
    def address(self) -> str:
        """Where the store is: a folder, or ``s3://bucket/prefix``."""
        return self.objects.address

    @cached_property
    def blobs(self) -> Blobs:
        """Content-addressed bytes."""
        return Blobs(self.objects, self.folder)

    @cached_property
    def catalog(self) -> Catalog:
        """Records: runs, steps, cache, models, releases, deployments."""
        return Catalog.open(self.folder / "catalog.db")

    @cached_property
    def locks(self) -> Locks:
        """Locks between processes."""
        return Locks(self.folder / "locks")

    @property
    def environments_folder(self) -> Path:
        """Where servers keep their control sockets, logs and prediction logs: on this machine."""
        return self.folder / "environments"

    def close(self) -> None:
        """Close the catalog's connections, if any were opened."""
        if "catalog" in self.__dict__:
            self.catalog.close()
