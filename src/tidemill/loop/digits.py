"""Handwritten digits, 8x8 pixels of 0 to 16: scikit-learn's own data, for a demo that downloads nothing."""

from typing import Any

from tidemill.core.errors import NeedsExtra
from tidemill.loop.fashion import Images


def load() -> Images:
    """The 1,797 images.

    Raises:
        NeedsExtra: When scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415
    except ImportError:
        raise NeedsExtra(
            "The demo on digits takes its images from scikit-learn, which is not installed.",
            hint="Type pip install 'tidemill[sklearn]'.",
        ) from None
    found: Any = load_digits()
    return Images(found.images.astype("uint8"), found.target.astype(str))
