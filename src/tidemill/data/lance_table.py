"""One Lance table with branches: the only file that calls Lance to change something.

All commits of all branches lie on Lance's one line of versions; which branch a version belongs to is said by
its transaction, and where a branch began by a file of ours. (Lance's own branches write the table's absolute
path into their manifests, so that a store with branches could not be moved or copied.)

Each change is one Lance transaction, so that it is there as a whole or not at all, whenever the process dies.
Not safe against a second writer by itself: ``Dataset`` holds the store's lock around a change.
"""

import dataclasses
import errno
import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import StorageError

if TYPE_CHECKING:
    import lance
    import numpy as np
    import pyarrow as pa

MAIN = "main"
MAX_VERSION = 2**64 - 1
_FILE_BYTES = 256 * 1024 * 1024
"""A fragment's size at most: what is read as one piece must fit in memory several times."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a branch began.

    Attributes:
        at: The version of the commit it started with.
        since: The table's newest version when it was made: the branch's own commits are later.
    """

    at: int
    since: int


class LanceTable:
    """A Lance table in a folder, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether there is a version to read. A folder left by a killed creation has none."""
        return bool(version_files(self.folder))

    def create(self, rows: "pa.Table", properties: Mapping[str, str]) -> int:
        """Make the table with its first version."""
        import lance  # noqa: PLC0415

        with translated(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            # What lies here without a version is left from a creation that was killed.
            shutil.rmtree(self.folder, ignore_errors=True)
            made = lance.write_dataset(
                rows,
                self.folder,
                mode="create",
                max_bytes_per_file=_FILE_BYTES,
                enable_stable_row_ids=True,
                transaction_properties=dict(properties),
            )
            assert made.has_stable_row_ids, "without them, deltas are silently empty"
            return made.version

    def open(self, version: int | None = None) -> "lance.LanceDataset":
        """The table at a version (None: the newest, of whatever branch)."""
        import lance  # noqa: PLC0415

        with translated(self.folder):
            return lance.dataset(self.folder, version=version)

    def versions(self) -> list[int]:
        """Every version, newest first."""
        return sorted(version_files(self.folder), reverse=True)

    def properties(self, opened: "lance.LanceDataset", version: int) -> dict[str, str]:
        """The transaction properties of a version."""
        with translated(self.folder):
            transaction = opened.read_transaction(version)
        return dict(transaction.transaction_properties or {}) if transaction else {}

    def commit(
        self,
        version: int,
        *,
        gone: Mapping[int, "np.ndarray[Any, Any]"],
        rows: "pa.Table | None",
        properties: Mapping[str, str],
    ) -> int:
        """On top of ``version``, a branch's head: rows leave and rows come, in one transaction.

        Args:
            version: Where to start from; it need not be the newest.
            gone: Fragment id to the physical offsets of the rows that leave.
            rows: Whole rows that come, or None.
            properties: Of the transaction.
        """
        import lance  # noqa: PLC0415
        from lance.fragment import write_fragments  # noqa: PLC0415

        opened = self.open(version)
        with translated(self.folder):
            if version != self.versions()[0]:
                # Another branch moved last. Lance changes the newest version only, so the one to start from
                # becomes it once more; to our history that version is upkeep, also when nothing follows it.
                opened.restore()
                opened = self.open()
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
            new = (
                write_fragments(
                    rows,
                    opened,
                    mode="append",
                    max_bytes_per_file=_FILE_BYTES,
                    enable_stable_row_ids=True,
                )
                if rows is not None and rows.num_rows
                else []
            )
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=emptied, updated_fragments=updated, new_fragments=new
            )
            made = lance.LanceDataset.commit(
                opened,
                lance.Transaction(opened.version, operation, transaction_properties=dict(properties)),
                max_retries=0,
            )
            return made.version

    def branches(self) -> dict[str, Fork]:
        """Every branch but ``main``."""
        return {
            file.stem: Fork(**json.loads(file.read_text("utf-8")))
            for file in sorted(branch_folder(self.folder).glob("*.json"))
        }

    def create_branch(self, name: str, version: int) -> None:
        """A new branch that starts with a version."""
        fork = Fork(at=version, since=self.versions()[0])
        file = branch_folder(self.folder) / f"{name}.json"
        with translated(self.folder):
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(json.dumps(dataclasses.asdict(fork)), "utf-8")
            part.replace(file)

    def delete_branch(self, name: str) -> None:
        """Forget a branch; its versions stay."""
        with translated(self.folder):
            (branch_folder(self.folder) / f"{name}.json").unlink()

    def tags(self) -> dict[str, int]:
        """Each tag's version."""
        with translated(self.folder):
            return {name: tag["version"] for name, tag in self.open().tags.list().items()}

    def create_tag(self, name: str, version: int) -> None:
        """A name for a version, for good."""
        with translated(self.folder):
            self.open().tags.create(name, version)

    def remove(self) -> None:
        """Delete the table. Its versions go first, so that a killed removal leaves no half table."""
        with translated(self.folder):
            shutil.rmtree(self.folder / "_versions", ignore_errors=True)
            shutil.rmtree(self.folder)


def branch_folder(folder: Path) -> Path:
    """Where the table in ``folder`` says where its branches began."""
    return folder / "_tidemill" / "branches"


def version_files(folder: Path) -> dict[int, Path]:
    """Version to manifest file, for the table in ``folder``.

    Lance names a manifest by what is left to the largest version, so that the newest lists first.
    """
    return {
        MAX_VERSION - int(file.stem): file
        for file in (folder / "_versions").glob("*.manifest")
        if file.stem.isdecimal()
    }


@contextmanager
def translated(folder: Path) -> Generator[None]:
    """Turns what Lance and the file system raise into a ``StorageError`` that names the table."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error)
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC or "No space left" in text or "os error 28" in text:
            raise StorageError(
                f"The disk that holds {folder} is full.",
                hint="Free space (perhaps 'tidemill gc'), then run the same command again.",
                code="disk-full",
            ) from error
        raise StorageError(
            f"Lance could not read or write {folder}.", why=text.splitlines()[0] if text else None
        ) from error
