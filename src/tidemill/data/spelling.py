"""A cell as text: read into a type only where nothing of it is lost, and written as it was.

The rule: writing the value again gives the text that was read. Three spellings are no loss: zeros at the end of a
fraction, the exponent of a number that has a fraction or a signed exponent, and a number that begins with its point.
What a column's cells have in common beyond their values is its *spelling*, one word in the field's metadata:
how many decimals its numbers have (``2``), how its times join date and time (``T``), how its truths begin (``True``).
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from tidemill.data.casting import as_text, has_known_years

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SPELLING = b"tidemill.spelling"
"""A field's metadata: what the cells of its text had in common beyond their values."""

_DIGITS = b"0123456789-"
_NUMBER = (
    r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)$"
)
"""A number none of whose characters would be lost: no leading zero or plus, no exponent that may be a name."""
_WORDS = ("nan", "inf", "-inf")
"""What a float64 that is no number is written as."""
_TRUTHS = {"true": ("true", "false"), "True": ("True", "False"), "TRUE": ("TRUE", "FALSE")}
_SAFE = {64: (15, 1e-300, 1e300), 32: (6, 1e-30, 1e30), 16: (3, 1e-4, 1e4)}
"""Of a float's bits: how many significant digits always come back, and between which magnitudes."""
_MOST_DIGITS = 800
"""No float64 has more significant digits."""
_SAMPLE = 256
"""Of so many cells most types are told that a column does not have."""


def exact(texts: Any, kind: "pa.DataType") -> Any:
    """Text cells as ``kind``; None where one of them would lose something. A missing cell stays missing.

    Args:
        texts: An array of strings.
        kind: The type.
    """
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(kind):
        return texts
    values = _parsed(texts, kind)
    if values is None or texts.null_count == len(texts):
        return values
    cells = texts.drop_null() if texts.null_count else texts
    if pa.types.is_boolean(kind):
        kept = set(cells.unique().to_pylist()) <= {word for pair in _TRUTHS.values() for word in pair}
    elif pa.types.is_integer(kind):
        kept = not _other_than(cells, _DIGITS) and not _zeros_lead(cells, whole=True).any()
    elif pa.types.is_floating(kind):
        kept = _float_kept(cells, values.drop_null(), kind)
    elif pa.types.is_decimal(kind):
        kept = not _other_than(cells, _DIGITS + b".") and _well_formed(cells)
    else:
        kept = _comes_back(cells, values.drop_null())
    return values if kept else None


def loose(texts: Any, kind: "pa.DataType") -> Any:
    """Text cells as ``kind`` by their value alone; None where one of them has no such value."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_string(kind):
        return texts
    trimmed = pc.utf8_trim_whitespace(texts)
    values = _parsed(trimmed, kind)
    if values is None and pa.types.is_integer(kind):
        return _parsed(pc.replace_substring_regex(trimmed, r"^\+", ""), kind)
    return values


def first_loss(texts: Any, kind: "pa.DataType", read: Callable[[Any, Any], Any] = exact) -> int:
    """The first cell that ``read`` cannot take as ``kind``; the length where it can take all."""
    low, high = 0, len(texts)
    while low < high:
        middle = (low + high) // 2
        if read(texts.slice(0, middle + 1), kind) is None:
            high = middle
        else:
            low = middle + 1
    return low


def why_lost(text: str, kind: "pa.DataType") -> str:
    """Why a cell is not taken as ``kind``, as the rest of a sentence that begins with the cell."""
    import pyarrow as pa  # noqa: PLC0415

    one = pa.array([text], pa.string())
    if (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) and re.match(r"0000-\d\d-\d\d\b", text):
        return "is not in the years 1 to 9999"
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if number and re.fullmatch(r"-?0[0-9].*", text):
        return "would lose its leading zero"
    if number and text.startswith("+"):
        return "would lose its plus sign"
    if number and re.fullmatch(r"-?0[xX][0-9a-fA-F]+", text):
        return "is a hexadecimal number, which would be written as a decimal one"
    if number and re.fullmatch(r"-?[0-9]+[eE][0-9]+", text):
        return "may be a name: a whole number with an exponent, which would be written in another way"
    if text != text.strip() and loose(one, kind) is not None:
        return "would lose the space around it"
    if pa.types.is_integer(kind) and re.fullmatch(r"-?[0-9]+", text):
        return "would lose its sign" if int(text) == 0 else f"does not fit into {kind}"
    if pa.types.is_floating(kind) and re.fullmatch(_NUMBER, text):
        return f"has more digits than {kind} holds"
    if loose(one, kind) is not None:
        return "would be written in another way"
    return f"is not {kind}"


def spelling_of(texts: Any, kind: "pa.DataType") -> str | None:
    """What the cells have in common beyond their values; None for nothing.

    Args:
        texts: Text cells that ``exact`` takes as ``kind``.
        kind: The type.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    cells = texts.drop_null()
    if not len(cells):
        return None
    if pa.types.is_floating(kind):
        if b"e" in _bytes(cells) or b"E" in _bytes(cells) or b"n" in _bytes(cells):
            return None
        dots = pc.find_substring(cells, ".")
        after = pc.if_else(pc.less(dots, 0), 0, pc.subtract(pc.subtract(pc.binary_length(cells), dots), 1))
        ends = pc.min_max(after).as_py()
        return str(ends["min"]) if ends["min"] == ends["max"] else None
    if pa.types.is_boolean(kind):
        words = set(cells.unique().to_pylist())
        return next((name for name, pair in _TRUTHS.items() if words <= set(pair)), None)
    if pa.types.is_timestamp(kind):
        return "T" if pc.all(pc.equal(pc.utf8_slice_codeunits(cells, 10, 11), "T")).as_py() else " "
    return None


