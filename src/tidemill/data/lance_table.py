"""One Lance table with all of a dataset's commits: with ``pieces``, the only file that calls Lance to change something.

All commits of all branches lie on Lance's one line of versions. (Lance's own branches write the table's
absolute path into their manifests, so that a store with branches could not be moved or copied.) Each change is
one Lance transaction, so that it is there as a whole or not at all, whenever the process dies; and nobody sees
it before a ref names it. Which versions are history is for ``refs`` to say, not for this file.

Two writers at once are no danger to each other: Lance would put one's change on top of the other's, which may
be of another branch. Such a version is told by its number, left as garbage, and made again.
"""

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.core import codes
from tidemill.core.errors import Conflict, StorageError
from tidemill.data import manifests
from tidemill.data.casting import cast_exactly
from tidemill.data.commit_file import CommitFile
from tidemill.data.commits import PROPERTY
from tidemill.data.id_files import IdFiles
from tidemill.data.main_line import MainLine
from tidemill.data.packed_versions import PackedVersions
from tidemill.data.passing_rows import Rows
from tidemill.data.refs import REMOVED, Refs, load, refs_key
from tidemill.data.row_digests import RowDigests
from tidemill.data.schema_change import SchemaChange
from tidemill.data.whole_files import WholeFiles
from tidemill.store import damage
from tidemill.store.faults import fault, may_pass
from tidemill.store.sealed import Sealed
from tidemill.store.table import ID

if TYPE_CHECKING:
    import lance
    import numpy as np
    import pyarrow as pa

    from tidemill.data.packs import Packed
    from tidemill.store.objects import Objects
    from tidemill.store.open import Store

T = TypeVar("T")

MAX_VERSION = 2**64 - 1
_FILE_BYTES = 256 * 1024 * 1024
"""A fragment's size at most: what is read as one piece must fit in memory several times."""
_ATTEMPTS = 100
_BROKEN_OFF = 5
"""How often a change is made again after an answer that broke off."""
_ORDER = b"tidemill.columns"
"""The schema's metadata that holds the order of its columns (JSON), once one has changed."""


