"""Open or make a store."""

from functools import cached_property
from pathlib import Path

from tidemill.store import layout
from tidemill.store.blobs import Blobs
from tidemill.store.catalog.database import Catalog
from tidemill.store.locks import Locks


class Store:
    """One address that holds everything. Each part opens when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Store":
        """Open the store in ``folder``; make it if it is not there."""
        layout.create(folder)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open the store in ``folder``.

        Raises:
            NotFound: ``store-not-found``.
            StorageError: ``store-too-new``, ``store-damaged``.
        """
        layout.bring_up_to_date(folder)
        return cls(folder)

    @cached_property
    def blobs(self) -> Blobs:
        """Content-addressed bytes."""
        return Blobs(self.folder / "blobs")

    @cached_property
    def catalog(self) -> Catalog:
        """Records: runs, steps, cache, models, releases, deployments."""
        return Catalog.open(self.folder / "catalog.db")

    @cached_property
    def locks(self) -> Locks:
        """Locks between processes."""
        return Locks(self.folder / "locks")

    @property
    def datasets_folder(self) -> Path:
        """Where ``data`` keeps its tables."""
        return self.folder / "datasets"

    @property
    def environments_folder(self) -> Path:
        """Where servers keep their control sockets, logs and prediction logs."""
        return self.folder / "environments"

    def close(self) -> None:
        """Close the catalog's connections, if any were opened."""
        if "catalog" in self.__dict__:
            self.catalog.close()
