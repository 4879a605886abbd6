"""What the disk, S3 and their clients raise, told as what a person can do about it.

obstore and Lance both stand on the same client of S3 and say the same things in the same words; there is no
telling some of their errors apart but by these words.
"""

import errno
import re
from collections.abc import Generator
from contextlib import contextmanager

from tidemill.core import codes
from tidemill.core.errors import NotAllowed, NotFound, StorageError, TidemillError

_FULL = ("No space left", "os error 28")
_READ_ONLY = ("Read-only file system", "os error 30", "Permission denied", "os error 13")
_REFUSED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
    "403 Forbidden",
    "401 Unauthorized",
)
_NO_KEYS = ("169.254.169.254", "CredentialsNotLoaded", "credential provider")
_AWAY = ("error sending request", "error decoding response body", "Server returned", "5xx", "HTTP error")
_TRIED = re.compile(r"after (\d+) retries")
_SOURCE = re.compile(r",? *\S+\.rs:\d+:\d+$")
"""Where in its own source a client of Rust was; it helps nobody here."""
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")


@contextmanager
def put_off() -> Generator[None]:
    """Lets it pass that nothing can be written, on a full disk above all: for what the next command writes as well."""
    try:
        yield
    except StorageError as error:
        if error.code not in (codes.DISK_FULL, codes.STORE_READ_ONLY):
            raise


@contextmanager
def translated(address: str) -> Generator[None]:
    """Turns what a disk or an object store's client raises into an error of ours that names the address."""
    try:
        yield
    except Exception as error:
        # obstore's errors have a root of their own, which is loaded only with it.
        if isinstance(error, OSError) or type(error).__module__ == "obstore.exceptions":
            raise fault(error, address) from error
        raise


def fault(error: Exception, address: str) -> TidemillError:
    """The error of ours for what a disk or an object store's client raised at ``address``."""
    text = str(error)
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or any(t in text for t in _FULL):
        return StorageError(
            f"The disk that holds {address} is full.",
            hint="Free space (perhaps 'tidemill gc'), then run the same command again.",
            code=codes.DISK_FULL,
        )
    if not address.startswith("s3://"):
        if number in (errno.EROFS, errno.EACCES, errno.EPERM) or any(t in text for t in _READ_ONLY):
            return StorageError(
                f"{address} cannot be written.",
                why=_first_line(text),
                hint="Give yourself the right to write there, or name another folder as 'store'.",
                code=codes.STORE_READ_ONLY,
            )
        return StorageError(
            f"Cannot read or write {address}.",
            why=_first_line(text),
            hint="Check the disk or the network, then run the same command again.",
            code=codes.STORAGE,
        )
    if "NoSuchBucket" in text:
        return NotFound(
            f"There is no bucket for {address}.",
            hint="Make it with your provider's own tool, or correct the address.",
            code=codes.BUCKET_NOT_FOUND,
        )
    if any(t in text for t in _NO_KEYS):
        return NotAllowed(
            f"There are no credentials for {address}.",
            why="Neither variables nor the machine's own role give any.",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL, if it is not Amazon's).",
            code=codes.NO_CREDENTIALS,
        )
    if any(t in text for t in _REFUSED):
        return NotAllowed(
            f"{address} refuses these credentials.",
            why=_reason(text),
            hint="Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what that key may do.",
            code=codes.ACCESS_DENIED,
        )
    if any(t in text for t in _AWAY):
        return StorageError(
            f"{address} does not answer as it should.",
            why=_reason(text),
            hint="Check the network and AWS_ENDPOINT_URL, or wait; then run the same command again.",
            code=codes.STORE_UNREACHABLE,
        )
    return StorageError(
        f"Cannot read or write {address}.",
        why=_first_line(text),
        hint="Check the disk or the network, then run the same command again.",
        code=codes.STORAGE,
    )


def may_pass(error: Exception) -> bool:
    """Whether the same request is worth sending again: after a lost connection, or an answer of 5xx."""
    text = str(error)
    if _TRIED.search(text):
        return False  # the client has done so, and has given up
    status = _STATUS.search(text)
    return status.group(1).startswith("5") if status else any(t in text for t in _AWAY)


def _reason(text: str) -> str:
    """What went wrong in a few words: the answer's status and code, and how often it was tried."""
    status, tried = _STATUS.search(text), _TRIED.search(text)
    code = re.search(r"<Code>([A-Za-z]+)</Code>", text)
    said = " ".join(m.group(1).strip() for m in (status, code) if m) or "The connection failed"
    return f"{said}; tried {int(tried.group(1)) + 1} times." if tried else f"{said}."


def _first_line(text: str) -> str | None:
    return _SOURCE.sub("", text.splitlines()[0]) if text else None
