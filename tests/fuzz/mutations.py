"""Damage to the bytes of a file: what copying, editors, other programs and people with bad intent do to one."""

import re
from collections.abc import Callable, Sequence
from random import Random

TOKENS = [
    *(b"\x00", b"\r", b"\n", b"\r\n", b"\t", b",", b";", b"|", b'"', b'""', b"'", b"\\", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\xfe\xff", b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x1a"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x7f", "\u202e".encode(), "\U0001f600".encode()),
    *(b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"null", b"None", b"NA", b"N/A", b"true", b"False"),
    *(b"0", b"-0", b"00", b"007", b"+1", b"1e5", b"1E05", b"1e400", b"1e-400", b"0x10", b"1_000", b"1,000"),
    *(b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616"),
    *(b"-9223372036854775809", b"1" * 400, b"0." + b"1" * 400, b"12.50", b".5", b"5.", b"1.0E10", b"1e-05"),
    *(b"2024-02-30", b"2024-01-01", b"2024-01-01T00:00:00Z", b"24:00:00", b"0000-00-00", b"99999-01-01"),
    *(
        b"_id",
        b"_prediction",
        b"_tidemill",
        b"=1+1",
        b"{",
        b"}",
        b"[",
        b"]",
        b"{}",
        b"[]",
        b":",
        b"{{",
        b"]]",
    ),
    *(b'{"a":1}', b'{"a":{"b":[1,2]}}', b'{"a":1,"a":2}', b"\\u0000", b"\\ud800", b"\\", b"--", b"#", b" "),
    *(b"PAR1", b"ARROW1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9", b"PK\x03\x04", b"\xff\xff\xff\xff"),
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\x00", b"ustar", b"\xfd7zXZ\x00"),
    *(b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00", b"\xff" * 8, b"\x00" * 8),
]
"""Words that mean something to a reader of some format."""


def mutated(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The bytes with one to six changes.

    Args:
        random: What decides.
        data: The bytes.
        others: Other files, for splices.
    """
    for _ in range(min(random.choice([1, 1, 1, 2, 2, 3, 4, 6]), 6)):
        data = random.choice(_WAYS)(random, data, others)
    return data


def _flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _flipped in range(random.choice([1, 1, 2, 8])):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _byte(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    return data[:at] + bytes([random.choice([0, 1, 10, 13, 34, 44, 127, 128, 255])]) + data[at + 1 :]


def _cut_end(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: _place(random, data)]


def _cut_start(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[_place(random, data) :]


def _cut_out(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(random, data)
    return data[:begin] + data[end:]


def _repeat(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(random, data)
    return data[:end] + data[begin:end] * random.choice([1, 2, 50]) + data[end:]


def _splice(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others) if others else data
    begin, end = _span(random, other)
    at = _place(random, data)
    return data[:at] + other[begin:end] + data[at if random.random() < 0.5 else at + end - begin :]


def _token(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    token = random.choice(TOKENS)
    return data[:at] + token + data[at + (len(token) if random.random() < 0.3 else 0) :]


def _cell(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Another word in the place of one: a cell, a key, a value."""
    cells = list(re.finditer(rb"[^\s,;{}\[\]:\"|=]+", data[:20_000]))
    if not cells:
        return _token(random, data, ())
    cell = random.choice(cells)
    return data[: cell.start()] + random.choice(TOKENS) + data[cell.end() :]


def _line(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A line goes, comes twice, or changes its place."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    taken = lines.pop(at)
    for _again in range(random.choice([0, 1, 2])):
        lines.insert(random.randrange(len(lines) + 1), taken)
    return b"\n".join(lines)


def _ends(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Other ends of lines, or another mark between cells, throughout."""
    old, new = random.choice(
        [
            (b"\n", b"\r\n"),
            (b"\n", b"\r"),
            (b",", b";"),
            (b",", b"\t"),
            (b",", b"|"),
            (b"\n", b"\n\n"),
            (b'"', b"'"),
        ]
    )
    return data.replace(old, new)


def _encode(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """The text in another encoding."""
    try:
        return data.decode("utf-8").encode(random.choice(["utf-16", "utf-8-sig", "utf-16-be", "utf-32"]))
    except UnicodeDecodeError:
        return data


def _deep(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Brackets in brackets."""
    opening, closing = random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b'"', b'"')])
    times = random.choice([3, 70, 600, 5_000])
    at = _place(random, data)
    end = closing * times if random.random() < 0.7 else b""
    return data[:at] + opening * times + random.choice([b"1", b"", b'"x"']) + end + data[at:]


def _wide(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A first line with very many cells, or a very long one."""
    first, end, rest = data.partition(b"\n")
    times = random.choice([10, 300, 3_000])
    more = random.choice(
        [b",a" * times, b"," * times, b"x" * times * 10, b"," + b",".join(b"c%d" % i for i in range(times))]
    )
    return first + more + end + rest


def _number(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A length, a count or an offset of a binary file, wrong."""
    width = random.choice([1, 2, 4, 8])
    at = _place(random, data)
    value = random.choice(
        [0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
    )
    order = random.choice(["little", "big"])
    return data[:at] + (value % 256**width).to_bytes(width, order) + data[at + width :]  # pyright: ignore[reportArgumentType]


def _place(random: Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)


def _span(random: Random, data: bytes) -> tuple[int, int]:
    begin = _place(random, data)
    return begin, min(len(data), begin + random.choice([1, 2, 4, 8, 16, 64, 256]))


_WAYS: list[Callable[[Random, bytes, Sequence[bytes]], bytes]] = [
    *(_flip, _flip, _byte, _cut_end, _cut_start, _cut_out, _repeat, _splice, _token, _token, _cell, _cell),
    *(_line, _ends, _encode, _deep, _wide, _number, _number),
]
