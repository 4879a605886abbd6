"""What a store's address leads to: a folder, or a prefix of an S3 bucket."""

from collections.abc import Mapping
from pathlib import Path

from tidemill.core import codes, config
from tidemill.core.errors import InvalidInput
from tidemill.store.bucket import SCHEME, Bucket
from tidemill.store.folder import Folder
from tidemill.store.objects import Objects


def open_objects(address: str | Path, options: Mapping[str, str] | None = None) -> Objects:
    """The objects at an address. Nothing is read, written or connected yet.

    Args:
        address: A folder, or ``s3://bucket/prefix``.
        options: How to reach S3, by obstore's names; None takes the ``AWS_*`` variables.

    Raises:
        InvalidInput: ``invalid-store-address``.
    """
    text = str(address)
    if not text.startswith(SCHEME):
        if "://" in text:
            raise InvalidInput(
                f"'{text}' is no address of a store.",
                hint="An address is a folder, or s3://BUCKET/PREFIX.",
                code=codes.INVALID_STORE_ADDRESS,
            )
        return Folder(Path(text))
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise InvalidInput(
            f"'{text}' names no bucket.",
            hint="An address is s3://BUCKET/PREFIX.",
            code=codes.INVALID_STORE_ADDRESS,
        )
    return Bucket(bucket, prefix.strip("/"), config.s3_options() if options is None else options)
