"""Every identity of Tidemill, in one place: what exactly is hashed to name a thing.

A pre-image is a tag and a tree of values, written so that no two trees have the same bytes:
each value is a type letter, its length, and its bytes; a container counts its members. A type
that is not listed is an error, never a constant. ``tests/core/test_identity.py`` pins each
function by literal hex: a change here makes every cache miss and every release unverifiable, so
it needs a new tag (``step/2``) and a decision in ``docs/decisions``.
"""

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.core.names import Digest, digest_of_hex

_size = struct.Struct(">Q").pack

Value = None | bool | int | float | str | bytes | Sequence["Value"] | Mapping[str, "Value"]
"""What a pre-image may be made of."""


def blob(data: bytes | memoryview) -> Digest:
    """The digest of stored bytes: plain SHA-256, what OCI uses, so that ``sha256sum`` agrees."""
    return digest_of_hex(hashlib.sha256(data).hexdigest())


def file(path: Path) -> Digest:
    """What ``blob`` says of a file's bytes, which are never whole in memory.

    Raises:
        OSError: When it cannot be read.
    """
    with path.open("rb") as opened:
        return digest_of_hex(hashlib.file_digest(opened, "sha256").hexdigest())


def code(name: str, text: str) -> Digest:
    """A function, class or module of the project, by its source without comments and formatting."""
    return blob(code_image(name, text))


def code_image(name: str, text: str) -> bytes:
    """What ``code`` hashes. Stored as a blob it has the code's digest, so that a change can be shown later."""
    return pre_image("code/1", [name, text])


def step(
    component: str,
    code_parts: Mapping[str, str],
    packages: Mapping[str, str],
    settings: Mapping[str, Value],
    inputs: Mapping[str, Value],
) -> Digest:
    """The cache key of a step.

    Args:
        component: The component's qualified name.
        code_parts: Name of each reached project function, class or constant to its ``code`` digest.
        packages: Name of each imported distribution to its version.
        settings: The settings, by parameter name.
        inputs: Digest (or sequence of digests) of each input artifact, by parameter name.
    """
    return _digest("step/1", [component, dict(code_parts), dict(packages), dict(settings), dict(inputs)])


def chunk(step_key: str, chunk_digest: str) -> Digest:
    """The memo key of one chunk of rows through one row-wise step.

    ``step_key`` is the ``step`` key made without the table that the chunk belongs to.
    """
    return _digest("chunk/1", [step_key, chunk_digest])


def value(tree: Value) -> Digest:
    """A plain value (a setting, a small result), by content."""
    return blob(value_image(tree))


def value_image(tree: Value) -> bytes:
    """What ``value`` hashes; as a blob, it has the value's digest."""
    return pre_image("value/1", tree)


def row(cells: Sequence[Value], occurrence: int) -> int:
    """A row's ``_id`` from its content, and which of its equals it is (0 for the first).

    Returns:
        An unsigned 64-bit integer.
    """
    return _short("row/1", [list(cells), occurrence])


def cell(tree: Value) -> bytes:
    """The written form of a row's cell that is neither of fixed width nor a text: a decimal, a list, a record.

    ``data.cell_images`` says which tree each type of cell is.
    """
    return pre_image("cell/1", tree)


def key_row(cells: Sequence[Value]) -> int:
    """A row's ``_id`` from the user's key columns: an unsigned 64-bit integer."""
    return _short("key/1", list(cells))


def data_row(row: int, cells: Sequence[Value]) -> bytes:
    """The digest of a dataset's row, 32 bytes: its ``_id``, and its cells as ``row`` takes them, by their columns' names."""
    return hashlib.sha256(pre_image("data-row/1", [row.to_bytes(8, "big"), list(cells)])).digest()


def data_range(rows: bytes) -> bytes:
    """The digest of a range of ``_id``s, 32 bytes.

    Args:
        rows: For each row that is there, by ascending ``_id``: the ``_id`` in 8 bytes, most significant first, and
            its ``data_row``.
    """
    return hashlib.sha256(pre_image("data-range/1", rows)).digest()


