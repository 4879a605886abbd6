"""Manifests of old versions in few files: what a commit of long ago needs is read from there, and not laid out again.

A pack holds blocks of some versions' manifests, compressed together, since one is much like the next; then an index of
its blocks; then how long that is. The name has the versions that it reaches over and the SHA-256 of the index, which has
that of each block: from the refs, which name the packs, to each byte everything is covered, and one version costs the
reading of one block. Which versions are packed is for ``packing`` to say, not for this file.
"""

import contextlib
import hashlib
import json
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tidemill.store import damage

FOLDER = "_tidemill/packs"
LAYOUT = 1
_TRAILER = struct.Struct("<Q8s")
_MAGIC = b"tm-packs"
_BLOCK_VERSIONS = 64
_BLOCK_BYTES = 256 * 1024
"""So many are compressed together: more are little smaller, and to read one costs more."""
_LEVEL = 9
_KEPT_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Packed:
    """A version as a pack has it.

    Attributes:
        version: Its number.
        commit: What its transaction says of the commit that it is.
        files: What else it is made of, below the table's prefix: data and deletion files.
        transaction: The key of its transaction, whose bytes are in the manifest too; None where it is among the files.
        manifest: The bytes of its manifest.
    """

    version: int
    commit: str
    files: frozenset[str]
    transaction: str | None
    manifest: bytes


@dataclass(frozen=True, slots=True)
class _Block:
    versions: tuple[int, ...]
    start: int
    size: int
    raw_size: int
    digest: str


class Damaged(Exception):
    """The bytes of a pack are not those that were written."""


class Pack:
    """One pack.

    Args:
        name: Its file's, without a folder.
        read: Gives so many of its bytes, from an offset on; a negative offset counts from the end.
    """

    def __init__(self, name: str, read: Callable[[int, int], bytes]) -> None:
        self.name = name
        self.first, self.last = ends(name)
        self._read = read
        self._kept: OrderedDict[int, tuple[Packed, ...]] = OrderedDict()

    @cached_property
    def versions(self) -> frozenset[int]:
        """Every version in it.

        Raises:
            Damaged: When its index is.
        """
        return frozenset(v for block in self._blocks for v in block.versions)

    def get(self, version: int) -> Packed | None:
        """A version; None where it is in another file.

        Raises:
            Damaged: When its block is, or the index.
        """
        for number, block in enumerate(self._blocks):
            if version in block.versions:
                return next(each for each in self._block(number) if each.version == version)
        return None

    def every(self) -> Iterator[Packed]:
        """All of them, by version.

        Raises:
            Damaged: When a block is, or the index.
        """
        for number in range(len(self._blocks)):
            yield from self._block(number)

    def whole(self) -> Iterator[Packed]:
        """Those whose blocks are as they were written; none where the index is not."""
        try:
            numbers = range(len(self._blocks))
        except Damaged:
            return
        for number in numbers:
            with contextlib.suppress(Damaged):
                yield from self._block(number)

    @cached_property
    def _blocks(self) -> tuple[_Block, ...]:
        size, magic = _TRAILER.unpack(self._some(-_TRAILER.size, _TRAILER.size))
        if magic != _MAGIC:
            raise Damaged("its end is not a pack's")
        index = self._some(-_TRAILER.size - size, size)
        if hashlib.sha256(index).hexdigest() != self.name.rpartition("-")[2].partition(".")[0]:
            raise Damaged("its index is another than its name says")
        body = json.loads(_unpressed(index[8:], int.from_bytes(index[:8], "little")))
        if int(body["layout"]) > LAYOUT:
            raise damage.too_new(f"The pack {self.name} has layout {body['layout']}", LAYOUT)
        return tuple(_Block(tuple(versions), *rest) for versions, *rest in body["blocks"])

    def _block(self, number: int) -> tuple[Packed, ...]:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        block = self._blocks[number]
        data = self._some(block.start, block.size)
        if hashlib.sha256(data).hexdigest() != block.digest:
            raise Damaged("a block is another than its index says")
        self._kept[number] = found = tuple(_opened(_unpressed(data, block.raw_size)))
        if len(self._kept) > _KEPT_BLOCKS:
            self._kept.popitem(last=False)
        return found

    def _some(self, start: int, size: int) -> bytes:
        data = self._read(start, size)
        if len(data) != size:
            raise Damaged("it is too short")
        return data


def written(versions: Sequence[Packed]) -> tuple[str, bytes]:
    """The name and the bytes of a pack of these versions, which ascend."""
    blocks: list[list[Any]] = []
    data = b""
    for some in _blocks_of(versions):
        raw = _closed(some)
        pressed = _codec().compress(raw, asbytes=True)
        digest = hashlib.sha256(pressed).hexdigest()
        blocks.append([[each.version for each in some], len(data), len(pressed), len(raw), digest])
        data += pressed
    body = json.dumps({"layout": LAYOUT, "blocks": blocks}).encode()
    index = len(body).to_bytes(8, "little") + _codec().compress(body, asbytes=True)
    name = f"{versions[0].version}-{versions[-1].version}-{hashlib.sha256(index).hexdigest()}.pack"
    return name, data + index + _TRAILER.pack(len(index), _MAGIC)


def ends(name: str) -> tuple[int, int]:
    """The first and the last version of the pack of this name."""
    first, last, _ = name.split("-")
    return int(first), int(last)


def _blocks_of(versions: Sequence[Packed]) -> Iterator[list[Packed]]:
    some: list[Packed] = []
    size = 0
    for each in versions:
        if some and (len(some) == _BLOCK_VERSIONS or size + len(each.manifest) > _BLOCK_BYTES):
            yield some
            some, size = [], 0
        some.append(each)
        size += len(each.manifest)
    yield some


def _closed(some: Sequence[Packed]) -> bytes:
    """A block's bytes: what each version has that the one before it had not, and the other way round; then the manifests."""
    heads: list[list[Any]] = []
    before: frozenset[str] = frozenset()
    for each in some:
        more, less = sorted(each.files - before), sorted(before - each.files)
        heads.append([each.version, len(each.manifest), each.commit, each.transaction, more, less])
        before = each.files
    return json.dumps(heads, ensure_ascii=False).encode() + b"\n" + b"".join(e.manifest for e in some)


def _opened(raw: bytes) -> Iterator[Packed]:
    head, _, manifests = raw.partition(b"\n")
    files: frozenset[str] = frozenset()
    at = 0
    for version, size, commit, transaction, more, less in json.loads(head):
        files = files.difference(less).union(more)
        yield Packed(version, commit, files, transaction, manifests[at : at + size])
        at += size


def _unpressed(data: bytes, size: int) -> bytes:
    try:
        return _codec().decompress(data, size, asbytes=True)
    except OSError as error:
        raise Damaged(str(error)) from error


def _codec() -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.Codec("zstd", compression_level=_LEVEL)
