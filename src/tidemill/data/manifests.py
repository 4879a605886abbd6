"""The bytes of a version's manifest, as Lance writes it: the transaction first, what Lance takes over last."""

import struct

_SIZE = struct.Struct("<I")
_END = struct.Struct("<QHH4s")
_MAGIC = b"LANC"


def body(manifest: bytes) -> bytes:
    """What Lance opens a version with, where its manifest is not in its place.

    Raises:
        ValueError: When these are not a manifest's bytes.
    """
    start, _, _, magic = _END.unpack(manifest[-_END.size :])
    if magic != _MAGIC:
        raise ValueError("the end is not a manifest's")
    return _part(manifest, start)


def transaction(manifest: bytes) -> bytes:
    """The bytes of the version's transaction, which Lance also writes as a file of its own; others, where it is not in."""
    return _part(manifest, 0)


def _part(manifest: bytes, start: int) -> bytes:
    (size,) = _SIZE.unpack_from(manifest, start)
    return manifest[start + _SIZE.size : start + _SIZE.size + size]
