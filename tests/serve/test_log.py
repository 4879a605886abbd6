"""The log's bytes and pages, without a server: what goes in comes out, whatever it is."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidemill.core.errors import NotFound, StorageError
from tidemill.models.signature import DATATYPES, Signature, Tensor
from tidemill.serve import log_layout, log_removal
from tidemill.serve.log_reader import LogReader
from tidemill.serve.prediction_log import Entry, PredictionLog

NUMBERS = sorted(set(DATATYPES) - {"BYTES"})
SIGNATURE = Signature("m", (Tensor("x", "INT64", (-1,)),), (Tensor("value", "FP64", (-1,)),))


@st.composite
def columns(draw: st.DrawFn) -> tuple[dict[str, Any], list[Tensor]]:
    rows = draw(st.integers(1, 4))
    made: dict[str, Any] = {}
    tensors: list[Tensor] = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        datatype = draw(st.sampled_from([*NUMBERS, "BYTES", "BYTES"]))
        cell = draw(st.sampled_from([(), (1,), (2,), (2, 3)]))
        if datatype == "BYTES":
            values: Any = np.empty((rows, *cell), dtype=object)
            values[...] = draw(arrays.arrays(object, (rows, *cell), elements=st.text(max_size=4)))
        else:
            values = draw(arrays.arrays(np.dtype(DATATYPES[datatype]), (rows, *cell)))
        if draw(st.booleans()):
            mask = draw(arrays.arrays(bool, (rows, *cell)))
            values = np.ma.MaskedArray(values, mask=mask)
        made[name] = values
        tensors.append(Tensor(name, datatype, (-1, *cell)))
    return made, tensors


@settings(max_examples=300, deadline=None)
@given(columns())
def test_every_row_comes_back_as_it_was(given: tuple[dict[str, Any], list[Tensor]]) -> None:
    made, tensors = given
    back = log_layout.decode_rows(log_layout.encode_rows(made, tensors), tensors)
    for name, values in made.items():
        assert back[name].shape == values.shape and back[name].dtype == values.dtype
        np.testing.assert_array_equal(np.ma.getmaskarray(back[name]), np.ma.getmaskarray(values))
        np.testing.assert_array_equal(np.ma.getdata(back[name]), np.ma.getdata(values))


def write(file: Path, groups: list[list[tuple[str, int]]], *, checking: bool = False) -> list[bool]:
    """Commit each group of (id, input) at once; whether it met an id that was there."""

    async def main() -> list[bool]:
        log = PredictionLog(file, release="sha256:1", number=1, signature=SIGNATURE)
        short: list[bool] = []
        for group in groups:
            entries: list[Entry] = []
            for name, value in group:
                row = log_layout.encode_rows({"x": np.array([value])}, SIGNATURE.inputs)[0]
                answer = log_layout.encode_rows({"value": np.array([value / 2])}, SIGNATURE.outputs)[0]
                done = asyncio.get_running_loop().create_future()
                entries.append(Entry(done, [(name, row, answer)], checking=checking))
            for entry in entries:
                log.write(entry)
            short += [await entry.done for entry in entries]
        await log.close()
        return short

    return asyncio.run(main())


def test_an_id_is_written_once_and_the_writer_hears_of_it(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    assert write(file, [[("a", 1)], [("b", 2)], [("a", 3)]]) == [False, False, True]
    assert write(file, [[("b", 4)]]) == [True]
    with LogReader(file) as log:
        assert [(p.id, int(p.inputs["x"]), float(p.outputs["value"])) for p in log.predictions()] == [
            ("a", 1, 0.5),
            ("b", 2, 1.0),
        ]


def test_many_rows_are_read_page_by_page_in_order(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    names = [f"{n:05d}" for n in range(2345)]
    write(file, [[(name, n) for n, name in enumerate(names)]])
    write(file, [[("check", 0)]], checking=True)
    with LogReader(file) as log:
        assert log.count() == 2345 and log.count(checking=True) == 1
        assert [p.id for p in log.predictions()] == names
        assert [p.id for p in log.predictions(after=2000)] == names[2000:]
        assert [p.id for p in log.predictions(after=10, limit=1500)] == names[10:1510]
        assert [p.id for p in log.predictions([*names[::-1], "none", "check"])] == [*names, "check"]
        assert list(log.predictions([])) == [] and log.labels([]) == {}


def test_what_is_closed_while_it_commits_is_committed(tmp_path: Path) -> None:
    async def main() -> int:
        log = PredictionLog(tmp_path / "log.db", release="sha256:1", number=1, signature=SIGNATURE)
        expected = log.expect()
        entries = [
            Entry(asyncio.get_running_loop().create_future(), [(str(n), b"\x91\xc0", b"\x91\xc0")])
            for n in range(200)
        ]
        for entry in entries:
            log.write(entry)
        await log.close()
        expected.arrived()
        return sum(entry.done.done() for entry in entries)

    assert asyncio.run(main()) == 200
    database = sqlite3.connect(tmp_path / "log.db")
    assert database.execute("SELECT count(*) FROM predictions").fetchone() == (200,)
    database.close()


def test_a_commit_waits_for_a_request_in_flight_but_not_for_ever(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        log = PredictionLog(tmp_path / "log.db", release="sha256:1", number=1, signature=SIGNATURE)
        loop = asyncio.get_running_loop()

        def entry(name: str) -> Entry:
            return Entry(loop.create_future(), [(name, b"\x90", b"\x90")])

        first, second = log.expect(), log.expect()
        one, two = entry("1"), entry("2")
        log.write(one)
        first.arrived()
        log.write(two)
        second.arrived()
        second.arrived()
        await asyncio.gather(one.done, two.done)
        together = log.figures.commits
        log.expect()  # and never arrives
        three = entry("3")
        log.write(three)
        await three.done
        await log.close()
        return together, log.figures.commits

    assert asyncio.run(main()) == (1, 2)


def test_what_cannot_be_written_is_told_to_its_writer_alone(tmp_path: Path) -> None:
    async def main() -> list[object]:
        log = PredictionLog(tmp_path / "log.db", release="sha256:1", number=1, signature=SIGNATURE)
        ended: list[object] = []
        for name in ("first", "half a \ud800", "last"):
            entry = Entry(asyncio.get_running_loop().create_future(), [(name, b"\x90", b"\x90")])
            log.write(entry)
            ended += await asyncio.gather(asyncio.wait_for(entry.done, 30), return_exceptions=True)
        await log.close()
        return ended

    first, half, last = asyncio.run(main())
    assert (first, last) == (False, False)
    assert isinstance(half, StorageError)


@pytest.mark.parametrize("how", ["removed", "put back", "moved away"])
def test_nothing_is_answered_once_the_log_is_another_file(tmp_path: Path, how: str) -> None:
    file = tmp_path / "here" / "log.db"
    file.parent.mkdir()

    async def main() -> list[object]:
        log = PredictionLog(file, release="sha256:1", number=1, signature=SIGNATURE)
        ended: list[object] = []
        for name in ("first", "second"):
            entry = Entry(asyncio.get_running_loop().create_future(), [(name, b"\x90", b"\x90")])
            log.write(entry)
            ended += await asyncio.gather(asyncio.wait_for(entry.done, 30), return_exceptions=True)
            if name == "first" and how == "moved away":
                file.parent.rename(tmp_path / "there")
            elif how == "put back":
                (tmp_path / "backup").write_bytes(file.read_bytes())
                (tmp_path / "backup").replace(file)
            else:
                file.unlink(missing_ok=True)
        ended += await asyncio.gather(log.probe(), return_exceptions=True)
        await log.close()
        return ended

    first, *others = asyncio.run(main())
    assert first is False
    assert [error.code for error in others if isinstance(error, StorageError)] == ["log-replaced"] * 2
    if how != "removed":
        # Nothing is in it that nobody got.
        with LogReader(tmp_path / ("there" if how == "moved away" else "here") / "log.db") as reader:
            assert reader.count() == 1


def test_no_log_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        LogReader(tmp_path / "none.db")
    assert caught.value.code == "log-not-found" and not [*tmp_path.iterdir()]


def test_a_name_with_marks_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1?"
    folder.mkdir()
    write(folder / "log.db", [[("a", 1)]])
    assert [p.name for p in tmp_path.iterdir()] == ["50% of #1?"]
    with LogReader(folder / "log.db") as log:
        assert log.count() == 1


def test_reading_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    write(file, [[("a", 1)]])
    with LogReader(file) as log, pytest.raises(sqlite3.OperationalError):
        log._database.execute("DELETE FROM predictions")


def holding(folder: Path, what: bytes) -> list[str]:
    return [f.name for f in folder.iterdir() if what in f.read_bytes()]


def test_no_byte_is_left_of_a_removed_prediction_while_a_server_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    secret = b"needle-77aa31" * 400
    one = log_layout.encode_rows({"x": np.array([1])}, SIGNATURE.inputs)[0]
    answer = log_layout.encode_rows({"value": np.array([0.5])}, SIGNATURE.outputs)[0]

    async def main() -> list[str]:
        log = PredictionLog(file, release="sha256:1", number=1, signature=SIGNATURE)

        async def put(name: str, value: bytes, label: str) -> None:
            done = asyncio.get_running_loop().create_future()
            log.write(Entry(done, [(name, value, answer)], [(name, label)]))
            await done

        await put("a", secret, "needle-77aa31")
        await put("b", one, "kept")
        assert holding(tmp_path, b"needle")
        assert log.logged(["a"])
        gone = await asyncio.to_thread(
            log_removal.remove, file, ["a", "never", *(str(n) for n in range(900))]
        )
        assert gone == 1
        assert log.missing(["a", "b"]) == {"a"}
        left = holding(tmp_path, b"needle")
        await put("c", one, "also")
        await log.close()
        return left

    assert asyncio.run(main()) == []
    with LogReader(file) as log:
        assert [p.sequence for p in log.predictions(["a", "b", "c"])] == [2, 3]
        assert [f.label for f in log.feedback()] == ["kept", "also"]
    assert log_removal.remove(file, ["a"]) == 0


def test_a_reader_in_the_way_of_a_removal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "log.db"
    write(file, [[("a", 1)], [("b", 2)]])
    monkeypatch.setattr(log_layout, "_BUSY_SECONDS", 0.2)
    reader = log_layout.open_to_read(file)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchone()
    with pytest.raises(StorageError) as caught:
        log_removal.remove(file, ["a"])
    assert caught.value.code == "log-in-use"
    reader.close()
    assert log_removal.remove(file, ["a"]) == 0
    with LogReader(file) as log:
        assert [p.id for p in log.predictions()] == ["b"]


def test_a_row_says_a_word_whole_whatever_its_length_before_it_is() -> None:
    # A text of 48 bytes has its length, which is the letter "0", right before it.
    texts = ["00084", "00084".ljust(48, "!"), "100084", "0.000846"]
    rows = log_layout.encode_rows(
        {"a": np.array(texts, object), "b": np.full(4, 84)},
        [Tensor("a", "BYTES", (-1,)), Tensor("b", "INT64", (-1,))],
    )
    assert [log_layout.says(row, ["00084"]) for row in rows] == [True, True, False, False]
