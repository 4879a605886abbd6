"""Folders of images: classes by folder or by a CSV file, sizes, and images that cannot be taken."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.data import Changes, Datasets, import_files, import_rows
from tidemill.data.sources.opening import open_files


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Grey images of 4 by 6 in two folders."""
    folder = tmp_path / "pets"
    for n, kind in enumerate(("cat", "dog")):
        (folder / kind).mkdir(parents=True)
        for at in range(2):
            save(np.full((4, 6), 50 * n + at, np.uint8), folder / kind / f"{at}.png")
    return folder


def save(pixels: Any, path: Path) -> None:
    Image.fromarray(pixels).save(path)


def test_the_class_is_the_folder(datasets: Datasets, pets: Path, rows: Rows):
    done = import_files(datasets, "d", pets)
    assert [(c.name, c.shape) for c in done.columns] == [("file", ()), ("image", (4, 6)), ("label", ())]
    assert [(r["file"], r["label"], r["image"][0]) for r in rows()] == [
        ("cat/0.png", "cat", 0),
        ("cat/1.png", "cat", 1),
        ("dog/0.png", "dog", 50),
        ("dog/1.png", "dog", 51),
    ]
    assert import_files(datasets, "d", pets).rows == Changes()
    save(np.full((4, 6), 7, np.uint8), pets / "cat" / "2.png")
    assert import_files(datasets, "d", pets).rows == Changes(added=1)


def test_a_csv_file_may_name_the_images_and_nothing_else(datasets: Datasets, pets: Path, rows: Rows):
    (pets / "labels.csv").write_text("file\ncat/0.png\n")
    import_files(datasets, "d", pets, key=["file"])
    assert set(rows()[0]) == {"file", "image"}


def test_the_class_is_in_a_csv_file(datasets: Datasets, pets: Path, rows: Rows):
    (pets / "labels.csv").write_text("kind,file,age\ncat,cat/0.png,3\ndog,dog/1.png,5\n")
    import_files(datasets, "d", pets, key=["file"])
    assert [(r["file"], r["kind"], r["age"]) for r in rows()] == [
        ("cat/0.png", "cat", 3),
        ("cat/1.png", None, None),
        ("dog/0.png", None, None),
        ("dog/1.png", "dog", 5),
    ]
    (pets / "labels.csv").rename(pets.with_name("pets.csv"))
    assert import_files(datasets, "d", pets).rows == Changes()
    pets.with_name("pets.csv").write_text("kind,file,age\ncat,cat/7.png,3\n")
    with pytest.raises(NotFound, match=r"pets\.csv, line 2, column 'file': there is no image 'cat/7\.png'"):
        import_files(datasets, "d", pets)
    pets.with_name("pets.csv").write_text("kind,name\ncat,cat/0.png\n")
    with pytest.raises(InvalidInput, match="no column is called 'file'") as caught:
        import_files(datasets, "d", pets)
    assert caught.value.code == "label-file"


def test_one_image_in_colour_makes_all_of_them_coloured(datasets: Datasets, pets: Path):
    save(np.full((4, 6, 3), (255, 0, 0), np.uint8), pets / "dog" / "red.png")
    import_files(datasets, "d", pets)
    images = datasets.open("d").snapshot().read().numpy("image")
    assert images.shape == (5, 4, 6, 3)
    assert (images[0, 0, 0].tolist(), images[-1, 0, 0].tolist()) == ([0, 0, 0], [255, 0, 0])


def test_jpeg_and_the_way_it_is_to_be_turned(datasets: Datasets, tmp_path: Path):
    (tmp_path / "one").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((4, 6), 200, np.uint8)).save(tmp_path / "one" / "a.jpg", exif=exif)
    import_files(datasets, "d", tmp_path / "one")
    assert datasets.open("d").snapshot().read().shape_of("image") == (6, 4)
    assert datasets.open("d").snapshot().columns == ["file", "image"]


def test_another_size_names_the_file_or_is_resized(datasets: Datasets, pets: Path):
    save(np.full((5, 6), 9, np.uint8), pets / "dog" / "tall.png")
    with pytest.raises(InvalidInput, match=r"pets/dog/tall\.png is 5x6 .*cat/0\.png is 4x6") as caught:
        import_files(datasets, "d", pets)
    assert (caught.value.code, caught.value.details["file"]) == ("image-shape", "pets/dog/tall.png")
    import_rows(datasets, "d", open_files([pets], resize=(2, 3)))
    assert datasets.open("d").snapshot().read().numpy("image").shape == (5, 2, 3)
    with pytest.raises(InvalidInput, match="its tensors have 4 values, the dataset's 6") as caught:
        import_rows(datasets, "d", open_files([pets], resize=(2, 2)))
    assert caught.value.code == "tensor-shape"


