"""The packs of one dataset, as its refs name them: whether a version is in one, and what it has of it."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tidemill.core.errors import NotFound, StorageError
from tidemill.data.packs import FOLDER, Damaged, Pack, Packed, ends
from tidemill.data.whole_files import WholeFiles

if TYPE_CHECKING:
    from tidemill.store.objects import Objects

T = TypeVar("T")


class PackedVersions:
    """What is packed of one dataset in one store.

    Args:
        objects: The store's.
        prefix: The table's.
        files: Makes the errors.
        kept: Where this machine keeps packs of a remote store; None where objects are files.

    Attributes:
        names: Of the packs; None of a dataset whose refs name none yet.
    """

    def __init__(self, objects: "Objects", prefix: str, files: WholeFiles, kept: Path | None) -> None:
        self.names: tuple[str, ...] | None = None
        self._objects = objects
        self._prefix = prefix
        self._files = files
        self._kept = kept
        self._packs: dict[str, Pack] = {}
        self._at_hand: dict[str, bytes] = {}

    def follow(self, names: tuple[str, ...] | None) -> None:
        """Take these packs, which the refs name, for all there are."""
        if names != self.names:
            self.names = names
            self._packs = {name: self._packs.get(name) or self._opened(name) for name in names or ()}

    @property
    def packs(self) -> list[Pack]:
        """All of them, in order."""
        return list(self._packs.values())

    @property
    def newest(self) -> int:
        """No version in a pack is newer than this one."""
        return max((pack.last for pack in self._packs.values()), default=0)

    def versions(self) -> set[int]:
        """Every version that is packed.

        Raises:
            StorageError: ``store-damaged``.
        """
        return {v for pack in self.packs for v in self.asked(pack, lambda pack: pack.versions)}

    def whole(self, pack: Pack) -> list[Packed]:
        """What of a pack can be read, though some of it may be damaged, or all."""
        try:
            return list(pack.whole())
        except (FileNotFoundError, NotFound):
            return []

    def of(self, version: int, commit: str | None = None) -> Packed | None:
        """A version, where it is packed.

        Args:
            version: Which.
            commit: The id of the commit that needs it, for the error.

        Raises:
            StorageError: ``store-damaged``.
        """
        pack = self._with(version, commit)
        return self.asked(pack, lambda pack: pack.get(version), commit) if pack else None

    def key_of(self, version: int) -> str | None:
        """The key, below the table's prefix, of the pack with a version; None where it is not packed.

        Raises:
            StorageError: ``store-damaged``.
        """
        pack = self._with(version, None)
        return key_of(pack) if pack else None

    def asked(self, pack: Pack, ask: Callable[[Pack], T], commit: str | None = None) -> T:
        """What a pack answers.

        Raises:
            StorageError: ``store-damaged``, naming its file.
        """
        try:
            return ask(pack)
        except Damaged:
            if self._is_fetched_again(pack, commit):
                return self.asked(pack, ask, commit)
            raise self._files.fault(key_of(pack), lost=False, commit=commit) from None
        except (FileNotFoundError, NotFound):
            raise self._files.fault(key_of(pack), lost=True, commit=commit) from None

    def sweep(self) -> None:
        """Remove this machine's copies of packs that are not named any more."""
        for path in self._kept.glob("*.pack") if self._kept is not None else ():
            if path.name not in self._packs:
                path.unlink(missing_ok=True)

    def _with(self, version: int, commit: str | None) -> Pack | None:
        for pack in self._packs.values():
            if pack.first <= version <= pack.last and version in self.asked(
                pack, lambda pack: pack.versions, commit
            ):
                return pack
        return None

    def _opened(self, name: str) -> Pack:
        def read(start: int, size: int) -> bytes:
            path = self._path(name)
            if path is None:
                data = self._at_hand[name]
                start = start if start >= 0 else max(len(data) + start, 0)
                return data[start : start + size]
            with path.open("rb") as file:
                file.seek(start if start >= 0 else max(file.seek(0, os.SEEK_END) + start, 0))
                return file.read(size)

        ends(name)
        return Pack(name, read)

    def _path(self, name: str) -> Path | None:
        """Where a pack's bytes are on this machine; None: at hand, since it cannot be written down."""
        key = f"{self._prefix}/{FOLDER}/{name}"
        own = self._objects.path(key)
        if own is not None:
            return own
        assert self._kept is not None, "packs of a remote store are kept on this machine"
        path = self._kept / name
        if name not in self._at_hand and not path.is_file():
            try:
                self._objects.get_file(key, path)
            except (OSError, StorageError):
                self._at_hand[name] = self._fetched(name)
        return None if name in self._at_hand else path

    def _fetched(self, name: str) -> bytes:
        found = self._objects.get(f"{self._prefix}/{FOLDER}/{name}")
        if found is None:
            raise FileNotFoundError(name)
        return found[0]

    def _is_fetched_again(self, pack: Pack, commit: str | None) -> bool:
        """Take a pack from the store in place of this machine's copy; False where that was done already."""
        if self._kept is None or pack.name in self._at_hand:
            return False
        try:
            self._at_hand[pack.name] = self._fetched(pack.name)
        except FileNotFoundError:
            raise self._files.fault(key_of(pack), lost=True, commit=commit) from None
        with contextlib.suppress(OSError):
            (self._kept / pack.name).unlink(missing_ok=True)
        return True


def key_of(pack: Pack) -> str:
    """Under which key below the table's prefix a pack lies."""
    return f"{FOLDER}/{pack.name}"