def only_digits(texts: Any) -> bool:
    """Whether the cells are whole numbers, as far as their characters go."""
    return not _other_than(texts.drop_null(), _DIGITS)


def spelling(field: "pa.Field") -> str | None:
    """A field's spelling; None for the usual one of its type."""
    word = (field.metadata or {}).get(SPELLING)
    return word.decode() if word is not None else None


def spelled(metadata: "Mapping[bytes, bytes] | None", word: str | None) -> dict[bytes, bytes] | None:
    """A field's metadata with this spelling."""
    return {**(metadata or {}), SPELLING: word.encode()} if word is not None else dict(metadata or {}) or None


def written(values: Any, word: str | None = None) -> Any:
    """Values as text cells, in a column's spelling; a missing cell stays missing."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = values.type
    if pa.types.is_boolean(kind) and word in _TRUTHS:
        return pc.if_else(values, *(pa.scalar(w) for w in _TRUTHS[word]))
    # Of a cell that is one byte, such as a pixel, all texts there are can be looked up.
    texts = _bytes_written().take(values) if pa.types.is_uint8(kind) else as_text(values)
    if pa.types.is_floating(kind) and word is not None and word.isdecimal() and int(word):
        return _with_decimals(values, texts, int(word))
    if pa.types.is_timestamp(kind) and word == "T":
        return pc.replace_substring(texts, " ", "T", max_replacements=1)
    return texts


@cache
def _bytes_written() -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array(map(str, range(256)), pa.string())


def _with_decimals(values: Any, texts: Any, count: int) -> Any:
    """Numbers with at least so many decimals; what has an exponent or is no number is left as it is."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    plain = pc.match_substring_regex(texts, r"^-?[0-9]+(\.[0-9]+)?$")
    pointed = pc.if_else(pc.match_substring(texts, "."), texts, pc.binary_join_element_wise(texts, ".", ""))
    size = pc.binary_length(pointed)
    lacking = pc.subtract(count, pc.subtract(pc.subtract(size, pc.find_substring(pointed, ".")), 1))
    zeros = pc.binary_repeat("0", pc.max_element_wise(lacking, 0))
    padded = pc.if_else(plain, pc.binary_join_element_wise(pointed, zeros, ""), texts)
    # The shortest text of a number may have fewer digits than the cell had that it was read from.
    long = pc.and_(plain, pc.greater(pc.binary_length(padded), _SAFE[64][0]))
    if not pc.any(long).as_py():
        return padded
    numbers = values.filter(long).to_pylist()
    full = [format(number, f".{count}f") for number in numbers]
    same = pa.array([float(text) == number for text, number in zip(full, numbers, strict=True)], pa.bool_())
    better = pc.if_else(same, pa.array(full, pa.string()), padded.filter(long))
    return pc.replace_with_mask(padded, pc.fill_null(long, False), better)  # noqa: FBT003