class LanceTable:
    """A Lance table under a prefix of a store, which may not be there yet.

    Args:
        store: The store; what is derived from a remote table is kept in this machine's folder of it.
        dataset: The name.

    Attributes:
        files: The digests of its files, and whether they hold.
        packs: Where the manifests of old versions are.
        fresh: Keys below its prefix that were written through this object and may have been another file's before:
            of a version that was lost the number is given again.
    """

    def __init__(self, store: "Store", dataset: str) -> None:
        self.objects: Objects = store.objects
        self.dataset = dataset
        self.prefix = f"datasets/{dataset}.lance"
        self.uri, self._options = store.objects.uri(self.prefix)
        own = store.objects.path(f"{self.prefix}/_tidemill")
        derived = own or store.folder / "datasets" / dataset
        self.fresh: set[str] = set()
        ids = Sealed(derived / "rows", f"{self.prefix}/rows", store.seen)
        digests = Sealed(derived / "digests", f"{self.prefix}/digests", store.seen)
        self.derived = (ids, digests)
        self.id_files = IdFiles(ids)
        self.commit_file = CommitFile(derived / "commits")
        self.main_line = MainLine(derived / "main")
        self.row_digests = RowDigests(digests)
        self.files = WholeFiles(
            store.objects, self.prefix, dataset, store.seen, None if own else derived / "log"
        )
        kept = None if own else derived / "packs"
        self.packs = PackedVersions(store.objects, self.prefix, self.files, kept)
        self._at_hand: lance.LanceDataset | None = None

    def follow(self, refs: Refs) -> None:
        """Take the log and the packs that the refs name for the truth."""
        self.files.follow(refs.log)
        self.packs.follow(refs.packs)

    def open_whole(self, version: int, commit: str | None = None) -> "lance.LanceDataset":
        """The table at a version, to be read: its manifest and deletion files are as they were written.

        Lance trusts a deletion file: of a damaged one it may end the process.

        Raises:
            StorageError: ``store-damaged``.
        """
        opened = self.open(version, commit)
        self.files.check([mark for f in opened.get_fragments() if (mark := f.deletion_file())], commit)
        return opened

    def check_data(self, files: "Iterable[str]", commit: str | None = None) -> None:
        """See that data files, by name, are as they were written.

        Raises:
            StorageError: ``store-damaged``.
        """
        self.files.check([f"data/{file}" for file in files], commit)

    def open(self, version: int, commit: str | None = None) -> "lance.LanceDataset":
        """The table at a version, whose manifest is as it was written.

        Raises:
            StorageError: ``store-damaged``.
        """
        import lance  # noqa: PLC0415

        def unpacked() -> "lance.LanceDataset":
            with translated(self.uri):
                return lance.dataset(self.uri, version=version, storage_options=self._options)

        found = self._found(version, commit, unpacked)
        if found[0] is not None:
            return found[0]
        with translated(self.uri):
            body = manifests.body(found[1].manifest)
            return lance.LanceDataset(
                self.uri, version, storage_options=self._options, serialized_manifest=body
            )

    def packed(self, version: int, commit: str | None = None) -> "Packed | None":
        """A version, where it is packed; its number is never given again.

        Raises:
            StorageError: ``store-damaged``.
        """
        try:
            return self.packs.of(version, commit)
        except StorageError:
            # Packs were packed again meanwhile; or one is damaged, which may not have this version at all.
            if self._look_again():
                return self.packs.of(version, commit)
            if self.files.known([self.manifest_below(version)]):
                return None
            raise

    def _found(
        self, version: int, commit: str | None, unpacked: Callable[[], T]
    ) -> "tuple[T, None] | tuple[None, Packed]":
        """What a version that lies in its place gives, or the version as its pack has it.

        Whoever collects may pack it and take it out of its place meanwhile.
        """
        packed = self.packed(version, commit)
        if packed is not None:
            return None, packed
        try:
            self.files.check({self.manifest_below(version)} - self.fresh, commit)
            return unpacked(), None
        except StorageError:
            self._look_again()
            packed = self.packed(version, commit)
            if packed is None:
                raise
            return None, packed

    def _look_again(self) -> bool:
        """Whether the refs name other packs than when they were last read; then these are followed."""
        before = self.packs.names
        refs, _ = load(self.objects, self.dataset)
        if refs is None or refs.packs == before:
            return False
        self.follow(refs)
        return True

    def versions(self) -> list[int]:
        """Every version, newest first: history and garbage.

        Raises:
            StorageError: ``store-damaged``, when a pack is.
        """
        return sorted({*self.unpacked(), *self.packs.versions()}, reverse=True)

    def newest(self) -> int | None:
        """A version to make one on that has nothing to do with those before; None where there is none."""
        return next(iter(self.unpacked()), self.packs.newest or None)

    def unpacked(self) -> list[int]:
        """Every version whose manifest lies in its place, newest first; it may be packed too.

        Lance names a manifest by what is left to the largest version, so that the newest lists first.
        """
        keys = (entry.key for entry in self.objects.list(f"{self.prefix}/_versions"))
        return sorted((v for key in keys if (v := self.version_of(key)) is not None), reverse=True)

    @staticmethod
    def version_of(key: str) -> int | None:
        """The version whose manifest lies under a key; None where it is another file."""
        stem, _, kind = key.rpartition("/")[2].rpartition(".")
        return MAX_VERSION - int(stem) if kind == "manifest" and stem.isdecimal() else None

    def properties(self, version: int, commit: str | None = None) -> dict[str, str]:
        """The transaction properties of a version.

        Args:
            version: Which.
            commit: The id of the commit that it must be, for the error.

        Raises:
            StorageError: ``store-damaged``.
        """

        def unpacked() -> dict[str, str]:
            # Not the newest version: it may be of a writer that was killed.
            self._at_hand = self._at_hand or self.open(version, commit)
            with translated(self.uri):
                transaction = self._at_hand.read_transaction(version)
            return dict(transaction.transaction_properties or {}) if transaction else {}

        found = self._found(version, commit, unpacked)
        return {PROPERTY: found[1].commit} if found[0] is None else found[0]

    def file_ids(self, data_file: str) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each row of a data file, in its order, those of deleted rows too."""
        from lance.file import LanceFileReader  # noqa: PLC0415

        self.check_data([data_file])
        with translated(self.uri):
            path = f"{self.uri}/data/{data_file}"
            reader = LanceFileReader(path, storage_options=self._options, columns=[ID])
            return reader.read_all().to_table().column(ID).to_numpy()

    def create(self, schema: "pa.Schema") -> int:
        """Make the table, without a row; the version that it begins with.

        What a killed creation left stays beneath it, as garbage.
        """
        import lance  # noqa: PLC0415

        with translated(self.uri):
            made = lance.write_dataset(
                schema.empty_table(),
                self.uri,
                mode="overwrite" if self.unpacked() else "create",
                storage_options=self._options,
            )
            return made.version

    def write(self, version: int, batches: "Iterable[pa.Table]") -> "list[Any]":
        """Write rows in the schema of a version, as they come; the fragments, which belong to no version yet.

        Raises:
            TidemillError: What taking the next batch raises.
        """
        from lance.fragment import write_fragments  # noqa: PLC0415

        opened = self.open(version)
        rows = Rows(batches, opened.schema)
        if not rows.some():
            return []
        with rows.watched(), translated(self.uri):
            written = write_fragments(
                rows.reader(),
                opened,
                mode="append",
                max_bytes_per_file=_FILE_BYTES,
                storage_options=self._options,
                enable_stable_row_ids=opened.has_stable_row_ids,
            )
        ids, at = rows.ids(), 0
        for fragment in written:
            self.id_files.put(fragment.files[0].path, ids[at : at + fragment.physical_rows])
            at += fragment.physical_rows
        return written

    def reshape(self, version: int, change: SchemaChange, schema: "pa.Schema") -> int:
        """The rows of a version with other columns: a version that is upkeep, for a commit to be made on.

        Existing rows lack a column that is added; the cells of one that changes its type are cast.

        Args:
            version: Of the rows.
            change: What becomes of their columns.
            schema: What comes of it; its metadata and its order are remembered.
        """
        import pyarrow as pa  # noqa: PLC0415

        if change.retyped:
            fragments = self.open_whole(version).get_fragments()
            self.check_data(d.path for f in fragments for d in f.data_files())

        def added(opened: "lance.LanceDataset") -> None:
            opened.add_columns(pa.schema(change.added))

        def dropped(opened: "lance.LanceDataset") -> None:
            opened.drop_columns([field.name for field in change.dropped])

        steps: list[Any] = [added] if change.added else []
        steps += [dropped] if change.dropped else []
        steps += [step for _, new in change.retyped for step in _retyping(new)]
        steps.append(lambda opened: opened.update_schema_metadata(_remembered(schema)))

        def in_place(step: Any) -> Any:
            def change_it(opened: "lance.LanceDataset") -> "lance.LanceDataset":
                step(opened)
                return opened

            return change_it

        return self.alone(version, [in_place(step) for step in steps])

    def commit(
        self,
        version: int,
        *,
        gone: Mapping[int, "np.ndarray[Any, Any]"],
        new: Sequence[Any],
        properties: Mapping[str, str],
        merged: Sequence[int] = (),
    ) -> int:
        """On top of a version: rows leave and rows come, in one transaction; the new version.

        Args:
            version: Where to start from; it need not be the newest.
            gone: Fragment id to the physical offsets of the rows that leave.
            new: Fragments that ``write`` made.
            properties: Of the transaction.
            merged: The fragments that leave whole.
        """
        import lance  # noqa: PLC0415

        def change(opened: "lance.LanceDataset") -> "lance.LanceDataset":
            emptied: list[int] = [*merged]
            updated: list[Any] = []
            for fragment, offsets in gone.items():
                there = opened.get_fragment(fragment)
                assert there is not None, f"fragment {fragment} is not in version {version}"
                self.files.check([mark] if (mark := there.deletion_file()) else [])
                left = there.delete_rows(offsets.tolist())
                if left is None:
                    emptied.append(fragment)
                else:
                    updated.append(left)
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=emptied, updated_fragments=updated, new_fragments=list(new)
            )
            return transact(opened, operation, properties)

        return self.alone(version, [change])

    def begin(self, schema: Any) -> int:
        """Make the table with Lance's own schema of another, whose columns keep their numbers from then on; its version."""
        import lance  # noqa: PLC0415

        with translated(self.uri):
            empty = lance.LanceOperation.Overwrite(schema, [])
            return lance.LanceDataset.commit(self.uri, empty, storage_options=self._options).version

    def holds(self, version: int) -> set[str]:
        """The keys of all that a version is made of, its manifest among them, or the pack that it is in."""
        found = self._found(version, None, lambda: self.holds_in_place(version))
        if found[0] is not None:
            return found[0]
        return {f"{self.prefix}/{key}" for key in (*found[1].files, self.packs.key_of(version))}

    def holds_in_place(self, version: int) -> set[str]:
        """The same of a version whose manifest lies in its place, though it may be packed too."""
        opened = self.open(version)
        with translated(self.uri):
            transaction = opened.read_transaction(version)
            fragments = opened.get_fragments()
            files = {f"data/{d.path}" for f in fragments for d in f.data_files()}
            marks = {mark for f in fragments if (mark := f.deletion_file())}
        found = {*files, *marks}
        if transaction:
            found.add(f"_transactions/{transaction.read_version}-{transaction.uuid}.txn")
        return {self.manifest(version), *(f"{self.prefix}/{key}" for key in found)}

    def manifest(self, version: int) -> str:
        """The key under which a version's manifest lies."""
        return f"{self.prefix}/{self.manifest_below(version)}"

    @staticmethod
    def manifest_below(version: int) -> str:
        """The same, below the table's prefix."""
        return f"_versions/{MAX_VERSION - version:020}.manifest"

    def data_files(self) -> dict[str, int]:
        """The data files that are there, of whatever version, and their sizes in bytes."""
        return {e.key.rpartition("/")[2]: e.size_bytes for e in self.objects.list(f"{self.prefix}/data")}

    def copy_data_file(self, name: str, to: "LanceTable") -> None:
        """Bring a data file to another table.

        Raises:
            StorageError: ``store-damaged``, when it is not as it was written; then nothing is brought.
            NotFound: ``object-not-found``.
        """
        key = f"data/{name}"
        known = self.files.known([key]).get(key)
        if not self.objects.copy(f"{self.prefix}/{key}", to.objects, known.digest if known else None):
            raise self.files.fault(key, lost=False)
        if known is not None:
            to.files.note(key, known)

    def remove(self) -> None:
        """Delete the table. It is gone from the first moment on; what a kill leaves is garbage."""
        key = refs_key(self.dataset)
        self.objects.put(key, REMOVED)
        self.objects.delete([e.key for e in self.objects.list(self.prefix) if e.key != key])
        self.objects.delete([key])
        folder = self.objects.path(self.prefix)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def alone(self, version: int, changes: "Sequence[Any]") -> int:
        """Make changes one after the other on top of a version, with nobody's else between."""
        for attempt in range(_ATTEMPTS):
            try:
                made = self._tried(version, changes)
            except StorageError as error:
                # Lance sends most again itself, but no list that broke off midway. A version that was made all the
                # same is garbage, as one of two writers' is.
                if attempt >= _BROKEN_OFF or not may_pass(_cause(error)):
                    raise
                time.sleep(0.05 * 2**attempt)
                continue
            if made is not None:
                return made
        raise Conflict(
            f"Other processes write to dataset '{self.dataset}' without a pause.",
            hint="Run the same command again.",
            code=codes.OBJECT_CHANGED,
        )

    def _tried(self, version: int, changes: "Sequence[Any]") -> int | None:
        """The last version made; None when another writer came between."""
        import lance  # noqa: PLC0415

        with translated(self.uri):
            opened = self._laid_out(version)
            try:
                if version != opened.latest_version:
                    # Lance changes the newest version only, so the one to start from becomes it once more.
                    # Without properties: to our history that version is upkeep, also when nothing follows it.
                    newest = self.open(opened.latest_version)
                    restore = lance.Transaction(newest.version, lance.LanceOperation.Restore(version))
                    opened = lance.LanceDataset.commit(newest, restore)
                    self.fresh.add(self.manifest_below(opened.version))
                for change in changes:
                    expected = opened.version + 1
                    opened = change(opened)
                    self.fresh.add(self.manifest_below(opened.version))
                    if opened.version != expected:
                        return None
            except OSError as error:
                if "conflict" not in str(error).lower():
                    raise
                return None
            return opened.version

    def _laid_out(self, version: int) -> "lance.LanceDataset":
        """A version to make another on, with what Lance itself must find in its place for that."""
        opened = self.open(version)
        newest, packed = self.packs.newest, self.packed(version)
        if packed is not None:
            self.objects.put(self.manifest(version), packed.manifest)
        if newest and opened.latest_version < newest and (last := self.packed(newest)) is not None:
            # The newest versions were lost. Lance counts on from what it finds, and a packed version keeps its number.
            self.objects.put(self.manifest(newest), last.manifest)
        return opened


