"""Tomorrow's traffic: the images that the demo kept back, their ids when they are asked, and a steady client."""

import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidemill.core.kinds import raised
from tidemill.loop import predict as predictions
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

BATCH = 50
"""How many images a request of the demo carries."""


def request_id(start: int) -> str:
    """The id of the request whose first image has this number: the same in every attempt."""
    return f"traffic-{start:04d}"


def prediction_id(number: int) -> str:
    """The id of the answer to one image: its request's, and its place there."""
    start = number - number % BATCH
    return f"{request_id(start)}/{number - start}"


class Traffic:
    """Images and their true labels, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def exists(self) -> bool:
        """Whether they were kept already."""
        return self._file.exists()

    def keep(self, images: "np.ndarray[Any, Any]", labels: "np.ndarray[Any, Any]") -> None:
        """Write them; whole or not at all."""
        import numpy as np  # noqa: PLC0415

        part = self._file.with_name("part.npz")
        np.savez(part, image=images, label=labels)
        part.replace(self._file)

    @cached_property
    def _held(self) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        import numpy as np  # noqa: PLC0415

        with np.load(self._file, allow_pickle=False) as held:
            return held["image"], held["label"]

    @property
    def images(self) -> "np.ndarray[Any, Any]":
        """uint8, ``(rows, height, width)``."""
        return self._held[0]

    @property
    def labels(self) -> "np.ndarray[Any, Any]":
        """The true category of each."""
        return self._held[1]


class Load:
    """A client that keeps asking prod, one request after the other, and counts what went wrong."""

    def __init__(self, ws: Workspace, model: str, traffic: Traffic) -> None:
        self._ws = ws
        self._model = model
        self._traffic = traffic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="load", daemon=True)
        self.answered = 0
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        images = self._traffic.images
        number = 0
        with predictions.client(self._ws, "prod") as client:
            while not self._stop.is_set():
                image = images[number % len(images)]
                number += 1
                try:
                    predictions.ask(client, self._model, {"image": image[None]}, protocol=number % 2 == 0)
                    self.answered += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the demo must tell of it
                    self.errors.append(raised(error))
                # A steady client, not a flood: the machine has a model to train meanwhile.
                time.sleep(0.005)
