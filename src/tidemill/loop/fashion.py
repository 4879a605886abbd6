"""Fashion-MNIST in the shape of the 2019 study: found, checked, damaged as real data are, written as one CSV."""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.config import cache_folder
from tidemill.core.errors import NotFound, TidemillError
from tidemill.core.events import Note, Progress, Sink, silent
from tidemill.core.files import replacing

if TYPE_CHECKING:
    import numpy as np

CLASSES = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FALSE_LABELS = ("tshirt", "hat", "jacket", "accessoire", "facemask")
"""Labels that do not exist, as the study's raw data had."""
FALSE_LABEL_CHANCE = 0.001
EMPTY_CELL_CHANCE = 1 / 100_000
SEED = 42
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
PUBLIC_HOME = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""The four files and the SHA-256 of each one's bytes, unpacked."""
_MOST_BYTES = 64 * 1024 * 1024
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images.

    Attributes:
        images: uint8, ``(rows, height, width)``.
        labels: The category name of each.
    """

    images: "np.ndarray[Any, Any]"
    labels: "np.ndarray[Any, Any]"


def load(sink: Sink = silent) -> Images:
    """The 70,000 images in their published order, training files first.

    They come from the first of: the cache, Debian's package where it is installed, the data set's public
    home, Debian's package downloaded and unpacked without root. Every file is checked by its SHA-256.

    Raises:
        NotFound: ``data-not-found``, when none of these works.
    """
    import numpy as np  # noqa: PLC0415

    folder = cache_folder() / "fashion-mnist"
    if not _complete(folder):
        _fetch(folder, sink)
    train, test = ("train", 60_000), ("t10k", 10_000)
    images = [
        np.frombuffer(_read(folder, f"{n}-images-idx3-ubyte"), np.uint8, offset=16).reshape(rows, 28, 28)
        for n, rows in (train, test)
    ]
    numbers = [
        np.frombuffer(_read(folder, f"{n}-labels-idx1-ubyte"), np.uint8, offset=8) for n, _ in (train, test)
    ]
    return Images(np.concatenate(images), np.array(CLASSES)[np.concatenate(numbers)])


def write_csv(images: Images, path: Path, *, seed: int = SEED) -> None:
    """Write images as the study's raw CSV: ``label``, ``pixel1``, ... row by row, damaged by chance.

    The same images and seed give the same file, byte for byte. It appears whole or not at all.
    """
    import numpy as np  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    chance = np.random.RandomState(seed)
    labels, pixels = images.labels.astype(object), images.images.reshape(len(images.images), -1)
    false = chance.random_sample(len(labels)) < FALSE_LABEL_CHANCE
    labels[false] = chance.choice(FALSE_LABELS, int(false.sum()))
    empty = chance.random_sample((len(labels), pixels.shape[1] + 1)) < EMPTY_CELL_CHANCE
    labels[empty[:, 0]] = None
    columns: dict[str, Any] = {"label": pl.Series(labels, dtype=pl.String)}
    for number in range(pixels.shape[1]):
        column = pl.Series(np.ascontiguousarray(pixels[:, number]))
        gone = np.flatnonzero(empty[:, number + 1])
        columns[f"pixel{number + 1}"] = column.scatter(gone, None) if len(gone) else column
    with replacing(path) as part:
        pl.DataFrame(columns).write_csv(part)


def _fetch(folder: Path, sink: Sink) -> None:
    """Fill the cache folder from the first source that works."""
    tried: list[str] = []
    sources: list[tuple[str, Callable[[Path, Sink], None]]] = [
        (f"the folder {DEBIAN_FOLDER}", _from_debian_folder),
        (PUBLIC_HOME, _from_public_home),
        (f"Debian's package {DEBIAN_PACKAGE}", _from_debian_package),
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name, source in sources:
        part = Path(tempfile.mkdtemp(prefix="fashion-", dir=folder.parent))
        try:
            sink(Note(f"Looking for Fashion-MNIST in {name}"))
            source(part, sink)
            if _complete(part):
                shutil.rmtree(folder, ignore_errors=True)
                part.rename(folder)
                return
            tried.append(f"{name}: the files are not what they should be")
        except (OSError, subprocess.SubprocessError, TidemillError) as error:
            tried.append(f"{name}: {error}")
        finally:
            shutil.rmtree(part, ignore_errors=True)
    raise NotFound(
        "Fashion-MNIST is nowhere to be had.",
        why="Tried " + "; ".join(tried) + ".",
        hint="Type 'tidemill demo --data digits': the same loop on data that come with scikit-learn.",
        code=codes.DATA_NOT_FOUND,
    )


def _from_debian_folder(target: Path, sink: Sink) -> None:
    del sink
    for name in _FILES:
        shutil.copyfile(DEBIAN_FOLDER / f"{name}.gz", target / f"{name}.gz")


def _from_public_home(target: Path, sink: Sink) -> None:
    import urllib.request  # noqa: PLC0415

    for name in _FILES:
        with (
            urllib.request.urlopen(f"{PUBLIC_HOME}/{name}.gz", timeout=_TIMEOUT_SECONDS) as answer,  # noqa: S310 - https
            (target / f"{name}.gz").open("wb") as file,
        ):
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while piece := answer.read(1 << 18):
                done += len(piece)
                if done > _MOST_BYTES:
                    raise OSError(f"{name}.gz is larger than {_MOST_BYTES} bytes")
                file.write(piece)
                sink(Progress(f"downloading {name}", done, total or None, "bytes"))


def _from_debian_package(target: Path, sink: Sink) -> None:
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise OSError("apt-get is not on this machine")
    with tempfile.TemporaryDirectory() as name:
        command = [apt, "download", "-q", DEBIAN_PACKAGE]
        sink(Progress(f"downloading {DEBIAN_PACKAGE}", 0, None, "bytes"))
        first = subprocess.run(command, cwd=name, capture_output=True, timeout=300, check=False)
        if first.returncode:
            # A machine whose lists were never fetched knows no package; only root may fetch them.
            subprocess.run([apt, "update", "-q"], capture_output=True, timeout=300, check=False)
            subprocess.run(command, cwd=name, capture_output=True, timeout=300, check=True)
        package = next(Path(name).glob("*.deb"))
        unpacked = Path(name) / "unpacked"
        subprocess.run(
            [dpkg, "-x", str(package), str(unpacked)], capture_output=True, timeout=300, check=True
        )
        for file in _FILES:
            shutil.copyfile(unpacked / DEBIAN_FOLDER.relative_to("/") / f"{file}.gz", target / f"{file}.gz")


def _complete(folder: Path) -> bool:
    try:
        return all(hashlib.sha256(_read(folder, n)).hexdigest() == digest for n, digest in _FILES.items())
    except (OSError, EOFError):
        return False


def _read(folder: Path, name: str) -> bytes:
    with gzip.open(folder / f"{name}.gz") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(f"{folder / name}.gz unpacks to more than {_MOST_BYTES} bytes")
    return data
