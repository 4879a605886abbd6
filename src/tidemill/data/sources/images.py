"""A folder of images: a row an image, decoded to one tensor column; the class is the folder, or a CSV file says it."""

import json
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotFound, TidemillError
from tidemill.core.events import Progress, Sink
from tidemill.core.kinds import reason
from tidemill.data.sources.delimited import Delimited
from tidemill.data.sources.layout import PREFIX
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.source import Group, Note
from tidemill.data.sources.typed import Typed
from tidemill.store.table import SHAPE

if TYPE_CHECKING:
    import pyarrow as pa

_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
_PIECE_BYTES = 16 * 1024 * 1024
_ORIENTATION = 0x0112
_INKS = frozenset({"CMYK", "YCbCr", "LAB", "HSV", "RGBX"})
"""Pillow's modes that are colours, and become RGB only by a computation."""
_LABELS = "labels.csv"


class Images(Typed):
    """Folders of images as one source: the columns ``file``, ``image``, and ``label`` or what the CSV file has.

    Args:
        folders: The folders.
        resize: Height and width that every image gets; None leaves them, and they must be alike.
        sink: Is told how far it is.
    """

    def __init__(self, folders: Sequence[Path], resize: tuple[int, int] | None, sink: Sink) -> None:
        # '.' and '..' have no name of their own to be called by, or to find a table of labels beside them.
        folders = [folder if folder.name.strip(".") else folder.resolve() for folder in folders]
        self._folders = [_Folder(folder, resize, sink) for folder in folders]
        super().__init__(name_of(folders), self._folders, "of the images")

    @property
    def notes(self) -> Sequence[Note]:
        """What of the images is not in the rows."""
        return [note for folder in self._folders for note in folder.notes]


