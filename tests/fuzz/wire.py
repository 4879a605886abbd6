"""Tries requests on a real server: none is answered by a fault of the server, and none hurts another client."""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz import described, requests
from tests.fuzz.campaign import Results
from tests.fuzz.session import PATIENCE, SECONDS
from tests.serve.bundles import build, digest
from tidemill.core.settings import LimitSettings
from tidemill.serve import client
from tidemill.serve.client import Status

AT_ONCE = 16
"""Clients at work together."""
_PATIENCE_SECONDS = SECONDS * PATIENCE
_PAUSE_SECONDS = 0.02
"""Between two requests of the client that only wants its answer."""
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_ROW = json.dumps({"rows": [{"image": np.zeros((28, 28), int).tolist()}]}).encode()
# A connection on which nothing was asked is closed without a word: later than a busy machine holds up the clients here.
_LIMITS = LimitSettings(
    body_bytes=1_000_000, request_rows=500, head_seconds=2.0, body_seconds=2.0, idle_seconds=15.0
)


def run(
    *,
    first: int = 0,
    count: int,
    results: Results | None = None,
    tell: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Try connections with these numbers, ``count`` requests or some more; the arguments as in a campaign.

    ``longest_seconds`` is how long a client with a good request waited at most for its answer meanwhile.
    """
    results = results or Results()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as running:
        driver = _Driver(running, Path(folder) / "environments", results, first, count, tell)
        asyncio.run(driver.run())
    return results


@contextmanager
def _server(folder: Path) -> Generator[Status]:
    bundle, environments = build(folder / "bundle", 1), folder / "environments"
    with client.start_standby(
        bundle=bundle.folder,
        name="ten",
        release=digest(1),
        number=1,
        environment="fuzz",
        folder=environments,
        limits=_LIMITS,
    ) as standby:
        yield standby.take_over()
        client.stop(environments, "fuzz")


class _Driver:
    """Clients that send what ``requests`` makes, and one that only wants its answers."""

    def __init__(
        self,
        running: Status,
        folder: Path,
        results: Results,
        first: int,
        count: int,
        tell: Callable[[Results], None],
    ) -> None:
        self._port, self._pid = int(running.address.rpartition(":")[2]), running.pid
        self._log, self._results, self._tell = folder / "fuzz.log", results, tell
        self._next, self._end, self._before = first + results.tried, results.tried + count, results.seconds
        self._ids: list[str] = []
        self._described = described.bodies(running.address)

    async def run(self) -> None:
        """Until enough requests are sent; then the server is as it was before."""
        began = time.monotonic()
        await self._ask_well()
        size = self._size()
        waiting = asyncio.create_task(self._want_answers())
        clients = [asyncio.create_task(self._send(began)) for _ in range(AT_ONCE)]
        await asyncio.gather(*clients)
        waiting.cancel()
        await self._settled(size)
        self._read_log()
        self._results.seconds = self._before + time.monotonic() - began
        self._tell(self._results)

    async def _send(self, began: float) -> None:
        results = self._results
        while results.tried < self._end:
            number, self._next = self._next, self._next + 1
            raw, plain = requests.connection(Random(number), self._ids, self._described)
            results.tried += plain or max(raw.count(b" HTTP/1.1\r\n"), 1)
            try:
                answer = await asyncio.wait_for(self._exchange(Random(number), raw), _PATIENCE_SECONDS)
            except TimeoutError:
                self._find(number, "hang", "a connection", "the server neither answers nor closes", raw)
                continue
            self._judge(number, raw, answer, plain)
            results.seconds = self._before + time.monotonic() - began
            if number % 100 == 0:
                self._tell(results)

    async def _exchange(self, random: Random, raw: bytes) -> bytes:
        """What comes back, to the end; in pieces, with the sending side closed after them."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        reading = asyncio.create_task(reader.read(-1))
        # What is refused before its end, as a body that is too large is, cannot be sent to its end.
        with suppress(OSError):
            for piece in _pieces(random, raw):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        try:
            return await reading
        except OSError:
            return b""
        finally:
            writer.close()

    def _judge(self, number: int, raw: bytes, answer: bytes, plain: int | None) -> None:
        found = [(int(head[1]), head[2].lower()) for head in _HEAD.finditer(answer)]
        for status, headers in found:
            if status >= 500 and not (status == 503 and b"retry-after" in headers):
                self._find(number, "fault", f"status {status}", answer[:2000].decode("latin-1"), raw)
        # What follows a body in chunks is left to another connection, and the answer says so.
        is_left = bool(found) and b"connection: close" in found[-1][1] and len(found) < (plain or 0)
        if plain is not None and len(found) != plain and not is_left:
            text = f"{len(found)} answers to {plain} requests: {answer[:2000].decode('latin-1')}"
            self._find(number, "lost answer", "a connection", text, raw)
        if len(self._ids) < 200:
            self._ids += re.findall(r'"prediction":"([^"]+)"', answer.decode("latin-1"))

    async def _want_answers(self) -> None:
        while True:
            await self._ask_well()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask_well(self) -> None:
        head = (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % len(_ROW)
        )
        began = time.monotonic()
        try:
            answer = await asyncio.wait_for(self._exchange(Random(0), head + _ROW), _PATIENCE_SECONDS)
        except TimeoutError:
            answer = b"no answer in time"
        if b" 200 " not in answer[:20]:
            self._find(-1, "hurt", "a good request", answer[:2000].decode("latin-1"), head)
        taken = time.monotonic() - began
        if taken > self._results.longest_seconds:
            self._results.longest_seconds, self._results.longest = taken, self._next

    async def _settled(self, size: tuple[int, int, int]) -> None:
        """Find what the server did not let go of: descriptors, threads, memory."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._size()[0] > size[0] and time.monotonic() < deadline:  # noqa: ASYNC110 - a process tells no event
            await asyncio.sleep(_PAUSE_SECONDS)
        descriptors, threads, memory = self._size()
        if descriptors > size[0]:
            self._find(-1, "growth", "descriptors", f"{size[0]} before, {descriptors} after", b"")
        if threads > size[1] + _MORE_THREADS:
            self._find(-1, "growth", "threads", f"{size[1]} before, {threads} after", b"")
        if memory > size[2] + _MORE_BYTES:
            self._find(-1, "growth", "memory", f"{size[2]:,} bytes before, {memory:,} after", b"")

    def _size(self) -> tuple[int, int, int]:
        process = Path(f"/proc/{self._pid}")
        memory = re.search(r"RssAnon:\s+(\d+) kB", (process / "status").read_text())
        assert memory is not None
        return len([*(process / "fd").iterdir()]), len([*(process / "task").iterdir()]), int(memory[1]) * 1024

    def _read_log(self) -> None:
        """Each line of the server's log is one JSON object, and none tells of a bug."""
        for line in self._log.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or "Traceback" in line.decode("utf-8", "replace"):
                self._find(-1, "log", "a line", line[:2000].decode("utf-8", "replace"), b"")

    def _find(self, number: int, promise: str, where: str, text: str, raw: bytes) -> None:
        finding: dict[str, Any] = {"number": number, "promise": promise, "where": where, "text": text}
        self._results.findings.append({**finding, "words": [raw[:500].decode("latin-1")]})
        self._tell(self._results)


_MORE_THREADS = 4
"""Of pools that had not been needed before."""
_MORE_BYTES = 256 * 1024 * 1024
"""What a body of a megabyte may take while it is read, many times; it stays with the allocator."""


def _pieces(random: Random, raw: bytes) -> list[bytes]:
    """As the network parts it: whole, in two, or in many small ones at the beginning."""
    at = random.randrange(len(raw) + 1)
    return random.choice(
        [[raw], [raw], [raw[:at], raw[at:]], [*(raw[n : n + 1] for n in range(min(30, len(raw)))), raw[30:]]]
    )