def test_images_that_cannot_be_read(datasets: Datasets, pets: Path, tmp_path: Path):
    bad = pets / "dog" / "bad.png"
    whole = (pets / "dog" / "0.png").read_bytes()
    for data in (b"", b"no image", whole[:50]):
        bad.write_bytes(data)
        with pytest.raises(InvalidInput, match=r"pets/dog/bad\.png: this image cannot be read") as caught:
            import_files(datasets, "d", pets)
        assert caught.value.code == "unreadable-image"
    save(np.full((4, 6), 900, np.uint16), bad)
    with pytest.raises(InvalidInput, match=r"bad\.png has more than 8 bits a channel"):
        import_files(datasets, "d", pets)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no image is in it"):
        import_files(datasets, "d", tmp_path / "empty")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(InvalidInput, match="only images are resized"):
        open_files([tmp_path / "a.csv"], resize=(2, 2))
    assert not datasets.exists("d")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
        ("jpg", {"quality": 100, "subsampling": 0}),
    ],
)
def test_every_format_is_seen_as_it_is_to_be_seen(
    datasets: Datasets, tmp_path: Path, rows: Rows, orientation: int, ending: str, options: dict[str, Any]
):
    """Orientation n says where the first row and column are; the pixels are those that a viewer shows."""
    shown = np.repeat(np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, 8, 0), 8, 1)
    flip, mirror, turn = np.flipud, np.fliplr, np.transpose
    stored = {
        1: shown, 2: mirror(shown), 3: flip(mirror(shown)), 4: flip(shown), 5: turn(shown), 6: flip(turn(shown)).copy(),
        7: flip(mirror(turn(shown))), 8: mirror(turn(shown)),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder = tmp_path / "f"
    folder.mkdir()
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / f"a.{ending}", exif=exif, **options)
    if ending == "tif":
        # Pillow writes a TIFF's orientation as a tag of the image, not as EXIF.
        Image.fromarray(np.ascontiguousarray(stored)).save(
            folder / f"a.{ending}", tiffinfo={0x0112: orientation}, **options
        )
    done = import_files(datasets, "d", folder)
    assert next(c.shape for c in done.columns if c.name == "image")[:2] == (16, 24)
    image = np.asarray(rows()[0]["image"]).reshape(16, 24, -1)[..., 0]
    assert np.abs(image.astype(int) - shown).max() <= (8 if ending == "jpg" else 0)


def test_what_of_an_image_is_not_in_its_row_is_told(datasets: Datasets, tmp_path: Path):
    folder = tmp_path / "f"
    folder.mkdir()
    frames = [Image.fromarray(np.full((4, 6), 40 * n, np.uint8)) for n in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (6, 4), (10, 20, 30, 40)).save(folder / "ink.jpg")
    notes = {n.code: n.text for n in import_files(datasets, "d", folder).notes}
    assert notes["frames"] == (
        "2 images of f have more than one frame (moving.gif is the first): only the first frame is imported."
    )
    assert notes["converted-colours"].startswith("f/ink.jpg is not in grey or RGB")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_more_than_8_bits_a_channel_are_refused(datasets: Datasets, tmp_path: Path, ending: str):
    """In colours, Pillow itself would keep the upper 8 bits and not say so."""
    folder = tmp_path / "f"
    folder.mkdir()
    Image.fromarray(np.full((4, 6), 1000, np.uint16)).save(folder / f"grey.{ending}")
    with pytest.raises(InvalidInput, match=rf"f/grey\.{ending} has more than 8 bits a channel"):
        import_files(datasets, "d", folder)
    if ending == "png":
        (folder / "grey.png").write_bytes(deep_png())
        with pytest.raises(InvalidInput, match=r"f/grey\.png has more than 8 bits a channel \(RGB\)"):
            import_files(datasets, "d", folder)


def deep_png() -> bytes:
    """One pixel of colour, 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + struct.pack(">HHH", 1000, 2000, 3000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", ["png", "gif", "bmp", "tiff", "jpeg", "webp"])
def test_an_image_cut_anywhere_is_taken_or_said_to_be_unreadable(tmp_path: Path, ending: str):
    folder = tmp_path / "cut"
    folder.mkdir()
    file = folder / f"a.{ending}"
    frames = {"save_all": True, "append_images": [Image.new("L", (3, 2), 9)]} if ending == "gif" else {}
    Image.new("L", (3, 2), 1).save(file, ending, **frames)
    whole = file.read_bytes()
    codes: list[str | None] = []
    for kept in range(len(whole)):
        file.write_bytes(whole[:kept])
        codes.append(_refusal(folder))
    assert set(codes) <= {"unreadable-image", None}
    assert codes.count("unreadable-image") > 10


def _refusal(folder: Path) -> str | None:
    """The code of what refuses the folder's images; None where they are read."""
    source = open_files([folder])
    try:
        types = {field.name: field.type for field in source.fields()}
        list(source.pieces(types))
    except InvalidInput as error:
        return error.code
    return None