class _Folder:
    def __init__(self, folder: Path, resize: tuple[int, int] | None, sink: Sink) -> None:
        self.name = folder.name
        self._folder = folder
        self._resize = resize
        self._sink = sink
        self.notes: list[Note] = []

    @cached_property
    def _files(self) -> list[str]:
        found = (p for p in self._folder.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
        files = sorted(p.relative_to(self._folder).as_posix() for p in found)
        if not files:
            raise InvalidInput(
                f"{self._folder} is a folder, and no image is in it.",
                why="From a folder, images are imported: PNG, JPEG, and what else Pillow reads.",
                hint="Name a file in it, or another folder.",
                code=codes.NOT_A_FILE,
            )
        return files

    @property
    def rows(self) -> int:
        """How many images there are."""
        return len(self._files)

    def schema(self) -> "pa.Schema":
        """Its columns."""
        import pyarrow as pa  # noqa: PLC0415

        shape, _ = self._form
        metadata = {SHAPE: json.dumps(list(shape)).encode(), PREFIX: b"pixel"}
        image = pa.field("image", pa.list_(pa.uint8(), math.prod(shape)), metadata=metadata)
        return pa.schema([pa.field("file", pa.string()), image, *self._labels.schema])

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in the order of their file names."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        schema, (shape, mode) = self.schema(), self._form
        step = max(_PIECE_BYTES // math.prod(shape), 1)
        for start in range(0, self.rows, step):
            files = self._files[start : start + step]
            pixels = np.empty((len(files), *shape), np.uint8)
            for at, file in enumerate(files):
                pixels[at] = self._pixels(file, shape, mode)
            image = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), math.prod(shape))
            labels = self._labels.slice(start, len(files)).columns
            self._sink(Progress(f"Reading {self.name}", start + len(files), self.rows, "images"))
            yield pa.Table.from_arrays([pa.array(files, pa.string()), image, *labels], schema=schema)

    @cached_property
    def _labels(self) -> "pa.Table":
        """What is known of each image beside its pixels: its folder, or its line in the CSV file."""
        import pyarrow as pa  # noqa: PLC0415

        beside = [self._folder / _LABELS, self._folder.parent / f"{self._folder.name}.csv"]
        table = next((path for path in beside if path.is_file()), None)
        if table:
            return self._from_csv(table)
        if all("/" not in file for file in self._files):
            return pa.table({"": pa.nulls(self.rows)}).select([])
        parents = [Path(file).parent.name or None for file in self._files]
        return pa.table({"label": pa.array(parents, pa.string())})

    def _from_csv(self, path: Path) -> "pa.Table":
        import pyarrow as pa  # noqa: PLC0415

        source = Delimited([path])
        names = [field.name for field in source.fields()]
        if "file" not in names:
            raise InvalidInput(
                f"{path.name}, line 1: no column is called 'file'.",
                why="It says of which image a line is, by its path in the folder.",
                hint="Call that column 'file'.",
                code=codes.LABEL_FILE,
                details={"file": path.name, "line": 1, "column": "file"},
            )
        fixed = {"file": pa.string()}
        kinds = source.types([Group((n,)) for n in names if n != "file"], fixed) | fixed
        table = pa.concat_tables(source.pieces(kinds))
        at = {file: n for n, file in enumerate(table["file"].to_pylist())}
        unknown = next((n for file, n in at.items() if file not in set(self._files)), None)
        if unknown is not None:
            place = source.place(unknown)
            raise NotFound(
                f"{place}, column 'file': there is no image '{table['file'][unknown]}' in {self._folder}.",
                hint="Correct the line, or add the image.",
                code=codes.FILE_NOT_FOUND,
                details=place.details("file"),
            )
        return table.drop_columns(["file"]).take(pa.array([at.get(f) for f in self._files], pa.int64()))

    @cached_property
    def _form(self) -> tuple[tuple[int, ...], str]:
        """The shape of every image, and Pillow's mode for what all of them have: grey, colour, or colour and alpha."""
        alpha = colour = False
        first: tuple[str, tuple[int, int]] | None = None
        frames: list[str] = []
        inks: list[str] = []
        for file in self._files:
            with self._opened(file) as image:
                if image.mode.startswith(("I", "F")) or _is_deep(image):
                    raise self._wrong(
                        file,
                        f"has more than 8 bits a channel ({image.mode})",
                        "Save it with 8 bits a channel.",
                    )
                bands, size = image.getbands(), _size(image)
                alpha |= "A" in bands or "transparency" in image.info
                colour |= len(bands) > 2 or image.mode == "P"
                if getattr(image, "is_animated", False):
                    frames.append(file)
                if image.mode in _INKS:
                    inks.append(file)
            first = first or (file, size)
            if self._resize is None and size != first[1]:
                raise self._wrong(
                    file,
                    f"is {size[0]}x{size[1]} (height x width), and {first[0]} is {first[1][0]}x{first[1][1]}",
                    f"Give every image one size: --resize {first[1][0]}x{first[1][1]}.",
                )
        self.notes = _told(self.name, frames, inks)
        assert first
        mode = "RGBA" if alpha else "RGB" if colour else "L"
        size = self._resize or first[1]
        return (size if mode == "L" else (*size, len(mode))), mode

    def _pixels(self, file: str, shape: tuple[int, ...], mode: str) -> Any:
        import numpy as np  # noqa: PLC0415
        from PIL import ImageOps  # noqa: PLC0415

        with self._opened(file) as image:
            image.load()
            # Pillow has turned a TIFF once it is loaded, and may not know it: it would turn it again.
            turned = (image if image.format == "TIFF" else ImageOps.exif_transpose(image)).convert(mode)
            if (turned.height, turned.width) != shape[:2]:
                if self._resize is None:
                    raise self._wrong(
                        file,
                        f"is {turned.height}x{turned.width} (height x width), and the first is {shape[0]}x{shape[1]}",
                        f"Give every image one size: --resize {shape[0]}x{shape[1]}.",
                    )
                turned = turned.resize((shape[1], shape[0]))
            return np.asarray(turned)

    @contextmanager
    def _opened(self, file: str) -> Generator[Any]:
        try:
            from PIL import Image  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise NeedsExtra(
                "Reading images needs Pillow, which is not installed.",
                hint="Type: pip install 'tidemill[images]'",
            ) from error
        try:
            # Not by its path: a TIFF that is to be turned comes out scrambled where Pillow maps it into memory.
            with (self._folder / file).open("rb") as opened, Image.open(opened) as image:
                yield image
        except TidemillError:
            raise
        except Exception as error:
            # Pillow's readers raise whatever a damaged file leads them to: of an index, a size, a division.
            raise InvalidInput(
                f"{self.name}/{file}: this image cannot be read.",
                why=reason(error),
                hint="Save it again, or remove it from the folder.",
                code=codes.UNREADABLE_IMAGE,
                details={"file": f"{self.name}/{file}"},
            ) from error

    def _wrong(self, file: str, what: str, hint: str) -> InvalidInput:
        return InvalidInput(
            f"{self.name}/{file} {what}.",
            why="The images of a dataset are one column, whose tensors have one shape.",
            hint=hint,
            code=codes.IMAGE_SHAPE,
            details={"file": f"{self.name}/{file}"},
        )


def _size(image: Any) -> tuple[int, int]:
    """Height and width, as the image is to be seen. Of a TIFF, Pillow gives them so; of others, as they are stored."""
    sides = image.height, image.width
    turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) >= 5
    return sides[::-1] if turned else sides


def _is_deep(image: Any) -> bool:
    """Whether a channel has 16 bits in the file; of colours, Pillow would keep the upper 8 and not say so."""
    return any("16" in str(tile[3]) for tile in image.tile)


def _told(folder: str, frames: Sequence[str], inks: Sequence[str]) -> list[Note]:
    notes: list[Note] = []
    if frames:
        more = f"{len(frames):,} images of {folder} have" if len(frames) > 1 else f"{folder}/{frames[0]} has"
        text = f"{more} more than one frame{f' ({frames[0]} is the first)' if len(frames) > 1 else ''}: only the first frame is imported."
        notes.append(Note("frames", "image", text))
    if inks:
        more = f"{len(inks):,} images of {folder} are" if len(inks) > 1 else f"{folder}/{inks[0]} is"
        text = f"{more} not in grey or RGB (CMYK, LAB or the like){f'; {inks[0]} is the first' if len(inks) > 1 else ''}: converted to RGB, which changes values."
        notes.append(Note("converted-colours", "image", text))
    return notes
