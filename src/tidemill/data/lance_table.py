"""One Lance table with branches: the only file that calls Lance to change something.

Each change is one Lance transaction, so that it is there as a whole or not at all, whenever the process dies.
Not safe against a second writer by itself: ``Dataset`` holds the store's lock around a change.
"""

import errno
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
    """Where a branch left its parent.

    Attributes:
        parent: The parent branch.
        version: Its version that the branch starts with; the branch's own versions are the later ones.
        token: Unique to this branch, also among branches that had the same name before.
    """

    parent: str
    version: int
    token: str


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

    def open(self, branch: str = MAIN, version: int | None = None) -> "lance.LanceDataset":
        """A branch at a version (None: its newest)."""
        import lance  # noqa: PLC0415

        with translated(self.folder):
            if branch == MAIN:
                return lance.dataset(self.folder, version=version)
            return lance.dataset(self.folder).checkout_version((branch, version))

    def versions(self, branch: str) -> list[int]:
        """The versions of a branch, newest first; the version it was forked from is among them."""
        return sorted(version_files(self.branch_folder(branch)), reverse=True)

    def branch_folder(self, branch: str) -> Path:
        """Where Lance keeps the branch's versions and the files made on it."""
        return self.folder if branch == MAIN else self.folder / "tree" / branch

    def properties(self, opened: "lance.LanceDataset", version: int) -> dict[str, str]:
        """The transaction properties of a version of the opened branch."""
        with translated(self.folder):
            transaction = opened.read_transaction(version)
        return dict(transaction.transaction_properties or {}) if transaction else {}

    def commit(
        self,
        branch: str,
        version: int,
        *,
        gone: Mapping[int, "np.ndarray[Any, Any]"],
        rows: "pa.Table | None",
        properties: Mapping[str, str],
    ) -> int:
        """On top of ``version``, the branch's head: rows leave and rows come, in one transaction.

        Args:
            branch: The branch.
            version: Its newest version.
            gone: Fragment id to the physical offsets of the rows that leave.
            rows: Whole rows that come, or None.
            properties: Of the transaction.
        """
        import lance  # noqa: PLC0415
        from lance.fragment import write_fragments  # noqa: PLC0415

        opened = self.open(branch, version)
        with translated(self.folder):
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
                lance.Transaction(version, operation, transaction_properties=dict(properties)),
                max_retries=0,
            )
            return made.version

    def branches(self) -> dict[str, Fork]:
        """Every branch but ``main``."""
        with translated(self.folder):
            found = self.open().branches.list()
        return {
            name: Fork(b["parent_branch"] or MAIN, b["parent_version"], str(b["branch_identifier"]))
            for name, b in found.items()
        }

    def create_branch(self, name: str, parent: str, version: int) -> None:
        """A new branch that starts with a version of another."""
        with translated(self.folder):
            # A creation that was killed before the branch was listed leaves a folder that Lance refuses.
            shutil.rmtree(self.branch_folder(name), ignore_errors=True)
            at = None if parent == MAIN else parent
            self.open(parent, version).create_branch(name, (at, version))

    def delete_branch(self, name: str) -> None:
        """Remove a branch and the files that only it uses."""
        with translated(self.folder):
            self.open().branches.delete(name)

    def tags(self) -> dict[str, tuple[str, int]]:
        """Each tag's branch and version."""
        with translated(self.folder):
            return {n: (t["branch"] or MAIN, t["version"]) for n, t in self.open().tags.list().items()}

    def create_tag(self, name: str, branch: str, version: int) -> None:
        """A name for a version, for good."""
        with translated(self.folder):
            self.open().tags.create(name, (None if branch == MAIN else branch, version))

    def remove(self) -> None:
        """Delete the table. Its versions go first, so that a killed removal leaves no half table."""
        with translated(self.folder):
            shutil.rmtree(self.folder / "_versions", ignore_errors=True)
            shutil.rmtree(self.folder)


def version_files(folder: Path) -> dict[int, Path]:
    """Version to manifest file, for the table or branch in ``folder``.

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