def _parsed(texts: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if len(texts) > _SAMPLE and _parsed(texts[:_SAMPLE], kind) is None:
        # Arrow goes on after a text that does not parse, and words an error for each one.
        return None
    try:
        if pa.types.is_time(kind):
            # Arrow reads a time of day from text only as the end of a timestamp.
            day = pc.binary_join_element_wise("1970-01-01", texts, " ")
            return day.cast(pa.timestamp(kind.unit)).cast(kind)
        values = texts.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return None
    return values if has_known_years(values) else None


def _float_kept(cells: Any, values: Any, kind: Any) -> bool:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    digits, least, most = _SAFE[kind.bit_width]
    doubtful = _lengths(cells) > digits
    if _other_than(cells, _DIGITS + b"."):
        word = pc.is_in(cells, value_set=pa.array(_WORDS))
        if not pc.all(pc.or_(word, pc.match_substring_regex(cells, _NUMBER))).as_py():
            return False
        size = np.abs(np.asarray(values.cast(pa.float64())))
        powers = np.asarray(pc.match_substring_regex(cells, "[eE]"))
        doubtful |= powers & ~((size > least) & (size < most))
        doubtful &= ~np.asarray(word)
    elif not _well_formed(cells):
        return False
    if not doubtful.any():
        return True
    some = pa.array(doubtful)
    texts, numbers = cells.filter(some), values.filter(some)
    differs = pc.not_equal(numbers.cast(pa.string()), texts)
    texts, numbers = texts.filter(differs), numbers.filter(differs).cast(pa.float64())
    return all(map(digits_come_back, texts.to_pylist(), numbers.to_pylist()))


def digits_come_back(text: str, number: float) -> bool:
    """Whether a float, written with as many significant digits as the text has, is the text's number."""
    mantissa = re.split("[eE]", text.lstrip("-"))[0]
    count = max(len(mantissa.replace(".", "").lstrip("0")), 1)
    return count <= _MOST_DIGITS and Decimal(format(number, f".{count - 1}e")) == Decimal(text)


def _well_formed(cells: Any) -> bool:
    """Whether numbers without an exponent neither begin with a zero too many nor end with their point."""
    if _zeros_lead(cells, whole=False).any():
        return False
    data, starts, ends = _parts(cells)
    del starts
    return not (data[ends - 1] == ord(".")).any()


def _zeros_lead(cells: Any, *, whole: bool) -> "np.ndarray[Any, Any]":
    """Which numbers begin with a zero that writing them drops: ``007``, ``-01``, and of whole ones ``-0``."""
    import numpy as np  # noqa: PLC0415

    data, starts, ends = _parts(cells)
    if not len(data):
        return np.zeros(len(cells), bool)
    last = len(data) - 1
    size = ends - starts
    minus = data[np.minimum(starts, last)] == ord("-")
    first = starts + minus
    zero = data[np.minimum(first, last)] == ord("0")
    zero &= size > minus
    after = data[np.minimum(first + 1, last)]
    more = size > minus + 1
    found = zero & more & (after >= ord("0")) & (after <= ord("9"))
    return found | (zero & minus & ~more) if whole else found


def _comes_back(cells: Any, values: Any) -> bool:
    """Whether writing the values gives the cells, but for zeros at the end of a fraction and a ``T``."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        again = as_text(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    if pc.all(pc.equal(again, cells)).as_py():
        return True
    if not pa.types.is_timestamp(values.type):
        return False
    joined = pc.replace_substring_regex(cells, r"^(.{10})T", r"\1 ")
    if joined.equals(cells) or len(cells) == pc.sum(pc.match_substring_regex(cells, "^.{10}T")).as_py():
        return bool(pc.all(pc.equal(_without_zeros(again), _without_zeros(joined))).as_py())
    return False


def _without_zeros(texts: Any) -> Any:
    import pyarrow.compute as pc  # noqa: PLC0415

    return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1"), r"\.$", "")


def _other_than(cells: Any, allowed: bytes) -> bool:
    return bool(_bytes(cells).translate(None, allowed))


def _bytes(cells: Any) -> bytes:
    data, starts, ends = _parts(cells)
    return data[int(starts[0]) : int(ends[-1])].tobytes() if len(starts) else b""


def _lengths(cells: Any) -> "np.ndarray[Any, Any]":
    _, starts, ends = _parts(cells)
    return ends - starts


def _parts(cells: Any) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """All bytes of an array of strings, and where in them each cell starts and ends."""
    import numpy as np  # noqa: PLC0415

    _, offsets, data = cells.buffers()
    at = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return np.frombuffer(data or b"", np.uint8), at[:-1], at[1:]


def quoted(text: str, most: int = 40) -> str:
    """A cell for a sentence: in quotes, its invisible characters visible, its end left out where it is long."""
    shown = text if len(text) <= most else text[: most - 1] + "…"
    return json.dumps(shown, ensure_ascii=False) if not shown.isprintable() else f"'{shown}'"
