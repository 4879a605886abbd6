"""JSON lines: one object a line. A key that a line lacks is a missing cell."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink, silent
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.sources.unpacking import NotUtf8, Unpacked
from tidemill.data.sources.values import column, types_of
from tidemill.data.spelling import digits_come_back

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 4 * 1024 * 1024

_MOST_DEEP = 100
_NESTED = frozenset({dict, list})
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BARE = re.compile(rb"-?(?:NaN|Infinity)")
_LONG = re.compile(rb"\d{1000,}")

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
        for _, rows in self._pieces("Looking for the columns in"):
            some = some or bool(rows)
            for row in rows:
                if row.keys() - names.keys():
                    names.update(dict.fromkeys(row))
        if not names:
            raise InvalidInput(
                f"{self.name} has no column." if some else f"{self.name} is empty.",
                why="Its objects have no key." if some else "It holds no object.",
                hint="Give it an object with keys on each line.",
                code=codes.EMPTY_FILE,
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
        return types_of(groups, lambda: self._columns("Looking for the types in"), self.place, as_json=True)

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types."""
        import pyarrow as pa  # noqa: PLC0415

        for start, values in self._columns("Reading"):
            arrays = [
                column(values(n), kind, n, lambda row, s=start: self.place(s + row), given=n in given)
                for n, kind in types.items()
            ]
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

    def _columns(self, doing: str) -> Iterator[tuple[int, Callable[[str], list[Any]]]]:
        start = 0
        for _, rows in self._pieces(doing):
            yield start, lambda name, r=rows: [row.get(name) for row in r]
            start += len(rows)

    def _pieces(self, doing: str) -> Iterator[tuple[Path, list[Row]]]:
        """The rows of all files, some at a time; ``doing`` is what they are read for, before a file's name."""
        for path in self._paths:
            with closing(Unpacked(path, self._identities.get(path))) as data:
                self._identities.setdefault(path, data.identity)
                first = 1
                for block in _blocks(data):
                    rows = _rows(path.name, block, first)
                    first += block.count(b"\n")
                    self._sink(Progress(f"{doing} {path.name}", data.done_bytes, data.size_bytes, "bytes"))
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
        # Each key is followed by a colon: where there are as many of these as keys, no key is given twice.
        if text.count(b'":') == sum(map(_keys, rows)):
            return rows
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        rows = None
    lines = text.split(b"\n")
    for number, line in enumerate(lines, start=first):
        if line.strip():
            _check_line(file, number, line, decoder)
    if rows is None:
        # A line of nothing but a form feed is empty to a person, and no JSON to the reader of all lines.
        return [decoder.decode(line) for line in lines if line.strip()]
    return rows


def _number(text: str) -> float | Decimal:
    """A number with a fraction or an exponent; one that float64 does not hold, with all its digits."""
    number = float(text)
    if (len(text) <= 15 and 1e-300 < abs(number) < 1e300) or digits_come_back(text, number):
        return number
    return Decimal(text)


def _keys(row: Row) -> int:
    """How many keys an object has, its inner records' too; raises ``RecursionError`` where they lie too deep."""
    count, level = 0, [row]
    for _ in range(_MOST_DEEP):
        inner: list[Any] = []
        for value in level:
            count += len(value) if isinstance(value, dict) else 0
            members = value.values() if isinstance(value, dict) else value
            if _NESTED & set(map(type, members)):
                inner += [m for m in members if isinstance(m, (dict, list))]
        if not inner:
            return count
        level = inner
    raise RecursionError(f"its lists and records lie deeper in each other than {_MOST_DEEP} levels")


def _check_line(file: str, number: int, line: bytes, decoder: Any) -> None:
    """Refuse a line that is no object, or has a key twice.

    Raises:
        InvalidInput: ``broken-line``, ``repeated-key``.
    """
    import msgspec  # noqa: PLC0415

    try:
        _keys(decoder.decode(line))
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        what, why, hint = _broken(line, error)
        raise InvalidInput(
            f"{file}, line {number}: this is {what}.",
            why=why,
            hint=hint,
            code=codes.BROKEN_LINE,
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
                code=codes.REPEATED_KEY,
                details={"file": file, "line": number, "column": twice},
            )
        return found

    json.loads(line, object_pairs_hook=record)


def _broken(line: bytes, error: Exception) -> tuple[str, str, str]:
    """What a line is instead of an object, why it cannot be read, and what to write."""
    own = _TEXTS.sub(b'""', line)
    if bare := _BARE.search(own):
        word = bare[0].decode()
        return (
            f"no JSON: it has {word}",
            f"JSON has no {word}.",
            f'Write null where a value is missing, and "{word}", in quotes, for the number.',
        )
    if own.lstrip().startswith(b"["):
        return (
            "a JSON array, and no object",
            "JSON lines have one object on each line.",
            "Write each object of the array on a line of its own, such as with: jq -c '.[]' FILE > FILE.jsonl",
        )
    if digits := _LONG.search(own):
        return (
            f"an object with a number of {len(digits[0])} digits",
            "No type of a column holds so many.",
            "Write it as a text, in quotes.",
        )
    return "no JSON object", str(error), "Write one object on each line, with nothing between them."


def _byte(says: str) -> int:
    """Where in its line the decoder stopped, counted from 1."""
    digits = says.rpartition("(byte ")[2].partition(")")[0]
    return int(digits) + 1 if digits.isdecimal() else 1