def data_commit(columns: Sequence[Value], rows: int, ranges: bytes) -> Digest:
    """The digest of all that a commit of a dataset holds.

    Args:
        columns: Name, type and metadata of each, in their order.
        rows: How many there are.
        ranges: The ``data_range`` of each range, ascending: of the power of two that ``data.row_digests`` says.
    """
    return _digest("data-commit/1", [list(columns), rows, ranges])


def release(manifest: Mapping[str, Value]) -> Digest:
    """A release, by its manifest: names and digests of all that is in it."""
    return _digest("release/1", manifest)


def advisory_lock(store: str, name: str) -> int:
    """The number by which PostgreSQL knows a store's lock: signed, 64 bits. All machines must agree on it."""
    digest = hashlib.blake2b(pre_image("advisory-lock/1", [store, name]), digest_size=8).digest()
    return struct.unpack(">q", digest)[0]


def _digest(tag: str, tree: Value) -> Digest:
    return digest_of_hex(hashlib.sha256(pre_image(tag, tree)).hexdigest())


def _short(tag: str, tree: Value) -> int:
    return int.from_bytes(hashlib.blake2b(pre_image(tag, tree), digest_size=8).digest(), "big")


def pre_image(tag: str, tree: Value) -> bytes:
    """The bytes that are hashed.

    Raises:
        InvalidInput: ``no-identity``, when the tree holds a value of a type that is not listed here.
    """
    out = bytearray()
    _write(out, f"tidemill/{tag}")
    _write(out, tree)
    return bytes(out)


def read_image(data: bytes) -> tuple[str, Value]:
    """The tag and the tree of bytes that ``pre_image`` made."""
    tag, at = _read(data, 0)
    tree, _ = _read(data, at)
    return str(tag).removeprefix("tidemill/"), tree


def _read(data: bytes, at: int) -> tuple[Value, int]:
    letter, at = data[at : at + 1], at + 1
    if letter in b"ntf":
        return {b"n": None, b"t": True, b"f": False}[letter], at
    if letter == b"d":
        return struct.unpack_from(">d", data, at)[0], at + 8
    size, at = struct.unpack_from(">Q", data, at)[0], at + 8
    if letter == b"l":
        members: list[Value] = []
        for _ in range(size):
            member, at = _read(data, at)
            members.append(member)
        return members, at
    if letter == b"m":
        named: dict[str, Value] = {}
        for _ in range(size):
            name, at = _read(data, at)
            named[str(name)], at = _read(data, at)
        return named, at
    body, at = data[at : at + size], at + size
    if letter == b"i":
        return int(body), at
    return body.decode("utf-8", "surrogatepass") if letter == b"s" else body, at


def _write(out: bytearray, tree: object) -> None:
    match tree:
        # The most frequent ones first.
        case str():
            _field(out, b"s", tree.encode("utf-8", "surrogatepass"))
        case dict():
            out += b"m" + _size(len(tree))
            for name in sorted(tree):
                if not isinstance(name, str):
                    raise _no_identity(name)
                _field(out, b"s", name.encode("utf-8", "surrogatepass"))
                _write(out, tree[name])
        case list() | tuple():
            out += b"l" + _size(len(tree))
            for member in tree:
                _write(out, member)
        case None:
            out += b"n"
        case bool():
            out += b"t" if tree else b"f"
        case int():
            _field(out, b"i", str(tree).encode())
        case float():
            # One NaN for all NaNs; -0.0 and 0.0 stay two values, as their bits differ.
            out += b"d" + struct.pack(">d", math.nan if math.isnan(tree) else tree)
        case bytes():
            _field(out, b"b", tree)
        case _:
            raise _no_identity(tree)


def _field(out: bytearray, letter: bytes, data: bytes) -> None:
    out += letter + _size(len(data)) + data


def _no_identity(thing: object) -> InvalidInput:
    return InvalidInput(
        f"A value of type {type_name(thing)} has no identity.",
        why="Only None, bool, int, float, str, bytes, and lists and string-keyed dicts of them can be hashed "
        "so that the same value always gets the same digest.",
        hint="Pass one of these, or make it a step's result instead of a setting.",
        code=codes.NO_IDENTITY,
    )
