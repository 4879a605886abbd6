"""A model without a framework: is the image bright?"""

from typing import Any

import numpy as np


def brightness(images: Any) -> Any:
    """Probabilities of dark and bright."""
    bright = np.asarray(images, np.float32).reshape(len(images), -1).mean(axis=1) / np.float32(255)
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)
