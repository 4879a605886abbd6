"""A file that is written for a person: whole or not at all, and no traceback for what stands in the way."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput, StorageError
from tidemill.core.files import replacing, write_text


def beside(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_missing_folders_are_made(tmp_path: Path):
    write_text(tmp_path / "a" / "b" / "page.html", "x\ny\n")
    assert (tmp_path / "a" / "b" / "page.html").read_bytes() == b"x\ny\n"
    assert beside(tmp_path / "a" / "b") == ["page.html"]


def test_an_older_file_is_replaced_and_keeps_its_permissions(tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text("old")
    file.chmod(0o640)
    write_text(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_an_error_amid_the_writing_leaves_the_older_file_and_nothing_else(tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert beside(tmp_path) == ["page.html"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "real" / "page.html")
    write_text(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "real" / "page.html").read_text() == "new"


def test_a_name_as_long_as_a_name_may_be(tmp_path: Path):
    file = tmp_path / ("n" * 250 + ".html")
    write_text(file, "new")
    assert file.read_text() == "new"


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput) as caught:
        write_text(tmp_path, "x")
    assert caught.value.code == "output-is-folder"


def test_a_place_below_a_file_is_refused_by_the_name_of_that_file(tmp_path: Path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InvalidInput) as caught:
        write_text(tmp_path / "notes" / "deep" / "page.html", "x")
    assert caught.value.code == "output-in-file"
    assert f"{tmp_path / 'notes'} is a file" in caught.value.message
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_full_disk_leaves_the_older_file(small_disk: Path):
    file = small_disk / "page.html"
    write_text(file, "old")
    with pytest.raises(StorageError) as caught:
        write_text(file, "x" * 2_000_000)
    assert caught.value.code == "disk-full"
    assert file.read_text() == "old"
    assert beside(small_disk) == ["page.html"]


def test_what_may_not_be_written_is_told_so():
    # Nobody may make files here, whoever runs the tests.
    with pytest.raises(StorageError) as caught:
        write_text(Path("/proc/self/page.html"), "x")
    assert caught.value.code in ("output-not-writable", "storage")
    assert "/proc/self/page.html" in caught.value.message


def test_a_device_is_written_to_and_stays_a_device():
    write_text(Path(os.devnull), "x")
    assert Path(os.devnull).is_char_device()


def test_a_pipe_gets_what_is_written(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join(timeout=180)
    assert got == ["through"]
    assert pipe.is_fifo()
