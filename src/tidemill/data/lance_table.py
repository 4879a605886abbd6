"""One Lance table with all of a dataset's commits: the only file that calls Lance to change something.

All commits of all branches lie on Lance's one line of versions. (Lance's own branches write the table's
absolute path into their manifests, so that a store with branches could not be moved or copied.) Each change is
one Lance transaction, so that it is there as a whole or not at all, whenever the process dies; and nobody sees
it before a ref names it. Which versions are history is for ``refs`` to say, not for this file.

Two writers at once are no danger to each other: Lance would put one's change on top of the other's, which may
be of another branch. Such a version is told by its number, left as garbage, and made again.
"""

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Conflict
from tidemill.data.id_files import IdFiles
from tidemill.data.refs import REMOVED, refs_key
from tidemill.store.faults import fault
from tidemill.store.table import ID

if TYPE_CHECKING:
    import lance
    import numpy as np
    import pyarrow as pa

    from tidemill.store.objects import Objects

MAX_VERSION = 2**64 - 1
_FILE_BYTES = 256 * 1024 * 1024
"""A fragment's size at most: what is read as one piece must fit in memory several times."""
_ATTEMPTS = 100


class LanceTable:
    """A Lance table under a prefix of a store, which may not be there yet.

    Args:
        objects: The store's.
        dataset: The name.
        local: This machine's folder: what is derived from a remote table is kept there.
    """

    def __init__(self, objects: "Objects", dataset: str, local: Path) -> None:
        self.objects = objects
        self.dataset = dataset
        self.prefix = f"datasets/{dataset}.lance"
        self.uri, self._options = objects.uri(self.prefix)
        self.id_files = IdFiles(objects.path(f"{self.prefix}/_tidemill/ids") or local / "ids" / dataset)

    def open(self, version: int | None = None) -> "lance.LanceDataset":
        """The table at a version (None: the newest, of whatever branch)."""
        import lance  # noqa: PLC0415

        with translated(self.uri):
            return lance.dataset(self.uri, version=version, storage_options=self._options)

    def versions(self) -> list[int]:
        """Every version, newest first: history and garbage.

        Lance names a manifest by what is left to the largest version, so that the newest lists first.
        """
        names = (entry.key.rpartition("/")[2] for entry in self.objects.list(f"{self.prefix}/_versions"))
        stems = (name.removesuffix(".manifest") for name in names if name.endswith(".manifest"))
        return sorted((MAX_VERSION - int(stem) for stem in stems if stem.isdecimal()), reverse=True)

    def properties(self, opened: "lance.LanceDataset", version: int) -> dict[str, str]:
        """The transaction properties of a version."""
        with translated(self.uri):
            transaction = opened.read_transaction(version)
        return dict(transaction.transaction_properties or {}) if transaction else {}

    def file_ids(self, data_file: str) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each row of a data file, in its order, those of deleted rows too."""
        from lance.file import LanceFileReader  # noqa: PLC0415

        with translated(self.uri):
            path = f"{self.uri}/data/{data_file}"
            reader = LanceFileReader(path, storage_options=self._options, columns=[ID])
            return reader.read_all().to_table().column(ID).to_numpy()

    def create(self, rows: "pa.Table", properties: Mapping[str, str]) -> int:
        """Make the table; the version with these rows.

        What a killed creation left stays beneath it, as garbage.
        """
        import lance  # noqa: PLC0415

        with translated(self.uri):
            made = lance.write_dataset(
                rows,
                self.uri,
                mode="overwrite" if self.versions() else "create",
                max_bytes_per_file=_FILE_BYTES,
                storage_options=self._options,
                transaction_properties=dict(properties),
            )
            self._keep_ids([f.metadata for f in made.get_fragments()], rows)
            return made.version

    def write(self, version: int, rows: "pa.Table") -> "list[Any]":
        """Write rows in the schema of a version; the fragments, which belong to no version yet."""
        from lance.fragment import write_fragments  # noqa: PLC0415

        opened = self.open(version)
        with translated(self.uri):
            written = write_fragments(
                rows,
                opened,
                mode="append",
                max_bytes_per_file=_FILE_BYTES,
                storage_options=self._options,
                enable_stable_row_ids=opened.has_stable_row_ids,
            )
        self._keep_ids(written, rows)
        return written

    def commit(
        self,
        version: int,
        *,
        gone: Mapping[int, "np.ndarray[Any, Any]"],
        new: Sequence[Any],
        properties: Mapping[str, str],
    ) -> int:
        """On top of a version: rows leave and rows come, in one transaction; the new version.

        Args:
            version: Where to start from; it need not be the newest.
            gone: Fragment id to the physical offsets of the rows that leave.
            new: Fragments that ``write`` made.
            properties: Of the transaction.
        """
        import lance  # noqa: PLC0415

        def change(opened: "lance.LanceDataset") -> "lance.LanceDataset":
            emptied: list[int] = []
            updated: list[Any] = []
            for fragment, offsets in gone.items():
                there = opened.get_fragment(fragment)
                assert there is not None, f"fragment {fragment} is not in version {version}"
                left = there.delete_rows(offsets.tolist())
                if left is None:
                    emptied.append(fragment)
                else:
                    updated.append(left)
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=emptied, updated_fragments=updated, new_fragments=list(new)
            )
            return lance.LanceDataset.commit(
                opened,
                lance.Transaction(opened.version, operation, transaction_properties=dict(properties)),
                max_retries=0,
            )

        return self._alone(version, [change])

    def remove(self) -> None:
        """Delete the table. It is gone from the first moment on; what a kill leaves is garbage."""
        key = refs_key(self.dataset)
        self.objects.put(key, REMOVED)
        self.objects.delete([e.key for e in self.objects.list(self.prefix) if e.key != key])
        self.objects.delete([key])
        folder = self.objects.path(self.prefix)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _keep_ids(self, fragments: "Sequence[Any]", rows: "pa.Table") -> None:
        ids, at = rows.column(ID).to_numpy(), 0
        for fragment in fragments:
            self.id_files.put(fragment.files[0].path, ids[at : at + fragment.physical_rows])
            at += fragment.physical_rows

    def _alone(self, version: int, changes: "Sequence[Any]") -> int:
        """Make changes one after the other on top of a version, with nobody's else between."""
        for _ in range(_ATTEMPTS):
            made = self._tried(version, changes)
            if made is not None:
                return made
        raise Conflict(
            f"Other processes write to dataset '{self.dataset}' without a pause.",
            hint="Run the same command again.",
            code="object-changed",
        )

    def _tried(self, version: int, changes: "Sequence[Any]") -> int | None:
        """The last version made; None when another writer came between."""
        import lance  # noqa: PLC0415

        with translated(self.uri):
            opened = self.open(version)
            try:
                if version != opened.latest_version:
                    # Lance changes the newest version only, so the one to start from becomes it once more.
                    # Without properties: to our history that version is upkeep, also when nothing follows it.
                    restore = lance.LanceOperation.Restore(version)
                    opened = lance.LanceDataset.commit(opened, restore)
                for change in changes:
                    expected = opened.version + 1
                    opened = change(opened)
                    if opened.version != expected:
                        return None
            except OSError as error:
                if "conflict" not in str(error).lower():
                    raise
                return None
            return opened.version


@contextmanager
def translated(address: str | Path) -> Generator[None]:
    """Turns what Lance and the file system raise into an error of ours that names the table."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise fault(error, str(address)) from error