def _cause(error: Exception) -> Exception:
    return error.__cause__ if isinstance(error.__cause__, Exception) else error


def transact(
    opened: "lance.LanceDataset", operation: Any, properties: Mapping[str, str]
) -> "lance.LanceDataset":
    """Make a version on top of one."""
    import lance  # noqa: PLC0415

    transaction = lance.Transaction(opened.version, operation, transaction_properties=dict(properties))
    return lance.LanceDataset.commit(opened, transaction, max_retries=0)


def ordered(schema: "pa.Schema") -> "pa.Schema":
    """A table's schema in the order that its columns have for a user; Lance puts what comes later at the end."""
    import pyarrow as pa  # noqa: PLC0415

    stored = (schema.metadata or {}).get(_ORDER)
    names = json.loads(stored) if stored else schema.names
    return pa.schema([schema.field(name) for name in names], metadata=schema.metadata)


def _remembered(schema: "pa.Schema") -> dict[str, str]:
    kept = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    return {**kept, _ORDER.decode(): json.dumps(schema.names)}


def _retyping(new: "pa.Field") -> list[Any]:
    """The steps that give a column another type: a new one is made from it, and takes its place."""
    import lance  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    passing = f"{new.name} as {new.type}"

    @lance.batch_udf(output_schema=pa.schema([new.with_name(passing)]))
    def cast(batch: "pa.RecordBatch") -> "pa.RecordBatch":
        return pa.record_batch([cast_exactly(batch.column(0), new.type)], [passing])

    return [
        lambda opened: opened.add_columns(cast, read_columns=[new.name]),
        lambda opened: opened.drop_columns([new.name]),
        lambda opened: opened.alter_columns({"path": passing, "name": new.name}),
    ]


@contextmanager
def translated(address: str | Path) -> Generator[None]:
    """Turns what Lance and the file system raise into an error of ours that names the table."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise fault(error, str(address)) from error
    except BaseException as error:
        # Where Lance's own code meets what it took for impossible, Rust's panic is no `Exception`.
        if type(error).__name__ != "PanicException":
            raise
        with damage.reading(f"The table {address}"):
            raise ValueError(str(error)) from error
