"""The files that come with Tidemill and are not code: the examples, and the lock of its own runtime.

A wheel carries them in ``tidemill/_shipped``; a checkout has them at its root.
"""

from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InternalError

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "_shipped", _PACKAGE.parents[1])


def example(name: str) -> Path:
    """The folder of an example, such as ``fashion``. Read it or copy it; never write to it."""
    return _find(Path("examples") / name)


def runtime_lock() -> Path:
    """The hash-pinned requirements of ``tidemill[keras,sklearn,tune]``, for every platform."""
    return _find(Path("requirements") / "demo.txt")


def _find(path: Path) -> Path:
    for place in _PLACES:
        if (place / path).exists():
            return place / path
    raise InternalError(
        f"This installation of Tidemill lacks {path}.",
        why=f"It is in none of {', '.join(str(place) for place in _PLACES)}.",
        hint="Install Tidemill again.",
        code=codes.INCOMPLETE_INSTALLATION,
    )
