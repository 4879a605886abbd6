"""JSON lines: one object a line. A key that a line lacks is a missing cell."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink, silent
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.sources.unpacking import NotUtf8, Unpacked
from tidemill.data.sources.values import Kinds, column
from tidemill.data.spelling import digits_come_back

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 4 * 1024 * 1024

Row = dict[str, Any]


class JsonLines:
    """One or more files of JSON lines, as one source.

    Args:
        paths: The files.
        sink: Is told how far it is.
    """

    how = "found in the values"
    sparse = True
    notes: Sequence[Note] = ()
    spellings: Mapping[str, str] = MappingProxyType({})

    def __init__(self, paths: Sequence[Path], sink: Sink = silent) -> None:
        self.name = name_of(paths)
        self._paths = list(paths)
        self._sink = sink
        self._identities: dict[Path, tuple[int, ...]] = {}

    @property
    def head(self) -> Place:
        """The first file."""
        return Place(self._paths[0].name)

    @cached_property
    def _names(self) -> list[str]:
        """Every key, in the order in which they are first met."""
        names: dict[str, None] = {}
        some = False
        for _, rows in self._pieces():
            some = some or bool(rows)
            for row in rows:
                if row.keys() - names.keys():
                    names.update(dict.fromkeys(row))
        if not names:
            raise InvalidInput(
                f"{self.name} has no column." if some else f"{self.name} is empty.",
                why="Its objects have no key." if some else "It holds no object.",
                hint="Give it an object with keys on each line.",
                code="empty-file",
                details={"file": self.head.file, "line": 1, "column": 1},
            )
        return list(names)

    def fields(self) -> "Sequence[pa.Field]":
        """The columns; all types are to be found."""
        import pyarrow as pa  # noqa: PLC0415

        return [pa.field(name, pa.null()) for name in self._names]

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the narrowest that every value fits."""
        del fixed
        kinds: dict[str, Kinds] = {}
        for group in groups:
            # The columns of a tensor share one type, so they share what is known of it.
            kinds |= dict.fromkeys(group.sources, Kinds(group.sources[0], self.place, as_json=True))
        start = 0
        for _, rows in self._pieces():
            for name, kind in kinds.items():
                kind.see([row.get(name) for row in rows], start)
            start += len(rows)
        return {s: kinds[s].found(g) for g in groups for s in g.sources}

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types."""
        import pyarrow as pa  # noqa: PLC0415

        del given
        start = 0
        for _, rows in self._pieces():
            arrays = [
                column(
                    [row.get(name) for row in rows], types[name], name, lambda n, s=start: self.place(s + n)
                )
                for name in types
            ]
            start += len(rows)
            yield pa.Table.from_arrays(arrays, names=list(types))

    def place(self, row: int) -> Place:
        """Where a row is."""
        for path in self._paths:
            line = 0
            with closing(Unpacked(path, text=False)) as data:
                for text in _lines(data):
                    line += 1
                    if text.strip():
                        row -= 1
                    if row < 0:
                        return Place(path.name, "line", line)
        raise AssertionError(row)

    def _pieces(self) -> Iterator[tuple[Path, list[Row]]]:
        """The rows of all files, some at a time."""
        for path in self._paths:
            with closing(Unpacked(path, self._identities.get(path))) as data:
                self._identities.setdefault(path, data.identity)
                first = 1
                for block in _blocks(data):
                    rows = _rows(path.name, block, first)
                    first += block.count(b"\n")
                    self._sink(Progress(f"Reading {path.name}", data.done_bytes, data.size_bytes, "bytes"))
                    if rows:
                        yield path, rows
                try:
                    data.check()
                except NotUtf8 as fault:
                    raise fault.error(path.name, str(len(fault.before) + 1)) from None


def _blocks(data: Unpacked) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    rest = b""
    while read := data.read(_BLOCK_BYTES):
        end = read.rfind(b"\n") + 1
        if end:
            yield rest + read[:end]
            rest = read[end:]
        else:
            rest += read
    if rest:
        yield rest


def _lines(data: Unpacked) -> Iterator[bytes]:
    for block in _blocks(data):
        yield from block.splitlines()


def _rows(file: str, block: bytes, first: int) -> list[Row]:
    """The objects of whole lines, of which the first has the number ``first``."""
    import msgspec  # noqa: PLC0415

    decoder = msgspec.json.Decoder(Row, float_hook=_number)
    text = block.removeprefix(b"\xef\xbb\xbf") if first == 1 else block
    try:
        rows = decoder.decode_lines(text)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        rows = None
    # Each key is followed by a colon: where there are as many of these as keys, no key is given twice.
    if rows is not None and text.count(b'":') == sum(map(_keys, rows)):
        return rows
    for number, line in enumerate(text.split(b"\n"), start=first):
        if line.strip():
            _check_line(file, number, line, decoder)
    assert rows is not None, file
    return rows


def _number(text: str) -> float | Decimal:
    """A number with a fraction or an exponent; one that float64 does not hold, with all its digits."""
    number = float(text)
    if (len(text) <= 15 and 1e-300 < abs(number) < 1e300) or digits_come_back(text, number):
        return number
    return Decimal(text)


def _keys(value: Any) -> int:
    """How many keys a value has, its inner records' too."""
    if isinstance(value, dict):
        return len(value) + sum(_keys(v) for v in value.values() if isinstance(v, (dict, list)))
    return sum(_keys(v) for v in value if isinstance(v, (dict, list)))


def _check_line(file: str, number: int, line: bytes, decoder: Any) -> None:
    """Refuse a line that is no object, or has a key twice.

    Raises:
        InvalidInput: ``broken-line``, ``repeated-key``.
    """
    import msgspec  # noqa: PLC0415

    try:
        decoder.decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        bare = next((word for word in (b"NaN", b"Infinity") if word in line), None)
        raise InvalidInput(
            f"{file}, line {number}: this is no JSON object.",
            why=f"JSON has no {bare.decode()}." if bare else str(error),
            hint="Write null where a value is missing."
            if bare
            else "Write one object on each line, with nothing between them.",
            code="broken-line",
            details={"file": file, "line": number, "column": _byte(str(error))},
        ) from error

    def record(pairs: list[tuple[str, Any]]) -> Row:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(
                f"{file}, line {number}: the key '{twice}' is there twice.",
                why="A cell is one value, and it is not said which of the two.",
                hint="Remove one of them.",
                code="repeated-key",
                details={"file": file, "line": number, "column": twice},
            )
        return found

    json.loads(line, object_pairs_hook=record)


def _byte(says: str) -> int:
    """Where in its line the decoder stopped, counted from 1."""
    digits = says.rpartition("(byte ")[2].partition(")")[0]
    return int(digits) + 1 if digits.isdecimal() else 1
