"""Folders of images: classes by folder or by a CSV file, sizes, and images that cannot be taken."""

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
    with pytest.raises(InvalidInput, match=r"bad\.png has I;16 pixels"):
        import_files(datasets, "d", pets)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no image is in it"):
        import_files(datasets, "d", tmp_path / "empty")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(InvalidInput, match="only images are resized"):
        open_files([tmp_path / "a.csv"], resize=(2, 2))
    assert not datasets.exists("d")
